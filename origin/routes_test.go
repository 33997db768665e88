package origin_test

import (
	"strings"
	"testing"

	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/route"
)

func routes(t testing.TB, changes map[string]*route.CORS) *route.Table {
	t.Helper()
	var list []route.Route
	for pattern, c := range changes {
		list = append(list, route.Route{Pattern: pattern, Public: true, CORS: c})
	}
	table, err := route.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestRoutesChangeTheList(t *testing.T) {
	const (
		app, admin, partner = "https://app.example.com", "https://admin.example.com", "https://partner.example"
		below               = "https://a.b.example.org"
	)
	set, err := origin.Compile([]string{app, admin, "https://*.example.org"}, origin.Options{Routes: routes(t, map[string]*route.CORS{
		"GET /plain":     nil,
		"GET /headers":   {AddExposedHeaders: []string{"X-Total"}},
		"GET /off":       {Off: true},
		"GET /some":      {Origins: []string{admin}},
		"GET /none":      {Origins: []string{}},
		"GET /below":     {Origins: []string{"https://*.b.example.org"}},
		"GET /wild":      {Origins: []string{"https://*.example.org", "https://x.example.org"}},
		"GET /more":      {AddOrigins: []string{partner}},
		"POST /other":    {Origins: []string{}, AddOrigins: []string{partner}},
		"GET /anybody":   {InsecureAnyOrigin: "public data"},
		"GET /item/{id}": {Origins: []string{admin}},
	})})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path string
		want         string // of app, admin, partner, below: which the list has
	}{
		{"GET", "/plain", "app admin below"},
		{"GET", "/headers", "app admin below"},
		{"GET", "/nowhere", "app admin below"},
		{"GET", "/off", ""},
		{"HEAD", "/off", ""},
		{"POST", "/off", "app admin below"}, // no such route
		{"GET", "/some", "admin"},
		{"GET", "/none", ""},
		{"GET", "/below", "below"},
		{"GET", "/wild", "below"},
		{"GET", "/more", "app admin partner below"},
		{"POST", "/other", "partner"},
		{"GET", "/other", "app admin below"},
		{"GET", "/anybody", "app admin below"}, // who may read without credentials is not trusted
		{"GET", "/item/7", "admin"},
	} {
		var got []string
		for _, o := range []struct{ name, origin string }{{"app", app}, {"admin", admin}, {"partner", partner}, {"below", below}} {
			if set.At(tt.method, tt.path).Has(o.origin) {
				got = append(got, o.name)
			}
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s %s trusts %q, want %q", tt.method, tt.path, text, tt.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { set.At("GET", "/some").Has(admin) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestListsOfRoutesAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []string
		cors route.CORS
		want []string // "" means that it is right
	}{
		{"an origin that the policy lacks", []string{"https://app.example.com"}, route.CORS{Origins: []string{"https://partner.example"}},
			[]string{`route "GET /x": origin "https://partner.example": CORS.Origins keeps some`}},
		{"a wildcard above that of the policy", []string{"https://*.b.example.org"}, route.CORS{Origins: []string{"https://*.example.org"}}, []string{"none of them"}},
		{"a wildcard with another port", []string{"https://*.example.org"}, route.CORS{Origins: []string{"https://*.example.org:8443"}}, []string{"none of them"}},
		{"a wildcard whose name ends alike", []string{"https://*.example.org"}, route.CORS{Origins: []string{"https://*.evilexample.org"}}, []string{"none of them"}},
		{"a wildcard over an exact origin", []string{"https://a.example.org"}, route.CORS{Origins: []string{"https://*.example.org"}}, []string{"none of them"}},
		{"an addition that the policy has", []string{"https://*.example.org"}, route.CORS{AddOrigins: []string{"https://a.example.org"}}, []string{"remove it from AddOrigins"}},
		{"additions that are no origins", nil, route.CORS{AddOrigins: []string{"null", "*", "http://a.example"}},
			[]string{`route "GET /x": origin "null"`, `route "GET /x": origin "*"`, `route "GET /x": origin "http://a.example"`}},
		{"both lists are wrong", []string{"*"}, route.CORS{AddOrigins: []string{"null"}}, []string{`origin "*"`, `route "GET /x": origin "null"`}},
		{"twice", nil, route.CORS{AddOrigins: []string{"https://a.example", "https://a.example"}}, []string{"twice"}},
		{"the list is wrong and the route only keeps some", []string{"*"}, route.CORS{Origins: []string{"https://a.example"}}, []string{`origin "*"`}},
		{"an addition", nil, route.CORS{AddOrigins: []string{"https://a.example"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := origin.Compile(tt.list, origin.Options{Routes: routes(t, map[string]*route.CORS{"GET /x": &tt.cors})})
			if len(tt.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(tt.want) {
				t.Errorf("%d errors, want %d:\n%v", n, len(tt.want), err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %s", err, want)
				}
			}
		})
	}
}

// Whatever the lists, what a route keeps is a part of the policy's list.
func FuzzARouteKeepsNoMoreThanThePolicyHas(f *testing.F) {
	for _, kept := range []string{"https://*.example.org", "https://*.b.example.org", "https://a.example.org", "https://*.evilexample.org", "https://*.example.org:8443", "https://*.org"} {
		f.Add("https://*.example.org", kept, "https://a.b.example.org")
		f.Add("https://a.example.org", kept, "https://a.example.org")
	}
	f.Fuzz(func(t *testing.T, listed, kept, from string) {
		table := routes(t, map[string]*route.CORS{"GET /x": {Origins: []string{kept}}})
		set, err := origin.Compile([]string{listed}, origin.Options{Routes: table})
		if err != nil {
			return
		}
		if set.At("GET", "/x").Has(from) && !set.Has(from) {
			t.Errorf("the policy trusts %q, the route keeps %q of it, and trusts %q", listed, kept, from)
		}
	})
}
