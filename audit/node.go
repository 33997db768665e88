package audit

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// minSecret is the least length of a secret that keys are derived from, in bytes.
const minSecret = 32

// nodeLabel keeps the key apart from all others that are made of the same secret.
const nodeLabel = "merlon event log checkpoint v1 "

// NodeKey returns the Ed25519 key (RFC 8032) that the node signs its checkpoints with:
// HKDF-SHA-256 (RFC 5869) of secret, which has at least 32 bytes, with a label of its own
// and the id of the node. Nodes that share a secret have different keys, and no key
// gives away another.
func NodeKey(secret []byte, node string) (ed25519.PrivateKey, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("audit: the secret of the event log has %d bytes: give it %d or more", len(secret), minSecret)
	}
	if !isNodeID(node) {
		return nil, errors.New("audit: not the id of a node")
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, nodeLabel+node, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// KeyID names a public key in checkpoints: 16 characters of its hash.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// NodeID returns the id of the node that writes the log at path. It is kept beside the
// log, in path + ".node", and no secret. The error is [fs.ErrNotExist] before the first start.
func NodeID(path string) (string, error) {
	text, err := os.ReadFile(path + ".node")
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	id := strings.TrimSuffix(string(text), "\n")
	if !isNodeID(id) {
		return "", fmt.Errorf("audit: %s.node does not hold the id of a node: put it back, or remove it and a new one is made", path)
	}
	return id, nil
}

// makeNodeID returns the id of the node, which it makes when there is none. The caller
// has the lock of the log.
func makeNodeID(path string) (string, error) {
	id, err := NodeID(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	id = nodePrefix + rand.Text()
	file, err := os.OpenFile(path+".node", os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	_, err = file.WriteString(id + "\n")
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("audit: %w", errors.Join(err, os.Remove(path+".node"))) // half an id is none
	}
	return id, nil
}

const nodePrefix = "node_"

func isNodeID(id string) bool {
	name, ok := strings.CutPrefix(id, nodePrefix)
	return ok && len(name) == 26 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
