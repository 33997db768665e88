package api

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/token"
)

// sessionView is a session, or a family of tokens, as its owner sees it.
type sessionView struct {
	ID         string    `json:"id" maxLength:"40"`
	Address    *string   `json:"address" maxLength:"64" doc:"From where it was begun."`
	UserAgent  string    `json:"user_agent" maxLength:"256"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at" doc:"Of tokens: when they were last refreshed."`
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
	list, err := a.sessionsOf(c, p.Subject)
	if err != nil {
		return sessionPage{}, err
	}
	// Newest first; a cursor is the id of the last session of the page before.
	list = slices.DeleteFunc(list, func(v sessionView) bool { return after != "" && v.ID >= after })
	page := sessionPage{Items: []sessionView{}}
	for _, v := range list {
		if len(page.Items) == q.Limit {
			page.NextCursor = &page.Items[q.Limit-1].ID
			break
		}
		v.Current = v.ID == p.SessionID
		page.Items = append(page.Items, v)
	}
	return page, nil
}

// sessionsOf returns what an account is logged in with, newest first: sessions, and families of tokens.
func (a *API) sessionsOf(c *module.Call, account string) ([]sessionView, error) {
	var list []sessionView
	add := func(id string, address netip.Addr, userAgent string, created, seen time.Time) {
		v := sessionView{ID: id, UserAgent: userAgent, CreatedAt: created, LastSeenAt: seen}
		if address.IsValid() {
			v.Address = reference(address.String())
		}
		list = append(list, v)
	}
	sessions, err := a.Sessions.List(c, account)
	if err != nil {
		return nil, err
	}
	for _, r := range sessions {
		add(r.ID, r.Address, r.UserAgent, r.CreatedAt, r.LastSeenAt)
	}
	grants, err := a.Tokens.List(c, account)
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		add(g.ID, g.Address, g.UserAgent, g.CreatedAt, g.RefreshedAt)
	}
	slices.SortFunc(list, func(a, b sessionView) int { return cmp.Compare(b.ID, a.ID) })
	return list, nil
}

// end ends a session, or a family of tokens: at once, its access tokens with it.
func (a *API) end(ctx context.Context, id, account string) error {
	err := a.Sessions.Revoke(ctx, id, account)
	if errors.Is(err, session.ErrNotFound) {
		err = a.Tokens.Revoke(ctx, id, account)
	}
	return err
}

// notFound reports whether there was nothing to end.
func notFound(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, token.ErrNotFound)
}

func (a *API) endSession(c *module.Call) (module.None, error) {
	p, id := c.Principal(), c.Path("id")
	err := a.end(c, id, p.Subject)
	if notFound(err) {
		return module.None{}, problem.New(problem.NotFound, "There is no such session.")
	}
	if err != nil {
		return module.None{}, err
	}
	c.Record(audit.SessionEnded(p.Subject, id))
	if id == p.SessionID && p.Kind == identity.Session {
		forget(c)
	}
	return module.None{}, nil
}
