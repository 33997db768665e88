package merlon

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/route"
)

// contradictions reports where parts that are right by themselves do not fit
// together.
func (b *builder) contradictions(routes *route.Table, security *headers.Stage) {
	cfg := &b.cfg
	if len(cfg.Routes) == 0 {
		b.fail("Routes is empty: every request would be refused; declare the routes, such as {Pattern: \"GET /posts\", Public: true}")
	}
	if cfg.Authn.Sessions != nil && cfg.Secret == nil {
		b.fail("Secret is empty and Authn.Sessions is set: sessions need CSRF tokens, which are signed; give 32 random bytes, the same on every node")
	}
	if cfg.Authn.Sessions != nil && cfg.CORS.Credentials && cfg.CORS.RequestHeaders != nil && !contains(cfg.CORS.RequestHeaders, "X-CSRF-Token") {
		b.fail("CORS.Credentials is set and CORS.RequestHeaders lacks X-CSRF-Token: pages of other origins could log in and then change nothing; add it")
	}
	if cfg.CORS.InsecureAnyOrigin != "" && len(cfg.Origins) > 0 {
		b.fail("Origins is set and CORS.InsecureAnyOrigin lets in every origin: give one of them")
	}
	if cfg.HTTPSOnly.InsecureHTTP != "" && cfg.Headers.HSTSPreload {
		b.fail("HTTPSOnly.InsecureHTTP accepts clear text and Headers.HSTSPreload asks browsers never to use it: give one of them")
	}
	if routes == nil {
		return
	}
	for _, r := range routes.Routes() {
		if r.Headers != "" && security != nil && !security.Has(headers.Profile(r.Headers)) {
			b.fail("route %q asks for the headers %q, which are not among Headers.Pages, nor built in (%s, %s, %s)", r.Pattern, r.Headers, headers.API, headers.Web, headers.Form)
		}
		if !r.Open() && cfg.Authn.Sessions == nil && cfg.Authn.Keys == nil && cfg.Authn.Tokens == nil {
			b.fail("route %q needs a caller and Authn accepts no credential: nobody could call it", r.Pattern)
		}
		if r.AccountOnly && !r.Public && cfg.Authn.Sessions == nil && cfg.Authn.Tokens == nil && cfg.Authn.Keys != nil {
			b.fail("route %q is for accounts in person and Authn accepts API keys only: nobody could call it", r.Pattern)
		}
	}
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// relaxation is a control that the configuration relaxes.
type relaxation struct{ setting, reason string }

// relaxations finds every setting whose name begins with Insecure and that is in
// use. It looks at the fields themselves, so a new one cannot be forgotten.
func (b *builder) relaxations() []relaxation {
	var found []relaxation
	v := reflect.ValueOf(b.cfg)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Struct {
			found = append(found, relaxationsIn(v.Field(i), v.Type().Field(i).Name)...)
		}
	}
	return found
}

// relaxationsIn finds those of a part of the configuration: its own, those of the
// parts that are declared beside it in its package, and of lists of these by name.
func relaxationsIn(v reflect.Value, path string) []relaxation {
	var found []relaxation
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() == reflect.Struct {
			return relaxationsIn(v.Elem(), path)
		}
	case reflect.Map:
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, name := range names {
			found = append(found, relaxationsIn(v.MapIndex(name), fmt.Sprintf("%s[%v]", path, name))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field, f := v.Type().Field(i), v.Field(i)
			switch name := path + "." + field.Name; {
			case !field.IsExported() || f.IsZero():
			case !strings.HasPrefix(field.Name, "Insecure"):
				if part := base(field.Type); part.Kind() == reflect.Struct && part.PkgPath() == v.Type().PkgPath() {
					found = append(found, relaxationsIn(f, name)...)
				}
			case f.Kind() == reflect.Struct:
				found = append(found, relaxation{name, f.FieldByName("Reason").String()})
			default:
				found = append(found, relaxation{name, f.String()})
			}
		}
	}
	return found
}

// base is what a map holds or a pointer points to.
func base(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
		return t.Elem()
	}
	return t
}
