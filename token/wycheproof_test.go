package token_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/merlonhq/merlon/token"
)

// everyAlgorithm is each that a KeySet verifies.
var everyAlgorithm = []token.Algorithm{
	token.EdDSA, token.ES256, token.ES384, token.ES512, token.RS256, token.RS384, token.RS512,
	token.PS256, token.PS384, token.PS512, token.HS256, token.HS384, token.HS512,
}

// refusedValid are the vectors that are marked valid and refused here, and why.
var refusedValid = map[string]string{
	"signature 346": "the key says PS256, the token PS384: one key has one algorithm (RFC 8725 section 3.1)",
	"signature 350": "the key says PS256, the token PS384: one key has one algorithm (RFC 8725 section 3.1)",
	"signature 347": "the key says ES521, which is no algorithm (RFC 7518 section 3.1: ES512)",
	"signature 351": "the key says ES521, which is no algorithm (RFC 7518 section 3.1: ES512)",
	"signature 372": "the header holds a character that is not of base64url (RFC 7515 section 2)",
	"signature 373": "the payload holds a character that is not of base64url (RFC 7515 section 2)",
}

// contradicted are vectors that are marked invalid, with what a valid one of the same key has, byte for byte: both
// lost the padding that their comments speak of. TestEncodingsHaveOneSpelling has it.
var contradicted = map[string]string{"signature 367": "signature 357", "signature 370": "signature 357"}

// group is a group of vectors: one key, or a set of them, and tokens.
type group struct {
	Type    string
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []struct {
		ID     int `json:"tcId"`
		JWS    json.RawMessage
		Result string
	}
}

func vectors(t *testing.T, name string) []group {
	t.Helper()
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	text, err := os.ReadFile(filepath.Join(dir, "wycheproof", name))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ TestGroups []group }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.TestGroups
}

// accepting returns the algorithms under which a token is accepted with the key of a group. Each is tried: which one
// is configured must not be what saves us.
func accepting(g group, compact string) (list []token.Algorithm) {
	key := g.Public
	if key == nil {
		key = g.Private // of a MAC there is one
	}
	for _, a := range everyAlgorithm {
		set, err := token.ParseKeySet(a, key)
		if err != nil {
			continue
		}
		if _, _, err := set.Verify(compact); err == nil {
			list = append(list, a)
		}
	}
	return list
}

func TestASVS_V9_1_1_NoInvalidSignatureOfWycheproofIsAccepted(t *testing.T) {
	for _, file := range []struct {
		name, short    string
		valid, invalid int // how many there are; a file that was cut is no test
	}{
		{"json_web_signature_test.json", "signature", 46, 355},
		{"json_web_key_test.json", "key", 5, 21},
		{"json_web_crypto_test.json", "crypto", 4, 45},
	} {
		valid, invalid := 0, 0
		texts := map[string]string{} // of this file
		for _, g := range vectors(t, file.name) {
			for _, v := range g.Tests {
				if v.JWS == nil {
					continue // of encryption, which we do not do
				}
				var compact string
				if err := json.Unmarshal(v.JWS, &compact); err != nil {
					compact = string(v.JWS) // the JSON form of a JWS
				}
				id := fmt.Sprint(file.short, " ", v.ID)
				texts[id] = compact
				got := accepting(g, compact)
				want := 0
				if v.Result == "valid" {
					valid++
					if refusedValid[id] == "" {
						want = 1
					}
				} else {
					invalid++
				}
				if twin := contradicted[id]; twin != "" {
					if texts[twin] != compact {
						t.Errorf("%s is not the same as %s any more", id, twin)
					}
					continue
				}
				if len(got) != want {
					t.Errorf("%s (%s, %s): accepted under %v, want %d algorithms", id, g.Comment, v.Result, got, want)
				}
			}
		}
		if valid != file.valid || invalid != file.invalid {
			t.Errorf("%s: %d valid and %d invalid ones were tried, want %d and %d", file.name, valid, invalid, file.valid, file.invalid)
		}
	}
}

// The valid vectors are of all families of algorithms, so that those that are refused say something.
func TestTheValidVectorsCoverTheAlgorithms(t *testing.T) {
	covered := map[token.Algorithm]bool{}
	for _, g := range vectors(t, "json_web_signature_test.json") {
		for _, v := range g.Tests {
			var compact string
			if v.Result == "valid" && json.Unmarshal(v.JWS, &compact) == nil {
				for _, a := range accepting(g, compact) {
					covered[a] = true
				}
			}
		}
	}
	want := []token.Algorithm{token.ES256, token.RS256, token.RS384, token.RS512, token.PS256, token.PS384, token.PS512, token.HS256}
	for _, a := range want {
		if !covered[a] {
			t.Errorf("no token of %s was accepted", a)
		}
	}
	if len(covered) != len(want) {
		t.Errorf("accepted are %v", covered)
	}
	if slices.Contains(want, token.EdDSA) {
		t.Error("Wycheproof has no JWS of EdDSA: RFC 8037 is tested apart")
	}
}
