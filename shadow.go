package merlon

import (
	"net/http"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/internal/nearest"
)

// InsecureShadow puts controls into shadow: they decide as ever, and what they would
// refuse is recorded as an event with the outcome would_refuse, counted, and goes
// on. It is how a control is rolled out: shadow, watch, enforce.
//
// Not everything is lifted: a failure (5xx), a request that has no one meaning, a
// body that is too large or cannot be read, and nobody or an API key where handlers
// rely on a caller or a person are refused in shadow too. docs/shadow.md has the list.
type InsecureShadow struct {
	// Controls are names of [ShadowControls].
	Controls []string
	// Reason says why; required with Controls.
	Reason string
}

// ShadowControls returns the names of the controls that can be in shadow, in the
// order of their stages. Both stages of ratelimit, and what handlers ask it, are one.
func ShadowControls() []string {
	return []string{"httpsonly", "firewall", "cors", "ratelimit", "csrf", "authn", "csrf-token", "authz", "validate"}
}

// neverInShadow are the other stages, with the reason.
func neverInShadow(name string) (why string) {
	switch name {
	case "clientip", "headers":
		return "it refuses nothing"
	case "route":
		return "what has no route has no policy to go on with; declare the routes"
	}
	return ""
}

// shadow checks InsecureShadow.
func (b *builder) shadow() {
	s := &b.cfg.InsecureShadow
	for i, name := range s.Controls {
		switch why := neverInShadow(name); {
		case why != "":
			b.fail("InsecureShadow.Controls: %q cannot be in shadow: %s", name, why)
		case !slices.Contains(ShadowControls(), name):
			hint := "want some of " + strings.Join(ShadowControls(), ", ")
			if near := nearest.Name(name, ShadowControls()); near != "" {
				hint = "did you mean " + near + "?"
			}
			b.fail("InsecureShadow.Controls: there is no control %q: %s", name, hint)
		case slices.Contains(s.Controls[:i], name):
			b.fail("InsecureShadow.Controls: %q is there twice", name)
		}
	}
	reason := strings.TrimSpace(s.Reason) != ""
	if len(s.Controls) > 0 && !reason {
		b.fail("InsecureShadow has no Reason: say why its controls refuse nothing")
	}
	if len(s.Controls) == 0 && s.Reason != "" {
		b.fail("InsecureShadow has a Reason and no Controls: name the controls, or remove it")
	}
}

// Explain asks every control about r, acts on nothing, and lists what each decides:
// which one refuses, and what else is wrong behind it. See [exchange.Chain.Explain].
func (g *Guard) Explain(r *http.Request) []exchange.Verdict { return g.chain.Explain(r) }

// Counts returns how often each control has refused, or would have, since [New]. The
// numbers only grow, and there is one entry for each control whatever the requests
// are: a monitoring system can read them as counters, labelled by control and outcome.
func (g *Guard) Counts() []exchange.Count { return g.chain.Counts() }
