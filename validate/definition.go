package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
)

// A Definition is a JSON Schema 2020-12 object, as OpenAPI 3.1 uses it. It is
// made from the rules that [Schema.Decode] applies, and marshals to the same
// bytes every time: keywords in this order, properties in the order of the
// struct's fields.
type Definition struct {
	Type                 any         `json:"type,omitempty"` // a string, or a list with "null"
	Description          string      `json:"description,omitempty"`
	Format               string      `json:"format,omitempty"`
	MinLength            *int        `json:"minLength,omitempty"`
	MaxLength            *int        `json:"maxLength,omitempty"`
	Pattern              string      `json:"pattern,omitempty"`
	Enum                 []any       `json:"enum,omitempty"`
	Minimum              *float64    `json:"minimum,omitempty"`
	Maximum              *float64    `json:"maximum,omitempty"`
	Default              any         `json:"default,omitempty"`
	Items                *Definition `json:"items,omitempty"`
	MinItems             *int        `json:"minItems,omitempty"`
	MaxItems             *int        `json:"maxItems,omitempty"`
	UniqueItems          bool        `json:"uniqueItems,omitempty"`
	Properties           Properties  `json:"properties,omitempty"`
	Required             []string    `json:"required,omitempty"`
	AdditionalProperties any         `json:"additionalProperties,omitempty"` // false, or a *Definition
	WriteOnly            bool        `json:"writeOnly,omitempty"`
	Examples             []any       `json:"examples,omitempty"`
}

// Properties are the members of an object, in order.
type Properties []Property

// A Property is a member of an object.
type Property struct {
	Name   string
	Schema *Definition
}

// MarshalJSON writes the properties as one object, in order.
func (p Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, prop := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(prop.Name)
		if err != nil {
			return nil, err
		}
		schema, err := json.Marshal(prop.Schema)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(schema)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A Parameter is a query parameter in the sense of OpenAPI 3.1.
type Parameter struct {
	Name        string      `json:"name"`
	In          string      `json:"in"`
	Description string      `json:"description,omitempty"`
	Required    bool        `json:"required,omitempty"`
	Schema      *Definition `json:"schema"`
}

// JSONSchema returns what the schema accepts. Patterns of identifiers describe
// the trimmed, lower-cased text.
func (s *Schema[T]) JSONSchema() *Definition { return s.root.definition(false) }

// Parameters returns what the query accepts, in the order of T's fields.
func (q *Query[T]) Parameters() []Parameter {
	var out []Parameter
	for _, f := range q.root.fields {
		d := f.definition(false)
		out = append(out, Parameter{Name: f.name, In: "query", Description: d.Description, Required: f.required, Schema: d})
		d.Description = ""
		if f.fallback != "" {
			d.Default = f.literal(f.fallback)
		}
	}
	return out
}

// AnswerSchema returns the closed JSON Schema of the answers of type t: a
// struct with the tags of [Schema], of which none is required here. A pointer may be null;
// a member with omitempty or omitzero may be absent. Maps with string keys and
// interfaces are allowed too.
func AnswerSchema(t reflect.Type) (*Definition, error) {
	c := compiler{tag: "json", answer: true}
	r := c.value(t, tags{}, "")
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return r.definition(true), nil
}

func (r *rule) definition(answer bool) *Definition {
	d := &Definition{Description: r.doc}
	if r.example != "" {
		d.Examples = []any{r.literal(r.example)}
	}
	switch r.kind {
	case ruleString:
		d.Type = "string"
		d.Format = r.format.name
		d.Pattern = r.patternSource
		if r.minLength > 0 {
			d.MinLength = &r.minLength
		}
		if r.maxLength >= 0 && r.enum == nil {
			d.MaxLength = &r.maxLength
		}
		for _, e := range r.enum {
			d.Enum = append(d.Enum, e)
		}
		if d.Format == "" && d.Pattern == "" && d.Enum == nil {
			d.Format = r.policy.format()
		}
		if r.policy == policySecret && !answer {
			d.WriteOnly = true
		}
	case ruleBool:
		d.Type = "boolean"
	case ruleInt:
		d.Type, d.Format = "integer", "int64"
		if r.typ.Kind() == reflect.Int32 {
			d.Format = "int32"
		}
		d.Minimum, d.Maximum = r.minimum, r.maximum
	case ruleFloat:
		d.Type, d.Format = "number", "double"
		d.Minimum, d.Maximum = r.minimum, r.maximum
	case ruleTime:
		d.Type, d.Format = "string", "date-time"
		longest := 64
		d.MaxLength = &longest
	case ruleArray:
		d.Type = "array"
		d.Items = r.item.definition(answer)
		if r.minItems > 0 {
			d.MinItems = &r.minItems
		}
		if r.maxItems >= 0 {
			d.MaxItems = &r.maxItems
		}
		d.UniqueItems = r.unique || answer && r.drop
	case ruleObject:
		d.Type = "object"
		d.AdditionalProperties = false
		for _, f := range r.fields {
			d.Properties = append(d.Properties, Property{f.name, f.definition(answer)})
			if f.required {
				d.Required = append(d.Required, f.name)
			}
		}
	case ruleMap:
		d.Type = "object"
		d.AdditionalProperties = r.item.definition(answer)
	case ruleAny:
	}
	if r.nullable && d.Type != nil {
		d.Type = []any{d.Type, "null"}
		if d.Enum != nil {
			d.Enum = append(d.Enum, nil)
		}
	}
	return d
}

// format is what a document says of strings that have no other form. Beside
// password and html of the OpenAPI format registry these are names of our own,
// which JSON Schema 2020-12 section 7.2.3 lets readers ignore.
func (p policy) format() string {
	switch p {
	case policySecret:
		return "password"
	case policyRich:
		return "html"
	case policyProse:
		return "prose" // many lines
	case policyToken:
		return "token" // printable ASCII
	}
	return "line"
}

// literal is a value of a tag as JSON has it; a list is separated by commas.
func (r *rule) literal(s string) any {
	switch r.kind {
	case ruleBool:
		return s == "true"
	case ruleInt, ruleFloat:
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			return n
		}
	case ruleArray:
		var list []any
		for _, item := range bytes.Split([]byte(s), []byte(",")) {
			list = append(list, r.item.literal(string(item)))
		}
		return list
	}
	return s
}
