package exchange

import "net/http"

// dropLeaks deletes from the header of the answer what tells of the programs
// behind it (OWASP Secure Headers Project, "prevent information disclosure",
// headers_remove.json). Server and X-Powered-By, which are on nearly every answer
// that leaks, are always deleted. To look at every name costs a tenth of the whole
// chain, so the rest is looked for where there is more than the stages and an
// answer of one's own have set, such as behind a reverse proxy.
func (x *Exchange) dropLeaks(h http.Header) {
	delete(h, "Server")
	delete(h, "X-Powered-By")
	own := x.handed
	for _, name := range [...]string{"Content-Type", "Content-Length"} {
		if h[name] != nil {
			own++
		}
	}
	if len(h) <= own {
		return
	}
	for name := range h {
		if leaks(name) {
			delete(h, name)
		}
	}
}

// leaks reports whether a header that the answer has, by its name in canonical
// form, tells of the programs behind it.
func leaks(canonicalName string) bool {
	switch canonicalName {
	case "$wsep", "Host-Header", "K-Proxy-Request", "Liferay-Portal", "Oraclecommercecloud-Version",
		"Pega-Host", "Powered-By", "Product", "Sourcemap",
		"X-Aspnet-Version", "X-Aspnetmvc-Version", "X-Atmosphere-Error", "X-Atmosphere-First-Request",
		"X-Atmosphere-Tracking-Id", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Spanid", "X-B3-Traceid",
		"X-Backside-Transport", "X-Beserver", "X-Calculatedbetarget", "X-Cf-Powered-By", "X-Cms",
		"X-Cocoon-Version", "X-Content-Encoded-By", "X-Datadog-Origin", "X-Datadog-Parent-Id",
		"X-Datadog-Sampling-Priority", "X-Datadog-Tags", "X-Datadog-Trace-Id", "X-Diaginfo",
		"X-Dtagentid", "X-Dthealthcheck", "X-Dtinjectedservlet", "X-Envoy-Attempt-Count",
		"X-Envoy-External-Address", "X-Envoy-Internal", "X-Envoy-Original-Dst-Host",
		"X-Envoy-Upstream-Service-Time", "X-Feserver", "X-Framework", "X-Generated-By", "X-Generator",
		"X-Gitlab-Meta", "X-Jitsi-Release", "X-Joomla-Version", "X-Kong-Admin-Latency",
		"X-Kong-Client-Latency", "X-Kong-Proxy-Latency", "X-Kong-Request-Id", "X-Kong-Response-Latency",
		"X-Kong-Third-Party-Latency", "X-Kong-Total-Latency", "X-Kong-Upstream-Latency",
		"X-Kong-Upstream-Status", "X-Kubernetes-Pf-Flowschema-Ui", "X-Kubernetes-Pf-Prioritylevel-Uid",
		"X-Litespeed-Cache", "X-Litespeed-Cache-Control", "X-Litespeed-Purge", "X-Litespeed-Tag",
		"X-Litespeed-Vary", "X-Mod-Pagespeed", "X-Nextjs-Cache", "X-Nextjs-Matched-Path", "X-Nextjs-Page",
		"X-Nextjs-Redirect", "X-Old-Content-Length", "X-Oneagent-Js-Injection", "X-Owa-Version",
		"X-Page-Speed", "X-Php-Version", "X-Powered-By-Plesk", "X-Powered-Cms",
		"X-Redirect-By", "X-Ruxit-Js-Agent", "X-Server-Powered-By", "X-Sourcefiles", "X-Sourcemap",
		"X-Turbo-Charged-By", "X-Tyk-Trace-Id", "X-Umbraco-Version", "X-Varnish-Backend",
		"X-Varnish-Server", "X-Woodpecker-Version":
		return true
	}
	return false
}
