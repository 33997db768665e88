package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/rueidis"
)

// A Reason is why the server cannot be used: a stable word, and what to do about it.
type Reason struct{ Code, Fix string }

// ReasonOf finds the reason in an error of a [Client].
func ReasonOf(err error) Reason {
	var refused *rueidis.RedisError
	var clear tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var host *net.DNSError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &refused):
		return ofServer(refused.Error())
	case errors.Is(err, errTooOld):
		return Reason{"too_old", "use Redis 5 or later, or Valkey"}
	case errors.As(err, &certificate), errors.As(err, &unknown):
		return Reason{"certificate", "give the server a certificate that holds for the host of redis_url, or trust its authority with SSL_CERT_FILE"}
	case errors.As(err, &clear):
		return Reason{"not_tls", "the port speaks clear text: write redis:// instead of rediss://, or the port of TLS"}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reason{"connection_lost", "the server ended or closed the connection: see its log"}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return Reason{"refused", "start the server, or correct the host and port of redis_url"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return Reason{"timeout", "the server hangs, is overloaded, speaks clear text where rediss:// wants TLS, or is too far away: see rate_limits.store_timeout"}
	case errors.As(err, &host):
		return Reason{"host_unknown", "correct the host of redis_url, or the resolver of this machine"}
	case strings.Contains(err.Error(), "unknown message type"), strings.Contains(err.Error(), "unexpected"):
		return Reason{"not_redis", "what listens there does not speak the protocol of Redis: correct the port of redis_url"}
	}
	return Reason{"failure", "see the error"}
}

// ofServer finds the reason in what a server answers. Servers before version 7 wrap errors of scripts into text.
func ofServer(text string) Reason {
	for _, known := range []struct {
		words []string
		Reason
	}{
		{[]string{"WRONGPASS", "NOAUTH", "invalid password", "without any password configured"},
			Reason{"wrong_password", "correct the user and password of redis_url"}},
		{[]string{"NOPERM"}, Reason{"no_permission", "give the user the commands and keys that docs/operating.md lists"}},
		{[]string{"READONLY"}, Reason{"read_only", "redis_url names a replica: name the primary"}},
		{[]string{"OOM"}, Reason{"full", "the server is at its maxmemory: give it more, or a maxmemory-policy that evicts"}},
		{[]string{"MISCONF", "NOREPLICAS"}, Reason{"writes_refused", "the server cannot persist or replicate and refuses to write: see its log"}},
		{[]string{"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"}, Reason{"not_ready", "wait, or see the server's log"}},
		{[]string{"DB index", "SELECT is not allowed"}, Reason{"no_database", "the server has no database of that number: correct redis_url"}},
		{[]string{"non deterministic", "non-deterministic"}, Reason{"too_old", "use Redis 5 or later, or Valkey"}},
		{[]string{"unknown command", "not allowed from script", "disabled"}, Reason{"no_scripts", "the server does not run scripts: use Redis or Valkey"}},
	} {
		for _, word := range known.words {
			if strings.Contains(text, word) {
				return known.Reason
			}
		}
	}
	return Reason{"failure", "see the error"}
}
