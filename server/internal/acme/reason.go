package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// A Reason is why a certificate was not obtained: a code that does not change, and what
// to do.
type Reason struct{ Code, Fix string }

const reach = "let the authority reach this service by the name: port 80 leads to redirect_listen, port 443 to listen, and DNS to this machine"

// ReasonOf returns the reason of an error of an order.
func ReasonOf(err error) Reason {
	var p acme.Problem
	var path *fs.PathError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &p):
		return ofProblem(p)
	case errors.As(err, &path):
		return Reason{"storage", "make acme.storage a directory that this user may write, on a disk with room"}
	case errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		return Reason{"certificate", "name the certificates that the authority is verified with in acme.ca_file, or correct acme.directory_url"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Reason{"timeout", "wait: the authority is slow; see that this machine may connect to it"}
	case errors.As(err, &timeout):
		return Reason{"unreachable", "let this machine connect to the host of acme.directory_url, and see that DNS knows it"}
	}
	return Reason{"failure", "see the error beside it"}
}

func ofProblem(p acme.Problem) Reason {
	switch strings.TrimPrefix(p.Type, acme.ProblemTypeNamespace) {
	case "connection", "dns", "tls", "unauthorized", "incorrectResponse":
		if _, validated := p.Resource.(acme.Authorization); validated || !strings.HasSuffix(p.Type, "unauthorized") {
			return Reason{"validation", reach}
		}
		return Reason{"account", "the authority does not accept the account: move account.key in acme.storage away to make another"}
	case "caa":
		return Reason{"caa", "let the CAA records of the name in DNS name this authority"}
	case "rateLimited":
		return Reason{"rate_limited", "wait: the authority limits orders, and each restart or failure counts; try its staging directory first"}
	case "rejectedIdentifier", "unsupportedIdentifier":
		return Reason{"rejected_name", "the authority does not issue for this name: remove it from acme.domains, or use another authority"}
	case "externalAccountRequired", "userActionRequired", "accountDoesNotExist", "invalidContact", "unsupportedContact":
		return Reason{"account", "see what the authority asks for: its terms, acme.email, or an account made elsewhere, which is not supported"}
	case "serverInternal":
		return Reason{"authority", "wait: the authority has a failure of its own"}
	}
	return Reason{"refused", "see the error beside it"}
}
