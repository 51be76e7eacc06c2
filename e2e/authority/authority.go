// Package authority is a CA for servers under test that have no Vault.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/oakumhq/oakum/internal/certs"
)

// validity reaches this far to both sides of now, because tests make clocks jump.
const validity = 30 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes a CA.
func New() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Oakum test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-validity), NotAfter: time.Now().Add(validity), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// Template is a certificate of a server for DNS names, to be signed.
func Template(names ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "Oakum test"}, DNSNames: names,
		NotBefore: time.Now().Add(-validity), NotAfter: time.Now().Add(validity), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// Sign makes a key and a certificate from a template, both in PEM.
func (a *Authority) Sign(template *x509.Certificate) (cert, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", keyDER), nil
}

// Bundle signs a certificate from a template, with this CA and others to check peers by.
func (a *Authority) Bundle(template *x509.Certificate, others ...*Authority) (*certs.Bundle, error) {
	cert, key, err := a.Sign(template)
	if err != nil {
		return nil, err
	}
	pool := a.PEM()
	for _, o := range others {
		pool = append(pool, o.PEM()...)
	}
	return certs.Parse(cert, key, pool)
}

// PEM is the certificate of the CA.
func (a *Authority) PEM() []byte { return block("CERTIFICATE", a.cert.Raw) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Write signs a certificate for DNS names and writes it with its key and the CA
// to a folder.
func (a *Authority) Write(dir string, names ...string) (certs.Files, error) {
	files := certs.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	cert, key, err := a.Sign(Template(names...))
	if err != nil {
		return files, err
	}
	for path, text := range map[string][]byte{files.Cert: cert, files.Key: key, files.CA: a.PEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return files, fmt.Errorf("write certificate: %w", err)
		}
	}
	return files, nil
}

// Block is the tls block of a server that uses the files.
func Block(f certs.Files) string {
	return fmt.Sprintf("tls {\n  ca_file   = %q\n  cert_file = %q\n  key_file  = %q\n}\n", f.CA, f.Cert, f.Key)
}
