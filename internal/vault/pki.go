package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// PKI says which role of which PKI engine signs the daemon's certificate, and what
// the certificate contains.
type PKI struct {
	Mount    string
	Role     string
	TTL      time.Duration
	Name     string   // common name, and the first DNS name
	AltNames []string // more DNS names
	IPs      []string
}

// Signed is a certificate in PEM.
type Signed struct {
	Cert []byte // the certificate, then those between it and its CA
	Key  []byte // made here; Vault never sees it
	CAs  []byte // the CA that signed, and every other issuer of the engine
}

// Certificate is a certificate that Vault signs again before it expires.
type Certificate struct {
	client *Client
	pki    PKI
	take   func(Signed) (from, until time.Time, err error)
	again  chan struct{}
	log    *slog.Logger
}

// issuersEvery is how often the engine's issuers are read. Every server must know
// a new CA before another server shows the first certificate of that CA.
const issuersEvery = 10 * time.Minute

// Certificate returns a certificate that Run keeps valid. Each signed certificate
// is given to take. take puts it into use and returns its validity, or refuses it
// with an error.
func (c *Client) Certificate(p PKI, take func(Signed) (from, until time.Time, err error)) *Certificate {
	return &Certificate{client: c, pki: p, take: take, again: make(chan struct{}, 1), log: c.log}
}

// Renew makes Run get a new certificate now.
func (c *Certificate) Renew() {
	select {
	case c.again <- struct{}{}:
	default: // it is about to
	}
}

// Run gets a certificate at once. It gets a new one after two thirds of its life,
// or when the engine's issuers have changed. While Vault refuses or does not
// answer, the certificate in use stays. Run ends with ctx and returns nil.
func (c *Certificate) Run(ctx context.Context) error {
	var renewal time.Time
	var trusted []string
	pace, wait := backoff{}, time.Duration(0)
	for c.pause(ctx, &renewal, wait) == nil {
		issuers, err := c.client.issuers(ctx, c.pki.Mount)
		if time.Now().Before(renewal) && (err != nil || slices.Equal(issuers, trusted)) {
			wait = min(issuersEvery, time.Until(renewal))
			continue
		}
		from, until, err := c.renew(ctx, issuers)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			wait = pace.next()
			c.log.Warn("certificate is not renewed, the one in use stays", "error", err, "retry_in", wait)
			continue
		}
		pace.reset()
		trusted = issuers
		renewal = renewalOf(from, until)
		wait = min(issuersEvery, max(time.Until(renewal), retryFirst))
		c.log.Info("certificate signed by vault", "expires", until, "renewal", renewal)
	}
	return nil
}

// renewalOf is the time at which a certificate with this validity is renewed.
func renewalOf(from, until time.Time) time.Time {
	return from.Add(time.Duration(float64(until.Sub(from)) * renewAt))
}

// pause waits for d. When somebody asks for a renewal, it returns at once, and
// renewal is now.
func (c *Certificate) pause(ctx context.Context, renewal *time.Time, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.again:
		*renewal = time.Time{}
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (c *Certificate) renew(ctx context.Context, issuers []string) (from, until time.Time, err error) {
	signed, err := c.client.sign(ctx, c.pki)
	if err != nil {
		return from, until, err
	}
	for _, issuer := range issuers {
		if !strings.Contains(string(signed.CAs), issuer) {
			signed.CAs = append(signed.CAs, issuer+"\n"...)
		}
	}
	from, until, err = c.take(signed)
	if err != nil {
		return from, until, fmt.Errorf("the certificate that Vault signed is of no use: %w", err)
	}
	return from, until, nil
}

// sign makes a key and asks Vault to sign a certificate for it. It waits for the
// first login.
func (c *Client) sign(ctx context.Context, p PKI) (Signed, error) {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return Signed{}, fmt.Errorf("sign certificate: not logged in to Vault yet: %w", ctx.Err())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Signed{}, fmt.Errorf("make key: %w", err)
	}
	request := &x509.CertificateRequest{Subject: pkix.Name{CommonName: p.Name}, DNSNames: append([]string{p.Name}, p.AltNames...)}
	for _, text := range p.IPs {
		request.IPAddresses = append(request.IPAddresses, net.ParseIP(text))
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return Signed{}, fmt.Errorf("make certificate request: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Signed{}, fmt.Errorf("encode key: %w", err)
	}
	path := p.Mount + "/sign/" + p.Role
	secret, err := c.api.Logical().WriteWithContext(ctx, path, map[string]any{
		"csr":         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		"common_name": p.Name, "alt_names": strings.Join(p.AltNames, ","), "ip_sans": strings.Join(p.IPs, ","),
		"ttl": p.TTL.String(),
	})
	if err != nil {
		return Signed{}, fmt.Errorf("sign certificate at %s: %w", path, reason(err))
	}
	if secret == nil {
		return Signed{}, fmt.Errorf("sign certificate: Vault has nothing at %s", path)
	}
	cert, _ := secret.Data["certificate"].(string)
	ca, _ := secret.Data["issuing_ca"].(string)
	if cert == "" || ca == "" {
		return Signed{}, errors.New("sign certificate: Vault's answer holds no certificate or no CA")
	}
	chain := words(secret.Data["ca_chain"])
	return Signed{
		Cert: []byte(strings.Join(append([]string{cert}, chain...), "\n") + "\n"),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		CAs:  []byte(strings.Join(append([]string{ca}, chain...), "\n") + "\n"),
	}, nil
}

// issuers reads the certificates of an engine's issuers, sorted. Vault needs no
// token for this.
func (c *Client) issuers(ctx context.Context, mount string) ([]string, error) {
	list, err := c.api.Logical().ListWithContext(ctx, mount+"/issuers")
	if err != nil {
		return nil, fmt.Errorf("list issuers of %s: %w", mount, reason(err))
	}
	if list == nil {
		return nil, api.Errorf(api.CodeNotFound, "list issuers: the PKI engine %s has none", mount)
	}
	var out []string
	for _, id := range words(list.Data["keys"]) {
		found, err := c.api.Logical().ReadWithContext(ctx, mount+"/issuer/"+id+"/json")
		if err != nil {
			return nil, fmt.Errorf("read issuer of %s: %w", mount, reason(err))
		}
		if found == nil {
			continue // removed in between
		}
		if text, ok := found.Data["certificate"].(string); ok {
			out = append(out, strings.TrimSpace(text))
		}
	}
	slices.Sort(out)
	return out, nil
}
