package findings

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/config"
)

// secretFiles are the files that a secret or the key of the certificate is read from,
// and the settings that name them. What a platform has mounted is not among them.
func (s *subject) secretFiles() []named {
	var out []named
	add := func(setting, file string) {
		if file != "" && !isMounted(file) {
			out = append(out, named{setting, file})
		}
	}
	for _, name := range secretSettings() {
		add(name, s.Places.SecretFile(name))
	}
	for _, name := range s.writtenSecrets() {
		add(name, s.File)
	}
	add("tls.key", s.set.TLS.Key)
	if a := s.set.ACME; len(a.Domains) > 0 {
		for _, name := range a.Domains {
			add("acme.storage", acme.File(a.Storage, a.DirectoryURL, name))
		}
		add("acme.storage", acme.AccountFile(a.Storage, a.DirectoryURL))
	}
	add("database_url", s.set.PostgresKeyFile())
	return out
}

// ofOthers tells of files that are another account's, which may change them whatever
// their modes are. Whoever runs as root cannot tell which account will serve.
func ofOthers(s *subject) []hit {
	if s.UID <= 0 {
		return nil
	}
	var out []hit
	for _, f := range append([]named{{"", s.File}}, s.secretFiles()...) {
		owner, ok := ownerOf(f.file)
		if !ok || owner == 0 || owner == s.UID || f.setting != "" && f.file == s.File {
			continue
		}
		where, file := s.File, config.ShowPath(f.file)
		if f.setting != "" {
			where = s.Places.Where(f.setting)
		}
		out = append(out, hit{where, fmt.Sprintf("%s belongs to the account %d", file, owner), "chown root " + file + ", and let the service's group read it"})
	}
	return out
}

// replaceable tells of directories that everybody may write, with what is in them.
func replaceable(s *subject) []hit {
	var out []hit
	seen := map[string]bool{}
	for _, f := range append([]named{{"", s.File}, {"tls.cert", s.set.TLS.Cert}}, s.secretFiles()...) {
		dir := filepath.Dir(f.file)
		if f.file == "" || seen[dir] || runtime.GOOS == "windows" {
			continue
		}
		seen[dir] = true
		// Where the sticky bit is set, only its owner replaces a file (inode(7)).
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&othersWrite == 0 || info.Mode()&fs.ModeSticky != 0 {
			continue
		}
		where, what := s.File, "the settings file"
		if f.setting != "" {
			where, what = s.Places.Where(f.setting), f.setting
		}
		out = append(out, hit{where, fmt.Sprintf("the directory %s of %s has mode %04o", config.ShowPath(dir), what, info.Mode().Perm()), "chmod o-w " + config.ShowPath(dir)})
	}
	return out
}

// clockBehind looks at what was written last: nothing is written in the future.
func clockBehind(s *subject) []hit {
	const tolerance = 5 * time.Minute
	for _, file := range []string{s.File, s.set.Audit.Log, s.set.DatabaseFile()} {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil || info.ModTime().Sub(s.Now) <= tolerance {
			continue
		}
		return []hit{{config.ShowPath(file), fmt.Sprintf("%s was written at %s, and it is %s", config.ShowPath(file), info.ModTime().UTC().Format(time.RFC3339), s.Now.UTC().Format(time.RFC3339)),
			"set the clock right and keep it so, with chrony or systemd-timesyncd"}}
	}
	return nil
}

func isRoot(s *subject) []hit {
	if s.UID != 0 {
		return nil
	}
	return []hit{{"the process", "this runs as root", "serve as an account of its own; ports under 1024 need CAP_NET_BIND_SERVICE alone"}}
}

// variable returns a variable of the environment; of two the first counts.
func (s *subject) variable(name string) string {
	for _, e := range s.Environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

func dumpsCore(s *subject) []hit {
	if v := s.variable("GOTRACEBACK"); v == "crash" || v == "wer" {
		return []hit{{"GOTRACEBACK", "is " + v, "unset it"}}
	}
	return nil
}

// weakened returns the settings of GODEBUG that bring back what was given up, or log
// what clients send, with the value that is safe.
func weakened() map[string]string {
	return map[string]string{
		"http2debug": "0", "httplaxcontentlength": "0", "rsa1024min": "1", "tls10server": "0", "tls3des": "0",
		"tlsrsakex": "0", "tlssha1": "0", "tlsunsafeekm": "0", "x509sha1": "0",
	}
}

func runtimeWeakened(s *subject) []hit {
	var out []hit
	safeValues := weakened()
	for part := range strings.SplitSeq(s.variable("GODEBUG"), ",") {
		name, value, _ := strings.Cut(part, "=")
		if safe, ok := safeValues[name]; ok && value != safe {
			out = append(out, hit{"GODEBUG", name + " is set", "unset it"})
		}
	}
	return out
}
