package token_test

import (
	"errors"
	"testing"

	"github.com/merlonhq/merlon/token"
	"github.com/merlonhq/merlon/token/tokentest"
)

func TestMemory(t *testing.T) {
	tokentest.Run(t, func(t *testing.T) token.Store { return newMemory(t, 200) })
	tokentest.RunKeys(t, func(t *testing.T) token.KeyStore { return newMemory(t, 1) })
}

func newMemory(t testing.TB, max int) *token.Memory {
	t.Helper()
	m, err := token.NewMemory(max)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMemoryStoreIsBounded(t *testing.T) {
	if _, err := token.NewMemory(0); err == nil {
		t.Error("NewMemory(0) succeeded")
	}
	m := newMemory(t, 1)
	if err := m.Create(t.Context(), token.Grant{ID: "ses_1", UserID: "usr_a", Family: [32]byte{1}}, 1); err != nil {
		t.Error(err)
	}
	if err := m.Create(t.Context(), token.Grant{ID: "ses_2", UserID: "usr_b", Family: [32]byte{2}}, 1); !errors.Is(err, token.ErrFull) {
		t.Errorf("Create: %v, want ErrFull", err)
	}
}
