package api

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/validate"
)

type eventQuery struct {
	paging
	Type     string                       `query:"type" text:"token" maxLength:"64"`
	Category string                       `query:"category" enum:"authentication,rate_limit,suspicious_activity,authorization,session,api_key,account,system"`
	Outcome  string                       `query:"outcome" enum:"success,failure,refused,would_refuse"`
	Subject  string                       `query:"subject" text:"token" maxLength:"64" doc:"The account that acted."`
	Address  string                       `query:"address" text:"token" maxLength:"64"`
	Since    validate.Optional[time.Time] `query:"since" doc:"Events of this instant or later."`
	Until    validate.Optional[time.Time] `query:"until" doc:"Events before this instant."`
}

// eventView is an event: what the line of the log has, less the fields that the
// log adds. The fields are for the document; what is answered is what is stored,
// byte for byte.
type eventView struct {
	ID        string         `json:"id" maxLength:"40"`
	Time      time.Time      `json:"time"`
	Type      string         `json:"type" maxLength:"64"`
	Category  string         `json:"category" maxLength:"32"`
	Severity  string         `json:"severity" enum:"info,low,medium,high,critical"`
	Outcome   string         `json:"outcome" enum:"success,failure,refused,would_refuse"`
	RequestID string         `json:"request_id" maxLength:"64"`
	Address   string         `json:"address" maxLength:"64"`
	Principal string         `json:"principal" maxLength:"64"`
	Route     string         `json:"route" maxLength:"512"`
	Detail    map[string]any `json:"detail"`

	stored json.RawMessage
}

// MarshalJSON returns the event as it is stored.
func (e eventView) MarshalJSON() ([]byte, error) { return e.stored, nil }

type eventPage struct {
	Items      []eventView `json:"items" maxItems:"100"`
	NextCursor *string     `json:"next_cursor" maxLength:"200" doc:"Of the next page; null at the end. Where few of many events match, a page may have fewer than asked for, or none, and a next one."`
}

func (a *API) listEvents(c *module.Call, q *eventQuery) (eventPage, error) {
	f := eventdb.Filter{Type: q.Type, Category: q.Category, Outcome: q.Outcome, Subject: a.Privacy.Name(q.Subject), Address: a.Privacy.Address(q.Address),
		Since: q.Since.Value, Until: q.Until.Value}
	raw, next, err := a.Events.Query(c, f, q.Cursor, q.Limit)
	if errors.Is(err, eventdb.ErrCursor) {
		return eventPage{}, invalid("/cursor", "format", "Must be the next_cursor of a page.")
	}
	if err != nil {
		return eventPage{}, err
	}
	page := eventPage{Items: make([]eventView, len(raw)), NextCursor: reference(next)}
	for i, line := range raw {
		page.Items[i].stored = line
	}
	return page, nil
}
