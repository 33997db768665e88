// Package openapi writes the OpenAPI 3.1 document of the service from the very
// declarations that its routes are served by.
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/validate"
)

// Info is what the document says of the API as a whole.
type Info struct {
	Title       string
	Version     string
	Description string
}

// object is a JSON object; encoding/json sorts its members, so a document has
// one spelling.
type object = map[string]any

// Document returns the document of the routes. All errors are reported at once.
func Document(info Info, routes []module.Route) ([]byte, error) {
	paths := object{}
	tags := map[string]bool{}
	ids := map[string]string{}
	var errs []error
	for _, r := range routes {
		method, path, _ := strings.Cut(r.Policy.Pattern, " ")
		path = strings.ReplaceAll(path, "{$}", "")
		op, err := operation(r, method, path)
		if err != nil {
			errs = append(errs, fmt.Errorf("route %q: %w", r.Policy.Pattern, err))
			continue
		}
		id := op["operationId"].(string)
		if other, taken := ids[id]; taken {
			errs = append(errs, fmt.Errorf("route %q: operationId %s is taken by %q", r.Policy.Pattern, id, other))
			continue
		}
		ids[id] = r.Policy.Pattern
		tags[tag(path)] = true
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = op
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title":       info.Title,
			"version":     info.Version,
			"description": info.Description,
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"contact":     object{"name": "Merlon", "url": "https://github.com/merlonhq/merlon"},
		},
		"servers":    []object{{"url": "/", "description": "The server of this document, in production or in development.", "x-internal": false}},
		"tags":       tagList(tags),
		"paths":      paths,
		"components": components(),
	}, "", "  ")
}

func operation(r module.Route, method, path string) (object, error) {
	if err := r.Endpoint.Err(); err != nil {
		return nil, err
	}
	d := r.Endpoint.Describe()
	op := object{
		"operationId": operationID(method, path),
		"summary":     r.Summary,
		"tags":        []string{tag(path)},
		"security":    security(r),
		"responses":   responses(r, method, d),
	}
	op["description"] = strings.TrimSpace(r.Description + " " + whoMay(r))
	if len(r.Policy.Scopes) > 0 {
		op["x-scopes"] = r.Policy.Scopes
	}
	params := pathParameters(path)
	for _, q := range d.Query {
		params = append(params, q)
	}
	if unsafe(method) && !r.Policy.Anonymous {
		params = append(params, object{"$ref": "#/components/parameters/CSRFToken"})
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	switch {
	case d.Body != nil:
		content := object{"application/json": object{"schema": d.Body}}
		if d.Form {
			content[validate.FormType] = object{"schema": d.Body}
		}
		op["requestBody"] = object{"required": d.Required, "content": content}
	case len(r.Policy.ContentTypes) > 0: // of a plain handler, which knows what they hold
		content := object{}
		for _, media := range r.Policy.ContentTypes {
			content[media] = object{}
		}
		op["requestBody"] = object{"required": true, "content": content}
	}
	return op, nil
}

func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// whoMay is a sentence on who may call a route.
func whoMay(r module.Route) string {
	var who string
	switch {
	case r.Policy.Open():
		who = "Open to everybody"
	case len(r.Policy.Scopes) > 0:
		who = "Asks for the scope " + strings.Join(r.Policy.Scopes, " and ")
	default:
		who = "Asks for an account"
	}
	if r.Policy.AccountOnly {
		who += ", closed to API keys"
	}
	return who + "."
}

// security lists the alternatives of credentials; an empty one means none is needed.
// Scopes stand in x-scopes: the lists here are for those of OAuth, and what tools
// make of others differs.
func security(r module.Route) []object {
	scopes := []string{}
	list := []object{}
	if r.Policy.Open() {
		list = append(list, object{})
	}
	if r.Policy.Probe || r.Policy.Anonymous {
		return list
	}
	list = append(list, object{"session": scopes}, object{"access_token": scopes})
	if !r.Policy.AccountOnly {
		list = append(list, object{"api_key": scopes})
	}
	return list
}

func responses(r module.Route, method string, d module.Description) object {
	success := object{"description": http.StatusText(d.Status), "headers": answerHeaders()}
	switch {
	case d.ContentType == "":
	case d.Answer != nil:
		success["content"] = object{d.ContentType: object{"schema": d.Answer}}
	default:
		success["content"] = object{d.ContentType: object{}}
	}
	out := object{strconv.Itoa(d.Status): success}
	refusals := []int{http.StatusBadRequest, http.StatusMisdirectedRequest, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if r.Policy.Probe {
		refusals = []int{http.StatusBadRequest, http.StatusInternalServerError, http.StatusServiceUnavailable}
	} else if !r.Policy.Anonymous {
		// A bad credential is refused on public routes too.
		refusals = append(refusals, http.StatusUnauthorized)
	}
	if !r.Policy.Open() || unsafe(method) {
		refusals = append(refusals, http.StatusForbidden)
	}
	if strings.Contains(r.Policy.Pattern, "{") {
		refusals = append(refusals, http.StatusNotFound)
	}
	if d.Body != nil || len(r.Policy.ContentTypes) > 0 {
		refusals = append(refusals, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusConflict)
	} else if !r.Policy.Probe {
		refusals = append(refusals, http.StatusUnprocessableEntity)
	}
	// What stands in front of the service may ask for a credential, or limit, where
	// the service itself does not: clients have to expect both everywhere.
	refusals = append(refusals, http.StatusUnauthorized, http.StatusTooManyRequests)
	for _, status := range refusals {
		code := strconv.Itoa(status)
		if _, taken := out[code]; !taken {
			out[code] = object{"$ref": "#/components/responses/" + responseName(status)}
		}
	}
	return out
}

func pathParameters(path string) []any {
	var params []any
	for seg := range strings.SplitSeq(path, "/") {
		if !strings.HasPrefix(seg, "{") {
			continue
		}
		name, several := strings.CutSuffix(strings.Trim(seg, "{}"), "...")
		shortest, longest, pattern := 1, 100, "^[A-Za-z0-9_~-][A-Za-z0-9_.~-]*$"
		if several {
			shortest, pattern = 0, "^.*$"
		}
		params = append(params, object{
			"name": name, "in": "path", "required": true,
			"schema": &validate.Definition{Type: "string", MinLength: &shortest, MaxLength: &longest, Pattern: pattern},
		})
	}
	return params
}

// operationID makes such as getApiV1PostsById of a method and a path.
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for seg := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(seg, "{"); ok {
			b.WriteString("By")
			seg = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
		}
		for word := range strings.FieldsFuncSeq(seg, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// tag groups operations by the first word of the path that is not the version.
func tag(path string) string {
	for seg := range strings.SplitSeq(path, "/") {
		if seg != "" && seg != "api" && !isVersion(seg) && !strings.HasPrefix(seg, "{") {
			return strings.TrimPrefix(seg, ".")
		}
	}
	return "api"
}

// tagList is the tags that operations have, in order.
func tagList(tags map[string]bool) []object {
	list := []object{}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, object{"name": name})
	}
	return list
}

func isVersion(seg string) bool {
	n, ok := strings.CutPrefix(seg, "v")
	_, err := strconv.Atoi(n)
	return ok && err == nil
}

func securitySchemes() object {
	return object{
		"session": object{"type": "apiKey", "in": "cookie", "name": identity.SessionCookie,
			"description": "The session cookie that logging in sets. Unsafe methods need a CSRF token beside it."},
		"access_token": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
			"description": "An access token of POST /api/v1/auth/token (RFC9068), verified as RFC8725 asks."},
		"api_key": object{"type": "apiKey", "in": "header", "name": "X-API-Key",
			"description": "An API key, such as mrl_live_…; also accepted as Authorization: Bearer."},
	}
}
