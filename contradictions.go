package merlon

import (
	"reflect"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/route"
)

// contradictions reports where parts that are right by themselves do not fit
// together.
func (b *builder) contradictions(routes *route.Table) {
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
	v := reflect.ValueOf(b.cfg)
	found := relaxed("", v)
	for i := range v.NumField() {
		if stage := v.Field(i); stage.Kind() == reflect.Struct {
			found = append(found, relaxed(v.Type().Field(i).Name+".", stage)...)
		}
	}
	for _, r := range b.cfg.Routes {
		if r.CORS != nil {
			found = append(found, relaxed(r.Pattern+": CORS.", reflect.ValueOf(*r.CORS))...)
		}
	}
	return found
}

// relaxed finds what the struct v relaxes; prefix stands before the names of its
// fields.
func relaxed(prefix string, v reflect.Value) []relaxation {
	var found []relaxation
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if !strings.HasPrefix(name, "Insecure") || f.IsZero() {
			continue
		}
		if f.Kind() == reflect.Struct {
			f = f.FieldByName("Reason")
		}
		found = append(found, relaxation{prefix + name, f.String()})
	}
	return found
}
