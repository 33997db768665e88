package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// minSecret is how many bytes a secret has at least.
const minSecret = 32

// A sealer encrypts signing keys under one secret.
type sealer struct {
	id   string // what rows call the secret
	aead cipher.AEAD
}

// newSealer derives what it needs of the secret (HKDF, RFC 5869), each with a label of its own.
func newSealer(secret []byte) (sealer, error) {
	if len(secret) < minSecret {
		return sealer{}, fmt.Errorf("the secret has %d bytes: want %d or more", len(secret), minSecret)
	}
	id, err := hkdf.Key(sha256.New, secret, nil, "merlon token secret name v1", 8)
	if err != nil {
		return sealer{}, err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "merlon token signing key aes-256-gcm v1", 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{hex.EncodeToString(id), aead}, err
}

// seal encrypts the private part of a key for its record.
func (s sealer) seal(r *KeyRecord, private []byte) {
	r.SecretID = s.id
	r.Sealed = s.aead.Seal(nil, nil, private, bound(r))
}

// open is the inverse of seal. It fails for a record that was changed in any way.
func (s sealer) open(r *KeyRecord) ([]byte, error) {
	private, err := s.aead.Open(nil, nil, r.Sealed, bound(r))
	if err != nil {
		return nil, errors.New("it was changed, or belongs to another record")
	}
	return private, nil
}

// bound is what a sealed key is bound to: the record around it, each text behind its length.
func bound(r *KeyRecord) []byte {
	var b []byte
	for _, text := range []string{r.ID, string(r.Algorithm)} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Number))
	return binary.BigEndian.AppendUint64(b, uint64(r.SignsFrom.UnixMicro()))
}
