//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/stack"
)

// TestServersProveThemselves looks at the port between the servers from
// outside: what it shows, whom it lets in, and what becomes of it when the
// certificate is renewed and when Vault is away.
func TestServersProveThemselves(t *testing.T) {
	o := newOakum(t, 3, "")
	env := sharedStack(t)
	ca := vaultCA(t, env)
	for _, s := range o.Servers {
		shown := shows(t, s)
		_, err := shown.Verify(x509.VerifyOptions{Roots: ca, DNSName: "server.default.oakum", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		must.NoError(t, err)
		must.True(t, shown.NotAfter.Before(time.Now().Add(2*time.Hour)))
	}

	t.Run("nobody gets in without a certificate", func(t *testing.T) {
		conn, err := tls.Dial("tcp", o.Servers[0].Raft, &tls.Config{RootCAs: ca, ServerName: "server.default.oakum", MinVersion: tls.VersionTLS13})
		must.NoError(t, err) // the server has not looked yet
		defer func() { must.NoError(t, conn.Close()) }()
		must.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.ReadAll(conn)
		must.ErrorContains(t, err, "certificate required")
		eventually(t, "the server says so", 10*time.Second, func() bool {
			return strings.Contains(o.Servers[0].Log(), "a caller is refused at the servers' port")
		})
	})

	t.Run("SIGHUP brings a new certificate", func(t *testing.T) {
		s := o.Servers[1]
		before := shows(t, s).SerialNumber
		must.NoError(t, s.Hangup())
		eventually(t, "another certificate", 20*time.Second, func() bool { return shows(t, s).SerialNumber.Cmp(before) != 0 })
		_, err := o.Leader(t.Context())
		must.NoError(t, err)
	})

	t.Run("a server starts while Vault is away", func(t *testing.T) {
		must.NoError(t, running.Stop(t.Context(), stack.Vault))
		defer func() { must.NoError(t, running.Start(t.Context(), stack.Vault)) }()
		for _, s := range o.Servers {
			s.Kill()
		}
		for _, s := range o.Servers {
			must.NoError(t, s.Start())
		}
		_, err := o.Leader(t.Context())
		must.NoError(t, err)
	})
}

// shows is the certificate at a server's port.
func shows(t *testing.T, s *daemon.Server) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Raft, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	must.NoError(t, err)
	defer func() { must.NoError(t, conn.Close()) }()
	return conn.ConnectionState().PeerCertificates[0]
}

// vaultCA is the CA as Vault publishes it.
func vaultCA(t *testing.T, env stack.Env) *x509.CertPool {
	t.Helper()
	res, err := http.Get(env.VaultAddr + "/v1/" + env.PKIPath + "/ca/pem")
	must.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must.NoError(t, err)
	pool := x509.NewCertPool()
	must.True(t, pool.AppendCertsFromPEM(text), must.Sprint(string(text)))
	return pool
}
