package cors_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/route"
)

const (
	partner  = "https://partner.example"
	stranger = "https://evil.example"
)

// site is a policy whose routes change it in every way there is.
func site(t testing.TB, change func(*cors.Config)) *cors.Stage {
	t.Helper()
	cfg := cors.Config{
		Origins: []string{app, "https://admin.example.com"}, Credentials: true, Methods: []string{"GET", "POST", "DELETE"},
		RequestHeaders: []string{"Content-Type"}, ExposedHeaders: []string{"X-Request-Id"}, MaxAge: time.Hour,
		Routes: table(t, []route.Route{
			{Pattern: "GET /plain"},
			{Pattern: "POST /plain"},
			{Pattern: "GET /off", CORS: &route.CORS{Off: true}},
			{Pattern: "POST /off"},
			{Pattern: "GET /admin/{id}", CORS: &route.CORS{Origins: []string{"https://admin.example.com"}}},
			{Pattern: "POST /partner", CORS: &route.CORS{AddOrigins: []string{partner}}},
			{Pattern: "GET /public", CORS: &route.CORS{InsecureAnyOrigin: "published data"}},
			{Pattern: "POST /upload", CORS: &route.CORS{AddRequestHeaders: []string{"Upload-Offset"}, AddExposedHeaders: []string{"Location"}, MaxAge: time.Minute}},
			{Pattern: "PATCH /upload", CORS: &route.CORS{AddMethod: true, MaxAge: -1}},
			{Pattern: "GET /anonymous", CORS: &route.CORS{NoCredentials: true}},
		}),
	}
	if change != nil {
		change(&cfg)
	}
	return mustNew(t, cfg)
}

func table(t testing.TB, routes []route.Route) *route.Table {
	t.Helper()
	for i := range routes {
		routes[i].Public = true
	}
	tbl, err := route.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

// at is do for a path.
func at(t testing.TB, s *cors.Stage, method, path string, h http.Header) *httptest.ResponseRecorder {
	t.Helper()
	rec, req := httptest.NewRecorder(), httptest.NewRequest(method, "https://api.example.com"+path, nil)
	maps.Copy(req.Header, h)
	s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, req)
	return rec
}

func TestRoutesChangeThePolicy(t *testing.T) {
	s := site(t, nil)
	// What the site answers to a preflight of app that passes.
	passes := func(change headers) headers {
		h := headers{"Vary": varyOptions, acao: app, acac: "true", acam: "GET, POST, DELETE, HEAD", acah: "Content-Type", acma: "3600"}
		maps.Copy(h, change)
		maps.DeleteFunc(h, func(_, v string) bool { return v == "" })
		return h
	}
	reads := func(change headers) headers {
		h := headers{"Vary": varyOrigin, acao: app, acac: "true", aceh: "X-Request-Id"}
		maps.Copy(h, change)
		maps.DeleteFunc(h, func(_, v string) bool { return v == "" })
		return h
	}
	nothing, refused := headers{"Vary": varyOrigin}, headers{"Vary": varyOptions}

	for _, tt := range []struct {
		name           string
		origin, method string
		path           string
		asks           string // for these request headers
		preflight      headers
		actual         headers
	}{
		{"a route that changes nothing", app, "POST", "/plain", "content-type", passes(nil), reads(nil)},
		{"and a stranger", stranger, "POST", "/plain", "", refused, nothing},
		{"a method that the path does not have, answered as any", app, "DELETE", "/plain", "", passes(nil), reads(nil)},
		{"a path that is not there, answered as any", app, "DELETE", "/nowhere", "", passes(nil), reads(nil)},
		{"a path that is not there, and a stranger", stranger, "GET", "/nowhere", "", refused, nothing},
		{"a method beyond the list", app, "PATCH", "/plain", "", refused, reads(nil)},

		{"a closed route", app, "GET", "/off", "", refused, nothing},
		{"HEAD of a closed route", app, "HEAD", "/off", "", refused, nothing},
		{"another method of its path, which does not tell of the closed one", app, "POST", "/off", "", passes(headers{acam: "POST, DELETE"}), reads(nil)},

		{"an origin that the route keeps", "https://admin.example.com", "GET", "/admin/7", "",
			passes(headers{acao: "https://admin.example.com", acam: "GET, HEAD"}), reads(headers{acao: "https://admin.example.com"})},
		{"an origin that it does not keep", app, "GET", "/admin/7", "", refused, nothing},
		{"another method of its path", app, "DELETE", "/admin/7", "", passes(headers{acam: "POST, DELETE"}), reads(nil)},

		{"an origin that the route adds", partner, "POST", "/partner", "", passes(headers{acao: partner, acam: "POST"}), reads(headers{acao: partner})},
		{"an origin of the site there", app, "POST", "/partner", "", passes(headers{acam: "POST"}), reads(nil)},
		{"the added origin elsewhere", partner, "POST", "/plain", "", refused, nothing},
		{"the added origin with another method", partner, "DELETE", "/partner", "", refused, nothing},

		{"a stranger on a route for everybody", stranger, "GET", "/public", "", passes(headers{acao: "*", acac: "", acam: "GET, HEAD"}), reads(headers{acao: "*", acac: ""})},
		{"the opaque origin there", "null", "GET", "/public", "", passes(headers{acao: "*", acac: "", acam: "GET, HEAD"}), reads(headers{acao: "*", acac: ""})},
		{"an origin of the site there", app, "GET", "/public", "", passes(headers{acam: "GET, HEAD"}), reads(nil)},
		{"a stranger with another method there", stranger, "POST", "/public", "", refused, nothing},

		{"a header that the route adds", app, "POST", "/upload", "content-type,upload-offset",
			passes(headers{acam: "POST", acah: "Content-Type, Upload-Offset", acma: "60"}), reads(headers{aceh: "X-Request-Id, Location"})},
		{"a header that nobody lists", app, "POST", "/upload", "upload-length", refused, reads(headers{aceh: "X-Request-Id, Location"})},
		{"the added header elsewhere", app, "POST", "/plain", "upload-offset", refused, reads(nil)},
		{"a method that the route adds", app, "PATCH", "/upload", "", passes(headers{acam: "PATCH", acma: "0"}), reads(nil)},
		{"the added method elsewhere", app, "PATCH", "/plain", "", refused, reads(nil)},

		{"a route without credentials", app, "GET", "/anonymous", "", passes(headers{acac: "", acam: "GET, HEAD"}), reads(headers{acac: ""})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := http.Header{"Origin": {tt.origin}, acrm: {tt.method}}
			if tt.asks != "" {
				ask[acrh] = []string{tt.asks}
			}
			rec := at(t, s, "OPTIONS", tt.path, ask)
			if want := 204; rec.Code != want && tt.preflight[acao] != "" || rec.Code != 403 && tt.preflight[acao] == "" {
				t.Errorf("preflight: status %d", rec.Code)
			}
			if diff := cmp.Diff(tt.preflight, corsHeaders(rec.Header())); diff != "" {
				t.Errorf("preflight (-want +got):\n%s", diff)
			}
			rec = at(t, s, tt.method, tt.path, http.Header{"Origin": {tt.origin}})
			if diff := cmp.Diff(tt.actual, corsHeaders(rec.Header())); diff != "" {
				t.Errorf("the request itself (-want +got):\n%s", diff)
			}
		})
	}
}

// Which paths there are, and which of them are closed, is not told by a refusal.
func TestRefusedPreflightsDoNotTellRoutesApart(t *testing.T) {
	s := site(t, nil)
	bodies := map[string]bool{}
	for _, path := range []string{"/plain", "/off", "/admin/7", "/nowhere"} {
		rec := at(t, s, "OPTIONS", path, http.Header{"Origin": {partner}, acrm: {"GET"}})
		bodies[strings.ReplaceAll(rec.Body.String(), rec.Header().Get("X-Request-Id"), "")] = true
		if rec.Code != 403 {
			t.Errorf("%s: status %d", path, rec.Code)
		}
	}
	if len(bodies) != 1 {
		t.Errorf("%d different refusals: %v", len(bodies), bodies)
	}
}

func TestDebugTellsOfTheRoute(t *testing.T) {
	s := site(t, func(cfg *cors.Config) { cfg.Debug = true })
	rec := at(t, s, "OPTIONS", "/upload", http.Header{"Origin": {app}, acrm: {"POST"}, acrh: {"upload-length"}})
	want := headers{"Vary": varyOptions, acao: app, acac: "true", acam: "POST", acah: "Content-Type, Upload-Offset"}
	if diff := cmp.Diff(want, corsHeaders(rec.Header())); rec.Code != 403 || diff != "" || !strings.Contains(rec.Body.String(), "the headers of this preflight") {
		t.Errorf("status %d, %s (-want +got):\n%s", rec.Code, rec.Body, diff)
	}
}

func TestNewRefusesChangesThatContradict(t *testing.T) {
	for _, tt := range []struct {
		name   string
		site   cors.Config
		method string
		cors   route.CORS
		want   string // "" means that it is right
	}{
		{"a method that the policy has", cors.Config{}, "GET", route.CORS{AddMethod: true}, "AddMethod adds GET, which the policy has"},
		{"a method that it lacks", cors.Config{Methods: []string{"GET"}}, "POST", route.CORS{AddMethod: true}, ""},
		{"a change of a method that pages may not use", cors.Config{Methods: []string{"GET"}}, "POST", route.CORS{NoCredentials: true}, "lack POST"},
		{"closing a method that pages may not use", cors.Config{Methods: []string{"GET"}}, "POST", route.CORS{Off: true}, ""},
		{"a header that the policy has", cors.Config{}, "GET", route.CORS{AddRequestHeaders: []string{"x-api-key"}}, `request header "x-api-key": listed twice`},
		{"a header that pages cannot set", cors.Config{}, "GET", route.CORS{AddRequestHeaders: []string{"Cookie"}}, `request header "Cookie"`},
		{"every header", cors.Config{}, "GET", route.CORS{AddRequestHeaders: []string{"*"}}, "list the headers"},
		{"a header that pages cannot read", cors.Config{}, "GET", route.CORS{AddExposedHeaders: []string{"Set-Cookie"}}, `exposed header "Set-Cookie"`},
		{"a max age too long", cors.Config{}, "GET", route.CORS{MaxAge: 25 * time.Hour}, "at most 24h"},
		{"a reason of spaces", cors.Config{}, "GET", route.CORS{InsecureAnyOrigin: " "}, "want a reason"},
		{"an origin that the policy lacks", cors.Config{Origins: one}, "GET", route.CORS{Origins: []string{partner}}, "CORS.Origins keeps some"},
		{"an addition to any origin", cors.Config{InsecureAnyOrigin: "x"}, "GET", route.CORS{AddOrigins: []string{partner}}, "lets in every origin"},
		{"any origin twice", cors.Config{InsecureAnyOrigin: "x"}, "GET", route.CORS{InsecureAnyOrigin: "y"}, "lets in every origin"},
		{"closing a route of a site for everybody", cors.Config{InsecureAnyOrigin: "x"}, "GET", route.CORS{Off: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.site.Routes = table(t, []route.Route{{Pattern: tt.method + " /x", CORS: &tt.cors}})
			s, err := cors.New(tt.site)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if rec := at(t, s, "GET", "/x", http.Header{"Origin": {stranger}}); tt.cors.Off && tt.method == "GET" && rec.Header().Get(acao) != "" {
					t.Error("the closed route is open")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `route "`+tt.method+` /x": `) {
				t.Errorf("New: %v\nwant an error about the route that says %q", err, tt.want)
			}
		})
	}
}

func TestAnErrorOfTheSiteIsNotRepeatedForEachRoute(t *testing.T) {
	_, err := cors.New(cors.Config{RequestHeaders: []string{"Cookie"}, Routes: table(t, []route.Route{
		{Pattern: "GET /a", CORS: &route.CORS{MaxAge: time.Minute}}, {Pattern: "GET /b", CORS: &route.CORS{AddRequestHeaders: []string{"Host"}}},
	})})
	if err == nil || strings.Count(err.Error(), "Cookie") != 1 || strings.Count(err.Error(), `"Host"`) != 1 {
		t.Errorf("New: %v\nwant Cookie and Host once each", err)
	}
}

func TestACompiledListBringsItsRoutes(t *testing.T) {
	tbl := table(t, []route.Route{{Pattern: "GET /off", CORS: &route.CORS{Off: true}}})
	set, err := origin.Compile(one, origin.Options{Routes: tbl})
	if err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, cors.Config{OriginSet: set})
	if rec := at(t, s, "GET", "/off", http.Header{"Origin": {app}}); rec.Header().Get(acao) != "" {
		t.Error("the closed route is open")
	}
	if _, err := cors.New(cors.Config{OriginSet: set, Routes: tbl}); err == nil || !strings.Contains(err.Error(), "give one of them") {
		t.Errorf("both: error %v", err)
	}
}

func TestDecidingByRouteAllocatesNothing(t *testing.T) {
	s := site(t, nil)
	decideAgain(t, s, "GET", http.Header{"Origin": {app}}, func(decide func()) {
		if n := testing.AllocsPerRun(100, decide); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
