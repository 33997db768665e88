// Command forms is a guestbook of plain HTML forms behind Merlon: pages under the
// strict policy, a session, and a token in every form.
//
//	go run ./examples/forms
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "loopback address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, *listen); err != nil {
		slog.Error("forms", "error", err)
		os.Exit(1)
	}
}

// serve serves the guestbook until ctx ends.
func serve(ctx context.Context, listen string) error {
	password := rand.Text()
	book, err := newGuestbook(ctx, password, slog.Default())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("The guestbook is at http://%s\nSign in as ada with the password %s\n", l.Addr(), password)
	srv := &http.Server{
		Handler:           book,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
	context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(drain) // Serve has the error
	})
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
