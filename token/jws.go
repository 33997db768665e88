package token

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/merlonhq/merlon/validate"
)

// maxToken is how many bytes a token may have.
const maxToken = 8 << 10

// A Header is what the header of a token says beside its algorithm.
type Header struct {
	Type  string // typ, or ""
	KeyID string // kid
}

// Verify verifies a JWS in compact form (RFC 7515 section 7.1) and returns its header and payload. The error is a
// *[Refusal]. Refused is everything but: at most 8 KiB; three parts in canonical base64url; a header with alg, kid and
// perhaps typ, each once and nothing else; the algorithm of the set; the kid of one of its keys; the right signature.
func (s *KeySet) Verify(compact string) (Header, []byte, error) {
	if len(compact) > maxToken {
		return Header{}, nil, refuse("malformed")
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return Header{}, nil, refuse("malformed")
	}
	var raw [3][]byte
	for i, part := range parts {
		var ok bool
		if raw[i], ok = decode(part); !ok {
			return Header{}, nil, refuse("malformed")
		}
	}
	h, err := s.header(raw[0])
	if err != nil {
		return Header{}, nil, err
	}
	key, known := s.keys[h.KeyID]
	if !known {
		return Header{}, nil, refuse("key")
	}
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.algorithm)})
	if err != nil {
		return Header{}, nil, refuse("malformed")
	}
	if k, isRSA := key.(*rsa.PublicKey); isRSA && s.algorithm[0] == 'P' {
		key = pssVerifier{k, s.algorithm}
	}
	if _, err := parsed.Verify(key); err != nil {
		return Header{}, nil, refuse("signature")
	}
	return h, raw[1], nil
}

// header reads the header: alg, which must be that of the set, kid, typ, and nothing else. What other members ask for,
// such as to use or to fetch the key that they bring, is not even looked at.
func (s *KeySet) header(data []byte) (h Header, err error) {
	if validate.CheckJSON(data, validate.Limits{MaxDepth: 8, MaxMembers: 32}) != nil {
		return Header{}, refuse("malformed")
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(data, &all) != nil {
		return Header{}, refuse("malformed")
	}
	var algorithm string
	for name, raw := range all {
		var to *string
		switch name {
		case "alg":
			to = &algorithm
		case "kid":
			to = &h.KeyID
		case "typ":
			to = &h.Type
		default:
			return Header{}, refuse("header")
		}
		if raw[0] != '"' || json.Unmarshal(raw, to) != nil {
			return Header{}, refuse("malformed")
		}
	}
	switch {
	case algorithm != string(s.algorithm):
		return Header{}, refuse("algorithm")
	case h.KeyID == "":
		return Header{}, refuse("key")
	}
	return h, nil
}

// decode reads base64url without padding, of which each value has one spelling. The decoder of the standard library
// skips line breaks; this one does not.
func decode(s string) ([]byte, bool) {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return nil, false
		}
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// pssVerifier verifies RSASSA-PSS with a salt as long as the hash, as RFC 7518 section 3.5 has it. go-jose takes any.
type pssVerifier struct {
	key       *rsa.PublicKey
	algorithm Algorithm
}

// VerifyPayload implements [jose.OpaqueVerifier].
func (p pssVerifier) VerifyPayload(payload, signature []byte, _ jose.SignatureAlgorithm) error {
	hash := p.algorithm.hash()
	h := hash.New()
	h.Write(payload)
	return rsa.VerifyPSS(p.key, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}
