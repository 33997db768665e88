package image_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"debug/elf"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
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

	_ "modernc.org/sqlite" // holds a lock on the database of the service
)

// patience is how long anything may take that is expected to happen.
const patience = 60 * time.Second

const version = "v0.0.0-of-a-test"

// An image is a Dockerfile and the root file system that it makes.
type image struct {
	dockerfile
	root     string
	uid, gid int
}

// laidOut is what the tests share: building takes a while, and nobody can change it.
var laidOut *image

// layOut builds the image and lays out its root file system.
func layOut(t *testing.T) image {
	t.Helper()
	needsRoot(t)
	if laidOut != nil {
		return *laidOut
	}
	i := image{dockerfile: readDockerfile(t), root: filepath.Join(scratch, "root")}
	if _, err := fmt.Sscanf(i.user, "%d:%d", &i.uid, &i.gid); err != nil {
		t.Fatalf("USER %s is not numbers: an orchestrator cannot tell that it is not root", i.user)
	}
	out := filepath.Join(scratch, "out")
	i.make(t, out, version)
	run(t, exec.Command("install", "-d", "-m", "0755", i.root))
	for _, c := range i.copies {
		from, to := c.argv[0], filepath.Join(i.root, c.argv[1])
		if rest, ok := strings.CutPrefix(from, "/out/"); ok {
			from = filepath.Join(out, rest)
		}
		owner := c.flags["chown"]
		if owner == "" {
			owner = "0:0"
		}
		run(t, exec.Command("mkdir", "-p", filepath.Dir(to)))
		run(t, exec.Command("cp", "-rT", "--preserve=mode", from, to))
		run(t, exec.Command("chown", "-R", owner, to))
	}
	laidOut = &i
	return i
}

// An entry is a file of a root file system.
type entry struct {
	mode     fs.FileMode
	uid, gid uint32
	size     int64
	changed  time.Time
}

// tree returns everything below root.
func tree(t *testing.T, root string) map[string]entry {
	t.Helper()
	out := map[string]entry{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sys := info.Sys().(*syscall.Stat_t)
		out["/"+strings.TrimPrefix(strings.TrimPrefix(path, root), "/")] = entry{info.Mode(), sys.Uid, sys.Gid, info.Size(), info.ModTime()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheBinaryOfTheImageIsStaticAndStripped(t *testing.T) {
	i := layOut(t)
	f, err := elf.Open(filepath.Join(i.root, i.entrypoint[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a segment %v: it needs a loader and libraries", p.Type)
		}
	}
	for _, name := range []string{".dynamic", ".symtab", ".debug_info"} {
		if f.Section(name) != nil {
			t.Errorf("the binary has a section %s", name)
		}
	}
	out, err := exec.Command(filepath.Join(i.root, i.entrypoint[0]), "version").CombinedOutput()
	if err != nil || string(out) != "merlon "+version+"\n" {
		t.Errorf("merlon version: %v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(i.root, i.entrypoint[0]))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(scratch)) || bytes.Contains(text, []byte(os.TempDir()+"/Test")) {
		t.Error("the binary tells where it was built")
	}
}

func TestTheImageHoldsWhatItNeedsAndItsUserCanWriteToTheVolumeOnly(t *testing.T) {
	i := layOut(t)
	if i.uid != 65532 || i.gid != 65532 {
		t.Errorf("USER %s, want 65532:65532", i.user)
	}
	doc := documented(t)
	if want := []string{i.volume, "/run/secrets:ro"}; !slices.Equal(doc.mounts, want) {
		t.Errorf("the documentation mounts %q, want %q", doc.mounts, want)
	}
	if doc.port != i.port {
		t.Errorf("the documentation publishes port %s, the image has %s", doc.port, i.port)
	}
	if i.volume != i.dir {
		t.Errorf("VOLUME %s and WORKDIR %s: the default files are not in the volume", i.volume, i.dir)
	}
	want := map[string]fs.FileMode{
		"/": fs.ModeDir | 0o755, "/merlon": 0o755,
		"/etc": fs.ModeDir | 0o755, "/etc/passwd": 0o644, "/etc/group": 0o644, "/etc/merlon": fs.ModeDir | 0o755, "/etc/merlon/merlon.yaml": 0o644,
		"/etc/ssl": fs.ModeDir | 0o755, "/etc/ssl/certs": fs.ModeDir | 0o755, "/etc/ssl/certs/ca-certificates.crt": 0o644,
		"/tmp": fs.ModeDir | fs.ModeSticky | 0o777,
		"/var": fs.ModeDir | 0o755, "/var/lib": fs.ModeDir | 0o755, "/var/lib/merlon": fs.ModeDir | 0o700,
	}
	got := tree(t, i.root)
	for path, mode := range want {
		if e, ok := got[path]; !ok || e.mode != mode {
			t.Errorf("%s: %v, want %v", path, e.mode, mode)
		}
	}
	for path, e := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is in the image: what for?", path)
		}
		owned := int(e.uid) == i.uid || int(e.gid) == i.gid
		if owned != (path == i.volume) || !owned && (e.uid != 0 || e.gid != 0) {
			t.Errorf("%s belongs to %d:%d", path, e.uid, e.gid)
		}
	}
	passwd, err := os.ReadFile(filepath.Join(i.root, "etc/passwd"))
	if err != nil || !strings.Contains(string(passwd), fmt.Sprintf(":x:%d:%d:", i.uid, i.gid)) || regexp.MustCompile(`:/bin/\w*sh$`).Match(passwd) {
		t.Errorf("%v, /etc/passwd:\n%s", err, passwd)
	}
}

// What surrounds a container: its volume, its secrets and its certificate.
type surroundings struct {
	container
	volume string
	pool   *x509.CertPool
}

// surround makes an empty volume and the files below /run/secrets.
func (i image) surround(t *testing.T) surroundings {
	t.Helper()
	s := surroundings{volume: filepath.Join(t.TempDir(), "volume"), pool: x509.NewCertPool()}
	secrets := filepath.Join(t.TempDir(), "secrets")
	run(t, exec.Command("install", "-d", "-m", "0700", "-o", fmt.Sprint(i.uid), "-g", fmt.Sprint(i.gid), s.volume, secrets))
	// The name of a certificate is one that leads elsewhere.
	cert, key := certificate(t, "api.example.com")
	s.pool.AppendCertsFromPEM(cert)
	for name, text := range map[string][]byte{"secret_key": []byte(rand.Text() + rand.Text()), "cert.pem": cert, "key.pem": key} {
		path := filepath.Join(secrets, name)
		if err := os.WriteFile(path, text, 0o400); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, i.uid, i.gid); err != nil {
			t.Fatal(err)
		}
	}
	// Where something is mounted the engine makes a directory.
	root := filepath.Join(t.TempDir(), "root")
	run(t, exec.Command("cp", "-a", i.root, root))
	run(t, exec.Command("mkdir", "-p", filepath.Join(root, "run/secrets")))
	s.container = container{
		Root: root, Mounts: map[string]string{i.volume: s.volume, "/run/secrets": secrets}, Fixed: []string{"/run/secrets"},
		UID: i.uid, GID: i.gid, Dir: i.dir,
		Argv: slices.Concat(i.entrypoint, i.cmd), Env: append(slices.Clone(i.env), documented(t).env...),
	}
	return s
}

func certificate(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// exec runs a program in the container of a process, as docker exec does.
func (s surroundings) exec(t *testing.T, pid int, stdin string, argv ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.Join, s.Argv = pid, argv
	cmd := s.command(ctx, t)
	cmd.Stdin = strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// The whole of what is promised of a container: the health check as it is written,
// requests over TLS, whom it runs as, what it writes, and how it ends.
func TestTheImageServesWithoutPrivilegesAndWritesToItsVolumeOnly(t *testing.T) {
	i := layOut(t)
	for name, readOnly := range map[string]bool{"with a read-only root": true, "with a root that could be written": false} {
		t.Run(name, func(t *testing.T) {
			s := i.surround(t)
			s.ReadOnly = readOnly
			before := tree(t, s.Root)
			ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
			defer cancel()
			cmd := s.command(ctx, t)
			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid, ended := cmd.Process.Pid, make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			healthy := func() bool { code, _ := s.exec(t, pid, "", i.health...); return code == 0 }
			for end := time.Now().Add(patience); !healthy(); time.Sleep(100 * time.Millisecond) {
				select {
				case err := <-ended:
					t.Fatalf("it ended: %v\n%s", err, output.String())
				default:
				}
				if time.Now().After(end) {
					code, said := s.exec(t, pid, "", i.health...)
					cancel()
					<-ended
					t.Fatalf("the health check exits %d: %s\n%s", code, said, output.String())
				}
			}

			isConfined(t, i, pid)
			servesTLS(t, i, s, pid)
			tellsOfADatabaseThatFails(t, i, s, pid)

			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("after SIGTERM: %v, want exit 0\n%s", err, output.String())
			}
			if after := tree(t, s.Root); !equal(t, before, after) {
				t.Error("the root file system was changed")
			}
			var written []string
			for path, e := range tree(t, s.volume) {
				if e.mode.IsDir() && e.mode.Perm() != 0o700 || e.mode.IsRegular() && e.mode.Perm() != 0o600 || int(e.uid) != i.uid {
					t.Errorf("%s in the volume has mode %v and belongs to %d", path, e.mode, e.uid)
				}
				written = append(written, path)
			}
			for _, path := range []string{"/merlon.db", "/logs/security.log"} {
				if !slices.Contains(written, path) {
					t.Errorf("no %s in the volume: %v", path, written)
				}
			}
			log, err := os.ReadFile(filepath.Join(s.volume, "logs/security.log"))
			if err != nil || !strings.Contains(string(log), `"sys_shutdown"`) {
				t.Errorf("%v: the log does not end with sys_shutdown:\n%s", err, log)
			}
		})
	}
}

func equal(t *testing.T, before, after map[string]entry) bool {
	t.Helper()
	same := true
	for path, e := range after {
		if b, ok := before[path]; !ok || b != e {
			t.Errorf("%s was %v and is %v", path, b, e)
			same = false
		}
	}
	return same && len(before) == len(after)
}

// isConfined reads what the kernel says of the process (proc_pid_status(5)).
func isConfined(t *testing.T, i image, pid int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", i.uid)
	none := "0000000000000000"
	for name, want := range map[string]string{"Name": "merlon", "Uid": id, "Gid": id, "Groups": "", "NSpid": fmt.Sprintf("%d\t1", pid),
		"CapEff": none, "CapPrm": none, "CapInh": none, "CapAmb": none, "CapBnd": none, "NoNewPrivs": "1"} {
		m := regexp.MustCompile(`(?m)^` + name + `:[ \t]*(.*?)[ \t]*$`).FindSubmatch(text)
		if m == nil || string(m[1]) != want {
			t.Errorf("%s: %q, want %q", name, m, want)
		}
	}
}

// servesTLS makes an account with the command and logs in over the network.
func servesTLS(t *testing.T, i image, s surroundings, pid int) {
	t.Helper()
	password := rand.Text()
	if code, said := s.exec(t, pid, password+"\n", documented(t).exec...); code != 0 {
		t.Fatalf("users create: exit %d: %s", code, said)
	}
	transport := &http.Transport{DialContext: dialIn(pid), TLSClientConfig: &tls.Config{RootCAs: s.pool, ServerName: "api.example.com"}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	req, err := http.NewRequest("POST", "https://127.0.0.1:"+i.port+"/api/v1/auth/login", strings.NewReader(`{"username":"ada","password":"`+password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.example.com"
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Set-Cookie"), "__Host-merlon_session=") {
		t.Errorf("a login: %v, status %d: %s", err, resp.StatusCode, body)
	}
}

// tellsOfADatabaseThatFails takes the database away, from outside, and gives it back.
func tellsOfADatabaseThatFails(t *testing.T, i image, s surroundings, pid int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.volume, "merlon.db")+"?_txlock=exclusive&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if code, said := s.exec(t, pid, "", i.health...); code != 1 || !strings.Contains(said, "503") {
		t.Errorf("the health check without a database: exit %d, want 1: %s", code, said)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		code, said := s.exec(t, pid, "", i.health...)
		if code == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the health check with the database back: exit %d: %s", code, said)
		}
	}
}

func TestAContainerWithoutSettingsSaysWhatIsMissing(t *testing.T) {
	i := layOut(t)
	s := i.surround(t)
	s.Env, s.ReadOnly = i.env, true
	delete(s.Mounts, "/run/secrets")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, t)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("exit %d, want 2", cmd.ProcessState.ExitCode())
	}
	for _, id := range []string{"merlon.E013 ", "merlon.E015 ", "merlon.E016 "} {
		if !strings.Contains(string(out), id) {
			t.Errorf("it does not say %s:\n%s", id, out)
		}
	}
	if got := tree(t, s.volume); len(got) != 1 {
		t.Errorf("it wrote %v", got)
	}
}
