package postgres_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/postgres"
)

// What the settings take as the URL of a PostgreSQL database can be opened, and no error repeats any of it.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"postgres://m:p@h/d", "postgresql://m@[::1]:5432/d?sslmode=require", "postgres://m@/d?host=/run/x&search_path=a,b", "postgres://m:%40@h/d?pool_max_conns=7",
		"postgres://m:p@h:0/d", "postgres://m:p@h,i/d", "postgres://m:p@h/%00", "postgres://m:p@h/d?sslrootcert=/no/file", "postgres://m:p@h/d?sslcert=a", "postgres://%20@h/d",
		"postgres://m:p@h%20x/d", "postgres://m:p@h/d?sslmode=verify-ca", "postgres://m:p@h:/d", "postgres://m:p@h/d?", "postgres:///d", "postgres://m:p@[fe80::1%25eth0]/d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !strings.HasPrefix(text, "postgres") || strings.ContainsRune(text, 0) {
			return
		}
		set, problems := config.Load(config.Source{
			Environ: []string{"MERLON_ENVIRONMENT=development", "MERLON_DATABASE_URL=" + text},
			Open:    func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist },
		})
		if config.Fatal(problems) || set.DatabaseURL.Reveal() != text {
			return
		}
		db, err := postgres.New(postgres.Config{URL: text})
		if err == nil {
			db.Close()
			return
		}
		var file *fs.PathError
		if !errors.As(err, &file) && !strings.Contains(text, "ssl") {
			t.Errorf("%q is taken by the settings and cannot be opened: %v", text, err)
		}
	})
}
