package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/password"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/session"
)

//go:embed page.html
var pageHTML string

const (
	owner      = "ada"
	formType   = "application/x-www-form-urlencoded"
	maxEntries = 100
	maxEntry   = 500 // code points
)

// guestbook is the application.
type guestbook struct {
	guard    *merlon.Guard
	sessions *session.Manager
	hasher   *password.Hasher
	hash     string // of the owner's password
	page     *template.Template

	mu      sync.Mutex
	entries []entry
}

type entry struct {
	Text string
	At   time.Time
}

// policy is the policy of the guestbook. Its page has forms, so its route names the
// headers "form"; the routes that its forms send to name the media type of forms.
func policy(sessions authn.Verifier, secret []byte, log *slog.Logger) merlon.Config {
	return merlon.Config{
		Environment: merlon.Development, // plain HTTP on loopback
		Routes: []merlon.Route{
			{Pattern: "GET /{$}", Public: true, Headers: string(headers.Form)},
			{Pattern: "POST /login", Public: true, AccountOnly: true, Headers: string(headers.Form), ContentTypes: []string{formType}},
			{Pattern: "POST /logout", AccountOnly: true, Headers: string(headers.Form), ContentTypes: []string{formType}},
			{Pattern: "POST /entries", AccountOnly: true, Headers: string(headers.Form), ContentTypes: []string{formType}},
		},
		Secret:  secret,
		Authn:   authn.Config{Sessions: sessions},
		Headers: headers.Config{Profile: headers.Web}, // of what no route is for
		RateLimit: ratelimit.Config{Rules: []ratelimit.Rule{{
			Name: "login", Match: []string{"POST /login"}, By: []ratelimit.Part{ratelimit.ByAddress}, Count: ratelimit.CountFailures,
			Limits: []ratelimit.Limit{{Max: 5, Window: 5 * time.Minute}},
		}}},
		ErrorLog: log,
	}
}

// newGuestbook returns the guestbook behind its guard. It is of use until ctx ends.
func newGuestbook(ctx context.Context, ownersPassword string, log *slog.Logger) (http.Handler, error) {
	b := &guestbook{}
	store, err := session.NewMemory(1000)
	if err != nil {
		return nil, err
	}
	if b.sessions, err = session.New(session.Config{Store: store}); err != nil {
		return nil, err
	}
	if b.hasher, err = password.NewHasher(password.HasherConfig{}); err != nil {
		return nil, err
	}
	if b.hash, err = b.hasher.Hash(ctx, ownersPassword); err != nil {
		return nil, err
	}
	if b.page, err = template.New("page").Parse(pageHTML); err != nil {
		return nil, err
	}
	// Sessions are in memory and end with the process, and so may the key of tokens.
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	if b.guard, err = merlon.New(policy(authn.Sessions(b.sessions, b), secret, log)); err != nil {
		return nil, err
	}
	go func() { _ = b.sessions.Run(ctx) }() // notes when sessions were last used; it ends with ctx
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.show)
	mux.HandleFunc("POST /login", b.login)
	mux.HandleFunc("POST /logout", b.logout)
	mux.HandleFunc("POST /entries", b.write)
	return b.guard.Handler(mux), nil
}

// Access says what an account may do: there is one, and it may do everything.
func (b *guestbook) Access(_ context.Context, account string) (authn.Access, error) {
	if account != owner {
		return authn.Access{}, authn.ErrNoAccount
	}
	return authn.Access{Role: "owner"}, nil
}

// show answers with the page: its entries, and the form that fits who reads it.
func (b *guestbook) show(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	entries := slices.Clone(b.entries)
	b.mu.Unlock()
	slices.Reverse(entries)
	caller := merlon.Principal(r.Context())
	var body bytes.Buffer
	err := b.page.Execute(&body, map[string]any{
		"Entries":  entries,
		"SignedIn": caller.Known(),
		"MaxEntry": maxEntry,
		"Nonce":    headers.Nonce(r.Context()),
		"CSRF":     b.guard.CSRF().Field(w, r),
	})
	if err != nil {
		merlon.Error(w, r, problem.Internal(err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body.Bytes()) // the client may be gone
}

// back leads to the page after a form was taken, so that loading it again sends
// nothing twice.
func back(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) }

func (b *guestbook) login(w http.ResponseWriter, r *http.Request) {
	ok, err := b.proves(r.Context(), r.PostFormValue("name"), r.PostFormValue("password"))
	if err != nil {
		merlon.Error(w, r, problem.Unavailable(err))
		return
	}
	if !ok {
		merlon.Error(w, r, problem.New(problem.InvalidCredentials, "The name or the password is not right."))
		return
	}
	// A session that the browser still has is replaced, not kept beside.
	if p := merlon.Principal(r.Context()); p.Known() {
		if err := b.end(r.Context(), p); err != nil {
			merlon.Error(w, r, problem.Internal(err))
			return
		}
	}
	token, _, err := b.sessions.Create(r.Context(), owner, session.Meta{Address: merlon.Client(r.Context()), UserAgent: r.UserAgent()})
	if err != nil {
		merlon.Error(w, r, problem.Internal(err))
		return
	}
	http.SetCookie(w, session.Cookie(token))
	back(w, r)
}

// proves reports whether the password is that of the account, in the same time for
// names that are no account's.
func (b *guestbook) proves(ctx context.Context, name, secret string) (bool, error) {
	if name != owner {
		return false, b.hasher.VerifyUnknown(ctx, secret)
	}
	ok, _, err := b.hasher.Verify(ctx, b.hash, secret)
	return ok, err
}

func (b *guestbook) logout(w http.ResponseWriter, r *http.Request) {
	if err := b.end(r.Context(), merlon.Principal(r.Context())); err != nil {
		merlon.Error(w, r, problem.Internal(err))
		return
	}
	http.SetCookie(w, session.ExpiredCookie())
	back(w, r)
}

// end ends the session of the caller.
func (b *guestbook) end(ctx context.Context, p identity.Principal) error {
	if err := b.sessions.Revoke(ctx, p.SessionID, p.Subject); err != nil && !errors.Is(err, session.ErrNotFound) {
		return err
	}
	return nil
}

func (b *guestbook) write(w http.ResponseWriter, r *http.Request) {
	text := strings.TrimSpace(r.PostFormValue("text"))
	if n := utf8.RuneCountInString(text); n == 0 || n > maxEntry || !utf8.ValidString(text) {
		merlon.Error(w, r, problem.New(problem.InvalidContent, "The entry cannot be taken.").
			WithErrors(problem.FieldError{Pointer: "/text", Code: "length", Detail: "Must have 1 to 500 characters."}))
		return
	}
	b.mu.Lock()
	b.entries = append(b.entries, entry{text, time.Now().UTC()})
	if len(b.entries) > maxEntries {
		b.entries = b.entries[1:]
	}
	b.mu.Unlock()
	back(w, r)
}
