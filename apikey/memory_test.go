package apikey_test

import (
	"errors"
	"testing"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/apikey/apikeytest"
)

func TestMemory(t *testing.T) {
	apikeytest.Run(t, func(t *testing.T) apikey.Store { return newMemory(t, 200) })
}

func newMemory(t testing.TB, max int) *apikey.Memory {
	t.Helper()
	m, err := apikey.NewMemory(max)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMemoryStoreIsBounded(t *testing.T) {
	if _, err := apikey.NewMemory(0); err == nil {
		t.Error("NewMemory(0) succeeded")
	}
	m := newMemory(t, 1)
	if err := m.Create(t.Context(), apikey.Record{ID: "key_1", Lookup: "1"}, 10); err != nil {
		t.Error(err)
	}
	if err := m.Create(t.Context(), apikey.Record{ID: "key_2", Lookup: "2"}, 10); !errors.Is(err, apikey.ErrFull) {
		t.Errorf("Create: %v, want ErrFull", err)
	}
}
