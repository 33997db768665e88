package e2e_test

import (
	"sync"
	"testing"
	"time"
)

// attempt is one use of the login quota of an address.
type attempt struct {
	name string
	do   func(t *testing.T, c *client) *answer
}

func TestTheSixthFailedPasswordInFiveMinutesIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	other := s.client(t)

	// Both ways of testing a password count together, and only what failed counts.
	login := func(who account) func(*testing.T, *client) *answer {
		return func(t *testing.T, c *client) *answer {
			return c.do(t, "POST", "/api/v1/auth/login", object{"username": who.Username, "password": who.Password},
				"X-CSRF-Token: "+c.csrf)
		}
	}
	change := func(current string) func(*testing.T, *client) *answer {
		return func(t *testing.T, c *client) *answer {
			return c.act(t, "POST", "/api/v1/users/me/password", object{"current_password": current, "new_password": "seven merlons and a half"})
		}
	}
	wrong := account{ada.account.Username, "not the password " + marker}
	unknown := account{"nobody-of-that-name", "not the password " + marker}

	var first, last *answer
	var failures []wantEvent
	for _, a := range []struct {
		attempt
		status int
	}{
		{attempt{"a right login does not count", login(ada.account)}, 200},
		{attempt{"first failure: a wrong password", login(wrong)}, 401},
		{attempt{"second failure: an unknown account", login(unknown)}, 401},
		{attempt{"a right login in between does not count", login(ada.account)}, 200},
		{attempt{"third failure: a change with a wrong password", change("not it either " + marker)}, 401},
		{attempt{"fourth failure: again", change("not it either " + marker)}, 401},
		{attempt{"what is refused before a password is tested does not count", login(account{"ab\x00", "x"})}, 422},
		{attempt{"a weak new password beside the right one does not count", func(t *testing.T, c *client) *answer {
			return c.act(t, "POST", "/api/v1/users/me/password", object{"current_password": ada.account.Password, "new_password": "password1"})
		}}, 422},
		{attempt{"fifth failure", login(wrong)}, 401},
	} {
		t.Run(a.name, func(t *testing.T) {
			got := a.do(t, ada)
			got.want(t, a.status)
			switch a.status {
			case 200:
				ada.csrf = got.text(t, "csrf_token")
			case 401:
				got.wantProblem(t, 401, "invalid-credentials")
				w := wantEvent{of: got, typ: "authn_login_fail", category: "authentication", severity: "low", outcome: "failure", principal: ada.id, route: "POST " + got.path}
				if got.path != "/api/v1/auth/login" {
					w.typ = "authn_password_change_fail"
				}
				failures = append(failures, w)
				if first == nil {
					first = got
				}
			}
		})
	}

	for _, a := range []attempt{
		{"the sixth, a login", login(wrong)},
		{"a login with the right password", login(ada.account)},
		{"a change of password with the right one", change(ada.account.Password)},
		{"a login to another account", login(s.user)},
	} {
		t.Run("refused: "+a.name, func(t *testing.T) {
			last = a.do(t, ada).wantProblem(t, 429, "quota-exceeded")
			if policies, _ := last.at(t, "violated-policies").([]any); len(policies) != 1 || policies[0] != "login" {
				t.Errorf("violated-policies is %v, want login", policies)
			}
			// As soon as the first failure is five minutes old there is room for one.
			retry := time.Duration(number(last.header.Get("Retry-After"))) * time.Second
			least, most := 5*time.Minute-last.came.Sub(first.sent), 5*time.Minute-last.sent.Sub(first.came)+time.Second
			if retry < least || retry > most || retry > 5*time.Minute {
				t.Errorf("Retry-After is %v, want %v to %v", retry, least, most)
			}
		})
	}
	t.Run("other calls from the address go on", func(t *testing.T) {
		ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
		ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201)
	})
	t.Run("the account logs in from another address", func(t *testing.T) {
		other.login(t, ada.account)
	})

	s.wantEvents(t, append(failures,
		wantEvent{last, "excess_rate_limit_exceeded", "rate_limit", "medium", "refused", "*", "POST /api/v1/auth/login", object{"rule": "login"}})...)
}

func TestALoginAfterAFailedOneSaysSo(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	try := func(password string) *answer {
		return s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": ada.account.Username, "password": password})
	}
	failed, after := try("not the password").want(t, 401), try(ada.account.Password).want(t, 200)
	clean := s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": s.user.Username, "password": s.user.Password}).want(t, 200)
	user := clean.text(t, "user", "id")
	login := "POST /api/v1/auth/login"
	s.wantEvents(t,
		wantEvent{failed, "authn_login_fail", "authentication", "low", "failure", ada.id, login, object{"reason": "wrong_password"}},
		wantEvent{after, "authn_login_successafterfail", "authentication", "info", "success", ada.id, login, nil},
		wantEvent{clean, "authn_login_success", "authentication", "info", "success", user, login, nil},
		wantEvent{clean, "session_created", "session", "info", "success", user, login, nil},
	)
}

// What is refused before a password is tested tells nothing of a password, and
// must not lock an address out of testing one.
func TestOnlyTestedPasswordsAreFailedLogins(t *testing.T) {
	t.Parallel()
	s := share(t)
	for name, refused := range map[string]func(t *testing.T, c *client){
		"without a session": func(t *testing.T, c *client) {
			c.do(t, "POST", "/api/v1/users/me/password", object{"current_password": "x", "new_password": "y"}).wantProblem(t, 401, "unauthenticated")
		},
		"with an API key": func(t *testing.T, c *client) {
			c.with(t, s.apiKey, "POST", "/api/v1/users/me/password", object{"current_password": "x", "new_password": "y"}).wantProblem(t, 403, "forbidden")
		},
		"malformed": func(t *testing.T, c *client) {
			c.do(t, "POST", "/api/v1/auth/login", "{").wantProblem(t, 400, "malformed-request")
		},
		"incomplete": func(t *testing.T, c *client) {
			c.do(t, "POST", "/api/v1/auth/login", "{}").wantProblem(t, 422, "invalid-content")
		},
		"of another type": func(t *testing.T, c *client) {
			c.do(t, "POST", "/api/v1/auth/login", "{}", "Content-Type: text/plain").wantProblem(t, 415, "unsupported-media-type")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.client(t)
			for range 6 {
				refused(t, c)
			}
			c.login(t, s.user)
		})
	}
}

func TestForgedForwardingHeadersShareOneLimit(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(t)
	body := object{"username": s.user.Username, "password": "not the password"}
	forged := [][]string{
		{"X-Forwarded-For: 198.51.100.1"}, {"X-Forwarded-For: 198.51.100.2, 127.0.0.1"}, {"Forwarded: for=198.51.100.3"},
		{"X-Real-Ip: 198.51.100.4"}, {"X-Forwarded-For: 2001:db8::5", "Forwarded: for=198.51.100.5;proto=https"}, {"X-Forwarded-For: 198.51.100.6"},
	}
	var events []wantEvent
	for i, headers := range forged {
		a := c.do(t, "POST", "/api/v1/auth/login", body, headers...)
		typ, category, severity, outcome := "authn_login_fail", "authentication", "low", "failure"
		if i < 5 {
			a.wantProblem(t, 401, "invalid-credentials")
		} else {
			a.wantProblem(t, 429, "quota-exceeded")
			typ, category, severity, outcome = "excess_rate_limit_exceeded", "rate_limit", "medium", "refused"
		}
		// The event names the address of the peer: wantEvents compares it with that of the client.
		events = append(events, wantEvent{a, typ, category, severity, outcome, "*", "POST /api/v1/auth/login", nil})
	}
	s.client(t).do(t, "POST", "/api/v1/auth/login", body, forged[5]...).wantProblem(t, 401, "invalid-credentials") // the same header from another peer
	s.wantEvents(t, events...)
}

// tally counts the statuses of n requests at a time.
func tally(n int, send func(i int) *answer) map[int]int {
	var mu sync.Mutex
	var group sync.WaitGroup
	out := map[int]int{}
	for i := range n {
		group.Go(func() {
			a := send(i)
			mu.Lock()
			defer mu.Unlock()
			out[a.status]++
		})
	}
	group.Wait()
	return out
}

func TestFortyGuessesAtATimeAreFiveGuesses(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(t)
	got := tally(40, func(int) *answer {
		return c.do(t, "POST", "/api/v1/auth/login", object{"username": s.user.Username, "password": "not the password"})
	})
	if got[401] != 5 || got[429] != 35 {
		t.Errorf("the answers are %v, want five of 401 and all others 429", got)
	}
}

// More passwords than can be tested at once are refused as what they are: not as
// wrong ones, and not as failures.
func TestMorePasswordsThanCanBeTestedAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	clients := make([]*client, 40)
	for i := range clients {
		clients[i] = s.client(t)
	}
	got := tally(len(clients), func(i int) *answer {
		a := clients[i].do(t, "POST", "/api/v1/auth/login", object{"username": "nobody-of-that-name", "password": "not the password"})
		if a.status == 503 {
			a.wantProblem(t, 503, "overloaded")
			// Not a failed login: this address has all five left.
			if left := a.header.Get("Ratelimit"); left == "" {
				t.Error("the answer tells of no limit")
			}
		}
		return a
	})
	if got[503] == 0 || got[401] == 0 || got[401]+got[503] != len(clients) {
		t.Errorf("the answers are %v, want some of 401 and some of 503", got)
	}
	clients[0].login(t, s.user)
}
