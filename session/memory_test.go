package session_test

import (
	"errors"
	"testing"

	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/session/sessiontest"
)

func TestMemory(t *testing.T) {
	sessiontest.Run(t, func(t *testing.T) session.Store { return newMemory(t, 200) })
}

func newMemory(t testing.TB, max int) *session.Memory {
	t.Helper()
	m, err := session.NewMemory(max)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMemoryStoreIsBounded(t *testing.T) {
	if _, err := session.NewMemory(0); err == nil {
		t.Error("NewMemory(0) succeeded")
	}
	m := newMemory(t, 1)
	if err := m.Create(t.Context(), session.Record{ID: "ses_1", Hash: [32]byte{1}}); err != nil {
		t.Error(err)
	}
	if err := m.Create(t.Context(), session.Record{ID: "ses_2", Hash: [32]byte{2}}); !errors.Is(err, session.ErrFull) {
		t.Errorf("Create: %v, want ErrFull", err)
	}
}
