package prometheus

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"

	"github.com/oakumhq/oakum/api"
)

// tenantHeader names whose series a store shows that keeps those of many.
const tenantHeader = "X-Scope-OrgID"

// prove puts the credentials on a request.
func (c Config) prove(r *http.Request) {
	if c.Token != nil {
		if token := c.Token(); token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
	if c.Username != "" {
		password := ""
		if c.Password != nil {
			password = c.Password()
		}
		r.SetBasicAuth(c.Username, password)
	}
	if c.Tenant != "" {
		r.Header.Set(tenantHeader, c.Tenant)
	}
}

// tls is nil where the configuration names no certificate.
func (c Config) tls() (*tls.Config, error) {
	if c.CACert == "" && c.ClientCert == "" {
		return nil, nil //nolint:nilnil // Go's own defaults
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert != "" {
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read CA certificate of prometheus: %v", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, api.Errorf(api.CodeInvalid, "read CA certificate of prometheus: no certificate in %s", c.CACert)
		}
	}
	if c.ClientCert != "" {
		pair := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
			if err != nil {
				return nil, api.Errorf(api.CodeInvalid, "read client certificate for prometheus: %v", err)
			}
			return &cert, nil
		}
		if _, err := pair(); err != nil {
			return nil, err
		}
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair() }
	}
	return out, nil
}
