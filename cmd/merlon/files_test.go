//go:build unix

package main_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is wrong with the file system is said in one line that names the place.
func TestFileSystemTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string) // makes the trouble below dir, where data belongs into data
		want  string                         // below dir
	}{
		{"the data directory is a file", func(t *testing.T, dir string) { write(t, dir, "data", "") }, "data"},
		{"what it is in is a file", func(t *testing.T, dir string) { link(t, write(t, dir, "file", "")+"/data", filepath.Join(dir, "data")) }, "data"},
		{"the data directory is a link to nowhere", func(t *testing.T, dir string) { link(t, filepath.Join(dir, "nowhere"), filepath.Join(dir, "data")) }, "data"},
		{"the event log is a directory", func(t *testing.T, dir string) { write(t, dir, "data/security.log/x", "") }, "data/security.log"},
		{"the event log is a link", func(t *testing.T, dir string) {
			write(t, dir, "data/x", "")
			link(t, write(t, dir, "elsewhere.log", ""), filepath.Join(dir, "data", "security.log"))
		}, "data/security.log"},
		{"the event log is a device", func(t *testing.T, dir string) {
			write(t, dir, "data/x", "")
			link(t, "/dev/null", filepath.Join(dir, "data", "security.log"))
		}, "data/security.log"},
		{"the database is a directory", func(t *testing.T, dir string) { write(t, dir, "data/merlon.db/x", "") }, "data/merlon.db"},
		{"the database is not a database", func(t *testing.T, dir string) { write(t, dir, "data/merlon.db", strings.Repeat("no database\n", 1000)) }, "data/merlon.db"},
		{"the database is a short text", func(t *testing.T, dir string) { write(t, dir, "data/merlon.db", "text\n") }, "data/merlon.db"},
		{"the database of another program", func(t *testing.T, dir string) { foreign(t, filepath.Join(dir, "data"), "") }, "data/merlon.db"},
		{"the marked database of another program", func(t *testing.T, dir string) {
			foreign(t, filepath.Join(dir, "data"), "PRAGMA application_id = 252006673")
		}, "data/merlon.db"},
		{"a database of a newer version", func(t *testing.T, dir string) {
			startDemo(t, merlon("--data", filepath.Join(dir, "data"))).stop()
			change(t, filepath.Join(dir, "data", "merlon.db"), "INSERT INTO merlon_schema (version_id, is_applied) VALUES (99999, 1)")
		}, "data/merlon.db"},
		{"a damaged database", func(t *testing.T, dir string) {
			startDemo(t, merlon("--data", filepath.Join(dir, "data"))).stop()
			text := []byte(read(t, filepath.Join(dir, "data", "merlon.db")))
			copy(text[100:], strings.Repeat("\xff", 4096-100)) // the table of tables
			write(t, dir, "data/merlon.db", string(text))
		}, "data/merlon.db"},
		{"half of a database", func(t *testing.T, dir string) {
			startDemo(t, merlon("--data", filepath.Join(dir, "data"))).stop()
			text := read(t, filepath.Join(dir, "data", "merlon.db"))
			write(t, dir, "data/merlon.db", text[:len(text)/2/4096*4096])
		}, "data/merlon.db"},
		{"a lock that is a directory", func(t *testing.T, dir string) { write(t, dir, "data/merlon.lock/x", "") }, "data"},
		{"a secret key that is short", func(t *testing.T, dir string) { write(t, dir, "data/secret_key", "short") }, "data/secret_key"},
		{"a secret key that is empty", func(t *testing.T, dir string) { write(t, dir, "data/secret_key", "") }, "data/secret_key"},
		{"a secret key that is a directory", func(t *testing.T, dir string) { write(t, dir, "data/secret_key/x", "") }, "data/secret_key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.spoil(t, dir)
			want := filepath.Join(dir, tt.want)
			before := tree(t, dir)

			id := map[string]string{
				"the database is a directory": "E144", "the database is not a database": "E144", "the database is a short text": "E144",
				"the database of another program": "E144", "the marked database of another program": "E144",
				"a database of a newer version": "E145", "a damaged database": "E148", "half of a database": "E148",
			}[tt.name]
			if id != "" {
				r := run(t, merlon("demo", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")))
				if line := complaint(t, r); !strings.HasPrefix(line, "merlon: merlon."+id+": ") {
					t.Errorf("%q has not the id %s", line, id)
				}
			}
			troubled(t, merlon("demo", "--json", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")), want)
			if !strings.HasSuffix(tt.want, "secret_key") { // a file of demos
				troubled(t, merlon("serve", "--listen", "127.0.0.1:0").with("MERLON_ENVIRONMENT=development",
					"MERLON_DATABASE_URL=sqlite:"+filepath.Join(dir, "data", "merlon.db"), "MERLON_AUDIT__LOG="+filepath.Join(dir, "data", "security.log")), want)
			}
			// What is not ours is as it was.
			after := tree(t, dir)
			for path, text := range before {
				if after[path] != text && !strings.HasSuffix(path, ".lock") {
					t.Errorf("%s was changed", path)
				}
			}
		})
	}
}

// troubled runs what must fail with one line that names the place.
func troubled(t *testing.T, i invocation, place string) {
	t.Helper()
	i.within = soon
	r := run(t, i)
	if r.code != 1 || r.stdout != "" {
		t.Errorf("%s: exit %d, want 1, with nothing on standard output:\n%s%s", i.args[0], r.code, r.stdout, r.stderr)
		return
	}
	line := complaint(t, r)
	if !strings.HasPrefix(line, "merlon: ") || !strings.Contains(line, place) {
		t.Errorf("%s: %q does not name %s", i.args[0], line, place)
	}
	for _, jargon := range []string{"sql:", "nil pointer", "context canceled"} {
		if strings.Contains(line, jargon) {
			t.Errorf("%s: %q speaks of %q", i.args[0], line, jargon)
		}
	}
}

// tree returns the regular files below dir with what is in them.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.HasPrefix(text, []byte("SQLite format 3\x00")) {
			// To open is to count: the change counter and where it was valid
			// (SQLite file format, sections 1.3.7 and 1.3.15).
			clear(text[24:28])
			clear(text[92:96])
		}
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// foreign makes a database that is somebody else's.
func foreign(t *testing.T, dir, mark string) {
	t.Helper()
	path := write(t, dir, "merlon.db", "")
	change(t, path, "CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('theirs');"+mark)
}

func change(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

// As somebody whom permission bits bind.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	var nobody *syscall.Credential
	if os.Geteuid() == 0 {
		nobody = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"a directory that cannot be written", func(t *testing.T, dir string) { chmod(t, dir, 0o555) }, "data"},
		{"a data directory that cannot be written", func(t *testing.T, dir string) {
			write(t, dir, "data/x", "")
			chmod(t, filepath.Join(dir, "data"), 0o555)
		}, "data"},
		{"a database that cannot be read", func(t *testing.T, dir string) {
			chmod(t, write(t, dir, "data/merlon.db", ""), 0)
			chmod(t, filepath.Join(dir, "data"), 0o777)
		}, "data/merlon.db"},
		{"a database that cannot be written", func(t *testing.T, dir string) {
			chmod(t, write(t, dir, "data/merlon.db", ""), 0o444)
			chmod(t, filepath.Join(dir, "data"), 0o777)
		}, "data/merlon.db"},
		{"an event log that cannot be written", func(t *testing.T, dir string) {
			chmod(t, write(t, dir, "data/security.log", ""), 0o444)
			chmod(t, filepath.Join(dir, "data"), 0o777)
		}, "data/security.log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Others may go through t.TempDir only as far as this user's umask allows.
			dir, err := os.MkdirTemp("", "merlon-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				chmod(t, dir, 0o755)
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			chmod(t, dir, 0o755)
			tt.spoil(t, dir)
			data := filepath.Join(dir, "data")
			i := merlon("serve", "--listen", "127.0.0.1:0").in(dir).with("MERLON_ENVIRONMENT=development",
				"MERLON_DATABASE_URL=sqlite:"+filepath.Join(data, "merlon.db"), "MERLON_AUDIT__LOG="+filepath.Join(data, "security.log"))
			i.as = nobody
			troubled(t, i, filepath.Join(dir, tt.want))
			if tt.want == "data" {
				i = merlon("demo", "--listen", "127.0.0.1:0", "--data", data).in(dir)
				i.as = nobody
				troubled(t, i, data)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
