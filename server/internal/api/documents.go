package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/server/module"
)

// readyTimeout is how long a store may take to answer: less than probes wait.
const readyTimeout = time.Second

type alive struct {
	Status string `json:"status" enum:"ok"`
}

func (a *API) health(*module.Call) (alive, error) { return alive{Status: "ok"}, nil }

// readiness tells whether the service can work. It says no more than that: who
// asks is not known.
type readiness struct {
	Status string `json:"status"`
	Checks struct {
		Database   string `json:"database"`
		RateLimits string `json:"rate_limits"`
	} `json:"checks"`
}

func (a *API) ready(w http.ResponseWriter, r *http.Request) {
	var out readiness
	status := http.StatusOK
	out.Status, out.Checks.Database, out.Checks.RateLimits = "ok", "ok", a.LimitsState()
	if a.Draining() {
		status, out.Status = http.StatusServiceUnavailable, "draining"
	}
	if out.Checks.RateLimits == "unavailable" {
		status, out.Status = http.StatusServiceUnavailable, "unavailable"
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := a.CheckDatabase(ctx); err != nil {
		status = http.StatusServiceUnavailable
		out.Status, out.Checks.Database = "unavailable", "unavailable"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // the client may be gone
}

func (a *API) document(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.Document) // the client may be gone
}

// securityText is RFC 9116. Expires is required; a file that is made anew for
// every answer is good for as long as it is likely to be kept.
func (a *API) securityText(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Contact: "+a.SecurityContact+"\nExpires: "+
		time.Now().UTC().Add(30*24*time.Hour).Truncate(time.Second).Format(time.RFC3339)+"\n")
}
