package password_test

import (
	"context"
	"fmt"

	"github.com/merlonhq/merlon/password"
)

func Example() {
	policy, err := password.NewPolicy(password.PolicyConfig{ContextWords: []string{"Parapet"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, reason := range policy.Check("alice1990", "alice", "alice@example.com") {
		fmt.Println(reason.Code)
	}

	hasher, err := password.NewHasher(password.HasherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	stored, err := hasher.Hash(ctx, "tram lamp onion")
	if err != nil {
		fmt.Println(err)
		return
	}
	ok, rehash, err := hasher.Verify(ctx, stored, "tram lamp onion")
	fmt.Println(ok, rehash, err)
	// Output:
	// context
	// true false <nil>
}
