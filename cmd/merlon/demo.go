package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/merlonhq/merlon/examples/blog"
	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/module"
)

type demoCommand struct {
	Listen string `help:"Listen here; it must be a loopback address." default:"127.0.0.1:8080" placeholder:"ADDR"`
	Data   string `help:"Keep the data in this directory. Without it a temporary one is removed at exit." placeholder:"DIR" type:"path"`
	JSON   bool   `name:"json" help:"Print the address and the sample credentials as one line of JSON, and nothing else."`
}

func (demoCommand) examples() string {
	return `Examples:
  merlon demo
  merlon demo --listen 127.0.0.1:9000 --data ./demo --json

Exit codes: 0 after an orderly end, 1 when serving failed, 2 when the command line
is wrong.
`
}

func (cmd demoCommand) Run(ctx context.Context, c console) (err error) {
	dir := cmd.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "merlon-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	set, problems, err := server.DemoSettings(dir, cmd.Listen)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(c.err, p)
	}
	if server.Fatal(problems) {
		return exit(exitUsage)
	}
	srv, err := server.New(ctx, server.Config{Settings: set, Modules: []module.Module{blog.Module()}, Version: buildVersion(), Log: c.log()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	if err := srv.Listen(); err != nil {
		return err
	}
	samples, err := srv.SeedDemo(ctx)
	if err != nil {
		return err
	}
	if cmd.JSON {
		err = json.NewEncoder(c.out).Encode(samples)
	} else {
		_, err = fmt.Fprint(c.out, introduction(samples, dir, cmd.Data == ""))
	}
	if err != nil {
		return err
	}
	return srv.Serve(ctx)
}

// introduction says what there is and what to try. Every command in it works
// when pasted; a test pastes them.
func introduction(s server.Samples, dir string, temporary bool) string {
	kept := "kept"
	if temporary {
		kept = "removed at exit"
	}
	jar := quote(filepath.Join(dir, "cookies"))
	return fmt.Sprintf(`Merlon is protecting a blog at %[1]s

  admin    %[2]s  %[3]s
  user     %[4]s   %[5]s
  API key  %[6]s
  data     %[7]s (%[8]s)

Write a post with the API key. The script is removed, the rest is kept:

  curl -s %[1]s/api/v1/posts -H 'X-API-Key: %[6]s' -H 'Content-Type: application/json' -d '{"title":"On crenels","content":"<p>Two <strong>merlons</strong><script>alert(1)</script> make a gap.</p>"}'

Log in. The session is a cookie that scripts cannot read:

  curl -s -c %[9]s %[1]s/api/v1/auth/login -H 'Content-Type: application/json' -d '{"username":"%[2]s","password":"%[3]s"}'

Write with the session alone. It is refused, for want of a CSRF token:

  curl -s -b %[9]s %[1]s/api/v1/posts -H 'Content-Type: application/json' -d '{"title":"Forged","content":"<p>By another site.</p>"}'

Write with the session and a token:

  curl -s -b %[9]s %[1]s/api/v1/posts -H "X-CSRF-Token: $(curl -s -b %[9]s %[1]s/csrf/token | sed 's/.*"csrf_token":"\([^"]*\)".*/\1/')" -H 'Content-Type: application/json' -d '{"title":"Mine","content":"<p>By its author.</p>"}'

Read as anybody, and see the headers that every answer carries:

  curl -si %[1]s/api/v1/posts

Look at what was recorded (the same is in %[10]s):

  curl -s -b %[9]s '%[1]s/api/v1/events?category=suspicious_activity'

Everything it serves: %[1]s/docs for people, %[1]s/openapi.json     Stop: Ctrl-C
`, s.URL, s.Admin.Username, s.Admin.Password, s.User.Username, s.User.Password, s.APIKey, dir, kept, jar, filepath.Join(dir, "security.log"))
}

// quote quotes s for a POSIX shell, where it needs it.
func quote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+=:@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
