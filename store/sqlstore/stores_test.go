package sqlstore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/apikey/apikeytest"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/session/sessiontest"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
	"github.com/merlonhq/merlon/token/tokentest"
)

func TestKeysConform(t *testing.T) {
	for name, arrange := range arrangements {
		t.Run(name, func(t *testing.T) {
			apikeytest.Run(t, func(t *testing.T) apikey.Store { return newDB(t, arrange(t)).Keys() })
		})
	}
}

func TestSessionsConform(t *testing.T) {
	for name, arrange := range arrangements {
		t.Run(name, func(t *testing.T) {
			sessiontest.Run(t, func(t *testing.T) session.Store { return newDB(t, arrange(t)).Sessions() })
		})
	}
}

func TestTokensConform(t *testing.T) {
	for name, arrange := range arrangements {
		t.Run(name, func(t *testing.T) {
			tokentest.Run(t, func(t *testing.T) token.Store { return newDB(t, arrange(t)).Grants() })
			tokentest.RunKeys(t, func(t *testing.T) token.KeyStore { return newDB(t, arrange(t)).TokenKeys() })
		})
	}
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func key(n int) apikey.Record {
	return apikey.Record{
		ID: fmt.Sprintf("key_%04d", n), Lookup: fmt.Sprintf("Lookup%010d", n), Hash: sha256.Sum256([]byte{byte(n)}),
		Env: apikey.Live, Owner: "usr_a", Name: "x", Scopes: []string{"posts:read"}, Enabled: true,
		AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, CreatedAt: epoch, Version: 1,
	}
}

func login(n int) session.Record {
	return session.Record{
		ID: fmt.Sprintf("ses_%04d", n), UserID: "usr_a", Hash: sha256.Sum256([]byte{byte(n)}), CreatedAt: epoch,
		LastSeenAt: epoch, Address: netip.MustParseAddr("192.0.2.7"), UserAgent: "x",
	}
}

func grant(n int) token.Grant {
	return token.Grant{
		ID: fmt.Sprintf("ses_%04d", n), UserID: "usr_a", Family: sha256.Sum256([]byte{byte(n)}), Hash: sha256.Sum256([]byte{byte(n), 1}),
		Scopes: []string{"posts:read"}, CreatedAt: epoch, RefreshedAt: epoch, ExpiresAt: epoch.Add(time.Hour), Address: netip.MustParseAddr("192.0.2.7"),
	}
}

func TestARowThatCannotBeReadIsAnOutageAndNotARefusal(t *testing.T) {
	for _, damage := range []string{
		"api_keys SET hash = 'zz'", "api_keys SET hash = ''", "api_keys SET scopes = ''", "api_keys SET scopes = '{}'",
		"api_keys SET allowed_addresses = '[\"192.0.2.0\"]'", "api_keys SET created_at = 'x'",
		"token_grants SET hash = 'zz'", "token_grants SET family = ''", "token_grants SET scopes = '{'", "token_grants SET address = 'localhost'",
		"token_grants SET expires_at = 'x'",
		"sessions SET hash = substr(hash, 1, 62)", "sessions SET address = 'localhost'", "sessions SET last_seen_at = ''",
	} {
		t.Run(damage, func(t *testing.T) {
			db, raw := usual(t)
			if err := errors.Join(db.Keys().Create(t.Context(), key(1), 10), db.Sessions().Create(t.Context(), login(1)), db.Grants().Create(t.Context(), grant(1), 10)); err != nil {
				t.Fatal(err)
			}
			read := func() error {
				if strings.HasPrefix(damage, "api_keys") {
					_, err1 := db.Keys().Get(t.Context(), key(1).ID)
					_, err2 := db.Keys().List(t.Context(), "usr_a", "", 10)
					if (err1 == nil) != (err2 == nil) {
						t.Errorf("Get: %v, List: %v, want the same of both", err1, err2)
					}
					return err1
				}
				if strings.HasPrefix(damage, "token_grants") {
					_, err1 := db.Grants().Get(t.Context(), grant(1).ID)
					_, err2 := db.Grants().List(t.Context(), "usr_a", 10)
					if (err1 == nil) != (err2 == nil) {
						t.Errorf("Get: %v, List: %v, want the same of both", err1, err2)
					}
					return err1
				}
				list, err := db.Sessions().List(t.Context(), "usr_a", 10)
				if err == nil && list[0] != login(1) {
					t.Errorf("the session is %+v", list[0])
				}
				return err
			}
			if err := read(); err != nil {
				t.Fatalf("before: %v", err)
			}
			if _, err := raw.Exec("UPDATE " + damage); err != nil {
				t.Fatal(err)
			}
			err := read()
			if !errors.Is(err, sqlstore.ErrUnavailable) || errors.Is(err, apikey.ErrNotFound) || errors.Is(err, session.ErrNotFound) || errors.Is(err, token.ErrNotFound) {
				t.Errorf("after: %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestWhatLooksLikeSQLIsData(t *testing.T) {
	db, _ := usual(t)
	const hostile = `x'); DROP TABLE api_keys; --"` + "\\ $1 ? :a @b"
	r := key(1)
	r.Owner, r.Name, r.Scopes, r.RotatedTo = hostile, hostile, []string{hostile}, hostile
	if err := db.Keys().Create(t.Context(), r, 10); err != nil {
		t.Fatal(err)
	}
	list, err := db.Keys().List(t.Context(), hostile, "", 10)
	if err != nil || len(list) != 1 || list[0].Name != hostile || list[0].Scopes[0] != hostile {
		t.Errorf("List = %+v, %v, want the key as it was", list, err)
	}
	if list, err = db.Keys().List(t.Context(), "%", "", 10); err != nil || len(list) != 0 {
		t.Errorf("List of a pattern = %v, %v, want nothing", list, err)
	}
}

func TestSecretsAreNotInTheDatabaseInClear(t *testing.T) {
	db, raw := usual(t)
	text, parsed, err := apikey.Generate(apikey.Live)
	if err != nil {
		t.Fatal(err)
	}
	r := key(1)
	r.Lookup, r.Hash = parsed.Lookup, parsed.Hash()
	if err := db.Keys().Create(t.Context(), r, 10); err != nil {
		t.Fatal(err)
	}
	var lookup, hash string
	if err := raw.QueryRow("SELECT lookup, hash FROM api_keys").Scan(&lookup, &hash); err != nil {
		t.Fatal(err)
	}
	secret := text[len("mrl_live_")+16+1:][:43]
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(secret))); hash != want || lookup != text[9:25] {
		t.Errorf("stored %s and %s, want %s and %s", lookup, hash, text[9:25], want)
	}
}

func BenchmarkPointReads(b *testing.B) {
	db, _ := usual(b)
	keys, sessions := db.Keys(), db.Sessions()
	for n := range 200 {
		if err := errors.Join(keys.Create(b.Context(), key(n), 1000), sessions.Create(b.Context(), login(n))); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := keys.Lookup(b.Context(), key(100).Lookup); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("session", func(b *testing.B) {
		hash := login(100).Hash
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sessions.Lookup(b.Context(), hash); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("session in parallel", func(b *testing.B) {
		hash := login(100).Hash
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := sessions.Lookup(b.Context(), hash); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
