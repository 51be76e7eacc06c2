// Package certs holds the certificate that this server shows and the CAs by
// which it judges others, so that both can be renewed while connections use
// them.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Bundle is a certificate with its key, and CAs. It never changes.
type Bundle struct {
	Certificate tls.Certificate // with its Leaf
	CAs         *x509.CertPool  // nil when there are none
}

// Parse reads PEM. An empty ca gives a bundle without CAs. Errors say which of
// the three is wrong.
func Parse(cert, key, ca []byte) (*Bundle, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "certificate and key: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	b := &Bundle{Certificate: pair}
	if len(ca) == 0 {
		return b, nil
	}
	b.CAs = x509.NewCertPool()
	if !b.CAs.AppendCertsFromPEM(ca) {
		return nil, api.Errorf(api.CodeInvalid, "CA: no PEM certificate in it")
	}
	return b, nil
}

// Expires is when the certificate ends.
func (b *Bundle) Expires() time.Time { return b.Certificate.Leaf.NotAfter }

// Verify reports why a peer with the same CAs would refuse the certificate at a
// time: it must lead to one of them, carry the DNS name, and be for each usage.
// A bundle without CAs, or an empty name, is spared that part.
func (b *Bundle) Verify(name string, now time.Time, usages ...x509.ExtKeyUsage) error {
	leaf := b.Certificate.Leaf
	switch {
	case now.Before(leaf.NotBefore):
		return api.Errorf(api.CodeInvalid, "certificate: it is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return api.Errorf(api.CodeInvalid, "certificate: it expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if name != "" && leaf.VerifyHostname(name) != nil {
		return api.Errorf(api.CodeInvalid, "certificate: want the DNS name %s in it, have %s", name, Names(leaf))
	}
	if b.CAs == nil {
		return nil
	}
	between := x509.NewCertPool()
	for _, der := range b.Certificate.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	for _, usage := range usages {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: b.CAs, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
			return api.Errorf(api.CodeInvalid, "certificate: the CA did not sign it")
		}
		if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.IncompatibleUsage {
			return api.Errorf(api.CodeInvalid, "certificate: want both the usages server authentication and client authentication")
		}
		if err != nil {
			return api.Errorf(api.CodeInvalid, "certificate: %s", strings.TrimPrefix(err.Error(), "x509: "))
		}
	}
	return nil
}

// Names lists whom a certificate is for, for a person.
func Names(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}

// Files are the paths of PEM files. CA may be empty.
type Files struct{ Cert, Key, CA string }

// Load reads the files.
func (f Files) Load() (*Bundle, error) {
	var parts [3][]byte
	for i, path := range []string{f.Cert, f.Key, f.CA} {
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "%v", err)
		}
		parts[i] = text
	}
	return Parse(parts[0], parts[1], parts[2])
}

// Keeper holds the bundle in use. It is safe for concurrent use.
type Keeper struct {
	check   func(*Bundle) error
	current atomic.Pointer[Bundle]
}

// NewKeeper returns an empty keeper. The check says which bundles it takes.
func NewKeeper(check func(*Bundle) error) *Keeper { return &Keeper{check: check} }

// Put takes a bundle into use, or refuses it and keeps the former.
func (k *Keeper) Put(b *Bundle) error {
	if err := k.check(b); err != nil {
		return err
	}
	k.current.Store(b)
	return nil
}

// Bundle returns the one in use, or an error while there is none.
func (k *Keeper) Bundle() (*Bundle, error) {
	if b := k.current.Load(); b != nil {
		return b, nil
	}
	return nil, api.Errorf(api.CodeUnavailable, "this server has no certificate yet")
}

// Expires is when the certificate in use ends; zero while there is none.
func (k *Keeper) Expires() time.Time {
	b := k.current.Load()
	if b == nil {
		return time.Time{}
	}
	return b.Expires()
}
