package accept_test

import (
	"net/http"
	"testing"

	"github.com/merlonhq/merlon/internal/accept"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestHTML(t *testing.T) {
	for header, want := range map[string]bool{
		browser:                               true,
		"text/html":                           true,
		"TEXT/HTML":                           true,
		"application/xhtml+xml, */*":          true,
		"application/json;q=0.9, text/html":   true,
		"application/json, text/html":         false, // both are best, JSON is first
		"text/html;q=0.9, application/json":   false,
		"text/html;q=0":                       false,
		"text/html;q=0.000":                   false,
		"text/html;q=0.001":                   true,
		"text/html;q=1.000":                   true,
		"text/html;q=1.001":                   false,
		"text/html;q=0.0001":                  false,
		"text/html;q=high":                    false,
		"text/html; charset=utf-8; Q=0.5":     true,
		"text/html; charset=utf-8; q=0.5,*/*": false,
		"text/*":                              false,
		"*/*":                                 false,
		",,":                                  false,
		"":                                    false,
	} {
		if got := accept.HTML([]string{header}); got != want {
			t.Errorf("Accept: %s: %v, want %v", header, got, want)
		}
	}
	if !accept.HTML([]string{"text/plain;q=0.5", "text/html"}) || accept.HTML(nil) {
		t.Error("several lines, or none, are read wrongly")
	}
}

func TestNavigation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		want   bool
	}{
		{"a browser", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Accept": {browser}}, true},
		{"a form of a browser without Fetch Metadata", http.Header{"Accept": {browser}}, true},
		{"a script", http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {browser}}, false},
		{"two modes", http.Header{"Sec-Fetch-Mode": {"navigate", "navigate"}, "Accept": {browser}}, false},
		{"Fetch Metadata without a mode", http.Header{"Sec-Fetch-Site": {"none"}, "Accept": {browser}}, false},
		{"a program", http.Header{"Accept": {"*/*"}}, false},
		{"nothing", http.Header{}, false},
	} {
		for _, method := range []string{"GET", "POST"} {
			if got := accept.Navigation(&http.Request{Method: method, Header: tt.header}); got != tt.want {
				t.Errorf("%s, %s: %v, want %v", tt.name, method, got, tt.want)
			}
		}
	}
}
