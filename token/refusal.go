package token

// A Refusal is the error for a token that proves nothing. Every other error of a verification means that the answer is
// not known, because a store failed: that is an outage (503), never a refusal (401).
type Refusal struct{ reason string }

// Error returns the reason, for logs. It holds nothing of the token.
func (r *Refusal) Error() string { return "token: refused: " + r.reason }

// Reason returns the stable, short name of what is wrong:
//
//	malformed      not what a token looks like: its form, its length, its encoding, its JSON
//	header         the header has a member that no token of ours has, such as jwk, jku, x5u or crit
//	algorithm      the header names another algorithm than the one that is configured
//	key            the header names no key, or none of ours
//	signature      the signature is wrong
//	type           another kind of token
//	claims         a claim is missing, or of the wrong type
//	issuer         of somebody else
//	audience       for somebody else
//	lifetime       made to live for longer than any token of ours
//	not_yet_valid  from the future
//	expired        over
//	ended          of a family that was ended
//	unknown        a refresh token of no family
//	reused         a refresh token that was used before; its family has been ended
func (r *Refusal) Reason() string { return r.reason }

func refuse(reason string) error { return &Refusal{reason} }
