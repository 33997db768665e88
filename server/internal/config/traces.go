package config

import (
	"net/netip"
	"net/url"
	"strings"
)

// Traces is the section traces.
type Traces struct {
	// Endpoint is the http(s) URL of an OpenTelemetry collector (OTLP over HTTP); one
	// without a path gets /v1/traces. Default none: nothing is traced.
	Endpoint string
	// OneIn is of how many requests one is traced: 1 to 1000000, default 10.
	OneIn int
}

// URL returns Endpoint with its path.
func (t Traces) URL() string {
	u, err := url.Parse(t.Endpoint)
	if err == nil && strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
		return u.String()
	}
	return t.Endpoint
}

// InClear reports whether spans cross a network in clear text.
func (t Traces) InClear() bool {
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "http" {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !a.Unmap().IsLoopback())
}

func checkEndpoint(v string) *fault {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return &fault{idTracesEndpoint, "is not the URL of a collector", "write http(s)://host:port, such as http://127.0.0.1:4318; credentials go into OTEL_EXPORTER_OTLP_HEADERS"}
	}
	return nil
}
