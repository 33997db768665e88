package validate

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// Decode reads data, which it checks as [CheckJSON] does with the default limits
// of depth and members, into a T. All problems are reported at once. When the report is not
// OK the value is the zero T: half a request is no request.
func (s *Schema[T]) Decode(data []byte) (T, *Report) {
	rep := &Report{}
	return s.decode(data, rep), rep
}

func (s *Schema[T]) decode(data []byte, rep *Report) T {
	var v, zero T
	sc := scanner{build: true}
	err := sc.run(data, Limits{MaxStringBytes: math.MaxInt}) // maxLength is the limit here
	var syntax *SyntaxError
	var content *ContentError
	switch {
	case errors.As(err, &syntax):
		rep.Syntax = syntax
		return zero
	case errors.As(err, &content):
		rep.Problems = content.Problems
		if !sc.complete() {
			return zero
		}
	}
	d := decoder{scanner: &sc, rep: rep}
	d.value(s.root, 0, reflect.ValueOf(&v).Elem())
	if !rep.OK() {
		return zero
	}
	return v
}

// Read decodes the body of x, reading it first if no stage has (at most
// [DefaultMaxBody] bytes). It returns the answer to a body that is refused, and
// writes that and what else was found into the events of x.
func (s *Schema[T]) Read(x *exchange.Exchange) (T, *problem.Problem) {
	if x.Body == nil {
		if p := x.ReadBody(DefaultMaxBody); p != nil {
			var zero T
			return zero, p
		}
	}
	rep := &Report{x: x}
	v := s.decode(x.Body, rep)
	return v, rep.settle(x)
}

// complete reports whether the whole text was read.
func (s *scanner) complete() bool { return s.pos == len(s.data) && s.depth == 0 }

// decoder fills Go values from the nodes of a text.
type decoder struct {
	*scanner
	rep *Report
	ptr pointer
}

func (d *decoder) value(r *rule, n int, v reflect.Value) {
	nd := &d.nodes[n]
	switch r.kind {
	case ruleString:
		if d.want(nd.kind == kindString, "a string") {
			v.SetString(r.text(d.unquote(nd.text()), d.rep, d.ptr.String()))
		}
	case ruleBool:
		if d.want(nd.kind == kindTrue || nd.kind == kindFalse, "true or false") {
			v.SetBool(nd.kind == kindTrue)
		}
	case ruleInt:
		i, ok := int64(0), nd.kind == kindNumber
		if ok {
			i, ok = integer(string(d.data[nd.start:nd.end]))
		}
		if d.want(ok && !v.OverflowInt(i), "an integer") && r.bounds(float64(i), d.rep, d.ptr.String()) {
			v.SetInt(i)
		}
	case ruleFloat:
		f, ok := 0.0, nd.kind == kindNumber
		if ok {
			var err error
			f, err = strconv.ParseFloat(string(d.data[nd.start:nd.end]), 64)
			ok = err == nil
		}
		if d.want(ok, "a number of double precision") && r.bounds(f, d.rep, d.ptr.String()) {
			v.SetFloat(f)
		}
	case ruleTime:
		if d.want(nd.kind == kindString, "a string") {
			t, ok := instant(d.unquote(nd.text()))
			if !ok {
				d.rep.Add(d.ptr.String(), "format", "Must be a date and time such as 2006-01-02T15:04:05Z.")
				return
			}
			v.Set(reflect.ValueOf(t))
		}
	case ruleArray:
		if d.want(nd.kind == kindArray, "a list") {
			d.array(r, nd, v)
		}
	case ruleObject:
		if d.want(nd.kind == kindObject, "an object") {
			d.object(r, nd, v)
		}
	}
}

func (d *decoder) want(ok bool, what string) bool {
	if !ok {
		d.rep.Add(d.ptr.String(), "type", "Must be "+what+".")
	}
	return ok
}

func (d *decoder) object(r *rule, nd *node, v reflect.Value) {
	var seen uint64
	for i := nd.first; i != 0; i = d.nodes[i].next {
		child := &d.nodes[i]
		name := d.unquote(child.key)
		mark := d.ptr.push(name)
		k, ok := r.byName[name]
		switch {
		case !ok:
			d.rep.Add(d.ptr.String(), "unknown-member", "The call has no such member.")
		case seen&(1<<k) != 0:
			// The scanner has reported the duplicate.
		default:
			seen |= 1 << k
			f := &r.fields[k]
			target := v.FieldByIndex(f.index)
			switch {
			case !f.optional:
				d.value(f.rule, i, target)
			case child.kind == kindNull && f.nullable:
				target.Field(0).SetBool(true)
				target.Field(1).SetBool(true)
			default:
				target.Field(0).SetBool(true)
				d.value(f.rule, i, target.Field(2))
			}
		}
		d.ptr.pop(mark)
	}
	for k := range r.fields {
		if f := &r.fields[k]; f.required && seen&(1<<k) == 0 {
			mark := d.ptr.push(f.name)
			d.rep.Add(d.ptr.String(), "required", "Must be there.")
			d.ptr.pop(mark)
		}
	}
	if r.checker {
		outer := d.rep.base
		d.rep.base = d.ptr.String()
		v.Addr().Interface().(Checker).Check(d.rep)
		d.rep.base = outer
	}
}

func (d *decoder) array(r *rule, nd *node, v reflect.Value) {
	n := 0
	for i := nd.first; i != 0; i = d.nodes[i].next {
		n++
	}
	switch {
	case n < r.minItems:
		d.rep.Add(d.ptr.String(), "too-few-items", fmt.Sprintf("Must have at least %d %s.", r.minItems, plural(r.minItems, "item")))
		return
	case n > r.maxItems:
		d.rep.Add(d.ptr.String(), "too-many-items", fmt.Sprintf("Must have at most %d %s.", r.maxItems, plural(r.maxItems, "item")))
		return
	}
	list := reflect.MakeSlice(v.Type(), n, n)
	k := 0
	seen := map[string]bool{}
	for i, at := nd.first, 0; i != 0; i, at = d.nodes[i].next, at+1 {
		mark := d.ptr.pushIndex(at)
		item := list.Index(k)
		d.value(r.item, i, item)
		k++
		if r.unique || r.drop {
			switch s := item.String(); {
			case seen[s] && r.drop:
				k--
				item.SetZero()
			case seen[s] && d.nodes[i].kind == kindString:
				d.rep.Add(d.ptr.String(), "duplicate-item", "Must not repeat an item.")
			default:
				seen[s] = true
			}
		}
		d.ptr.pop(mark)
	}
	v.Set(list.Slice(0, k))
}

func (r *rule) bounds(f float64, rep *Report, ptr string) bool {
	switch {
	case r.minimum != nil && f < *r.minimum:
		rep.Add(ptr, "minimum", "Must be at least "+strconv.FormatFloat(*r.minimum, 'f', -1, 64)+".")
	case r.maximum != nil && f > *r.maximum:
		rep.Add(ptr, "maximum", "Must be at most "+strconv.FormatFloat(*r.maximum, 'f', -1, 64)+".")
	default:
		return true
	}
	return false
}

// integer reads a JSON number that is an integer in value, as JSON Schema has
// it (Core 2020-12, section 4.2.3): 10, 10.0 and 1e1 are the same.
func integer(s string) (int64, bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}
