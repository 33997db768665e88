package cors_test

import (
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/origin"
)

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  cors.Config
		want string
	}{
		{"a bad origin", cors.Config{Origins: []string{"null"}}, `origin "null"`},
		{"every origin", cors.Config{Origins: []string{"*"}}, `origin "*"`},
		{"clear text in production", cors.Config{Origins: []string{"http://localhost:3000"}}, "http://localhost:3000"},
		{"any origin with credentials", cors.Config{InsecureAnyOrigin: "x", Credentials: true}, "credentials"},
		{"any origin beside a list", cors.Config{InsecureAnyOrigin: "x", Origins: one}, "list of origins"},
		{"every method", cors.Config{Methods: []string{"*"}, Credentials: true}, "list the methods"},
		{"every method without credentials", cors.Config{Methods: []string{"*"}}, "list the methods"},
		{"a method in lower case", cors.Config{Methods: []string{"patch"}}, "write PATCH"},
		{"a method that is none", cors.Config{Methods: []string{"GET, POST"}}, "not a method"},
		{"an empty method", cors.Config{Methods: []string{""}}, "not a method"},
		{"a forbidden method", cors.Config{Methods: []string{"TRACE"}}, "remove it"},
		{"a method twice", cors.Config{Methods: []string{"GET", "GET"}}, "twice"},
		{"every request header", cors.Config{RequestHeaders: []string{"*"}, Credentials: true}, "list the headers"},
		{"a request header that is none", cors.Config{RequestHeaders: []string{"X Foo"}}, "not a header name"},
		{"a request header too long", cors.Config{RequestHeaders: []string{strings.Repeat("x", 129)}}, "128"},
		{"a request header that pages cannot set", cors.Config{RequestHeaders: []string{"Cookie"}}, "forbidden"},
		{"a Fetch-Metadata header", cors.Config{RequestHeaders: []string{"Sec-Fetch-Site"}}, "forbidden"},
		{"a request header twice", cors.Config{RequestHeaders: []string{"X-Foo", "x-foo"}}, "twice"},
		{"a CORS header", cors.Config{RequestHeaders: []string{"Access-Control-Allow-Origin"}}, "CORS protocol"},
		{"every exposed header", cors.Config{ExposedHeaders: []string{"*"}}, "list the headers"},
		{"an exposed header with a line break", cors.Config{ExposedHeaders: []string{"X-A\r\nX-B"}}, "not a header name"},
		{"cookies exposed", cors.Config{ExposedHeaders: []string{"Set-Cookie"}}, "forbidden"},
		{"an exposed header twice", cors.Config{ExposedHeaders: []string{"X-Foo", "X-FOO"}}, "twice"},
		{"a max age too long", cors.Config{MaxAge: 24*time.Hour + time.Second}, "at most 24h"},
		{"a max age of a fraction", cors.Config{MaxAge: 1500 * time.Millisecond}, "whole seconds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := cors.New(tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v\nwant an error that says %q", err, tt.want)
			}
		})
	}
}

func TestNewReportsEverythingAtOnce(t *testing.T) {
	_, err := cors.New(cors.Config{Origins: []string{"null", "*"}, Methods: []string{"get"}, RequestHeaders: []string{"Host"}, MaxAge: 48 * time.Hour})
	for _, want := range []string{`"null"`, `"*"`, `"get"`, `"Host"`, "48h"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v\nwant it to name %s", err, want)
		}
	}
}

func TestACompiledListReplacesTheListedOne(t *testing.T) {
	set, err := origin.Compile(one, origin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cors.New(cors.Config{OriginSet: set}); err != nil {
		t.Error(err)
	}
	if _, err := cors.New(cors.Config{OriginSet: set, Origins: one}); err == nil || !strings.Contains(err.Error(), "give one of them") {
		t.Errorf("both: error %v", err)
	}
}
