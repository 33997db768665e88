//go:build unix

package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDemoPrintsOneLineAndAccepts(t *testing.T) {
	t.Parallel()
	d := startDemo(t, merlon())
	if !regexp.MustCompile(`^http://127\.0\.0\.1:\d+$`).MatchString(d.samples.URL) {
		t.Errorf("url is %q", d.samples.URL)
	}
	// The first connection is accepted: nothing is tried again here.
	d.call(t, 200, "GET", "/health", nil)

	admin := d.login(t, d.Admin.Username, d.Admin.Password)
	user := d.login(t, d.User.Username, d.User.Password)
	for role, c := range map[string]client{"admin": admin, "user": user} {
		if me := get[members](t, c, "/api/v1/users/me"); me["role"] != role {
			t.Errorf("the sample %s is %v", role, me)
		}
	}
	// The key has the scopes posts:read and posts:write, and no others.
	key := d.as("X-API-Key", d.APIKey)
	id, _ := decode[members](t, key.call(t, 201, "POST", "/api/v1/posts",
		members{"title": "A draft", "content": "<p>Not yet.</p>", "is_draft": true}))["id"].(string)
	key.call(t, 200, "GET", "/api/v1/posts/"+id, nil)
	d.refused(t, 404, "not-found", "GET", "/api/v1/posts/"+id, nil)
	key.refused(t, 403, "insufficient-scope", "GET", "/api/v1/api-keys", nil)
	key.refused(t, 403, "insufficient-scope", "GET", "/api/v1/events", nil)

	r := d.stop()
	if n := len(lines(r.stdout)); n != 1 || !json.Valid([]byte(r.stdout)) {
		t.Errorf("%d lines on standard output, want one of JSON:\n%s", n, r.stdout)
	}
}

func TestDemoKeepsItsDirectoryPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "demo")
	// Nothing depends on the mask of whoever starts it.
	i := merlon("--data", dir)
	i.umask = "000"
	d := startDemo(t, i)
	d.as("X-API-Key", d.APIKey).call(t, 201, "POST", "/api/v1/posts", members{"title": "On modes", "content": "<p>Six, nought, nought.</p>"})

	if got := mode(t, dir); got != 0o700 {
		t.Errorf("the directory has mode %o, want 700", got)
	}
	for _, name := range []string{"merlon.db", "security.log", "secret_key"} {
		if !slices.Contains(names(t, dir), name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range names(t, dir) {
		if got := mode(t, filepath.Join(dir, name)); got&0o077 != 0 {
			t.Errorf("%s has mode %o, want nothing for others", name, got)
		}
	}
	if got := mode(t, filepath.Join(dir, "secret_key")); got != 0o600 {
		t.Errorf("secret_key has mode %o, want 600", got)
	}
	d.stop()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory of --data is kept: %v", err)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// New samples at each start, the old ones refused, nothing of them in clear.
func TestDemoReplacesItsSamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startDemo(t, merlon("--data", dir))
	s, err := sessionOf(first.call(t, 200, "POST", "/api/v1/auth/login", first.Admin))
	if err != nil {
		t.Fatal(err)
	}
	old := first.as(s.headers()...)
	made := decode[members](t, old.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "kept", "scopes": []string{"events:read"}}))
	kept, _ := made["key"].(string)
	first.as("X-API-Key", first.APIKey).call(t, 201, "POST", "/api/v1/posts", members{"title": "Kept", "content": "<p>Over a restart.</p>"})
	// Where people put credentials by mistake.
	first.call(t, 401, "POST", "/api/v1/auth/login", credentials(strings.ToLower(first.User.Password), first.User.Password))
	first.call(t, 401, "POST", "/api/v1/auth/login", credentials(first.User.Password, "x"))
	leak, err := first.try("GET", "/api/v1/events?api_key="+first.APIKey+"&password="+first.User.Password, nil, "Referer", "https://app.example/?k="+first.APIKey)
	if err != nil || leak.status < 400 {
		t.Errorf("a key in the query: %v, status %d, want a refusal", err, leak.status)
	}
	secrets := []string{first.Admin.Password, first.User.Password, first.APIKey, first.secret(), kept, kept[strings.LastIndexByte(kept, '_')+1:], s.cookie, s.csrf}
	holdsNone(t, dir, secrets)
	noneIn(t, "the error output", first.stop().stderr, secrets)
	holdsNone(t, dir, secrets)

	second := startDemo(t, merlon("--data", dir))
	for what, pair := range map[string][2]string{
		"admin password": {first.Admin.Password, second.Admin.Password},
		"user password":  {first.User.Password, second.User.Password},
		"API key":        {first.APIKey, second.APIKey},
	} {
		if pair[0] == pair[1] {
			t.Errorf("the %s is the same after a restart", what)
		}
	}
	for _, u := range []sample{first.Admin, first.User} {
		second.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", u)
	}
	second.as("X-API-Key", first.APIKey).refused(t, 401, "unauthenticated", "GET", "/api/v1/posts", nil)
	second.as("Cookie", cookieName+"="+s.cookie).refused(t, 401, "unauthenticated", "GET", "/api/v1/users/me", nil)

	// The new ones are good, and so is what a person made.
	admin := second.login(t, second.Admin.Username, second.Admin.Password)
	second.login(t, second.User.Username, second.User.Password)
	second.as("X-API-Key", second.APIKey).call(t, 200, "GET", "/api/v1/posts", nil)
	second.as("X-API-Key", kept).call(t, 200, "GET", "/api/v1/events", nil)
	if posts := second.call(t, 200, "GET", "/api/v1/posts", nil); !bytes.Contains(posts.body, []byte("Over a restart.")) {
		t.Errorf("the post is gone: %s", posts.body)
	}
	if n := count(events(t, admin, "type=sys_startup"), "sys_startup"); n != 2 {
		t.Errorf("%d starts are recorded, want 2", n)
	}
	second.stop()
	holdsNone(t, dir, append(secrets, second.Admin.Password, second.User.Password, second.APIKey, second.secret()))
}

// holdsNone looks for secrets in every file below dir.
func holdsNone(t *testing.T, dir string, secrets []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		noneIn(t, path, string(text), secrets)
		return nil
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func noneIn(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if len(s) < 8 {
			t.Fatalf("%q is too short to look for", s)
		}
		if strings.Contains(text, s) {
			t.Errorf("%s holds %q", where, s)
		}
	}
}

func TestDemoRemovesItsTemporaryDirectory(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	t.Run("after Ctrl-C", func(t *testing.T) {
		t.Parallel()
		tmp := t.TempDir()
		d := startDemo(t, merlon().with("TMPDIR="+tmp))
		made := names(t, tmp)
		if len(made) != 1 || mode(t, filepath.Join(tmp, made[0])) != 0o700 {
			t.Errorf("in TMPDIR: %v, want one directory of mode 700", made)
		}
		d.signal(os.Interrupt)
		if r := d.wait(patience); r.code != 0 {
			t.Errorf("exit %d, want 0", r.code)
		}
		if left := names(t, tmp); len(left) > 0 {
			t.Errorf("left in TMPDIR: %v", left)
		}
	})
	t.Run("after Ctrl-C while it starts", func(t *testing.T) {
		t.Parallel()
		tmp := t.TempDir()
		p := start(t, merlon("demo", "--listen", "127.0.0.1:0").with("TMPDIR="+tmp))
		eventually(t, "a directory", func() bool { return len(names(t, tmp)) > 0 })
		p.signal(os.Interrupt)
		if r := p.wait(patience); r.code != 0 && r.code != 1 {
			t.Errorf("exit %d, want 0 or 1", r.code)
		}
		if left := names(t, tmp); len(left) > 0 {
			t.Errorf("left in TMPDIR: %v", left)
		}
	})
	for name, tt := range map[string]struct {
		listen string
		code   int
	}{
		"after a port that is taken":            {taken, 1},
		"after an address that is not loopback": {"0.0.0.0:0", 2},
		"after an address that is none":         {"here", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			r := run(t, merlon("demo", "--listen", tt.listen).with("TMPDIR="+tmp))
			if r.code != tt.code || r.stdout != "" {
				t.Errorf("exit %d, want %d, with nothing on standard output:\n%s", r.code, tt.code, r.stdout)
			}
			complaint(t, r)
			if left := names(t, tmp); len(left) > 0 {
				t.Errorf("left in TMPDIR: %v", left)
			}
		})
	}
}

// What surrounds a demo does not change it.
func TestDemoReadsNoEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env", "MERLON_LISTEN=0.0.0.0:1\nMERLON_BOGUS=1\n")
	d := startDemo(t, merlon("--data", "data").in(dir).with("MERLON_ENVIRONMENT=production", "MERLON_BOGUS=1", "MERLON_DATABASE_URL=sqlite:other.db"))
	d.as("X-API-Key", d.APIKey).call(t, 200, "GET", "/api/v1/posts", nil)
	if got := names(t, dir); !slices.Equal(got, []string{".env", "data"}) {
		t.Errorf("made %v, want data alone", got)
	}
}

// A person pastes each command in turn.
func TestPrintedCommands(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "bash", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: the printed commands need it", tool)
			}
			t.Skipf("%s is missing: the printed commands are not tried", tool)
		}
	}
	tmp, odd := t.TempDir(), filepath.Join(t.TempDir(), `it's "my" $HOME; demo`)
	for name, i := range map[string]invocation{
		"a temporary directory":            merlon("demo", "--listen", "127.0.0.1:0").with("TMPDIR=" + tmp),
		"a directory with an odd name":     merlon("demo", "--listen", "127.0.0.1:0", "--data", odd),
		"a directory relative to this one": merlon("demo", "--listen", "127.0.0.1:0", "--data", "data"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i.dir = t.TempDir()
			p := start(t, i)
			url := p.line(p.stdout, `.* (http://\S+/openapi\.json) .*Ctrl-C`)[1]
			pasted, refused := 0, 0
			said := ""
			for _, l := range lines(p.stdout.String()) {
				command, ok := strings.CutPrefix(l, "  curl ")
				if !ok {
					if l != "" {
						said = l
					}
					continue
				}
				pasted++
				answer := paste(t, "curl "+command)
				var got struct{ Code, Content string }
				if err := json.Unmarshal(answer, &got); err != nil {
					t.Errorf("curl %s:\n%v: %s", command, err, answer)
				}
				want := ""
				if strings.Contains(said, "refused") {
					refused++
					want = "csrf-token-missing"
				}
				if got.Code != want {
					t.Errorf("%s\ncurl %s:\ncode %q, want %q: %s", said, command, got.Code, want, answer)
				}
				if strings.Contains(command, "<script>") && got.Content != "<p>Two <strong>merlons</strong> make a gap.</p>" {
					t.Errorf("%s\nstored %q", said, got.Content)
				}
				both := func() bool {
					return bytes.Contains(answer, []byte(`"malicious_csrf"`)) && bytes.Contains(answer, []byte(`"suspicious_content"`))
				}
				if !strings.Contains(command, "/events") {
					continue
				}
				// They are there within a second of an idle machine.
				for deadline := time.Now().Add(patience); !both() && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
					answer = paste(t, "curl "+command)
				}
				if !both() {
					t.Errorf("%s\nthe refusal and the script are not both recorded: %s", said, answer)
				}
			}
			if pasted < 6 || refused != 1 {
				t.Errorf("%d commands, %d to be refused, want 6 and 1:\n%s", pasted, refused, p.stdout)
			}
			if doc := paste(t, "curl -s "+url); !bytes.Contains(doc, []byte(`"openapi":"3.1`)) && !bytes.Contains(doc, []byte(`"openapi": "3.1`)) {
				t.Errorf("%s is not the document: %.100s", url, doc)
			}
			p.stop()
			if left := names(t, i.dir); !slices.Equal(left, []string{}) && !slices.Equal(left, []string{"data"}) {
				t.Errorf("the commands left %v in the working directory", left)
			}
		})
	}
}

// paste runs a command as a shell does and returns the body of the answer.
func paste(t *testing.T, command string) []byte {
	t.Helper()
	dir := t.TempDir() // not that of the server
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "no_proxy=*"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("%s\n%v\n%s", command, err, stderr.String())
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("%s\nleft %v in the working directory", command, left)
	}
	if head, body, ok := bytes.Cut(out, []byte("\r\n\r\n")); ok && bytes.HasPrefix(head, []byte("HTTP/")) {
		if !bytes.Contains(head, []byte(" "+"200 "+http.StatusText(200))) {
			t.Errorf("%s\n%s", command, head)
		}
		return body
	}
	return out
}

// A demo on a port of the system's choice issues its tokens under the port that is served.
func TestDemoIssuesTokensUnderItsRealPort(t *testing.T) {
	t.Parallel()
	d := startDemo(t, merlon())
	got := decode[struct {
		Access string `json:"access_token"`
	}](t, d.call(t, 200, "POST", "/api/v1/auth/token", members{"grant_type": "password", "username": d.User.Username, "password": d.User.Password}))
	parts := strings.Split(got.Access, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Iss, Aud string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(d.samples.URL, ":0") || claims.Iss != d.samples.URL || claims.Aud != d.samples.URL {
		t.Errorf("iss %q and aud %q, want %q", claims.Iss, claims.Aud, d.samples.URL)
	}
	d.as("Authorization", "Bearer "+got.Access).call(t, 200, "GET", "/api/v1/users/me", nil)
}
