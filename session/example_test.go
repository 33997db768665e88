package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/merlonhq/merlon/session"
)

func Example() {
	store, err := session.NewMemory(1000)
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions, err := session.New(session.Config{Store: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	token, record, err := sessions.Create(ctx, "usr_1", session.Meta{UserAgent: "Browser/1.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.Cookie(token).Name)
	found, err := sessions.Verify(ctx, token, time.Now())
	fmt.Println(found.UserID, err)
	if err := sessions.Revoke(ctx, record.ID, "usr_1"); err != nil {
		fmt.Println(err)
		return
	}
	_, err = sessions.Verify(ctx, token, time.Now())
	fmt.Println(err)
	// Output:
	// __Host-merlon_session
	// usr_1 <nil>
	// session: invalid token
}
