package token

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/merlonhq/merlon/validate"
)

const (
	maxKeys    = 100
	maxKeyID   = 256
	maxKeysDoc = 64 << 10
)

// A Key verifies signatures.
type Key struct {
	// ID is the kid that tokens name the key by: 1 to 256 bytes.
	ID string
	// Public is an [ed25519.PublicKey], *[ecdsa.PublicKey] or *[rsa.PublicKey], or the secret of a MAC as []byte.
	Public any
}

// A KeySet verifies signatures made with one algorithm by any of its keys. It does not change after [NewKeySet].
type KeySet struct {
	algorithm Algorithm
	keys      map[string]any
}

// NewKeySet returns the set of keys for one algorithm: RSA keys of 2048 bits and more, MAC keys as long as the hash and
// longer. It reports everything that is wrong at once. An empty set verifies nothing.
func NewKeySet(algorithm Algorithm, keys ...Key) (*KeySet, error) {
	s := &KeySet{algorithm: algorithm, keys: make(map[string]any, len(keys))}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("token: "+format, args...)) }
	if algorithm.keyType() == "" {
		bad("algorithm %q is not one of ours", string(algorithm))
	}
	for i, k := range keys {
		if k.ID == "" || len(k.ID) > maxKeyID {
			bad("key %d: the ID must have 1 to %d bytes", i, maxKeyID)
		}
		if _, taken := s.keys[k.ID]; taken {
			bad("key %d: another key has its ID: which one counts would be a guess", i)
		}
		if err := algorithm.check(k.Public); err != nil {
			bad("key %d: %w", i, err)
			continue
		}
		s.keys[k.ID] = k.Public
		if mac, ok := k.Public.([]byte); ok {
			s.keys[k.ID] = append([]byte(nil), mac...)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseKeySet reads a JWK Set (RFC 7517), or one JWK. Every key in it must be one for algorithm: of its type and curve,
// and with no alg, use or key_ops that says otherwise. A set that mixes algorithms is refused, and so is a private key:
// it has no business where signatures are verified. Certificates and URLs in a key are not looked at.
func ParseKeySet(algorithm Algorithm, data []byte) (*KeySet, error) {
	if len(data) > maxKeysDoc {
		return nil, fmt.Errorf("token: the keys have %d bytes: want at most %d", len(data), maxKeysDoc)
	}
	// No object may have two members of one name.
	if err := validate.CheckJSON(data, validate.Limits{MaxDepth: 8, MaxMembers: 4096}); err != nil {
		return nil, fmt.Errorf("token: the keys are no JSON of one meaning: %w", err)
	}
	// A map and not a struct: encoding/json would take "KTY" for "kty".
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, errors.New("token: the keys are no JSON object")
	}
	parts := []json.RawMessage{data}
	if list, isSet := doc["keys"]; isSet {
		parts = nil // Unmarshal would write into data
		if err := json.Unmarshal(list, &parts); err != nil || len(parts) > maxKeys {
			return nil, fmt.Errorf("token: keys must be a list of at most %d", maxKeys)
		}
	}
	var keys []Key
	var errs []error
	for i, part := range parts {
		k, err := parseKey(algorithm, part)
		if err != nil {
			errs = append(errs, fmt.Errorf("token: key %d: %w", i, err))
			continue
		}
		keys = append(keys, k)
	}
	set, err := NewKeySet(algorithm, keys...)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return set, nil
}

func parseKey(algorithm Algorithm, data []byte) (Key, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil || all == nil {
		return Key{}, errors.New("not an object")
	}
	text := func(name string) (value string, present bool, err error) {
		raw, present := all[name]
		if !present {
			return "", false, nil
		}
		if raw[0] != '"' || json.Unmarshal(raw, &value) != nil {
			return "", true, fmt.Errorf("%s must be text", name)
		}
		return value, true, nil
	}
	for _, want := range [...]struct {
		name, value string
		required    bool
	}{{"kty", algorithm.keyType(), true}, {"alg", string(algorithm), false}, {"use", "sig", false}} {
		got, present, err := text(want.name)
		if err != nil {
			return Key{}, err
		}
		if present && got != want.value || !present && want.required {
			return Key{}, fmt.Errorf("%s must be %q", want.name, want.value)
		}
	}
	if raw, present := all["key_ops"]; present {
		if err := checkOperations(raw); err != nil {
			return Key{}, err
		}
	}
	members := map[string][]string{"OKP": {"crv", "x"}, "EC": {"crv", "x", "y"}, "RSA": {"n", "e"}, "oct": {"k"}}[algorithm.keyType()]
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		if _, present := all[name]; present {
			return Key{}, errors.New("it is a private key")
		}
	}
	// The rest is read from what this algorithm needs, and nothing else.
	needed := map[string]string{"kty": algorithm.keyType()}
	for _, name := range members {
		value, _, err := text(name)
		if err != nil {
			return Key{}, err
		}
		if name != "crv" {
			if _, ok := decode(value); !ok || value == "" {
				return Key{}, fmt.Errorf("%s must be base64url without padding", name)
			}
		}
		needed[name] = value
	}
	id, _, err := text("kid")
	if err != nil {
		return Key{}, err
	}
	clean, err := json.Marshal(needed)
	if err != nil {
		return Key{}, err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(clean); err != nil {
		return Key{}, fmt.Errorf("not a key: %w", err)
	}
	return Key{ID: id, Public: jwk.Key}, nil
}

// checkOperations checks key_ops (RFC 7517 section 4.3): to verify must be one of them, and none is of another trade.
func checkOperations(raw json.RawMessage) error {
	var ops []string
	if err := json.Unmarshal(raw, &ops); err != nil {
		return errors.New("key_ops must be a list of texts")
	}
	verifies := false
	for i, op := range ops {
		for _, before := range ops[:i] {
			if op == before {
				return errors.New("key_ops names an operation twice")
			}
		}
		if op != "verify" && op != "sign" {
			return errors.New("key_ops must be for signatures alone")
		}
		verifies = verifies || op == "verify"
	}
	if !verifies {
		return errors.New("key_ops must have verify")
	}
	return nil
}
