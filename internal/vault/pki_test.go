package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/wait"
)

// pkiVault answers what the PKI engine of a Vault would.
type pkiVault struct {
	t     *testing.T
	mu    sync.Mutex
	key   *ecdsa.PrivateKey
	ca    *x509.Certificate
	down  bool
	extra string // another issuer
	life  time.Duration
	asked []map[string]any
}

func newPKIVault(t *testing.T) (*pkiVault, *Client) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must.NoError(t, err)
	ca, err := x509.ParseCertificate(der)
	must.NoError(t, err)
	v := &pkiVault{t: t, key: key, ca: ca, life: time.Hour}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/auth/approle/login", v.answer(func(map[string]any) map[string]any {
		return map[string]any{"auth": map[string]any{"client_token": "t", "lease_duration": 3600}}
	}))
	mux.HandleFunc("PUT /v1/pki/sign/oakum-server", v.answer(v.sign))
	mux.HandleFunc("/v1/pki/issuers", v.answer(func(map[string]any) map[string]any {
		keys := []string{"one"}
		if v.extra != "" {
			keys = append(keys, "two")
		}
		return map[string]any{"data": map[string]any{"keys": keys}}
	}))
	mux.HandleFunc("GET /v1/pki/issuer/one/json", v.answer(func(map[string]any) map[string]any {
		return map[string]any{"data": map[string]any{"certificate": v.caPEM()}}
	}))
	mux.HandleFunc("GET /v1/pki/issuer/two/json", v.answer(func(map[string]any) map[string]any {
		return map[string]any{"data": map[string]any{"certificate": v.extra}}
	}))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	dir := t.TempDir()
	c, err := New(Config{Address: web.URL, RoleIDFile: filepath.Join(dir, "r"), SecretIDFile: filepath.Join(dir, "s")})
	must.NoError(t, err)
	c.once.Do(func() { close(c.ready) }) // as if logged in
	return v, c
}

func (v *pkiVault) caPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.ca.Raw}))
}

func (v *pkiVault) answer(f func(map[string]any) map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var in map[string]any
		if r.Method == http.MethodPut {
			must.NoError(v.t, json.NewDecoder(r.Body).Decode(&in))
		}
		must.NoError(v.t, json.NewEncoder(w).Encode(f(in)))
	}
}

func (v *pkiVault) sign(in map[string]any) map[string]any {
	v.asked = append(v.asked, in)
	block, _ := pem.Decode([]byte(in["csr"].(string)))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	must.NoError(v.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(v.asked) + 1)), Subject: csr.Subject, DNSNames: csr.DNSNames, IPAddresses: csr.IPAddresses,
		NotBefore: time.Now(), NotAfter: time.Now().Add(v.life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, v.ca, csr.PublicKey, v.key)
	must.NoError(v.t, err)
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return map[string]any{"data": map[string]any{
		"certificate": strings.TrimSpace(cert), "issuing_ca": strings.TrimSpace(v.caPEM()), "ca_chain": []string{strings.TrimSpace(v.caPEM())},
	}}
}

func (v *pkiVault) set(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

func testPKI() PKI {
	return PKI{Mount: "pki", Role: "oakum-server", TTL: time.Hour, Name: "server.east.oakum", AltNames: []string{"oak-1"}, IPs: []string{"10.0.0.1"}}
}

// run keeps a certificate until the test ends and returns what is taken.
func run(t *testing.T, c *Client, refuse func() error) (*Certificate, chan *certs.Bundle) {
	t.Helper()
	taken := make(chan *certs.Bundle, 10)
	certificate := c.Certificate(testPKI(), func(s Signed) (from, until time.Time, err error) {
		b, err := certs.Parse(s.Cert, s.Key, s.CAs)
		must.NoError(t, err)
		if err := refuse(); err != nil {
			return from, until, err
		}
		taken <- b
		return b.Certificate.Leaf.NotBefore, b.Expires(), nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- certificate.Run(ctx) }()
	t.Cleanup(func() { stop(); must.NoError(t, <-ended) })
	return certificate, taken
}

func next(t *testing.T, from chan *certs.Bundle) *certs.Bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	defer cancel()
	select {
	case b := <-from:
		return b
	case <-ctx.Done():
		t.Fatal("no certificate came")
		return nil
	}
}

func accept() error { return nil }

func TestCertificate_IsSignedAsAskedFor(t *testing.T) {
	v, c := newPKIVault(t)
	_, taken := run(t, c, accept)
	b := next(t, taken)
	must.NoError(t, b.Verify("server.east.oakum", time.Now(), x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))
	must.NoError(t, b.Verify("oak-1", time.Now()))
	must.NoError(t, b.Verify("10.0.0.1", time.Now()))
	v.set(func() {
		must.EqOp(t, "1h0m0s", v.asked[0]["ttl"].(string))
		must.MapNotContainsKey(t, v.asked[0], "private_key")
	})
}

func TestCertificate_IsRenewedBeforeItEnds(t *testing.T) {
	v, c := newPKIVault(t)
	v.set(func() { v.life = 4 * time.Second })
	_, taken := run(t, c, accept)
	first := next(t, taken)
	second := next(t, taken)
	must.True(t, time.Now().Before(first.Expires()))
	must.True(t, second.Expires().After(first.Expires()))
}

func TestCertificate_IsRenewedWhenAskedFor(t *testing.T) {
	_, c := newPKIVault(t)
	certificate, taken := run(t, c, accept)
	first := next(t, taken)
	certificate.Renew()
	must.NotEq(t, first.Certificate.Leaf.SerialNumber.Int64(), next(t, taken).Certificate.Leaf.SerialNumber.Int64())
}

func TestCertificate_IsAskedForAgainWhenVaultIsAway(t *testing.T) {
	v, c := newPKIVault(t)
	v.set(func() { v.down = true })
	certificate, taken := run(t, c, accept)
	certificate.Renew()
	must.EqOp(t, 0, len(taken))
	v.set(func() { v.down = false })
	next(t, taken)
}

func TestCertificate_IsAskedForAgainWhenRefused(t *testing.T) {
	_, c := newPKIVault(t)
	refusals := 1
	_, taken := run(t, c, func() error {
		if refusals > 0 {
			refusals--
			return errors.New("of no use")
		}
		return nil
	})
	next(t, taken)
}

func TestCertificate_TrustsANewIssuerBeforeItSigns(t *testing.T) {
	v, c := newPKIVault(t)
	other, _ := newPKIVault(t)
	v.set(func() { v.extra = other.caPEM() })
	_, taken := run(t, c, accept)
	b := next(t, taken)
	_, err := other.ca.Verify(x509.VerifyOptions{Roots: b.CAs})
	must.NoError(t, err)
}
