package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// newRSABits is the size of the RSA keys that are made: as strong as the other algorithms (SP 800-57).
const newRSABits = 3072

// A signingKey signs tokens with one algorithm.
type signingKey struct {
	record KeyRecord
	verify Key             // what verifies its signatures
	public jose.JSONWebKey // what is published; without a Key for a MAC
	signer jose.Signer
}

// makeKey makes a private key, as it is sealed.
func makeKey(a Algorithm) ([]byte, error) {
	var key any
	var err error
	switch a {
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		key, err = rsa.GenerateKey(rand.Reader, newRSABits)
	case HS256:
		mac := make([]byte, sha256.Size)
		_, _ = rand.Read(mac) // never fails, see crypto/rand
		return mac, nil
	default:
		return nil, fmt.Errorf("no keys are made for algorithm %q", string(a))
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// readKey reads what makeKey made. ID is the only member of the record that it sets.
func readKey(a Algorithm, private []byte) (*signingKey, error) {
	k := &signingKey{}
	var signs any = private
	if a == HS256 {
		k.verify = Key{ID: macThumbprint(private), Public: private}
	} else {
		parsed, err := x509.ParsePKCS8PrivateKey(private)
		if err != nil {
			return nil, errors.New("it is no private key")
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok {
			return nil, errors.New("it signs nothing")
		}
		signs = parsed
		public := jose.JSONWebKey{Key: signer.Public(), Algorithm: string(a), Use: "sig"}
		thumbprint, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, err
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
		k.verify = Key{ID: public.KeyID, Public: public.Key}
		k.public = public
	}
	if err := a.check(k.verify.Public); err != nil {
		return nil, err
	}
	k.record.ID = k.verify.ID
	var err error
	k.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(a), Key: signs}, (&jose.SignerOptions{}).
		WithType(accessType).WithHeader("kid", k.verify.ID))
	return k, err
}

// macThumbprint is RFC 7638 for a symmetric key. It may be told, since the key has 256 random bits (section 7).
func macThumbprint(key []byte) string {
	sum := sha256.Sum256([]byte(`{"k":"` + base64.RawURLEncoding.EncodeToString(key) + `","kty":"oct"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sign returns an access token.
func (k *signingKey) sign(c *Claims) (string, error) {
	payload, err := c.encode()
	if err != nil {
		return "", err
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
