package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ParseJSON returns the event of a line that [AppendJSON] wrote, with or without a link of
// a chain. Of detail, numbers are int64, uint64 or float64, times are text, and lists are
// lists of text, whatever they were.
func ParseJSON(line []byte) (Event, error) {
	var raw struct {
		ID          string          `json:"id"`
		Time        time.Time       `json:"time"`
		Type        Type            `json:"type"`
		Category    Category        `json:"category"`
		Severity    Severity        `json:"severity"`
		Outcome     Outcome         `json:"outcome"`
		RequestID   string          `json:"request_id"`
		Address     string          `json:"address"`
		Principal   string          `json:"principal"`
		Route       string          `json:"route"`
		Detail      json.RawMessage `json:"detail"`
		Description string          `json:"description"`
		Hostname    string          `json:"hostname"`
		Port        string          `json:"port"`
		Method      string          `json:"request_method"`
		Path        string          `json:"request_uri"`
		UserAgent   string          `json:"useragent"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Event{}, fmt.Errorf("audit: not an event: %w", err)
	}
	if raw.Type == "" || raw.ID == "" {
		return Event{}, errors.New("audit: not an event: it has no type or no id")
	}
	e := Event{ID: raw.ID, Time: raw.Time, Type: raw.Type, Category: raw.Category, Severity: raw.Severity, Outcome: raw.Outcome,
		RequestID: raw.RequestID, Address: raw.Address, Principal: raw.Principal, Route: raw.Route, Description: raw.Description,
		Host: raw.Hostname, Method: raw.Method, Path: raw.Path, UserAgent: raw.UserAgent}
	if raw.Port != "" {
		e.Host += ":" + raw.Port
	}
	if len(raw.Detail) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw.Detail))
		d.UseNumber()
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return Event{}, errors.New("audit: not an event: its detail is no object")
		}
		var err error
		if e.Detail, err = readAttrs(d, 0); err != nil {
			return Event{}, fmt.Errorf("audit: not an event: %w", err)
		}
	}
	return e, nil
}

// readAttrs reads the members of an object that has begun, in their order.
func readAttrs(d *json.Decoder, depth int) (attrs []slog.Attr, err error) {
	if depth > maxDepth {
		return nil, errors.New("its detail is too deep")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, slog.Attr{Key: name.(string), Value: v}) // a key is a string
	}
	_, err = d.Token()
	return attrs, err
}

func readValue(d *json.Decoder, depth int) (slog.Value, error) {
	t, err := d.Token()
	if err != nil {
		return slog.Value{}, err
	}
	switch v := t.(type) {
	case string:
		return slog.StringValue(v), nil
	case bool:
		return slog.BoolValue(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return slog.Int64Value(n), nil
		}
		f, err := v.Float64()
		return slog.Float64Value(f), err
	case json.Delim:
		if v == '{' {
			attrs, err := readAttrs(d, depth+1)
			return slog.GroupValue(attrs...), err
		}
		var list []string
		for d.More() {
			item, err := d.Token()
			text, ok := item.(string)
			if err != nil || !ok {
				return slog.Value{}, errors.Join(errors.New("a list holds more than text"), err)
			}
			list = append(list, text)
		}
		_, err := d.Token()
		return slog.AnyValue(list), err
	}
	return slog.AnyValue(nil), nil
}
