package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server"
)

func TestAChangeOfTheFilesIsSeenOnceItIsWhole(t *testing.T) {
	t.Parallel()
	secret := "secret_key: " + key() + "\n"
	r := startReloading(t, secret)
	w := r.Watch(r.src)
	looks := func(what string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := w.Changed(); got != want {
				t.Errorf("%s: look %d: changed %v, want %v", what, i+1, got, want)
			}
		}
	}
	looks("nothing", false, false, false)
	r.write(t, secret+"origins: [")
	looks("half of a file", false)
	r.write(t, secret+"origins: [\"https://app.example.com\"]\n")
	looks("and the other half", false, true, false)
	if err := os.Chtimes(r.src.File, time.Now(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	looks("a file that was touched", false, false)
	moved := filepath.Join(r.dir, "next.yaml")
	if err := os.WriteFile(moved, []byte(r.base+secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(moved, r.src.File); err != nil {
		t.Fatal(err)
	}
	looks("another file in its place", false, true, false)
	if err := os.Remove(r.src.File); err != nil {
		t.Fatal(err)
	}
	looks("no file", false, true, false)

	// What changed before the first look.
	r.write(t, secret)
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Fatal(err)
	}
	r.write(t, secret+"origins: [\"https://app.example.com\"]\n")
	w = r.Watch(r.src)
	looks("a change since the start", true, false)
}

// seen reports whether one of so many looks tells of a change.
func seen(w *server.Watch, looks int) (changed bool) {
	for range looks {
		changed = w.Changed() || changed
	}
	return changed
}

// Kubernetes mounts a directory whose files are links through one link, ..data, which is
// swapped: none of the paths is written to.
func TestALinkThatIsSwappedIsAChange(t *testing.T) {
	t.Parallel()
	secret := "secret_key: " + key() + "\n"
	r := startReloading(t, secret)
	mount := t.TempDir()
	put := func(generation, more string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(mount, generation), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mount, generation, "merlon.yaml"), []byte(r.base+secret+more), 0o600); err != nil {
			t.Fatal(err)
		}
		swap := filepath.Join(mount, "..data_tmp")
		if err := os.Symlink(generation, swap); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(swap, filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("..2026_01", "")
	if err := os.Symlink(filepath.Join("..data", "merlon.yaml"), filepath.Join(mount, "merlon.yaml")); err != nil {
		t.Fatal(err)
	}
	r.src.File = filepath.Join(mount, "merlon.yaml")
	w := r.Watch(r.src)
	if seen(w, 2) {
		t.Fatal("a change that there was not")
	}
	put("..2026_02", "") // the same text
	if seen(w, 2) {
		t.Error("a swap without a change is one")
	}
	put("..2026_03", "security_contact: mailto:security@example.com\n")
	if w.Changed() || !w.Changed() {
		t.Error("the swap was not seen")
	}
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := r.ask(t, "GET", "/.well-known/security.txt", ""); status != 200 {
		t.Error("it is not in force")
	}
}

func TestFilesOfSecretsAndOfTheCertificateAreWatched(t *testing.T) {
	t.Parallel()
	r := startReloading(t, "secret_key: "+key()+"\n")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("secret", key())
	put("cert.pem", "one")
	put("key.pem", "one")
	r.src.Environ = []string{"MERLON_SECRET_KEY_FILE=" + at("secret"), "CREDENTIALS_DIRECTORY=" + dir}
	r.write(t, "tls: {cert: "+at("cert.pem")+", key: "+at("key.pem")+"}\n")
	w := r.Watch(r.src)
	w.Changed() // other settings than those at the start
	for _, change := range []func(){
		func() { put("secret", key()) },
		func() { put("cert.pem", "another") },
		func() { put("key.pem", "another") },
		func() { put("secret_key_previous", key()) }, // which was not there
		func() { _ = os.Remove(at("secret_key_previous")) },
	} {
		if w.Changed() {
			t.Error("a change that there was not")
		}
		change()
		if w.Changed() || !w.Changed() {
			t.Error("a change was not seen")
		}
	}
	put("something", "else")
	if seen(w, 2) {
		t.Error("a file that is not read is watched")
	}
}
