package accounts_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// clock is a clock that tests set.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// fixture is a store in a new database.
type fixture struct {
	*accounts.Store
	*clock
	file database
	db   *sqlstore.DB
}

// A database is one of the two kinds.
type database interface {
	Migrate(ctx context.Context) error
	Writer() *sql.DB
	Reader() *sql.DB
	Close() error
}

// onPostgres is the test that runs the others on PostgreSQL.
const onPostgres = "TestEverythingOnPostgreSQL"

func TestEverythingOnPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"AccessSeesWhatThisProcessChangedAtOnce":               TestAccessSeesWhatThisProcessChangedAtOnce,
		"AccessSeesWhatAnotherProcessChangedWithinASecond":     TestAccessSeesWhatAnotherProcessChangedWithinASecond,
		"AccessOutlivesAnOutageForNoLongerThanItsBound":        TestAccessOutlivesAnOutageForNoLongerThanItsBound,
		"AReadThatAChangeOvertookIsNotKept":                    TestAReadThatAChangeOvertookIsNotKept,
		"WhatIsCreatedComesBackAsItWas":                        TestWhatIsCreatedComesBackAsItWas,
		"AUsernameAndAnEmailAddressAreTakenOnce":               TestAUsernameAndAnEmailAddressAreTakenOnce,
		"OfParallelRegistrationsOneSucceeds":                   TestOfParallelRegistrationsOneSucceeds,
		"AProfileIsReplacedAndNothingElse":                     TestAProfileIsReplacedAndNothingElse,
		"OfParallelClaimsToAnAddressOneSucceeds":               TestOfParallelClaimsToAnAddressOneSucceeds,
		"APasswordIsReplacedOnlyByWhoKnowsTheOneBefore":        TestAPasswordIsReplacedOnlyByWhoKnowsTheOneBefore,
		"APasswordAndTheSessionsOfTheOneBeforeChangeInOneStep": TestAPasswordAndTheSessionsOfTheOneBeforeChangeInOneStep,
		"TheAccessOfAnAccountEndsWithItsSessions":              TestTheAccessOfAnAccountEndsWithItsSessions,
		"ALoginDoesNotOutliveAChangeOfItsPassword":             TestALoginDoesNotOutliveAChangeOfItsPassword,
		"AnAccountCanBeNamedBeforeItIsMade":                    TestAnAccountCanBeNamedBeforeItIsMade,
		"ADatabaseThatIsAwayIsAnOutage":                        TestADatabaseThatIsAwayIsAnOutage,
	} {
		t.Run(name, test)
	}
}

func openDatabase(t testing.TB) (database, sqlstore.Dialect) {
	t.Helper()
	if strings.HasPrefix(t.Name(), onPostgres) {
		db, err := postgres.Open(t.Context(), postgres.Config{URL: postgrestest.Schema(t)})
		if err != nil {
			t.Fatal(err)
		}
		return db, sqlstore.PostgreSQL
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	return db, sqlstore.SQLite
}

// A login that verified the old password begins its session while another node changes the password: it is ended, or the
// login sees the change.
func TestALoginDoesNotOutliveAChangeOfItsPassword(t *testing.T) {
	f := setUp(t, 0)
	u := f.create(t, "ada", "ada@example.com")
	for n := range 60 {
		before := f.get(t, u.ID)
		s := session.Record{ID: fmt.Sprintf("ses_%d", n), UserID: u.ID, Hash: sha256.Sum256([]byte{byte(n)}), CreatedAt: epoch, LastSeenAt: epoch}
		var seen accounts.User
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := f.SetPassword(t.Context(), u.ID, before.PasswordHash, fmt.Sprintf("$hash$%d", n+2), ""); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			time.Sleep(time.Duration(n%10) * 100 * time.Microsecond) // in every stage of the other
			err := f.db.Sessions().Create(t.Context(), s)
			if err == nil {
				seen, err = f.ByID(t.Context(), u.ID)
			}
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		_, err := f.db.Sessions().Lookup(t.Context(), s.Hash)
		if err == nil && seen.PasswordChangedAt.Equal(before.PasswordChangedAt) {
			t.Fatalf("round %d: a session of the old password lives, and its login did not see the change", n)
		}
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

// A new account and the profile of another one want the same address at once.
func TestOfParallelClaimsToAnAddressOneSucceeds(t *testing.T) {
	f := setUp(t, 0)
	a, b := f.create(t, "ada", "ada@example.com"), f.create(t, "bob", "bob@example.com")
	for n := range 10 {
		wanted := fmt.Sprintf("wanted%d@example.com", n)
		errs := make([]error, 3)
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = f.UpdateProfile(t.Context(), a.ID, accounts.Profile{Email: wanted}) })
		wg.Go(func() { errs[1] = f.UpdateProfile(t.Context(), b.ID, accounts.Profile{Email: strings.ToUpper(wanted)}) })
		wg.Go(func() {
			_, errs[2] = f.Create(t.Context(), accounts.User{Username: fmt.Sprintf("new%d", n), Email: wanted, Role: "user"})
		})
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, accounts.ErrExists):
				t.Errorf("a loser: %v, want ErrExists", err)
			}
		}
		if won != 1 {
			t.Errorf("%d have the address: %v", won, errs)
		}
	}
}

func setUp(t testing.TB, entries int) fixture {
	t.Helper()
	file, dialect := openDatabase(t)
	t.Cleanup(func() { file.Close() })
	if err := file.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.New(sqlstore.Config{Writer: file.Writer(), Reader: file.Reader(), Dialect: dialect, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c := new(clock)
	c.at.Store(epoch.UnixMicro())
	return fixture{newStore(t, db, c, entries), c, file, db}
}

func newStore(t testing.TB, db *sqlstore.DB, c *clock, entries int) *accounts.Store {
	t.Helper()
	s, err := accounts.New(accounts.Config{DB: db, Now: c.now, AccessEntries: entries})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f fixture) create(t testing.TB, username, email string) accounts.User {
	t.Helper()
	u, err := f.Create(t.Context(), accounts.User{Username: username, Email: email, Role: "user", PasswordHash: "$hash$1"})
	if err != nil {
		t.Fatalf("Create(%q, %q): %v", username, email, err)
	}
	return u
}

func (f fixture) get(t testing.TB, id string) accounts.User {
	t.Helper()
	u, err := f.ByID(t.Context(), id)
	if err != nil {
		t.Fatalf("ByID(%q): %v", id, err)
	}
	return u
}

func TestWhatIsCreatedComesBackAsItWas(t *testing.T) {
	f := setUp(t, 0)
	want := accounts.User{
		Username: "alice", Email: "Alice@Example.com", FullName: "Alice O'Brien", Bio: "SELECT a book; -- really 🗝", Website: "https://example.com/",
		Role: "admin", Disabled: true, PasswordHash: "$argon2id$v=19$x",
	}
	made, err := f.Create(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.ID) != len("usr_")+36 || !strings.HasPrefix(made.ID, "usr_019") {
		t.Errorf("ID = %q, want usr_ and a UUID of version 7", made.ID)
	}
	want.ID = made.ID
	want.CreatedAt, want.UpdatedAt, want.PasswordChangedAt = epoch, epoch, epoch
	if made != want {
		t.Errorf("Create = %+v, want %+v", made, want)
	}
	byName, err := f.ByUsername(t.Context(), "alice")
	if err != nil || byName != want {
		t.Errorf("ByUsername = %+v, %v, want %+v", byName, err, want)
	}
	if got := f.get(t, made.ID); got != want {
		t.Errorf("ByID = %+v, want %+v", got, want)
	}
	for _, name := range []string{"Alice", "alic", "alice ", "alic_", "%", ""} {
		if _, err := f.ByUsername(t.Context(), name); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("ByUsername(%q): %v, want ErrNotFound", name, err)
		}
	}
	if _, err := f.ByID(t.Context(), "alice"); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("ByID of a username: %v, want ErrNotFound", err)
	}
}

func TestAUsernameAndAnEmailAddressAreTakenOnce(t *testing.T) {
	f := setUp(t, 0)
	f.create(t, "alice", "alice@example.com")
	for _, tt := range []struct {
		username, email string
		want            error
	}{
		{"alice", "other@example.com", accounts.ErrExists},
		{"bob", "alice@example.com", accounts.ErrExists},
		{"bob", "ALICE@Example.COM", accounts.ErrExists},
		{"alice", "alice@example.com", accounts.ErrExists},
		{"bob", "alice2@example.com", nil},
		{"carol", "alice@example.org", nil},
	} {
		_, err := f.Create(t.Context(), accounts.User{Username: tt.username, Email: tt.email})
		if !errors.Is(err, tt.want) {
			t.Errorf("Create(%q, %q): %v, want %v", tt.username, tt.email, err, tt.want)
		}
		if err != nil && err.Error() != accounts.ErrExists.Error() {
			t.Errorf("Create(%q, %q): %q says more than that something is taken", tt.username, tt.email, err)
		}
	}
	if n, err := f.Count(t.Context()); n != 3 || err != nil {
		t.Errorf("Count = %d, %v, want 3", n, err)
	}
}

func TestOfParallelRegistrationsOneSucceeds(t *testing.T) {
	f := setUp(t, 0)
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch _, err := f.Create(t.Context(), accounts.User{Username: "alice", Email: "alice@example.com"}); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, accounts.ErrExists):
				t.Errorf("Create: %v, want ErrExists", err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d accounts were made, want 1", made.Load())
	}
}

func TestAProfileIsReplacedAndNothingElse(t *testing.T) {
	f := setUp(t, 0)
	alice, bob := f.create(t, "alice", "alice@example.com"), f.create(t, "bob", "bob@example.com")
	f.advance(time.Minute)
	p := accounts.Profile{Email: "Alice@example.com", FullName: "Alice", Bio: "x", Website: "https://example.com"} // her own address, spelled otherwise
	if err := f.UpdateProfile(t.Context(), alice.ID, p); err != nil {
		t.Fatal(err)
	}
	want := alice
	want.Email, want.FullName, want.Bio, want.Website, want.UpdatedAt = p.Email, p.FullName, p.Bio, p.Website, epoch.Add(time.Minute)
	if got := f.get(t, alice.ID); got != want {
		t.Errorf("the account is %+v, want %+v", got, want)
	}
	p.Email, p.FullName = "BOB@example.com", "Mallory"
	if err := f.UpdateProfile(t.Context(), alice.ID, p); !errors.Is(err, accounts.ErrExists) {
		t.Errorf("UpdateProfile with another's address: %v, want ErrExists", err)
	}
	if err := f.UpdateProfile(t.Context(), "usr_x", p); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("UpdateProfile of nobody: %v, want ErrNotFound", err)
	}
	if got := f.get(t, alice.ID); got != want {
		t.Errorf("after refusals the account is %+v, want %+v", got, want)
	}
	if got := f.get(t, bob.ID); got != bob {
		t.Errorf("the other account is %+v, want %+v", got, bob)
	}
	p.Email = "new@example.com"
	if err := f.UpdateProfile(t.Context(), alice.ID, p); err != nil {
		t.Fatal(err)
	}
	f.create(t, "carol", "alice@example.com") // it is free again
}

func TestAPasswordIsReplacedOnlyByWhoKnowsTheOneBefore(t *testing.T) {
	f := setUp(t, 0)
	alice := f.create(t, "alice", "alice@example.com")
	f.advance(time.Minute)
	if err := f.SetPassword(t.Context(), alice.ID, "$hash$1", "$hash$2", ""); err != nil {
		t.Fatal(err)
	}
	want := alice
	want.PasswordHash, want.PasswordChangedAt, want.UpdatedAt = "$hash$2", epoch.Add(time.Minute), epoch.Add(time.Minute)
	if got := f.get(t, alice.ID); got != want {
		t.Errorf("the account is %+v, want %+v", got, want)
	}
	f.advance(time.Minute)
	if err := f.Rehash(t.Context(), alice.ID, "$hash$2", "$hash$2b"); err != nil {
		t.Fatal(err)
	}
	want.PasswordHash = "$hash$2b"
	if got := f.get(t, alice.ID); got != want {
		t.Errorf("after a rehash the account is %+v, want %+v", got, want)
	}
	for name, set := range map[string]func(id, before, after string) error{
		"SetPassword": func(id, before, after string) error { return f.SetPassword(t.Context(), id, before, after, "") },
		"Rehash":      func(id, before, after string) error { return f.Rehash(t.Context(), id, before, after) },
	} {
		if err := set(alice.ID, "$hash$2", "$hash$3"); !errors.Is(err, accounts.ErrConflict) {
			t.Errorf("%s with an old hash: %v, want ErrConflict", name, err)
		}
		if err := set(alice.ID, "", "$hash$3"); !errors.Is(err, accounts.ErrConflict) {
			t.Errorf("%s without a hash: %v, want ErrConflict", name, err)
		}
		if err := set("usr_x", "$hash$2b", "$hash$3"); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("%s of nobody: %v, want ErrNotFound", name, err)
		}
	}
	if got := f.get(t, alice.ID); got != want {
		t.Errorf("after refusals the account is %+v, want %+v", got, want)
	}
}

func (f fixture) login(t testing.TB, userID, id string) {
	t.Helper()
	err := f.db.Sessions().Create(t.Context(), session.Record{ID: id, UserID: userID, Hash: sha256.Sum256([]byte(id)), CreatedAt: epoch, LastSeenAt: epoch})
	if err != nil {
		t.Fatal(err)
	}
}

func (f fixture) sessions(t testing.TB, userID string) (ids []string) {
	t.Helper()
	list, err := f.db.Sessions().List(t.Context(), userID, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestTheAccessOfAnAccountEndsWithItsSessions(t *testing.T) {
	f := setUp(t, 0)
	alice, bob := f.create(t, "alice", "alice@example.com"), f.create(t, "bob", "bob@example.com")
	f.login(t, alice.ID, "ses_1")
	f.login(t, bob.ID, "ses_2")
	if err := f.EndAccess(t.Context(), "usr_x"); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("of nobody: %v, want ErrNotFound", err)
	}
	if err := f.EndAccess(t.Context(), alice.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.SetDisabled(t.Context(), alice.ID, false); err != nil {
		t.Fatal(err)
	}
	if got := f.sessions(t, alice.ID); len(got) != 0 || f.get(t, alice.ID).Disabled {
		t.Errorf("when it is let in again it has %v", got)
	}
	if got := f.sessions(t, bob.ID); len(got) != 1 {
		t.Errorf("another account has %v, want its own", got)
	}
}

func TestAPasswordAndTheSessionsOfTheOneBeforeChangeInOneStep(t *testing.T) {
	f := setUp(t, 0)
	alice, bob := f.create(t, "alice", "alice@example.com"), f.create(t, "bob", "bob@example.com")
	for _, id := range []string{"ses_1", "ses_2", "ses_3"} {
		f.login(t, alice.ID, id)
	}
	f.login(t, bob.ID, "ses_4")

	if err := f.SetPassword(t.Context(), alice.ID, "$wrong$", "$hash$2", "ses_2"); !errors.Is(err, accounts.ErrConflict) {
		t.Errorf("SetPassword: %v, want ErrConflict", err)
	}
	if got := f.sessions(t, alice.ID); len(got) != 3 {
		t.Errorf("after a refusal there are %v, want all three", got)
	}
	// The clock stands, and then goes back: the instant of the change rises all the same.
	for i, hash := range []string{"$hash$2", "$hash$3"} {
		before := f.get(t, alice.ID)
		if err := f.SetPassword(t.Context(), alice.ID, before.PasswordHash, hash, "ses_2"); err != nil {
			t.Fatal(err)
		}
		if got := f.get(t, alice.ID); got.PasswordHash != hash || !got.PasswordChangedAt.After(before.PasswordChangedAt) {
			t.Errorf("change %d: the account is %+v, was %+v", i, got, before)
		}
		f.advance(-time.Hour)
	}
	if got := f.sessions(t, alice.ID); !slices.Equal(got, []string{"ses_2"}) {
		t.Errorf("there are %v, want the one that was kept", got)
	}
	if got := f.sessions(t, bob.ID); len(got) != 1 {
		t.Errorf("another account has %v, want its own", got)
	}

	// Sessions that cannot be ended keep the password from changing.
	if _, err := f.file.Writer().Exec("ALTER TABLE sessions RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	before := f.get(t, alice.ID)
	if err := f.SetPassword(t.Context(), alice.ID, "$hash$3", "$hash$4", ""); !errors.Is(err, sqlstore.ErrUnavailable) {
		t.Errorf("SetPassword: %v, want ErrUnavailable", err)
	}
	if got := f.get(t, alice.ID); got != before {
		t.Errorf("the account is %+v, want %+v", got, before)
	}
}

func TestAnAccountCanBeNamedBeforeItIsMade(t *testing.T) {
	f := setUp(t, 0)
	id := f.NewID()
	made, err := f.Create(t.Context(), accounts.User{ID: id, Username: "alice", Email: "alice@example.com"})
	if err != nil || made.ID != id || f.get(t, id) != made {
		t.Errorf("Create = %+v, %v, want the id %s", made, err, id)
	}
	for _, tt := range []struct {
		username, email string
		want            bool
	}{
		{"alice", "other@example.com", true}, {"bob", "ALICE@example.com", true}, {"bob", "bob@example.com", false},
	} {
		if got, err := f.Taken(t.Context(), tt.username, tt.email); got != tt.want || err != nil {
			t.Errorf("Taken(%q, %q) = %v, %v, want %v", tt.username, tt.email, got, err, tt.want)
		}
	}
}

func TestEveryErrorOfTheConfigurationIsReported(t *testing.T) {
	f := setUp(t, 0)
	for _, tt := range []struct {
		cfg  accounts.Config
		want []string // nil: none
	}{
		{accounts.Config{AccessTTL: time.Second + 1, AccessEntries: -1}, []string{"DB is nil", "AccessTTL is 1.000000001s", "AccessEntries is -1"}},
		{accounts.Config{DB: f.db, AccessTTL: time.Second, AccessEntries: 1_000_000}, nil},
		{accounts.Config{DB: f.db, AccessTTL: time.Millisecond, AccessEntries: 1}, nil},
	} {
		_, err := accounts.New(tt.cfg)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("New(%+v): %v, want %q", tt.cfg, err, tt.want)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("New: %q, want it to say %q", err, want)
			}
		}
	}
}

func TestADatabaseThatIsAwayIsAnOutage(t *testing.T) {
	f := setUp(t, 0)
	alice := f.create(t, "alice", "alice@example.com")
	f.file.Close()
	_, errID := f.ByID(t.Context(), alice.ID)
	_, errCreate := f.Create(t.Context(), accounts.User{Username: "bob"})
	_, _, errAccess := f.Access(t.Context(), alice.ID)
	for what, err := range map[string]error{
		"ByID": errID, "Create": errCreate, "Access": errAccess, "SetRole": f.SetRole(t.Context(), alice.ID, "admin"),
	} {
		if !errors.Is(err, sqlstore.ErrUnavailable) || errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
	}
}
