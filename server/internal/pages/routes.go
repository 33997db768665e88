package pages

import (
	"net/http"

	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/module"
)

// Routes returns the routes of the pages. They are the same for everybody, so they
// look at no credential.
func (p *Pages) Routes() []module.Route {
	public := func(pattern, headers string) route.Route {
		return route.Route{Pattern: pattern, Public: true, Anonymous: true, Headers: headers}
	}
	return []module.Route{
		{Policy: public("GET /docs", docsProfile), Summary: "Read the documentation of the API",
			Endpoint: module.Raw(200, "text/html", http.HandlerFunc(p.Docs))},
		{Policy: public("GET /signed-out", signedOutProfile), Summary: "See the end of a session",
			Description: "Tells the browser to forget what it holds of this site, unless another site led here. The session itself ends by POST /api/v1/auth/logout.",
			Endpoint:    module.Raw(200, "text/html", http.HandlerFunc(p.SignedOut))},
		{Policy: public(AssetsPattern, "api"), Summary: "Load what a page needs",
			Endpoint: module.Raw(200, "*/*", http.HandlerFunc(p.Assets))},
	}
}
