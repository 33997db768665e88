package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"time"
)

// Certificate reads the certificate and the key of set, for a service that answers
// to hosts. It returns all that keeps clients from accepting it now, and the hosts
// that it does not name beside some that it does. [Load] does not call it: commands
// that serve nothing need no certificate. A set without TLS has none.
func Certificate(set TLS, hosts []string, now time.Time) (pair *tls.Certificate, unnamed []string, problems []Problem) {
	if set.Cert == "" || set.Key == "" {
		return nil, nil, nil
	}
	report := func(path, id, message, fix string) {
		problems = append(problems, newProblem(ShowPath(path), fault{id, message, fix}))
	}
	read := func(name, path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			report(path, idCertificate, name+": cannot be read: "+reason(err), "correct the path, or the permissions of the file")
		}
		return b
	}
	certPEM, keyPEM := read("tls.cert", set.Cert), read("tls.key", set.Key)
	if len(problems) > 0 {
		return nil, nil, problems
	}
	leaf, why := firstCertificate(certPEM)
	if leaf == nil {
		report(set.Cert, idCertificate, "tls.cert: "+why, "write the certificate of this service in PEM, then those between it and the root")
		return nil, nil, problems
	}
	p, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		report(set.Key, idCertificate, "tls.key: not the key of "+ShowPath(set.Cert)+": "+err.Error(), "write the private key that the certificate was made for, in PEM and without a password")
	}
	if usage := leaf.ExtKeyUsage; len(usage) > 0 && !slices.Contains(usage, x509.ExtKeyUsageServerAuth) && !slices.Contains(usage, x509.ExtKeyUsageAny) {
		report(set.Cert, idCertificate, "tls.cert: the certificate is not for servers", "have one issued with the extended key usage serverAuth")
	}
	switch {
	case now.After(leaf.NotAfter):
		report(set.Cert, idCertificateTime, "tls.cert: expired at "+leaf.NotAfter.UTC().Format(time.RFC3339), "renew it")
	case now.Before(leaf.NotBefore):
		report(set.Cert, idCertificateTime, "tls.cert: not valid before "+leaf.NotBefore.UTC().Format(time.RFC3339), "set the clock of this machine right, or wait")
	}
	for _, h := range hosts {
		if leaf.VerifyHostname(h) != nil {
			unnamed = append(unnamed, h)
		}
	}
	if len(hosts) > 0 && len(unnamed) == len(hosts) {
		report(set.Cert, idCertificateHosts, "tls.cert: names none of hosts", "have one issued for them, or correct hosts")
	}
	if len(problems) > 0 {
		return nil, nil, problems
	}
	return &p, unnamed, nil
}

// OfCertificate reports whether a problem of this id is of the certificate, and of no
// setting.
func OfCertificate(id string) bool {
	return id == idCertificate || id == idCertificateTime || id == idCertificateHosts
}

// firstCertificate returns the certificate that stands first, or why there is none.
func firstCertificate(text []byte) (leaf *x509.Certificate, why string) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, "holds no certificate in PEM"
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, "holds a malformed certificate: " + err.Error()
		}
		return leaf, ""
	}
}
