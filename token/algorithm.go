package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// An Algorithm is a signature algorithm of JOSE (RFC 7518 section 3.1, RFC 8037).
type Algorithm string

// The algorithms. A [Manager] signs with the first four; a [KeySet] verifies all of them.
const (
	EdDSA Algorithm = "EdDSA" // Ed25519
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
	HS256 Algorithm = "HS256" // whoever verifies can sign

	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
)

// signs reports whether a Manager can sign with a.
func (a Algorithm) signs() bool {
	return slices.Contains([]Algorithm{EdDSA, ES256, RS256, HS256}, a)
}

// keyType returns the kty of the keys of a (RFC 7518 section 6.1), or "" for no algorithm of ours.
func (a Algorithm) keyType() string {
	switch a {
	case EdDSA:
		return "OKP"
	case ES256, ES384, ES512:
		return "EC"
	case RS256, RS384, RS512, PS256, PS384, PS512:
		return "RSA"
	case HS256, HS384, HS512:
		return "oct"
	}
	return ""
}

// hash returns the hash of a, of those algorithms that name one.
func (a Algorithm) hash() crypto.Hash {
	switch a[2:] {
	case "256":
		return crypto.SHA256
	case "384":
		return crypto.SHA384
	}
	return crypto.SHA512
}

func (a Algorithm) curve() elliptic.Curve {
	switch a {
	case ES256:
		return elliptic.P256()
	case ES384:
		return elliptic.P384()
	}
	return elliptic.P521()
}

// The bounds of RSA keys: SP 800-131A for the modulus, FIPS 186-5 section 5.4 for the exponent. The upper one bounds
// what a verification may cost.
const (
	minRSABits = 2048
	maxRSABits = 8192
	minRSAExp  = 65537
	maxMACKey  = 1024 // bytes
)

// check returns what keeps key from verifying signatures made with a.
func (a Algorithm) check(key any) error {
	wrongType := fmt.Errorf("a key of type %T is of no use for %s", key, a)
	switch a.keyType() {
	case "OKP":
		k, ok := key.(ed25519.PublicKey)
		if !ok {
			return wrongType
		}
		if len(k) != ed25519.PublicKeySize {
			return errors.New("an Ed25519 key has 32 bytes")
		}
	case "EC":
		k, ok := key.(*ecdsa.PublicKey)
		if !ok || k == nil {
			return wrongType
		}
		if k.Curve != a.curve() {
			return fmt.Errorf("the key is on another curve than that of %s", a)
		}
		if !(&jose.JSONWebKey{Key: k}).Valid() {
			return errors.New("the key has no point")
		}
		if _, err := k.ECDH(); err != nil { // looks whether the point is on the curve
			return errors.New("the point is not on the curve")
		}
	case "RSA":
		k, ok := key.(*rsa.PublicKey)
		if !ok || k == nil || k.N == nil {
			return wrongType
		}
		switch bits := k.N.BitLen(); {
		case bits < minRSABits || bits > maxRSABits:
			return fmt.Errorf("the RSA key has %d bits: want %d to %d", bits, minRSABits, maxRSABits)
		case k.N.Bit(0) == 0:
			return errors.New("the RSA modulus is even")
		case k.E < minRSAExp || k.E%2 == 0:
			return fmt.Errorf("the RSA exponent must be odd and at least %d", minRSAExp)
		case isROCA(k.N):
			return errors.New("the RSA key can be factored (CVE-2017-15361)")
		}
	case "oct":
		k, ok := key.([]byte)
		if !ok {
			return wrongType
		}
		if size := a.hash().Size(); len(k) < size || len(k) > maxMACKey { // RFC 7518 section 3.2
			return fmt.Errorf("the key has %d bytes: %s wants %d to %d", len(k), a, size, maxMACKey)
		}
	default:
		return fmt.Errorf("algorithm %q is not one of ours", string(a))
	}
	return nil
}

// isROCA reports whether n has the fingerprint of keys made by a faulty chip library (Nemec and others, "The Return of
// Coppersmith's Attack", section 2.4): modulo each of these primes it is a power of 65537. Others have it once in 2^27.
func isROCA(n *big.Int) bool {
	for _, p := range []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157} {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power := int64(1)
		for power != rest {
			if power = power * 65537 % p; power == 1 {
				return false // all powers seen
			}
		}
	}
	return true
}
