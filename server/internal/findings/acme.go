package findings

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/config"
)

// acmeLate looks at what is kept: the service renews when a third of the life is left,
// so that half of that third gone without one is a renewal that fails.
func acmeLate(s *subject) []hit {
	var out []hit
	for _, name := range s.set.ACME.Domains {
		leaf := keptCertificate(acme.File(s.set.ACME.Storage, s.set.ACME.DirectoryURL, name))
		if leaf == nil || leaf.NotAfter.Sub(s.Now) >= leaf.NotAfter.Sub(leaf.NotBefore)/6 {
			continue
		}
		out = append(out, s.at("acme.domains", "the certificate of "+name+" ends at "+leaf.NotAfter.UTC().Format(time.RFC3339), "see in the log of the service why it was not renewed")...)
	}
	return out
}

// keptCertificate returns the certificate in a file that holds its key too, nil where
// there is none.
func keptCertificate(file string) *x509.Certificate {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		return leaf
	}
}

func acmeStaging(s *subject) []hit {
	u, err := url.Parse(s.set.ACME.DirectoryURL)
	if err != nil || len(s.set.ACME.Domains) == 0 || !strings.Contains(u.Hostname(), "staging") {
		return nil
	}
	return s.at("acme.directory_url", "the certificates are for tests", "remove it to use "+config.LetsEncrypt+", or name your authority's own directory")
}

// acmeUnnamed returns the hosts that no certificate is obtained for.
func acmeUnnamed(s *subject) []string {
	if len(s.set.ACME.Domains) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.set.Hosts), func(h string) bool { return slices.Contains(s.set.ACME.Domains, h) })
}
