package findings

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/config"
)

// Bits of a mode.
const (
	othersRead  fs.FileMode = 0o004
	othersWrite fs.FileMode = 0o002
	notOwner    fs.FileMode = 0o077
)

// modeOf returns the permissions of what is at path; ok is false where nothing is,
// and where there are no such permissions.
func modeOf(path string) (mode fs.FileMode, ok bool) {
	if path == "" || runtime.GOOS == "windows" {
		return 0, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return info.Mode().Perm(), true
}

func settingsWritable(s *subject) []hit {
	if mode, ok := modeOf(s.File); ok && mode&othersWrite != 0 {
		return []hit{{s.File, fmt.Sprintf("the settings file has mode %04o", mode), "chmod o-w " + s.File}}
	}
	return nil
}

// isMounted reports whether a platform has put the file there: it is seen by the
// container alone, and its mode is the platform's.
func isMounted(file string) bool {
	return strings.HasPrefix(filepath.Clean(file), "/run/secrets/")
}

func secretsReadable(s *subject) []hit {
	var out []hit
	look := func(setting, file string) {
		mode, ok := modeOf(file)
		if ok && mode&(othersRead|othersWrite) != 0 && !isMounted(file) {
			out = append(out, s.at(setting, fmt.Sprintf("%s has mode %04o", config.ShowPath(file), mode), "chmod o-rwx "+config.ShowPath(file))...)
		}
	}
	for _, name := range []string{"secret_key", "secret_key_previous", "database_url"} {
		look(name, s.Places.SecretFile(name))
	}
	for _, name := range s.writtenSecrets() {
		look(name, s.File)
	}
	look("tls.key", s.set.TLS.Key)
	for _, name := range s.set.ACME.Domains {
		look("acme.storage", acme.File(s.set.ACME.Storage, s.set.ACME.DirectoryURL, name))
	}
	if len(s.set.ACME.Domains) > 0 {
		look("acme.storage", acme.AccountFile(s.set.ACME.Storage, s.set.ACME.DirectoryURL))
	}
	return out
}

func dataReadable(s *subject) []hit {
	var out []hit
	type named struct{ setting, file string }
	files := []named{{"audit.log", s.set.Audit.Log}}
	if database := s.set.DatabaseFile(); database != "" {
		files = append([]named{{"database_url", database}, {"database_url", database + "-wal"}}, files...)
	}
	for _, f := range files {
		if mode, ok := modeOf(f.file); ok && mode&notOwner != 0 {
			out = append(out, s.at(f.setting, fmt.Sprintf("%s has mode %04o", f.file, mode), "chmod 0600 "+f.file)...)
		}
	}
	return out
}

func dataReplaceable(s *subject) []hit {
	var out []hit
	for _, f := range []struct{ setting, file string }{{"database_url", s.set.DatabaseFile()}, {"audit.log", s.set.Audit.Log}} {
		if f.file == "" {
			continue
		}
		dir := filepath.Dir(f.file)
		if mode, ok := modeOf(dir); ok && mode&othersWrite != 0 {
			out = append(out, s.at(f.setting, fmt.Sprintf("the directory %s has mode %04o", dir, mode), "keep it in a directory of its own, with mode 0700")...)
		}
	}
	return out
}
