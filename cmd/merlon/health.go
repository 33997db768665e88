package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

type healthCommand struct {
	URL string `name:"url" help:"The server to ask." default:"http://127.0.0.1:8080" placeholder:"URL"`
}

func (healthCommand) examples() string {
	return `Examples:
  merlon health --url http://127.0.0.1:8080
  merlon health --url https://api.example.com

The first is the default: a demo, or a server in development. A server that
serves TLS is asked by a name of its certificate, with the port unless it is 443:
a certificate does not hold for 127.0.0.1.

Exit codes: 0 ready, 1 not.
`
}

// Run asks /health/ready, which knows the stores. It follows no redirect: what is
// somewhere else is not this server.
func (cmd healthCommand) Run(ctx context.Context, c console) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	base, err := url.Parse(cmd.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fmt.Errorf("--url %q: want a URL such as http://127.0.0.1:8080", cmd.URL)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("health", "ready").String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	defer resp.Body.Close()
	var body struct {
		Status string `json:"status"`
	}
	// Whatever answers there may not be Merlon: nothing of its text is printed.
	err = json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: status %d", resp.StatusCode)
	}
	if err != nil || body.Status != "ok" {
		return fmt.Errorf("not healthy: %s does not answer as Merlon does", base.Host)
	}
	_, err = fmt.Fprintln(c.out, `{"status":"ok"}`)
	return err
}
