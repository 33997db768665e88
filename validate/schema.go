package validate

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Schema reads JSON objects into values of T by the rules in T's struct tags.
// It does not change after [Compile] and may be used by many requests at a time.
//
// The tags are the keywords of JSON Schema 2020-12 where it has one:
//
//	json:"name"          the member; "-" leaves the field out
//	doc, example         for the document only
//	minLength, maxLength code points, before and after cleaning
//	pattern              RE2, anchored at both ends, after cleaning
//	enum:"a,b"           nothing but these
//	format               email, uri (http and https), date-time, uuid, ip-prefix
//	text                 what is done to the string, see below
//	minimum, maximum     of numbers, inclusive
//	minItems, maxItems   of lists, as sent
//	uniqueItems:"true"   a repeated item is a problem
//	uniqueItems:"drop"   a repeated item is dropped, after cleaning
//	optional:"true"      the member may be absent (not null); see also [Optional]
//	null:"false"         an [Optional] may be absent, and must not be null
//
// On a list of strings the tags of strings hold for each item.
//
// The tag text names one of six policies; without it a string is a line:
//
//	identifier  trimmed, lower-cased; markup or SQL injection is refused
//	line        one line, trimmed; markup is removed, SQL injection refused
//	prose       many lines; markup is removed, SQL injection recorded
//	rich        HTML of the allow list of package sanitize, the rest removed;
//	            SQL injection recorded
//	secret      as sent, never looked into
//	token       as sent, printable ASCII
//
// The first four refuse control characters. Every string needs a maxLength,
// unless it has an enum or a format, and every list a maxItems.
//
// Fields may be strings, booleans, int, int32, int64, float64, [time.Time],
// structs, slices of these, and [Optional] of all that. Members are required
// unless they say otherwise; members that T does not have are refused.
type Schema[T any] struct {
	root *rule
}

// Compile reads the rules of T, which must be a struct. All errors are reported
// at once.
func Compile[T any]() (*Schema[T], error) {
	c := compiler{tag: "json"}
	root := c.structure(reflect.TypeFor[T](), "")
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return &Schema[T]{root: root}, nil
}

type ruleKind uint8

const (
	ruleString ruleKind = iota
	ruleBool
	ruleInt
	ruleFloat
	ruleTime
	ruleArray
	ruleObject
	ruleMap // answers only
	ruleAny // answers only
)

// rule is what holds for one value.
type rule struct {
	kind     ruleKind
	typ      reflect.Type
	doc      string
	example  string
	nullable bool

	policy               policy
	minLength, maxLength int // maxLength -1: none (answers only)
	pattern              *regexp.Regexp
	patternSource        string
	enum                 []string
	format               format

	minimum, maximum *float64

	minItems, maxItems int // maxItems -1: none (answers only)
	unique, drop       bool
	item               *rule // also of maps

	fields  []field
	byName  map[string]int
	checker bool
}

// field is a member of an object, or a parameter of a query.
type field struct {
	*rule
	name     string
	index    []int
	optional bool // is an Optional
	required bool
	fallback string // of a query parameter
}

const maxFields = 64 // bits of the set of members seen

// compiler turns types into rules.
type compiler struct {
	tag     string // json, or query
	answer  bool
	errs    []error
	visited []reflect.Type
}

func (c *compiler) fail(at, format string, args ...any) {
	if at == "" {
		at = "schema"
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	checkerType = reflect.TypeFor[Checker]()
	optType     = reflect.TypeFor[optional]()
)

func (c *compiler) structure(t reflect.Type, at string) *rule {
	r := &rule{kind: ruleObject, typ: t, byName: map[string]int{}, minLength: 0, maxLength: -1, maxItems: -1}
	if t.Kind() != reflect.Struct || t == timeType || t.Implements(optType) {
		c.fail(at, "%s: want a struct", t)
		return r
	}
	if slices.Contains(c.visited, t) {
		c.fail(at, "%s: a type that contains itself has no bound", t)
		return r
	}
	c.visited = append(c.visited, t)
	defer func() { c.visited = c.visited[:len(c.visited)-1] }()

	r.checker = reflect.PointerTo(t).Implements(checkerType)
	for _, sf := range reflect.VisibleFields(t) {
		// The fields of embedded structs are visible too: they are members of this object.
		where := strings.TrimPrefix(at+"."+sf.Name, ".")
		if sf.Anonymous && sf.Tag.Get(c.tag) == "" {
			if sf.Type.Kind() != reflect.Struct {
				c.fail(where, "%s: only structs can be embedded", sf.Type)
			}
			continue
		}
		if !sf.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(sf.Tag.Get(c.tag), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			c.fail(where, "no name: add %s:\"…\"", c.tag)
			continue
		}
		if _, dup := r.byName[name]; dup {
			c.fail(where, "the name %q is taken", name)
			continue
		}
		f := field{name: name, index: sf.Index, required: true}
		ft := sf.Type
		if ft.Kind() == reflect.Struct && ft.Implements(optType) {
			f.optional, f.required = true, false
			ft = ft.Field(2).Type
		}
		if c.answer && strings.Contains(options, "omit") || sf.Tag.Get("optional") == "true" {
			f.required = false
		}
		f.rule = c.value(ft, tags{sf.Tag}, where)
		c.misplaced(f.rule, sf.Tag, where)
		f.nullable = f.nullable || f.optional
		if null, ok := sf.Tag.Lookup("null"); ok {
			if null != "false" || !f.optional {
				c.fail(where, "null %q: want false, on an Optional", null)
			}
			f.nullable = false
		}
		if c.tag == "query" {
			c.parameter(&f, sf, where)
		}
		r.byName[name] = len(r.fields)
		r.fields = append(r.fields, f)
	}
	if len(r.fields) > maxFields {
		c.fail(at, "%d members: at most %d", len(r.fields), maxFields)
	}
	return r
}

func (c *compiler) value(t reflect.Type, tag tags, at string) *rule {
	r := &rule{typ: t, doc: tag.Get("doc"), example: tag.Get("example"), maxLength: -1, maxItems: -1}
	if t.Kind() == reflect.Pointer {
		if !c.answer {
			c.fail(at, "%s: want an Optional for a member that may be null", t)
		}
		inner := c.value(t.Elem(), tag, at)
		inner.nullable = true
		return inner
	}
	switch {
	case t == timeType:
		r.kind = ruleTime
	case t.Kind() == reflect.String:
		r.kind = ruleString
		c.text(r, tag, at)
	case t.Kind() == reflect.Bool:
		r.kind = ruleBool
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int32, t.Kind() == reflect.Int64:
		r.kind = ruleInt
	case t.Kind() == reflect.Float64:
		r.kind = ruleFloat
	case t.Kind() == reflect.Slice && c.tag == "json":
		r.kind = ruleArray
		item := tag
		if t.Elem().Kind() != reflect.String {
			item = tags{} // the tags of a string hold for its items, those of others do not
		}
		r.item = c.value(t.Elem(), item, at+"[]")
		r.item.doc, r.item.example = "", ""
		r.minItems = tag.count(c, "minItems", 0, at)
		r.maxItems = tag.count(c, "maxItems", -1, at)
		if r.maxItems < 0 && !c.answer {
			c.fail(at, "no maxItems: every list needs a bound")
		}
		switch u := tag.Get("uniqueItems"); {
		case u == "" || u == "false":
		case t.Elem().Kind() != reflect.String || u != "true" && u != "drop":
			c.fail(at, "uniqueItems %q: want true or drop, on a list of strings", u)
		default:
			r.unique, r.drop = u == "true", u == "drop"
		}
	case t.Kind() == reflect.Struct && c.tag == "json":
		doc, example := r.doc, r.example
		r = c.structure(t, at)
		r.doc, r.example = doc, example
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && c.answer:
		r.kind = ruleMap
		r.item = c.value(t.Elem(), tags{}, at+"{}")
	case t.Kind() == reflect.Interface && c.answer:
		r.kind = ruleAny
	default:
		c.fail(at, "%s: a type that is not supported here", t)
	}
	if r.kind == ruleInt || r.kind == ruleFloat {
		r.minimum, r.maximum = tag.number(c, "minimum", at), tag.number(c, "maximum", at)
		if r.minimum != nil && r.maximum != nil && *r.minimum > *r.maximum {
			c.fail(at, "minimum %v is above maximum %v", *r.minimum, *r.maximum)
		}
	}
	return r
}

// misplaced reports the tags that say nothing about r.
func (c *compiler) misplaced(r *rule, tag reflect.StructTag, at string) {
	var allowed []string
	switch r.kind {
	case ruleString:
		allowed = stringTags
	case ruleInt, ruleFloat:
		allowed = numberTags
	case ruleArray:
		allowed = arrayTags
		if r.item.kind == ruleString {
			allowed = append(slices.Clone(arrayTags), stringTags...)
		}
	}
	for _, name := range ruleTags {
		if tag.Get(name) != "" && !slices.Contains(allowed, name) {
			c.fail(at, "the tag %s says nothing about %s", name, r.typ)
		}
	}
}

var (
	stringTags = []string{"minLength", "maxLength", "pattern", "enum", "format", "text"}
	numberTags = []string{"minimum", "maximum"}
	arrayTags  = []string{"minItems", "maxItems", "uniqueItems"}
	ruleTags   = slices.Concat(stringTags, numberTags, arrayTags)
)

// text reads the rules of a string.
func (c *compiler) text(r *rule, tag tags, at string) {
	r.minLength = tag.count(c, "minLength", 0, at)
	if e := tag.Get("enum"); e != "" {
		r.enum = strings.Split(e, ",")
	}
	if name := tag.Get("format"); name != "" {
		f, ok := formatOf(name)
		if !ok {
			c.fail(at, "format %q: want email, uri, date-time, uuid or ip-prefix", name)
		}
		r.format = f
		r.maxLength = f.maxLength
	}
	r.maxLength = tag.count(c, "maxLength", r.maxLength, at)
	if r.maxLength < 0 && r.enum == nil && r.format.ok == nil && !c.answer {
		c.fail(at, "no maxLength: every string needs a bound")
	}
	if r.maxLength >= 0 && r.minLength > r.maxLength {
		c.fail(at, "minLength %d is above maxLength %d", r.minLength, r.maxLength)
	}
	if p := tag.Get("pattern"); p != "" {
		re, err := regexp.Compile(`\A(?:` + p + `)\z`)
		if err != nil {
			c.fail(at, "pattern %q: %v", p, err)
		}
		r.pattern = re
		// A pattern of JSON Schema is not anchored: ours says what it means.
		r.patternSource = "^" + strings.TrimSuffix(strings.TrimPrefix(p, "^"), "$") + "$"
		if strings.Contains(p, "|") {
			r.patternSource = "^(?:" + p + ")$"
		}
	}
	name := tag.Get("text")
	switch {
	case name == "" && r.enum == nil:
		r.policy = policyLine
	case name != "":
		p, ok := policyOf(name)
		if !ok {
			c.fail(at, "text %q: want identifier, line, prose, rich, secret or token", name)
		}
		r.policy = p
	}
}

type tags struct{ reflect.StructTag }

func (t tags) count(c *compiler, name string, fallback int, at string) int {
	s := t.Get(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		c.fail(at, "%s %q: want a number of 0 or more", name, s)
		return fallback
	}
	return n
}

func (t tags) number(c *compiler, name, at string) *float64 {
	s := t.Get(name)
	if s == "" {
		return nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		c.fail(at, "%s %q: want a number", name, s)
		return nil
	}
	return &n
}
