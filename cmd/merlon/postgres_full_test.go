//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// smallDisk mounts a disk of some MiB that belongs to the server of PostgreSQL.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can mount a disk")
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "merlon-disk-") // others may not go through t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%s,mode=0700,uid=%d,gid=%d", size, uid, gid)); err != nil {
		t.Skipf("skipped: this machine lets nobody mount a disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room that there is, until the function that it returns is called.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// The disk of PostgreSQL fills up while the service runs, and is emptied.
func TestPostgreSQLIsFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "64m")
	db := postgrestest.Start(t)
	root := db.URL("", "", "postgres")
	db.Exec(t, root, "CREATE TABLESPACE small LOCATION '"+disk+"'")
	db.Exec(t, root, "CREATE DATABASE small OWNER merlon TABLESPACE small")
	url := db.URL("merlon", db.Password, "small")
	db.Exec(t, url, "ALTER SCHEMA public OWNER TO merlon")
	n := startNode(t, url)
	createUser(t, merlon("--config", n.config).in(n.dir), "warden", passphrase, "admin")
	admin := n.login(t, "warden", passphrase)
	l := &ledger{events: map[string]bool{}}
	l.make(n.client, "before")
	empty := fill(t, disk)
	// What fits into the pages that are there is still written.
	i, outages := 0, 0
	eventually(t, "writes are refused", func() bool {
		i++
		a, err := n.try("PATCH", "/api/v1/users/me", members{"bio": fmt.Sprint(i)}, admin.header...)
		if err != nil || a.status != 200 && a.code() != "store-unavailable" {
			t.Errorf("%v, status %d: %s", err, a.status, a.body)
		}
		l.make(n.client, fmt.Sprintf("while-%d", i))
		if a.status == 503 {
			outages++
		}
		return outages == 3
	})
	admin.call(t, 200, "GET", "/api/v1/users/me", nil)
	empty()
	recovers(t, n.service, admin)
	l.make(n.client, "after")
	l.check(t, n.client, admin, 2)
	n.stop()
}
