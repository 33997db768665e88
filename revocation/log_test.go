package revocation_test

import (
	"testing"

	"github.com/merlonhq/merlon/revocation"
	"github.com/merlonhq/merlon/revocation/revocationtest"
)

func newMemory(t *testing.T, max int) *revocation.Memory {
	t.Helper()
	m, err := revocation.NewMemory(max)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMemoryConforms(t *testing.T) {
	revocationtest.Run(t, 64, func(t *testing.T) (revocation.Log, func(...string)) {
		m := newMemory(t, 64)
		return m, func(names ...string) {
			for _, name := range names {
				m.Add(revocation.Session, name)
			}
		}
	})
}

func TestALogNeedsRoom(t *testing.T) {
	if _, err := revocation.NewMemory(0); err == nil {
		t.Error("a log of no change is made")
	}
}
