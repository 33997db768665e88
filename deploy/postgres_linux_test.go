package deploy_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// postgresPrograms returns the directory of the programs of PostgreSQL.
func postgresPrograms(t *testing.T) string {
	t.Helper()
	var found []string
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, filepath.Dir(path))
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin") // all of them, where Debian puts them
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, debian...)
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is not installed, which CI must have: apt-get install postgresql")
		}
		t.Skip("skipped: PostgreSQL is not installed (Debian: apt-get install postgresql)")
	}
	return found[len(found)-1]
}

// somebody returns a user that is not root: PostgreSQL refuses to run as root.
func somebody(t *testing.T) (credential *syscall.Credential) {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("there is no user postgres or nobody")
	return nil
}

// PostgreSQL with the command line, the script and the secrets of the compose file, as far
// as a machine without an engine goes: the program reaches it by the socket, as a user that
// owns its database and can do nothing else.
func TestThePostgreSQLOfComposeIsReachedByItsSocketOnly(t *testing.T) {
	secrets := makeSecrets(t)
	bin, as := postgresPrograms(t), somebody(t)
	dir, err := os.MkdirTemp("", "p") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is in the temporary directory of the system
	for _, path := range []string{dir, secrets, filepath.Dir(secrets), filepath.Dir(filepath.Dir(secrets))} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dir, filepath.Join(secrets, "merlon_password"), filepath.Join(secrets, "postgres_password")} {
		if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p := compose(t).Services["postgres"]
	run := func(env []string, argv ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}, env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
		return string(out)
	}
	// What the entry point of the image does with these variables.
	password := filepath.Join(secrets, "postgres_password")
	run(nil, slices.Concat([]string{filepath.Join(bin, "initdb"), "-D", dir + "/data", "--username=postgres", "--pwfile=" + password},
		strings.Fields(*p.Environment["POSTGRES_INITDB_ARGS"]))...)
	if p.Command[0] != "postgres" {
		t.Fatalf("the command is %q", p.Command)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), append([]string{"-D", dir + "/data", "-k", dir}, p.Command[1:]...)...)
	var said lockedBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
		_ = cmd.Wait()                          // it was told to
	})
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.5432"))
		if err == nil && strings.Contains(said.String(), "ready to accept connections") {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("PostgreSQL does not start:\n%s", said.String())
		}
	}
	superuser := []string{"PGHOST=" + dir, "PGPASSWORD=" + read(t, password)}
	script := write(t, filepath.Join(dir, "merlon.sh"), strings.ReplaceAll(read(t, "compose/postgres-init.sh"), "/run/secrets/", secrets+"/"), 0o755)
	run(superuser, script)

	url := strings.ReplaceAll(read(t, filepath.Join(secrets, "database_url")), "/run/postgresql", dir)
	config := write(t, filepath.Join(t.TempDir(), "merlon.yaml"), "environment: development\naudit: {log: \"\", stdout: true}\n", 0o600)
	merlon := func(url string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append(args, "--config", config)...)
		cmd.Dir, cmd.Env = filepath.Dir(config), []string{"MERLON_DATABASE_URL=" + url}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := merlon(url, "migrate", "up"); err != nil || !strings.Contains(out, "applied") {
		t.Errorf("migrate up: %v\n%s", err, out)
	}
	if out, err := merlon(strings.Replace(url, "merlon:", "merlon:not", 1), "migrate", "status"); err == nil {
		t.Errorf("another password does as well:\n%s", out)
	}
	ask := func(query string) string {
		t.Helper()
		return strings.TrimSpace(run(superuser, filepath.Join(bin, "psql"), "--username=postgres", "--dbname=merlon", "--no-psqlrc", "--tuples-only", "--no-align", "--command="+query))
	}
	for query, want := range map[string]string{
		"SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = 'merlon'": "f",
		"SELECT pg_get_userbyid(datdba) || ' ' || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'merlon'":         "merlon UTF8",
		"SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = 'merlon'":                                                     "SCRAM-SHA-256$",
		"SHOW listen_addresses": "",
		"SELECT count(*) FROM pg_hba_file_rules WHERE auth_method NOT IN ('scram-sha-256')": "0",
		"SELECT count(*) > 5 FROM information_schema.tables WHERE table_schema = 'public'":  "t",
	} {
		if got := ask(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}

	// The backup and the restore of the documentation, which know no password but the file.
	container := []string{"PGHOST=" + dir, "POSTGRES_PASSWORD_FILE=" + password}
	run(container, "sh", "-c", inPostgres(t, "pg_dump")+" > "+dir+"/merlon.dump")
	ask("DROP TABLE users")
	run(container, "sh", "-c", inPostgres(t, "pg_restore")+" < "+dir+"/merlon.dump")
	if got := ask("SELECT count(*) FROM users"); got != "0" {
		t.Errorf("after a restore: %q users, want 0", got)
	}
	if out, err := merlon(url, "migrate", "status"); err != nil {
		t.Errorf("after a restore: %v\n%s", err, out)
	}
}

// inPostgres returns what a command of the documentation does in a container of compose: the
// words of sh -c.
func inPostgres(t *testing.T, program string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^docker compose exec -T postgres sh -c '([^'\n]* ` + program + ` [^'\n]*)' [<>] merlon\.dump$`).FindStringSubmatch(read(t, "../docs/deploying.md"))
	if m == nil {
		t.Fatalf("the documentation has no %s", program)
	}
	return m[1]
}

// A lockedBuffer is written to while it is read.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
