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
			headers["Retry-After"] = object{"$ref": "#/components/headers/RetryAfter"}
		}
		if status == http.StatusUnauthorized {
			headers["WWW-Authenticate"] = object{"$ref": "#/components/headers/WWWAuthenticate"}
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
			"RequestId":          header("The id of the request, also in problem documents and events.", object{"type": "string", "maxLength": 64}),
			"RateLimit":          header("What is left of each policy (draft-ietf-httpapi-ratelimit-headers).", object{"type": "string", "maxLength": 1024}),
			"RateLimitPolicy":    header("The policies that count the request.", object{"type": "string", "maxLength": 1024}),
			"RateLimitLimit":     header("The limit of the most restrictive policy.", integer()),
			"RateLimitRemaining": header("What is left of the most restrictive policy.", integer()),
			"RateLimitReset":     header("When more is left, in Unix seconds.", integer()),
			"RetryAfter":         header("How many seconds to wait.", integer()),
			"WWWAuthenticate":    header("How to authenticate (RFC 9110 section 11.6.1).", object{"type": "string", "maxLength": 1024}),
		},
		"parameters": object{
			"CSRFToken": object{
				"name": "X-CSRF-Token", "in": "header", "required": false,
				"description": "The token of GET /csrf/token. Required beside a session cookie.",
				"schema":      object{"type": "string", "maxLength": 512},
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

// answerHeaders refers to the headers that every answer may have.
func answerHeaders() object {
	out := object{}
	for name, component := range map[string]string{
		"X-Request-Id":          "RequestId",
		"RateLimit":             "RateLimit",
		"RateLimit-Policy":      "RateLimitPolicy",
		"X-RateLimit-Limit":     "RateLimitLimit",
		"X-RateLimit-Remaining": "RateLimitRemaining",
		"X-RateLimit-Reset":     "RateLimitReset",
	} {
		out[name] = object{"$ref": "#/components/headers/" + component}
	}
	return out
}

// problemSchema is the form of every error answer (RFC 9457).
func problemSchema() object {
	text := func(maxLength int) object { return object{"type": "string", "maxLength": maxLength} }
	return object{
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"type", "title", "status", "code"},
		"properties": object{
			"type":       object{"type": "string", "format": "uri", "maxLength": 200},
			"title":      text(200),
			"status":     object{"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
			"detail":     text(1000),
			"code":       text(100),
			"request_id": text(64),
			"errors": object{"type": "array", "maxItems": 1000, "items": object{
				"type": "object", "additionalProperties": false, "required": []string{"pointer", "code", "detail"},
				"properties": object{"pointer": text(500), "code": text(100), "detail": text(500)},
			}},
			"violated-policies": object{"type": "array", "maxItems": 20, "items": text(100)},
		},
	}
}
