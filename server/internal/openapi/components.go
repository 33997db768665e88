package openapi

import (
	"net/http"
	"strings"
)

// responseName makes such as TooManyRequests of a status.
func responseName(status int) string {
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

func components() object {
	responses := object{}
	for _, status := range []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusMisdirectedRequest,
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
	} {
		headers := answerHeaders()
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			headers["Retry-After"] = object{"$ref": "#/components/headers/Retry-After"}
		}
		if status == http.StatusUnauthorized {
			headers["WWW-Authenticate"] = object{"$ref": "#/components/headers/WWW-Authenticate"}
		}
		responses[responseName(status)] = object{
			"description": http.StatusText(status),
			"headers":     headers,
			"content":     object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
		}
	}
	return object{
		"securitySchemes": securitySchemes(),
		"schemas":         object{"Problem": problemSchema()},
		"responses":       responses,
		"headers": object{
			"X-Request-Id":                header("The id of the request, also in problem documents and events.", object{"type": "string", "pattern": requestID, "maxLength": 64}),
			"RateLimit":                   header("What is left of each policy (draft-ietf-httpapi-ratelimit-headers). "+alsoTold, structured()),
			"RateLimit-Policy":            header("The policies that count the request.", structured()),
			"Access-Control-Allow-Origin": header("The origin of the page that asks, if it is one of those that may (Fetch standard).", object{"type": "string", "format": "uri", "maxLength": 300}),
			"Retry-After":                 header("How many seconds to wait.", integer()),
			"WWW-Authenticate":            header("How to authenticate (RFC 9110 section 11.6.1).", object{"type": "string", "format": "line", "maxLength": 1024}),
		},
		"parameters": object{
			"CSRFToken": object{
				"name": "X-CSRF-Token", "in": "header", "required": false,
				"description": "The token of GET /csrf/token. Required beside a session cookie.",
				"schema":      object{"type": "string", "format": "token", "maxLength": 512},
			},
		},
	}
}

func header(description string, schema object) object {
	return object{"description": description, "schema": schema}
}

func integer() object {
	return object{"type": "integer", "format": "int64", "minimum": 0, "maximum": 1 << 53}
}

// alsoTold tells of the older fields, which every answer with RateLimit has.
const alsoTold = "X-RateLimit-Limit and X-RateLimit-Remaining tell the same of the most restrictive policy, X-RateLimit-Reset when more is left, in Unix seconds."

// requestID is the form of the ids of requests.
const requestID = "^[A-Za-z0-9_-]{16,64}$"

// structured is a List of RFC 9651.
func structured() object {
	return object{"type": "string", "format": "structured-field-list", "maxLength": 1024}
}

// answerHeaders refers to the headers that every answer may have.
func answerHeaders() object {
	out := object{}
	for _, name := range []string{"X-Request-Id", "RateLimit", "RateLimit-Policy", "Access-Control-Allow-Origin"} {
		out[name] = object{"$ref": "#/components/headers/" + name}
	}
	return out
}

// problemSchema is the form of every error answer (RFC 9457).
func problemSchema() object {
	text := func(format string, maxLength int) object {
		return object{"type": "string", "format": format, "maxLength": maxLength}
	}
	code := object{"type": "string", "pattern": "^[a-z]+(-[a-z]+)*$", "maxLength": 100}
	return object{
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"type", "title", "status", "code"},
		"properties": object{
			"type":       object{"type": "string", "format": "uri", "maxLength": 200},
			"title":      text("line", 200),
			"status":     object{"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
			"detail":     text("line", 1000),
			"code":       code,
			"request_id": object{"type": "string", "pattern": requestID, "maxLength": 64},
			"errors": object{"type": "array", "maxItems": 1000, "items": object{
				"type": "object", "additionalProperties": false, "required": []string{"pointer", "code", "detail"},
				"properties": object{"pointer": text("json-pointer", 500), "code": code, "detail": text("line", 500)},
			}},
			"violated-policies": object{"type": "array", "maxItems": 20, "items": text("line", 100)},
		},
	}
}
