package validate

import (
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// maxQuery is how many bytes of a query are read.
const maxQuery = 8 << 10

// A Query reads the query of a URL into values of T by T's struct tags: those of
// [Schema], with query:"name" in place of json, and
//
//	default:"20"     the value when the parameter is absent
//	required:"true"  the parameter must be there
//
// Fields may be strings, booleans (true, false), integers, float64, [time.Time]
// and [Optional] of these. Parameters that T does not have, or that come
// twice, are refused. It does not change after [CompileQuery].
type Query[T any] struct {
	root *rule
}

// CompileQuery reads the rules of T, which must be a struct. All errors are
// reported at once.
func CompileQuery[T any]() (*Query[T], error) {
	c := compiler{tag: "query"}
	root := c.structure(reflect.TypeFor[T](), "")
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return &Query[T]{root: root}, nil
}

// parameter reads what only a query parameter has, and tries its default.
func (c *compiler) parameter(f *field, sf reflect.StructField, at string) {
	f.nullable = false
	f.required = sf.Tag.Get("required") == "true"
	f.fallback = sf.Tag.Get("default")
	if f.fallback == "" {
		return
	}
	if f.required || f.optional {
		c.fail(at, "a parameter with a default is neither required nor an Optional")
		return
	}
	var rep Report
	f.set(f.fallback, reflect.New(sf.Type).Elem(), &rep, "")
	if !rep.OK() {
		c.fail(at, "default %q: %s", f.fallback, rep.Problems[0].Detail)
	}
}

// Decode reads a raw query, as [url.URL.RawQuery] has it. Problems point to
// "/name". When the report is not OK the value is the zero T.
func (q *Query[T]) Decode(rawQuery string) (T, *Report) {
	rep := &Report{}
	return q.decode(rawQuery, rep), rep
}

func (q *Query[T]) decode(rawQuery string, rep *Report) T {
	var v, zero T
	target := reflect.ValueOf(&v).Elem()
	values, ok := parameters(rawQuery)
	if !ok {
		rep.Add("", "query", "Must be name=value pairs in UTF-8, percent-encoded, joined by &, at most 8 KiB.")
		return zero
	}
	seen := q.root.fill(values, target, rep, "unknown-parameter", "The call has no such parameter.")
	for k := range q.root.fields {
		f := &q.root.fields[k]
		switch {
		case seen&(1<<k) != 0:
		case f.required:
			rep.Add("/"+f.name, "required", "Must be there.")
		case f.fallback != "":
			f.set(f.fallback, target.FieldByIndex(f.index), rep, "/"+f.name)
		}
	}
	if q.root.checker {
		target.Addr().Interface().(Checker).Check(rep)
	}
	if !rep.OK() {
		return zero
	}
	return v
}

// Read decodes the query of x. It returns the answer to a query that is
// refused, and writes that and what else was found into the events of x.
func (q *Query[T]) Read(x *exchange.Exchange) (T, *problem.Problem) {
	rep := &Report{x: x}
	v := q.decode(x.Request.URL.RawQuery, rep)
	return v, rep.settle(x)
}

type parameter struct{ name, value string }

// fill reads parameters into the fields of v, and returns which fields had one, as bits. The code and the detail are
// those of a name that no field has.
func (r *rule) fill(values []parameter, v reflect.Value, rep *Report, code, detail string) (seen uint64) {
	var ptr pointer
	for _, p := range values {
		mark := ptr.push(p.name)
		at := ptr.String()
		k, known := r.byName[p.name]
		switch {
		case !known:
			rep.Add(at, code, detail)
		case seen&(1<<k) != 0:
			rep.Add(at, "duplicate", "Must be given once.")
		default:
			seen |= 1 << k
			f := &r.fields[k]
			dst := v.FieldByIndex(f.index)
			if f.optional {
				dst.Field(0).SetBool(true)
				dst = dst.Field(2)
			}
			f.set(p.value, dst, rep, at)
		}
		ptr.pop(mark)
	}
	return seen
}

// parameters splits a query. Unlike url.ParseQuery it keeps the order and stops
// at the first fault, so that no two readers see two different queries.
func parameters(raw string) ([]parameter, bool) {
	if raw == "" {
		return nil, true
	}
	if len(raw) > maxQuery {
		return nil, false
	}
	var out []parameter
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, false
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil || !utf8.ValidString(name) || !utf8.ValidString(value) || strings.Contains(pair, ";") ||
			strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
			return nil, false
		}
		out = append(out, parameter{name, value})
	}
	return out, true
}

// set reads the text of one parameter into v.
func (f *field) set(s string, v reflect.Value, rep *Report, ptr string) {
	switch f.kind {
	case ruleString:
		v.SetString(f.text(s, rep, ptr))
	case ruleBool:
		if s != "true" && s != "false" {
			rep.Add(ptr, "type", "Must be true or false.")
			return
		}
		v.SetBool(s == "true")
	case ruleInt:
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil || strings.HasPrefix(s, "+") || v.OverflowInt(i) {
			rep.Add(ptr, "type", "Must be an integer.")
			return
		}
		if f.bounds(float64(i), rep, ptr) {
			v.SetInt(i)
		}
	case ruleFloat:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || n != n {
			rep.Add(ptr, "type", "Must be a number.")
			return
		}
		if f.bounds(n, rep, ptr) {
			v.SetFloat(n)
		}
	case ruleTime:
		t, ok := instant(s)
		if !ok {
			rep.Add(ptr, "format", "Must be a date and time such as 2006-01-02T15:04:05Z.")
			return
		}
		v.Set(reflect.ValueOf(t))
	}
}
