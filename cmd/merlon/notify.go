package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// notifyTimeout bounds a message to the service manager, which is a local datagram.
const notifyTimeout = time.Second

// notify tells the service manager a state, such as READY=1, as sd_notify(3) does. It
// does nothing where no manager asked for it with NOTIFY_SOCKET. The error does not
// matter to serving.
func notify(ctx context.Context, state string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return fmt.Errorf("NOTIFY_SOCKET: want the path of a socket or @ and an abstract name")
	}
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	if _, err := conn.Write([]byte(state + "\n")); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return nil
}

// notifyOfLife tells the service manager that the service serves, and when it begins to
// stop. It returns what waits for the latter.
func notifyOfLife(ctx context.Context, log *slog.Logger) (wait func()) {
	tell := func(state string) {
		if err := notify(context.WithoutCancel(ctx), state); err != nil {
			log.Warn("the service manager cannot be told", "state", state, "error", err)
		}
	}
	tell("READY=1")
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { tell("STOPPING=1"); close(told) })
	return func() {
		if !stop() {
			<-told
		}
	}
}
