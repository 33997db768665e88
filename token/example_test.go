package token_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/merlonhq/merlon/token"
)

// A service that verifies the access tokens of an issuer by its published keys.
func ExampleVerifier() {
	store, err := token.NewMemory(100)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := token.New(token.Config{Store: store, KeyStore: store, Secret: newSecret(), Issuer: "https://api.example.com", Audience: "blog"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := issuer.Start(ctx); err != nil {
		log.Fatal(err)
	}
	tokens, _, err := issuer.Begin(ctx, token.Login{UserID: "usr_ada", Scopes: []string{"posts:read"}})
	if err != nil {
		log.Fatal(err)
	}

	// On the other side: the answer of GET /.well-known/jwks.json, and what was agreed on.
	jwks, err := issuer.JWKS()
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.ParseKeySet(token.EdDSA, jwks)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys, Issuer: "https://api.example.com", Audience: "blog"})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(tokens.Access, time.Now())
	fmt.Println(claims.Subject, claims.Scopes, err)

	_, err = verifier.Verify(tokens.Access, time.Now().Add(time.Hour))
	var refusal *token.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Reason())
	}
	// Output:
	// usr_ada [posts:read] <nil>
	// expired
}
