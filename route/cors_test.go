package route_test

import (
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/route"
)

func TestWhatARouteChangesOfCORS(t *testing.T) {
	for _, tt := range []struct {
		name string
		cors *route.CORS
		want string
	}{
		{"nothing", nil, ""},
		{"closed", &route.CORS{Off: true}, ""},
		{"closed and more", &route.CORS{Off: true, MaxAge: time.Minute}, "remove one of them"},
		{"closed and no origins", &route.CORS{Off: true, Origins: []string{}}, "remove one of them"},
		{"no change", &route.CORS{}, "changes nothing"},
		{"no origins", &route.CORS{Origins: []string{}}, ""},
		{"a header", &route.CORS{AddRequestHeaders: []string{"Upload-Offset"}}, ""},
	} {
		_, err := route.New([]route.Route{{Pattern: "GET /x", Public: true, CORS: tt.cors}})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), `route "GET /x": `)):
			t.Errorf("%s: %v; want an error that says %q", tt.name, err, tt.want)
		}
	}
}

func TestATableIsNotChangedThroughWhatItWasMadeOf(t *testing.T) {
	mine := &route.CORS{Origins: []string{"https://app.example.com"}}
	tbl, err := route.New([]route.Route{{Pattern: "GET /x", Public: true, CORS: mine}})
	if err != nil {
		t.Fatal(err)
	}
	mine.Origins[0], mine.NoCredentials = "https://evil.example", true
	if got := tbl.Routes()[0].CORS; got.Origins[0] != "https://app.example.com" || got.NoCredentials {
		t.Errorf("the route has %+v", got)
	}
}
