//go:build unix

package redisstore_test

import (
	"flag"
	"os"
	"testing"
)

// The tests mostly wait for windows to pass, on the real clock: many at a time then, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("24") // a number
	}
	os.Exit(m.Run())
}
