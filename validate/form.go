package validate

import (
	"errors"
	"mime"
	"net/http"
	"reflect"
	"slices"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// FormType is the media type of URL-encoded forms (WHATWG URL section 5).
const FormType = "application/x-www-form-urlencoded"

// checkForm returns what of T no form can say: members that are lists or objects.
func (r *rule) checkForm(c *compiler) {
	for _, f := range r.fields {
		if !slices.Contains([]ruleKind{ruleString, ruleBool, ruleInt, ruleFloat, ruleTime}, f.kind) {
			c.fail(f.name, "%s: a form has no such member", f.typ)
		}
	}
}

// ReadForm is [Schema.Read] for a body that is JSON or, by its Content-Type, a URL-encoded form. Both are judged by the
// same rules: a field of a form is a member of an object, always a text and never null.
func (s *Schema[T]) ReadForm(x *exchange.Exchange) (T, *problem.Problem) {
	if !isForm(x.Request.Header) {
		return s.Read(x)
	}
	if x.Body == nil {
		if p := x.ReadBody(DefaultMaxBody); p != nil {
			var zero T
			return zero, p
		}
	}
	v, rep := s.DecodeForm(string(x.Body))
	return v, rep.settle(x)
}

func isForm(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == FormType
}

// DecodeForm reads the text of a URL-encoded form of at most 8 KiB, in UTF-8, percent-encoded, into a T. Problems are
// those of [Schema.Decode].
func (s *Schema[T]) DecodeForm(text string) (T, *Report) {
	var v, zero T
	rep := &Report{}
	values, ok := parameters(text)
	if !ok {
		rep.Add("", "form", "Must be name=value pairs in UTF-8, percent-encoded, joined by &, at most 8 KiB.")
		return zero, rep
	}
	target := reflect.ValueOf(&v).Elem()
	seen := s.root.fill(values, target, rep, "unknown-member", "The call has no such member.")
	for k := range s.root.fields {
		if f := &s.root.fields[k]; f.required && seen&(1<<k) == 0 {
			rep.Add("/"+f.name, "required", "Must be there.")
		}
	}
	if s.root.checker {
		target.Addr().Interface().(Checker).Check(rep)
	}
	if !rep.OK() {
		return zero, rep
	}
	return v, rep
}

// CompileForm is [Compile] for a T that is read from forms too: members that no form can say are errors.
func CompileForm[T any]() (*Schema[T], error) {
	s, err := Compile[T]()
	if err != nil {
		return nil, err
	}
	c := compiler{tag: "json"}
	s.root.checkForm(&c)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return s, nil
}
