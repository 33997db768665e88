package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit"
)

func TestTheSecretOfAChainIsRotatedWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	f := chained(t, path)
	put(t, f, 5)
	next := bytes.Repeat([]byte{9}, 32)
	if err := f.SetChainSecret(next); err != nil {
		t.Fatal(err)
	}
	put(t, f, 5)
	made := shutdown(t, f)
	node, err := audit.NodeID(path)
	if err != nil {
		t.Fatal(err)
	}
	private, err := audit.NodeKey(next, node)
	if err != nil {
		t.Fatal(err)
	}
	key := private.Public().(ed25519.PublicKey)
	if len(made) != 1 {
		t.Fatalf("%d checkpoints, want 1", len(made))
	}
	c, ok := audit.ParseCheckpoint(audit.AppendJSON(nil, made[0]))
	if !ok || c.Key != audit.KeyID(key) || c.Seq != 10 {
		t.Errorf("the checkpoint is of line %d and signed by %s, want 10 and %s", c.Seq, c.Key, audit.KeyID(key))
	}
	// It signs what was written before the rotation as well.
	for _, keys := range [][]ed25519.PublicKey{{key}, append(keysOf(t, path), key)} {
		if r, err := audit.Verify(audit.VerifyConfig{Files: []string{path}, Keys: keys}); err != nil || len(r.Breaks) > 0 || r.Signed != 1 {
			t.Errorf("with %d keys: %+v, %v", len(keys), r, err)
		}
	}

	f = chained(t, filepath.Join(t.TempDir(), "security.log"))
	if err := f.SetChainSecret(next[:31]); err == nil {
		t.Error("a short secret is accepted")
	}
	plain, err := audit.NewFile(audit.FileConfig{Path: filepath.Join(t.TempDir(), "security.log")})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.SetChainSecret(next); err != nil {
		t.Errorf("a log without a chain: %v", err)
	}
}

func TestPrivacyIsChangedWhileEventsAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	f, err := audit.NewFile(audit.FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.New(audit.Config{Sinks: []audit.Output{{Name: "file", Sink: f}}})
	if err != nil {
		t.Fatal(err)
	}
	e := audit.Event{Type: audit.AuthnLoginFail, Address: "192.0.2.77"}
	if err := p.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	hidden, err := audit.NewPrivacy(audit.PrivacyConfig{Addresses: audit.Truncated})
	if err != nil {
		t.Fatal(err)
	}
	p.SetPrivacy(hidden)
	if err := p.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := contents(t, path); strings.Count(text, `"192.0.2.77"`) != 1 || strings.Count(text, `"192.0.2.0/24"`) != 1 {
		t.Errorf("the log has:\n%s", text)
	}
}
