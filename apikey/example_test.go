package apikey_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

func Example() {
	store, err := apikey.NewMemory(1000)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := apikey.New(apikey.Config{Store: store, Scopes: []string{"posts:read"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	text, record, err := keys.Create(ctx, apikey.NewKey{
		Owner: "usr_1", Name: "nightly backup",
		Scopes: []string{"posts:read"}, MakerScopes: []string{"posts:read"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	addr := netip.MustParseAddr("192.0.2.7")
	_, err = keys.Verify(ctx, text, addr, time.Now())
	fmt.Println(err)
	if err := keys.Revoke(ctx, record.ID, "usr_1"); err != nil {
		fmt.Println(err)
		return
	}
	_, err = keys.Verify(ctx, text, addr, time.Now())
	fmt.Println(err)
	// Output:
	// <nil>
	// apikey: key is revoked
}
