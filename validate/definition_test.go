package validate_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/validate"
)

func indented(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", " "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSONSchemaOfARequest(t *testing.T) {
	type request struct {
		Name     string                    `json:"name" text:"identifier" minLength:"3" maxLength:"50" pattern:"[a-z]+" doc:"A name." example:"alice"`
		Password string                    `json:"password" text:"secret" minLength:"8" maxLength:"128"`
		Colour   validate.Optional[string] `json:"colour" enum:"red,green"`
		Tags     []string                  `json:"tags" optional:"true" maxLength:"50" maxItems:"10" uniqueItems:"drop" example:"go,web"`
		Days     validate.Optional[int64]  `json:"days" minimum:"1"`
	}
	const want = `{
 "type": "object",
 "properties": {
  "name": {
   "type": "string",
   "description": "A name.",
   "minLength": 3,
   "maxLength": 50,
   "pattern": "^[a-z]+$",
   "examples": [
    "alice"
   ]
  },
  "password": {
   "type": "string",
   "format": "password",
   "minLength": 8,
   "maxLength": 128,
   "writeOnly": true
  },
  "colour": {
   "type": [
    "string",
    "null"
   ],
   "enum": [
    "red",
    "green",
    null
   ]
  },
  "tags": {
   "type": "array",
   "items": {
    "type": "string",
    "format": "line",
    "maxLength": 50
   },
   "maxItems": 10,
   "examples": [
    [
     "go",
     "web"
    ]
   ]
  },
  "days": {
   "type": [
    "integer",
    "null"
   ],
   "format": "int64",
   "minimum": 1
  }
 },
 "required": [
  "name",
  "password"
 ],
 "additionalProperties": false
}`
	if got := indented(t, compile[request](t).JSONSchema()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAnswerSchema(t *testing.T) {
	type item struct {
		ID      string         `json:"id"`
		Created time.Time      `json:"created_at"`
		Expires *time.Time     `json:"expires_at"`
		Detail  map[string]any `json:"detail"`
		Note    string         `json:"note,omitempty"`
	}
	type list struct {
		Items []item  `json:"items"`
		Next  *string `json:"next_cursor"`
	}
	d, err := validate.AnswerSchema(reflect.TypeFor[list]())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"object","properties":{"items":{"type":"array","items":{"type":"object","properties":{` +
		`"id":{"type":"string","format":"line"},"created_at":{"type":"string","format":"date-time","maxLength":64},` +
		`"expires_at":{"type":["string","null"],"format":"date-time","maxLength":64},` +
		`"detail":{"type":"object","additionalProperties":{}},"note":{"type":"string","format":"line"}},` +
		`"required":["id","created_at","expires_at","detail"],"additionalProperties":false}},` +
		`"next_cursor":{"type":["string","null"],"format":"line"}},"required":["items","next_cursor"],"additionalProperties":false}`
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := validate.AnswerSchema(reflect.TypeFor[struct {
		C chan int `json:"c"`
	}]()); err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("a channel: %v", err)
	}
}
