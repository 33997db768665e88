package e2e_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	// API.md, API keys: the last three parts are base62.
	keyTexts = regexp.MustCompile(`^mrl_dev_[0-9A-Za-z]+_[0-9A-Za-z]{43,}$`)
	keyIDs   = regexp.MustCompile(`^key_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	instants = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
)

func instant(t *testing.T, v any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text(v))
	if err != nil || !instants.MatchString(text(v)) {
		t.Errorf("%v is no instant in UTC", v)
	}
	return at
}

// texts returns the strings of a list.
func texts(v any) []string {
	list, _ := v.([]any)
	out := []string{}
	for _, s := range list {
		out = append(out, text(s))
	}
	return out
}

func TestAKeyIsCreatedShownAndChanged(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	a := ada.newKey(t, object{"name": "  reports  ", "scopes": []string{"posts:write", "posts:read", "posts:read"}})
	created := a.object(t)
	key := text(created["key"])
	if !keyTexts.MatchString(key) {
		t.Errorf("key does not look like mrl_<env>_<id>_<secret><checksum>")
	}
	if !keyIDs.MatchString(text(created["id"])) || created["name"] != "reports" || created["enabled"] != true || created["last_used_at"] != nil ||
		!slices.Equal(texts(created["scopes"]), []string{"posts:read", "posts:write"}) {
		t.Errorf("created: %s", a.body)
	}
	// 90 days unless said otherwise.
	if d := instant(t, created["expires_at"]).Sub(instant(t, created["created_at"])); d != 90*24*time.Hour {
		t.Errorf("the key lives for %v, want 90 days", d)
	}
	if hint := text(created["hint"]); hint == "" || strings.Contains(hint, key[len(key)-49:]) || len(hint) > 24 {
		t.Errorf("hint is %q", hint)
	}
	path := "/api/v1/api-keys/" + text(created["id"])
	got := ada.do(t, "GET", path, nil).want(t, 200).object(t)
	if _, there := got["key"]; there {
		t.Error("GET shows the key")
	}
	for name, value := range created {
		if name != "key" && toText(got[name]) != toText(value) {
			t.Errorf("GET: %s is %v, was %v when created", name, got[name], value)
		}
	}
	if list := ada.do(t, "GET", "/api/v1/api-keys", nil).items(t); len(list) != 1 || toText(list[0]) != toText(got) {
		t.Errorf("the list holds %v, want the key as GET shows it", list)
	}

	end := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	far := time.Now().Add(3660*24*time.Hour - time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	for _, tt := range []struct {
		name   string
		change object
		member string
		want   any
	}{
		{"name", object{"name": "other"}, "name", "other"},
		{"scopes", object{"scopes": []string{"posts:read"}}, "scopes", []any{"posts:read"}},
		{"enabled off", object{"enabled": false}, "enabled", false},
		{"enabled on", object{"enabled": true}, "enabled", true},
		{"expires_at", object{"expires_at": end}, "expires_at", end},
		{"expires_at, almost 3660 days away", object{"expires_at": far}, "expires_at", far},
		{"allowed_addresses", object{"allowed_addresses": []string{"192.0.2.7", "2001:db8::/32"}}, "allowed_addresses", []any{"192.0.2.7/32", "2001:db8::/32"}},
		{"allowed_addresses, none", object{"allowed_addresses": []string{}}, "allowed_addresses", []any{}},
		{"rate_limit", object{"rate_limit": object{"limit": 5, "window_seconds": 60}}, "rate_limit", object{"limit": 5.0, "window_seconds": 60.0}},
		{"rate_limit, none", object{"rate_limit": nil}, "rate_limit", nil},
		{"nothing", object{}, "name", "other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ada.act(t, "PATCH", path, tt.change).want(t, 200)
			if got := a.at(t, tt.member); toText(got) != toText(tt.want) {
				t.Errorf("%s is %v, want %v", tt.member, got, tt.want)
			}
			if stored := ada.do(t, "GET", path, nil).want(t, 200); toText(stored.object(t)) != toText(a.object(t)) {
				t.Errorf("PATCH answers %s, GET %s", a.body, stored.body)
			}
			if strings.Contains(string(a.body), key) {
				t.Error("PATCH shows the key")
			}
		})
	}
	// The use of a key is told, if not at once.
	s.client(t).with(t, key, "GET", "/api/v1/posts", nil).want(t, 200)
	deleted := ada.act(t, "DELETE", path, nil).want(t, 204)
	ada.do(t, "GET", path, nil).wantProblem(t, 404, "not-found")
	ada.act(t, "DELETE", path, nil).wantProblem(t, 404, "not-found")
	ada.act(t, "PATCH", path, object{"enabled": true}).wantProblem(t, 404, "not-found")
	ada.act(t, "POST", path+"/rotate", object{}).wantProblem(t, 404, "not-found")
	s.wantEvents(t, wantEvent{deleted, "apikey_revoked", "api_key", "info", "success", ada.id, "DELETE /api/v1/api-keys/{id}", nil})
}

func TestWhatAKeyCannotBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	key := ada.newKey(t, object{})
	path := "/api/v1/api-keys/" + key.text(t, "id")
	many := func(n int, s string) []string { return slices.Repeat([]string{s}, n) }
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for _, tt := range []struct {
		name    string
		body    object
		members []string // "pointer code"; a code of "*" stands for any
	}{
		{"without a name", object{"name": ""}, []string{"/name too-short"}},
		{"with a name of 101 characters", object{"name": strings.Repeat("ä", 101)}, []string{"/name too-long"}},
		{"with a name of two lines", object{"name": "a\nb"}, []string{"/name control-character"}},
		{"with a scope that does not exist", object{"scopes": []string{"posts:read", "posts:" + marker}}, []string{"/scopes/1 *"}},
		{"with scopes that are no list", object{"scopes": "posts:read"}, []string{"/scopes type"}},
		{"with 101 scopes", object{"scopes": many(101, "posts:read")}, []string{"/scopes too-many-items"}},
		{"with an end that has passed", object{"expires_at": in(-time.Minute)}, []string{"/expires_at *"}},
		{"with an end beyond 3660 days", object{"expires_at": in(3660*24*time.Hour + time.Hour)}, []string{"/expires_at *"}},
		{"with an end that is no time", object{"expires_at": "tomorrow " + marker}, []string{"/expires_at format"}},
		{"with an address that is none", object{"allowed_addresses": []string{"192.0.2.7", marker}}, []string{"/allowed_addresses/1 *"}},
		{"with a prefix that has more bits than it says", object{"allowed_addresses": []string{"192.0.2.7/24"}}, []string{"/allowed_addresses/0 *"}},
		{"with every address", object{"allowed_addresses": []string{"0.0.0.0/0"}}, []string{"/allowed_addresses/0 *"}},
		{"with a limit of nothing", object{"rate_limit": object{"limit": 0, "window_seconds": 60}}, []string{"/rate_limit/limit minimum"}},
		{"with half a limit", object{"rate_limit": object{"limit": 5}}, []string{"/rate_limit/window_seconds required"}},
		{"with a limit beyond what can be counted", object{"rate_limit": object{"limit": 16777216, "window_seconds": 60}}, []string{"/rate_limit* *"}},
	} {
		for _, call := range []string{"POST /api/v1/api-keys", "PATCH " + path} {
			method, at, _ := strings.Cut(call, " ")
			t.Run(method+" "+tt.name, func(t *testing.T) {
				body := object{}
				if method == "POST" {
					body = object{"name": "a key", "scopes": []string{"posts:read"}}
				}
				for k, v := range tt.body {
					body[k] = v
				}
				a := ada.act(t, method, at, body).wantProblem(t, 422, "invalid-content")
				wantMembers(t, a, tt.members)
			})
		}
	}
	t.Run("with two ends", func(t *testing.T) {
		a := ada.act(t, "POST", "/api/v1/api-keys", object{"name": "k", "scopes": []string{"posts:read"}, "expires_at": in(time.Hour), "expires_in_days": 3})
		a.wantProblem(t, 422, "invalid-content")
	})
	t.Run("its neighbours are accepted", func(t *testing.T) {
		a := ada.newKey(t, object{"name": strings.Repeat("ä", 100), "expires_in_days": 3, "allowed_addresses": []string{"192.0.2.0/24", "::1"},
			"rate_limit": object{"limit": 16777215, "window_seconds": 1}})
		if d := instant(t, a.at(t, "expires_at")).Sub(instant(t, a.at(t, "created_at"))); d.Round(time.Second) != 72*time.Hour {
			t.Errorf("the key lives for %v, want 3 days", d)
		}
	})
	if now := ada.do(t, "GET", path, nil).want(t, 200).object(t); now["name"] != key.at(t, "name") || now["expires_at"] != key.at(t, "expires_at") ||
		toText(now["scopes"]) != toText(key.at(t, "scopes")) || now["rate_limit"] != nil {
		t.Errorf("a refused change changed the key: %v", now)
	}
	if list := ada.all(t, "/api/v1/api-keys", 100); len(list) != 2 {
		t.Errorf("%d keys are there, want 2", len(list))
	}
	for _, line := range s.log(t) {
		if line["type"] == "apikey_updated" {
			t.Errorf("the log tells of a change, and all were refused: %v", line)
		}
	}
}

// wantMembers compares the errors of a 422 with "pointer code"; a code may be "*",
// and a pointer may end in "*".
func wantMembers(t *testing.T, a *answer, want []string) {
	t.Helper()
	list, _ := a.object(t)["errors"].([]any)
	if len(list) != len(want) {
		t.Errorf("%s %s: errors %v, want %q", a.method, a.path, list, want)
		return
	}
	for i, w := range want {
		pointer, code, _ := strings.Cut(w, " ")
		e, _ := list[i].(object)
		prefix, open := strings.CutSuffix(pointer, "*")
		if code != "*" && e["code"] != code || !open && e["pointer"] != pointer || open && !strings.HasPrefix(text(e["pointer"]), prefix) {
			t.Errorf("%s %s: error %v, want %q", a.method, a.path, e, w)
		}
	}
}

func TestNobodyGivesAScopeThatItLacks(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	// Of ada's key: what it holds itself is what it may give.
	manager := ada.newKey(t, object{"scopes": []string{"keys:manage", "posts:read"}})
	writer := ada.newKey(t, object{"scopes": []string{"posts:write"}})
	key, c := manager.text(t, "key"), s.client(t)
	writerPath := "/api/v1/api-keys/" + writer.text(t, "id")
	var events []wantEvent
	refused := func(a *answer) {
		t.Helper()
		a.wantProblem(t, 403, "insufficient-scope")
		route := a.method + " " + strings.Replace(a.path, writer.text(t, "id"), "{id}", 1)
		events = append(events, wantEvent{a, "authz_fail", "authorization", "low", "refused", ada.id, route, nil})
	}
	for _, scope := range []string{"events:read", "keys:verify"} {
		refused(ada.act(t, "POST", "/api/v1/api-keys", object{"name": "k", "scopes": []string{"posts:read", scope}}))
		refused(ada.act(t, "PATCH", writerPath, object{"scopes": []string{scope}}))
	}
	refused(c.with(t, key, "POST", "/api/v1/api-keys", object{"name": "k", "scopes": []string{"posts:write"}}))
	refused(c.with(t, key, "PATCH", writerPath, object{"scopes": []string{"posts:read", "posts:write"}}))
	refused(c.with(t, key, "POST", writerPath+"/rotate", nil)) // the new text would be a way to the scope
	if list := ada.all(t, "/api/v1/api-keys", 100); len(list) != 2 {
		t.Errorf("%d keys are there, want 2", len(list))
	}
	s.secretKey("a key of a key", c.with(t, key, "POST", "/api/v1/api-keys", object{"name": "k", "scopes": []string{"posts:read"}}).want(t, 201).text(t, "key"))
	for _, line := range s.log(t) {
		if line["type"] == "apikey_updated" || line["type"] == "apikey_rotated" {
			t.Errorf("the log tells of what was refused: %v", line)
		}
	}
	s.wantEvents(t, events...)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, c := s.register(t), s.client(t)
	opens := func(key string, status int) {
		t.Helper()
		if a := c.elsewhere(t).with(t, key, "GET", "/api/v1/posts", nil); a.status != status {
			t.Errorf("status %d, want %d", a.status, status)
		}
	}
	for _, tt := range []struct {
		name string
		body any
		old  int
	}{
		{"without a body the old key works on", nil, 200},
		{"with an empty object too", object{}, 200},
		{"with an overlap it works on", object{"overlap_seconds": 3600}, 200},
		{"with an overlap of 0 it ends at once", object{"overlap_seconds": 0}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := ada.newKey(t, object{"name": "to rotate", "rate_limit": object{"limit": 50, "window_seconds": 60}})
			opens(old.text(t, "key"), 200) // it is in the cache of verdicts, if there is one
			path := "/api/v1/api-keys/" + old.text(t, "id")
			a := ada.act(t, "POST", path+"/rotate", tt.body).want(t, 201)
			next := a.object(t)
			s.secretKey("a rotated key", text(next["key"]))
			if !keyTexts.MatchString(text(next["key"])) || next["key"] == old.at(t, "key") || next["id"] == old.at(t, "id") || next["name"] != "to rotate" ||
				toText(next["scopes"]) != toText(old.at(t, "scopes")) || toText(next["rate_limit"]) != toText(old.at(t, "rate_limit")) {
				t.Errorf("the new key: %v", next["id"])
			}
			opens(text(next["key"]), 200)
			opens(old.text(t, "key"), tt.old)
			end := instant(t, ada.do(t, "GET", path, nil).want(t, 200).at(t, "expires_at"))
			overlap := 24 * time.Hour
			if o, ok := tt.body.(object); ok && o["overlap_seconds"] != nil {
				overlap = time.Duration(o["overlap_seconds"].(int)) * time.Second
			}
			if end.Before(a.sent.Add(overlap-time.Second)) || end.After(a.came.Add(overlap+time.Second)) {
				t.Errorf("the old key ends at %v, want %v from now", end, overlap)
			}
			ada.act(t, "POST", path+"/rotate", nil).wantProblem(t, 409, "conflict") // it has its successor
			s.wantEvents(t, wantEvent{a, "apikey_rotated", "api_key", "info", "success", ada.id, "POST /api/v1/api-keys/{id}/rotate",
				object{"key_id": next["id"], "replaces": old.at(t, "id")}})
		})
	}
	t.Run("not with an overlap below 0, or of text", func(t *testing.T) {
		path := "/api/v1/api-keys/" + ada.newKey(t, object{}).text(t, "id") + "/rotate"
		ada.act(t, "POST", path, object{"overlap_seconds": -1}).wantProblem(t, 422, "invalid-content", "/overlap_seconds minimum")
		ada.act(t, "POST", path, object{"overlap_seconds": marker}).wantProblem(t, 422, "invalid-content", "/overlap_seconds type")
	})
}

func TestVerifyTellsEveryCode(t *testing.T) {
	t.Parallel()
	s, foreign := start(t), start(t)
	ada, admin := s.register(t), s.asAdmin(t)
	good := ada.newKey(t, object{})
	end := time.Now().Add(time.Second)
	short := ada.newKey(t, object{"expires_at": end.UTC().Format(time.RFC3339Nano)})
	disabled := ada.newKey(t, object{})
	ada.act(t, "PATCH", "/api/v1/api-keys/"+disabled.text(t, "id"), object{"enabled": false}).want(t, 200)
	revoked := ada.newKey(t, object{})
	ada.act(t, "DELETE", "/api/v1/api-keys/"+revoked.text(t, "id"), nil).want(t, 204)
	bound := ada.newKey(t, object{"allowed_addresses": []string{"192.0.2.0/24"}})
	once := ada.newKey(t, object{"rate_limit": object{"limit": 1, "window_seconds": 60}})
	verifier := admin.newKey(t, object{"scopes": []string{"keys:verify"}}).text(t, "key")
	key := good.text(t, "key")
	c := s.client(t)
	time.Sleep(time.Until(end.Add(10 * time.Millisecond)))
	for _, tt := range []struct {
		name string
		body object
		of   *answer // the key that is told of
		code string
	}{
		{"a good key", object{"key": key}, good, "valid"},
		{"a good key and scopes that it has", object{"key": key, "scopes": []string{"posts:read"}}, good, "valid"},
		{"a good key and a scope that it lacks", object{"key": key, "scopes": []string{"posts:read", "keys:manage"}}, good, "insufficient_scope"},
		{"a good key and a scope of another service", object{"key": key, "scopes": []string{"invoices:read"}}, good, "insufficient_scope"},
		{"no key at all", object{"key": "hunter2"}, nil, "malformed"},
		{"a wrong checksum", object{"key": replaceAt(key, -1)}, nil, "malformed"},
		{"a key of another service", object{"key": foreign.apiKey}, nil, "not_found"},
		{"a revoked key", object{"key": revoked.text(t, "key")}, revoked, "not_found"},
		{"a disabled key", object{"key": disabled.text(t, "key")}, disabled, "disabled"},
		{"an expired key", object{"key": short.text(t, "key")}, short, "expired"},
		{"a bound key from its network", object{"key": bound.text(t, "key"), "address": "192.0.2.9"}, bound, "valid"},
		{"a bound key from elsewhere", object{"key": bound.text(t, "key"), "address": "198.51.100.9"}, bound, "address_not_allowed"},
		{"a bound key from nowhere", object{"key": bound.text(t, "key")}, bound, "address_not_allowed"},
		{"a key of one use a minute", object{"key": once.text(t, "key")}, once, "valid"},
		{"the same again", object{"key": once.text(t, "key")}, once, "rate_limited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := c.with(t, verifier, "POST", "/api/v1/api-keys/verify", tt.body).want(t, 200)
			o := a.object(t)
			if o["code"] != tt.code || o["valid"] != (tt.code == "valid") {
				t.Errorf("the verdict is %s, want %s", a.body, tt.code)
			}
			if tt.code == "valid" && (o["key_id"] != tt.of.at(t, "id") || o["owner"] != ada.id ||
				!slices.Equal(texts(o["scopes"]), []string{"posts:read", "posts:write"}) || instant(t, o["expires_at"]).IsZero()) {
				t.Errorf("the verdict is %s", a.body)
			}
			if tt.of == nil && len(o) != 2 {
				t.Errorf("the verdict tells of a key whose secret was not shown: %s", a.body)
			}
			if strings.Contains(string(a.body), text(tt.body["key"])) {
				t.Error("the verdict holds the key")
			}
		})
	}
	t.Run("a bad question is 422", func(t *testing.T) {
		for _, tt := range []struct {
			body   object
			member string
		}{
			{object{}, "/key required"}, {object{"key": ""}, "/key too-short"}, {object{"key": 1}, "/key type"},
			{object{"key": key, "address": marker}, "/address format"}, {object{"key": key, "scopes": "posts:read"}, "/scopes type"},
		} {
			c.with(t, verifier, "POST", "/api/v1/api-keys/verify", tt.body).wantProblem(t, 422, "invalid-content", tt.member)
		}
	})
	t.Run("and a limit of its own holds for a key that is used", func(t *testing.T) {
		twice := ada.newKey(t, object{"rate_limit": object{"limit": 2, "window_seconds": 60}}).text(t, "key")
		for range 2 {
			a := c.elsewhere(t).with(t, twice, "GET", "/api/v1/posts", nil).want(t, 200)
			if !strings.Contains(a.header.Get("Ratelimit-Policy"), ";q=2;w=60") {
				t.Errorf("RateLimit-Policy is %q", a.header.Get("Ratelimit-Policy"))
			}
		}
		violated(t, c.elsewhere(t).with(t, twice, "GET", "/api/v1/posts", nil))
		c.with(t, key, "GET", "/api/v1/posts", nil).want(t, 200)
	})
}

// Ids of two users, swapped: to another account a key does not exist.
func TestKeysBelongToTheirOwner(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, bob, admin := s.register(t), s.register(t), s.asAdmin(t)
	adas, bobs := ada.newKey(t, object{"name": "ada's"}), bob.newKey(t, object{"name": "bob's"})
	manager := bob.newKey(t, object{"scopes": []string{"keys:manage", "posts:read", "posts:write"}}).text(t, "key")
	path := "/api/v1/api-keys/" + adas.text(t, "id")
	for _, call := range []struct {
		method, path string
		body         any
	}{
		{"GET", path, nil}, {"PATCH", path, object{"enabled": false}}, {"PATCH", path, object{}}, {"DELETE", path, nil}, {"POST", path + "/rotate", nil},
		{"GET", "/api/v1/api-keys/key_" + marker, nil}, {"DELETE", "/api/v1/api-keys/x", nil},
	} {
		bob.act(t, call.method, call.path, call.body).wantProblem(t, 404, "not-found")
		s.client(t).with(t, manager, call.method, call.path, call.body).wantProblem(t, 404, "not-found")
	}
	if now := ada.do(t, "GET", path, nil).want(t, 200).object(t); now["enabled"] != true {
		t.Errorf("ada's key: %v", now)
	}
	names := func(items []object) string {
		var out []string
		for _, k := range items {
			out = append(out, text(k["name"]))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if got := names(ada.all(t, "/api/v1/api-keys", 1)); got != "ada's" {
		t.Errorf("ada's list holds %q", got)
	}
	other := bob.do(t, "GET", "/api/v1/api-keys?owner="+ada.id, nil).wantProblem(t, 403, "forbidden")
	s.wantEvents(t, wantEvent{other, "authz_fail", "authorization", "low", "refused", bob.id, "GET /api/v1/api-keys", nil})
	if got := names(ada.all(t, "/api/v1/api-keys?owner="+ada.id, 20)); got != "ada's" {
		t.Errorf("ada's list of her own holds %q", got)
	}
	if got := names(admin.all(t, "/api/v1/api-keys?owner="+bob.id, 1)); got != "a key bob's" {
		t.Errorf("the admin's list of bob's holds %q", got)
	}
	if got := names(admin.all(t, "/api/v1/api-keys", 20)); got != "" {
		t.Errorf("the admin's own list holds %q", got)
	}
	admin.do(t, "GET", path, nil).want(t, 200)
	admin.act(t, "POST", path+"/rotate", object{}).wantProblem(t, 404, "not-found") // its text would make the admin bob
	admin.act(t, "PATCH", path, object{"enabled": false}).want(t, 200)
	admin.act(t, "DELETE", "/api/v1/api-keys/"+bobs.text(t, "id"), nil).want(t, 204)
	s.client(t).with(t, adas.text(t, "key"), "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated")
	s.client(t).with(t, bobs.text(t, "key"), "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated")
}
