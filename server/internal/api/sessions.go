package api

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/session"
)

// sessionView is a session as its owner sees it.
type sessionView struct {
	ID         string    `json:"id" maxLength:"40"`
	Address    *string   `json:"address" maxLength:"64" doc:"From where it was begun."`
	UserAgent  string    `json:"user_agent" maxLength:"256"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	Current    bool      `json:"current" doc:"Whether this is the session of the call."`
}

type sessionPage struct {
	Items      []sessionView `json:"items" maxItems:"100"`
	NextCursor *string       `json:"next_cursor" maxLength:"200"`
}

func (a *API) listSessions(c *module.Call, q *paging) (sessionPage, error) {
	p := c.Principal()
	after, err := q.after("ses")
	if err != nil {
		return sessionPage{}, err
	}
	list, err := a.Sessions.List(c, p.Subject)
	if err != nil {
		return sessionPage{}, err
	}
	// Newest first; a cursor is the id of the last session of the page before.
	list = slices.DeleteFunc(list, func(r session.Record) bool { return after != "" && r.ID >= after })
	page := sessionPage{Items: []sessionView{}}
	for _, r := range list {
		if len(page.Items) == q.Limit {
			page.NextCursor = &page.Items[q.Limit-1].ID
			break
		}
		v := sessionView{ID: r.ID, UserAgent: r.UserAgent, CreatedAt: r.CreatedAt, LastSeenAt: r.LastSeenAt, Current: r.ID == p.SessionID}
		if r.Address.IsValid() {
			v.Address = reference(r.Address.String())
		}
		page.Items = append(page.Items, v)
	}
	return page, nil
}

func (a *API) endSession(c *module.Call) (module.None, error) {
	p, id := c.Principal(), c.Path("id")
	err := a.Sessions.Revoke(c, id, p.Subject)
	if errors.Is(err, session.ErrNotFound) {
		return module.None{}, problem.New(problem.NotFound, "There is no such session.")
	}
	if err != nil {
		return module.None{}, err
	}
	c.Record(audit.Event{Type: audit.SessionRevoked, Detail: []slog.Attr{slog.String("session_id", id)}})
	if id == p.SessionID {
		forget(c)
	}
	return module.None{}, nil
}
