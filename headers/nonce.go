package headers

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"github.com/merlonhq/merlon/exchange"
)

const nonceLen = 16 // bytes: CSP3 section 7.1 asks for 128 bits

// Nonce returns the nonce of the request that ctx belongs to: what its page marks
// its scripts and styles with, so that they run and injected ones do not.
//
//	<script nonce="{{.Nonce}}" src="/app.js"></script>
//
// It is 128 random bits in base64url, which needs no escaping, and new for each
// request: a page that holds it is never cached. It is "" outside of the stage and
// where the policy of the answer has no nonce.
func Nonce(ctx context.Context) string {
	if x := exchange.FromContext(ctx); x != nil {
		return x.Nonce
	}
	return ""
}

func newNonce() string {
	var random [nonceLen]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(random[:])
}
