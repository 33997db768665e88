package pattern_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/pattern"
)

// A day of 6,000 honest people, most of them behind addresses that they share, beside
// attackers of each kind: every attack is named, and nothing of the honest.
func TestADayOfHonestPeopleAndAttackers(t *testing.T) {
	w, m, clock := watch(t, "/.git/config")
	random := rand.New(rand.NewPCG(1, 2))
	type person struct {
		name, password string
		home           netip.Addr
	}
	var people []person
	for i := range 6000 {
		p := person{name: fmt.Sprint("honest", i), password: fmt.Sprint("their own ", i)}
		switch {
		case i < 3000: // one company, one address
			p.home = addr("203.0.113.10")
		case i < 5000: // the addresses of a mobile network
			p.home = netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(256))})
		default:
			p.home = other(10_000 + i)
		}
		people = append(people, p)
	}
	passwords := []string{"123456", "password", "qwerty", "Welcome1", "Monday1"}
	honest := map[string]int{}
	const minutes = 24 * 60
	for minute := range minutes {
		clock.now = clock.now.Add(time.Minute)
		// Everybody logs in about four times a day, and more at nine in the morning. One
		// in eight mistypes, up to three times, with a password of another place in every
		// fifth case; one in a hundred gives up.
		logins := 16
		if minute/60 == 9 {
			logins = 60
		}
		for range logins {
			p := people[random.IntN(len(people))]
			honest["logins"]++
			if random.IntN(20) == 0 { // on the way
				p.home = other(20_000 + random.IntN(20_000))
			}
			if random.IntN(8) == 0 {
				for range 1 + random.IntN(3) {
					password := p.password + "x"
					if random.IntN(5) == 0 {
						password = passwords[random.IntN(len(passwords))]
					}
					honest["failures"]++
					w.LoginFailed(pattern.Failure{Client: p.home, Account: p.name, Password: password})
				}
				if random.IntN(12) == 0 {
					honest["gave up"]++
					continue
				}
			}
			w.LoggedIn(p.home, p.name)
			if random.IntN(3) == 0 {
				w.UnknownPath(p.home, []string{"/favicon.ico", "/apple-touch-icon.png", "/robots.txt", "/sitemap.xml"}[random.IntN(4)])
			}
			if random.IntN(200) == 0 { // an old link
				w.UnknownPath(p.home, fmt.Sprint("/old/", random.IntN(1000)))
			}
		}
		// From noon to three, each attacker at its own pace.
		if minute < 12*60 || minute >= 15*60 {
			continue
		}
		i := minute * 4
		for range 4 {
			i++
			w.LoginFailed(pattern.Failure{Client: addr("185.0.2.1"), Account: fmt.Sprint("leaked", i), Password: fmt.Sprint("leaked ", i)})
			w.LoginFailed(pattern.Failure{Client: other(i), Account: people[i%6000].name, Password: "Spring2026!"})
			w.LoginFailed(pattern.Failure{Client: other(40_000 + i), Account: "honest7", ID: "usr_7", Password: fmt.Sprint("guess ", i)})
			w.UnknownPath(addr("2001:db8:bad::1"), fmt.Sprint("/wp-", i))
		}
		w.UnknownPath(addr("185.0.3.1"), "/.git/config")
	}
	got := map[audit.Type]int{}
	for _, e := range m.Events() {
		got[e.Type]++
		detail := string(audit.AppendDetail(nil, e.Detail))
		want := map[audit.Type]string{
			audit.SuspiciousCredentialStuffing: "185.0.2.", audit.MaliciousExcess404: "2001:db8:bad:", audit.SuspiciousCanary: "185.0.3.",
		}[e.Type]
		if !strings.Contains(detail, want) {
			t.Errorf("an honest network was named: %s %s", e.Type, detail)
		}
		if e.Type == audit.SuspiciousDistributedLogin && e.Principal != "usr_7" {
			t.Errorf("an honest account was named: %s", detail)
		}
		if hour := e.Time.Hour(); hour < 12 || hour > 15 {
			t.Errorf("%s at %v: nobody attacked then", e.Type, e.Time)
		}
	}
	for _, attack := range []audit.Type{audit.SuspiciousCredentialStuffing, audit.SuspiciousPasswordSpraying,
		audit.SuspiciousDistributedLogin, audit.MaliciousExcess404, audit.SuspiciousCanary} {
		if got[attack] < 1 || got[attack] > 4 {
			t.Errorf("%s was named %d times in three hours", attack, got[attack])
		}
	}
	t.Logf("honest: %v; named: %v", honest, got)
}
