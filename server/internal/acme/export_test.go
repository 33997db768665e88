package acme

import (
	"context"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// ObtainBy makes m obtain certificates otherwise.
func (m *Manager) ObtainBy(obtain func(ctx context.Context, name string) ([]byte, time.Duration, error)) {
	m.obtain = obtain
}

// OpenHTTP and OpenTLS open challenges, and Close ends both.
func (m *Manager) OpenHTTP(c acme.Challenge) error {
	return httpSolver{m.challenges}.Present(context.Background(), c)
}
func (m *Manager) OpenTLS(c acme.Challenge) error {
	return tlsSolver{m.challenges}.Present(context.Background(), c)
}
func (m *Manager) Close(c acme.Challenge) error {
	if err := (httpSolver{m.challenges}).CleanUp(context.Background(), c); err != nil {
		return err
	}
	return tlsSolver{m.challenges}.CleanUp(context.Background(), c)
}

var RetryAfter = retryAfter
