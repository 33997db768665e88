package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// ofTheScrape are metrics that Prometheus itself adds.
var ofTheScrape = []string{"up"}

// alerts returns the rules, as Prometheus reads them.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(read(t, "prometheus/alerts.yml")), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []rulefmt.Rule
	for _, g := range groups.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// A query is an expression of a file.
type query struct{ where, expr string }

func queries(t *testing.T) []query {
	t.Helper()
	var out []query
	for _, r := range alerts(t) {
		out = append(out, query{"alert " + r.Alert, r.Expr})
	}
	var dashboard struct {
		UID, Title  string
		Annotations struct{ List []struct{ Name, Expr string } }
		Panels      []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/merlon.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d (%s) has an id of another, no place, or nothing to show: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			out = append(out, query{"panel " + p.Title, target.Expr})
		}
	}
	for _, a := range dashboard.Annotations.List {
		out = append(out, query{"annotation " + a.Name, a.Expr})
	}
	if dashboard.UID != "merlon" || len(dashboard.Panels) < 10 {
		t.Errorf("the dashboard %q has %d panels", dashboard.UID, len(dashboard.Panels))
	}
	// What Grafana puts in.
	for i := range out {
		out[i].expr = strings.NewReplacer("$__rate_interval", "5m", "$job", "merlon").Replace(out[i].expr)
	}
	return out
}

// metricsOf returns the metrics that an expression reads, with their label names.
func metricsOf(t *testing.T, q query) map[string][]string {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		t.Fatalf("%s: %v\n%s", q.where, err, q.expr)
	}
	out := map[string][]string{}
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			name := s.Name
			for _, m := range s.LabelMatchers {
				if m.Name == model.MetricNameLabel {
					name = m.Value
					continue
				}
				out[name] = append(out[name], m.Name)
			}
			out[name] = append(out[name], "")
		}
		return nil
	})
	return out
}

// startService starts a service with everything that has metrics, and returns where they
// are served.
func startService(t *testing.T) (operations string) {
	t.Helper()
	dir := t.TempDir()
	socket := startRedis(t)
	cert, key := certificate(t, "localhost")
	write(t, filepath.Join(dir, "cert.pem"), cert, 0o600)
	write(t, filepath.Join(dir, "key.pem"), key, 0o600)
	public, operations := freeAddress(t), freeAddress(t)
	config := write(t, filepath.Join(dir, "merlon.yaml"), "environment: development\nhosts: [localhost]\nlisten: \""+public+"\"\noperations_listen: \""+operations+
		"\"\ntls: {cert: cert.pem, key: key.pem}\ndatabase_url: sqlite:merlon.db\naudit: {log: security.log, stdout: true}\n", 0o600)
	cmd := exec.Command(binary, "serve", "--config", config)
	cmd.Dir, cmd.Env = dir, []string{"MERLON_REDIS_URL=" + socket}
	var said lockedBuffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("the service: %v\n%s", err, said.String())
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		health := exec.CommandContext(ctx, binary, "health", "--config", config)
		health.Dir, health.Env = cmd.Dir, cmd.Env
		out, err := health.CombinedOutput()
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not serve: %s", out)
		}
	}
	return operations
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startRedis starts a Redis by the configuration and the rights of the compose file, and
// returns its redis_url.
func startRedis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no redis-server on the PATH, which CI must have: apt-get install redis-server")
		}
		t.Skip("skipped: no redis-server on the PATH (Debian: apt-get install redis-server)")
	}
	secrets := makeSecrets(t)
	dir, err := os.MkdirTemp("", "r") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is in the temporary directory of the system
	moved := strings.NewReplacer("/run/redis/", dir+"/", "/run/secrets/", secrets+"/", "dir /data", "dir "+dir)
	config := write(t, filepath.Join(dir, "redis.conf"), moved.Replace(read(t, "compose/redis.conf")), 0o600)
	cmd := exec.Command(program, config)
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // it was killed
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", filepath.Join(dir, "redis.sock"))
		if err == nil {
			conn.Close()
			return moved.Replace(read(t, filepath.Join(secrets, "redis_url")))
		}
		if time.Now().After(end) {
			t.Fatalf("Redis does not listen: %v\n%s", err, said.String())
		}
	}
}

// documented returns the metrics of the tables in the documentation: those that this
// service does not have, for it has no PostgreSQL and no authority, are held to them.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, path := range []string{"../docs/operating.md", "../docs/metrics.md"} {
		for _, m := range regexp.MustCompile("(?m)^\\| `(merlon_[a-z_]+)` \\|").FindAllStringSubmatch(read(t, path), -1) {
			out[m[1]] = true
		}
	}
	return out
}

// Every metric and label that a rule or a panel names is one that the service has.
func TestTheRulesAndTheDashboardNameMetricsThatAreServed(t *testing.T) {
	text := get(t, "http://"+startService(t)+"/metrics")
	served := map[string]map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-zA-Z_:]+)(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(string(text), -1) {
		if served[m[1]] == nil {
			served[m[1]] = map[string]bool{"": true, "job": true, "instance": true}
		}
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			served[m[1]][l[1]] = true
		}
	}
	if served["merlon_ratelimit_store_up"] == nil || !strings.Contains(string(text), "merlon_ratelimit_store_up 1\n") {
		t.Error("the service does not reach Redis by the configuration of the compose file")
	}
	n, elsewhere := 0, documented(t)
	for _, q := range queries(t) {
		for metric, names := range metricsOf(t, q) {
			n++
			if slices.Contains(ofTheScrape, metric) || served[metric] == nil && elsewhere[metric] {
				continue
			}
			if served[metric] == nil {
				t.Errorf("%s: nothing is called %s", q.where, metric)
				continue
			}
			for _, label := range names {
				if !served[metric][label] {
					t.Errorf("%s: %s has no label %s", q.where, metric, label)
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("%d metrics are named: the test looks in the wrong place", n)
	}
}

// What the documentation says of each alert, and what to do.
func TestEveryAlertIsInTheDocumentation(t *testing.T) {
	doc := read(t, "../docs/deploying.md")
	names := map[string]bool{}
	for _, r := range alerts(t) {
		if names[r.Alert] {
			t.Errorf("%s is there twice", r.Alert)
		}
		names[r.Alert] = true
		if !regexp.MustCompile("(?m)^\\| `" + r.Alert + "` \\| \\S.* \\|$").MatchString(doc) {
			t.Errorf("docs/deploying.md does not tell what to do about %s", r.Alert)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(Merlon[A-Za-z]+)` \\|").FindAllStringSubmatch(doc, -1) {
		if !names[m[1]] {
			t.Errorf("docs/deploying.md tells of %s, which is no alert", m[1])
		}
	}
	if len(names) < 10 {
		t.Error(fmt.Sprint("there are but ", len(names), " alerts"))
	}
}
