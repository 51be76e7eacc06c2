//go:build e2e

package vault

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/certs"
)

// setUpPKI makes a CA and a role that signs server certificates of one cluster.
func (r *real) setUpPKI(t *testing.T) {
	t.Helper()
	must.NoError(t, r.root.Sys().Mount("pki", &vaultapi.MountInput{Type: "pki", Config: vaultapi.MountConfigInput{MaxLeaseTTL: "24h"}}))
	r.write(t, "pki/root/generate/internal", map[string]any{"common_name": "oakum test CA", "key_type": "ec", "ttl": "24h"})
	r.write(t, "pki/roles/oakum-server", map[string]any{
		"allowed_domains": "server.east.oakum", "allow_bare_domains": true, "key_type": "ec", "key_bits": 256, "max_ttl": "1h",
	})
	must.NoError(t, r.root.Sys().PutPolicy("oakum-pki", `path "pki/sign/oakum-server" { capabilities = ["update"] }`))
	r.write(t, "auth/approle/role/oakum", map[string]any{"token_policies": "oakum,oakum-pki"})
}

// The real Vault signs the daemon's certificate, again after two thirds of its
// life, and again when the engine has another CA; it signs no other name.
func TestRealVault_SignsServers(t *testing.T) {
	r := startVault(t)
	r.setUpPKI(t)
	c := r.client(t)
	must.NoError(t, c.Login(t.Context()))
	pki := PKI{Mount: "pki", Role: "oakum-server", TTL: 12 * time.Second, Name: "server.east.oakum", IPs: []string{"127.0.0.1"}}

	other := pki
	other.Name = "server.west.oakum"
	_, err := c.sign(t.Context(), other)
	must.ErrorContains(t, err, "vault answered 400")
	must.ErrorContains(t, err, "not allowed by this role")

	taken := make(chan *certs.Bundle, 10)
	certificate := c.Certificate(pki, func(s Signed) (from, until time.Time, err error) {
		b, err := certs.Parse(s.Cert, s.Key, s.CAs)
		if err != nil {
			return from, until, err
		}
		if err := b.Verify(pki.Name, time.Now(), x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth); err != nil {
			return from, until, err
		}
		taken <- b
		return b.Certificate.Leaf.NotBefore, b.Expires(), nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- certificate.Run(ctx) }()
	defer func() { stop(); must.NoError(t, <-ended) }()
	first := next(t, taken)
	must.NoError(t, first.Verify("127.0.0.1", time.Now()))
	second := next(t, taken)
	must.True(t, second.Expires().After(first.Expires()))

	made := r.write(t, "pki/root/generate/internal", map[string]any{"common_name": "the next CA", "key_type": "ec", "ttl": "24h"})
	for !trusts(t, next(t, taken), made["certificate"].(string)) {
		certificate.Renew() // the next one, then
	}
}

// trusts reports whether a bundle takes a CA for one of its own.
func trusts(t *testing.T, b *certs.Bundle, ca string) bool {
	t.Helper()
	pool := x509.NewCertPool()
	must.True(t, pool.AppendCertsFromPEM([]byte(ca)))
	for _, have := range b.CAs.Subjects() { //nolint:staticcheck // the pool is of our making, not the system's
		for _, want := range pool.Subjects() { //nolint:staticcheck // as above
			if string(have) == string(want) {
				return true
			}
		}
	}
	return false
}
