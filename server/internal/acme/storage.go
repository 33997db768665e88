package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// directory returns where what an authority issued is kept: another authority, such as
// one for tests, has files of its own.
func directory(storage, directoryURL string) string {
	name := "authority"
	if u, err := url.Parse(directoryURL); err == nil && u.Hostname() != "" {
		name = strings.Map(func(r rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-", r) {
				return r
			}
			return '_'
		}, strings.ToLower(u.Hostname()))
	}
	sum := sha256.Sum256([]byte(directoryURL))
	return filepath.Join(storage, name+"-"+hex.EncodeToString(sum[:4]))
}

// File returns the PEM file of the certificate of a name and its key, which is there
// once it has been obtained.
func File(storage, directoryURL, name string) string {
	return filepath.Join(directory(storage, directoryURL), name+".pem")
}

// AccountFile returns the PEM file of the account's key.
func AccountFile(storage, directoryURL string) string {
	return filepath.Join(directory(storage, directoryURL), "account.key")
}

// PlaceholderFile returns the PEM file of the certificate that is served for names that
// have none yet. Nobody trusts it but who has read it.
func PlaceholderFile(storage, directoryURL string) string {
	return filepath.Join(directory(storage, directoryURL), "placeholder.pem")
}

// read reads a certificate and its key from one file. A missing file is
// fs.ErrNotExist.
func read(path string) (*tls.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func parse(text []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// write puts text into the file for its owner only: the whole of it or nothing, so
// that a certificate never stands beside the key of another.
func write(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// accountKey returns the key of the account, which it makes once.
func accountKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if text, err = keyPEM(key); err != nil {
			return nil, err
		}
		return key, write(path, text)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM: move it away to make another account", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no usable key: move it away to make another account", path)
	}
	return key, nil
}

// placeholderName is the name in the placeholder, which is never in DNS (RFC 6761 section
// 6.4).
const placeholderName = "placeholder.invalid"

// placeholder makes a certificate that no client trusts, so that probes that do not ask
// for trust find a service while no name has a certificate.
func placeholder(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: placeholderName}, DNSNames: []string{placeholderName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return append(secret, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}
