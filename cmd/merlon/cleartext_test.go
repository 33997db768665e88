//go:build unix

package main_test

import (
	"strings"
	"testing"
)

// Clear text that is not of this machine is refused, with an answer that whoever
// asked can read. A proxy tells of it here: the program itself listens in clear on
// loopback only.
func TestClearTextOffLoopbackIsRefusedReadably(t *testing.T) {
	t.Parallel()
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	inClear := []string{"X-Forwarded-For", "203.0.113.7", "X-Forwarded-Proto", "http"}
	encrypted := []string{"X-Forwarded-For", "203.0.113.7", "X-Forwarded-Proto", "https"}
	navigation := append([]string{"Accept", browser}, inClear...)
	serve := func(settings string) client {
		dir := t.TempDir()
		config := write(t, dir, "merlon.yaml", developmentConfig+"trusted_proxies: [127.0.0.1]\n"+settings)
		return startService(t, merlon("--config", config).in(dir)).client
	}

	c := serve("")
	c.refused(t, 403, "https-required", "GET", "/openapi.json", nil, inClear...)
	c.refused(t, 403, "https-required", "POST", "/api/v1/auth/login", members{"username": "ada", "password": passphrase}, inClear...)
	page := c.call(t, 403, "GET", "/docs", nil, navigation...)
	for _, want := range []string{"<!doctype html>", `<html lang="en">`, "<h1>HTTPS required</h1>", "https-required", page.header.Get("X-Request-Id")} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	if page.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(page.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") ||
		page.header.Get("Location") != "" || page.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("the page has %v", page.header)
	}
	c.call(t, 200, "GET", "/openapi.json", nil, encrypted...)
	c.call(t, 200, "GET", "/docs", nil, append([]string{"Accept", browser}, encrypted...)...)

	// With a host there is somewhere to go, for who opens a page.
	c = serve("hosts: [api.example.com]\n")
	if got := c.call(t, 308, "GET", "/docs?a=b", nil, navigation...).header.Get("Location"); got != "https://api.example.com/docs?a=b" {
		t.Errorf("Location is %q", got)
	}
	c.refused(t, 403, "https-required", "GET", "/openapi.json", nil, inClear...)
}
