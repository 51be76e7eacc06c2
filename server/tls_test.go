package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/authority"
	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/log/logtest"
	"github.com/oakumhq/oakum/internal/vault"
	"github.com/oakumhq/oakum/server/cluster/port"
	"github.com/oakumhq/oakum/server/config"
)

func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	ca, err := authority.New()
	must.NoError(t, err)
	return ca
}

func issue(t *testing.T, ca *authority.Authority, dir string, names ...string) certs.Files {
	t.Helper()
	must.NoError(t, os.MkdirAll(dir, 0o700))
	files, err := ca.Write(dir, names...)
	must.NoError(t, err)
	return files
}

func tlsConfig(f certs.Files) *config.Config {
	return &config.Config{Cluster: "east", TLS: config.TLS{CAFile: f.CA, CertFile: f.Cert, KeyFile: f.Key}}
}

func serial(t *testing.T, k *certs.Keeper) string {
	t.Helper()
	b, err := k.Bundle()
	must.NoError(t, err)
	return b.Certificate.Leaf.SerialNumber.String()
}

func TestReload_TakesNewFilesAndRefusesBadOnes(t *testing.T) {
	t.Parallel()
	dir, ca, book := t.TempDir(), newAuthority(t), &logtest.Book{}
	files := issue(t, ca, dir, port.ServerName("east"))
	i, err := openIdentity(tlsConfig(files), nil, book.Logger(slog.LevelInfo))
	must.NoError(t, err)
	first := serial(t, i.servers)

	issue(t, ca, dir, port.ServerName("east"))
	must.NoError(t, i.reload())
	second := serial(t, i.servers)
	must.NotEq(t, first, second)
	must.StrContains(t, book.String(), "certificate read again")

	for name, spoil := range map[string]func(){
		"want the DNS name server.east.oakum in it, have server.west.oakum": func() { issue(t, ca, dir, port.ServerName("west")) },
		"certificate and key: private key does not match public key": func() {
			issue(t, ca, dir, port.ServerName("east"))
			other := issue(t, ca, filepath.Join(dir, "other"), port.ServerName("east"))
			key, err := os.ReadFile(other.Key)
			must.NoError(t, err)
			must.NoError(t, os.WriteFile(files.Key, key, 0o600))
		},
		"the CA did not sign it": func() {
			issue(t, ca, dir, port.ServerName("east"))
			other := issue(t, newAuthority(t), filepath.Join(dir, "other"), port.ServerName("east"))
			text, err := os.ReadFile(other.CA)
			must.NoError(t, err)
			must.NoError(t, os.WriteFile(files.CA, text, 0o600))
		},
		"no such file": func() { must.NoError(t, os.Remove(files.Cert)) },
		"CA: no PEM certificate in it": func() {
			issue(t, ca, dir, port.ServerName("east"))
			must.NoError(t, os.WriteFile(files.CA, []byte("nothing"), 0o600))
		},
	} {
		spoil()
		must.ErrorContains(t, i.reload(), name)
		must.EqOp(t, second, serial(t, i.servers), must.Sprint("the former stays in use"))
		must.StrContains(t, book.String(), "new certificate refused, the former stays in use")
	}
	issue(t, ca, dir, port.ServerName("east"))
	must.NoError(t, i.reload())
	must.NotEq(t, second, serial(t, i.servers))
}

func TestOpenIdentity_RefusesABadCertificate(t *testing.T) {
	t.Parallel()
	files := issue(t, newAuthority(t), t.TempDir(), "client.east.oakum")
	_, err := openIdentity(tlsConfig(files), nil, slog.New(slog.DiscardHandler))
	must.ErrorContains(t, err, "tls certificate for servers from "+files.Cert+": certificate: want the DNS name server.east.oakum in it, have client.east.oakum")
}

// TestOpenIdentity_LetsNobodyJoinALonelyServer has another server on the same machine,
// which has made a certificate for itself too.
func TestOpenIdentity_LetsNobodyJoinALonelyServer(t *testing.T) {
	t.Parallel()
	one, err := openIdentity(&config.Config{Cluster: "east"}, nil, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	two, err := openIdentity(&config.Config{Cluster: "east"}, nil, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	l := one.secure("east", slog.New(slog.DiscardHandler)).Listener(plain)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // the first read makes the handshake
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = plain.Close(); <-done })
	dial := func(i *identity) error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", plain.Addr().String())
		must.NoError(t, err)
		defer conn.Close() //nolint:errcheck // nothing was written
		_, err = i.secure("east", slog.New(slog.DiscardHandler)).Dialer(t.Context(), conn, plain.Addr().String())
		return err
	}
	must.NoError(t, dial(one))
	must.Error(t, dial(two))
}

func TestOpenIdentity_WarnsOfInsecure(t *testing.T) {
	t.Parallel()
	book := &logtest.Book{}
	i, err := openIdentity(&config.Config{TLS: config.TLS{Insecure: true}}, nil, book.Logger(slog.LevelInfo))
	must.NoError(t, err)
	must.Nil(t, i.secure("east", book.Logger(slog.LevelInfo)).Listener)
	must.StrContains(t, book.String(), "level=WARN")
	must.StrContains(t, book.String(), "tls.insecure: servers speak to each other in the clear")
}

// serve answers on the API's listener until the test ends.
func serve(t *testing.T, i *identity) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	web := &http.Server{ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ready": true}`))
	})}
	done := make(chan error, 1)
	go func() { done <- web.Serve(i.https(l)) }()
	t.Cleanup(func() { must.NoError(t, web.Close()); must.ErrorIs(t, <-done, http.ErrServerClosed) })
	_, port, err := net.SplitHostPort(l.Addr().String())
	must.NoError(t, err)
	return "https://localhost:" + port
}

func health(ctx context.Context, c client.Config) error {
	cl, err := client.New(c)
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = cl.Health(ctx)
	return err
}

// The API's clients are the CLI's own: OAKUM_CACERT, OAKUM_CLIENT_CERT and
// OAKUM_CLIENT_KEY fill their configuration.
func TestHTTPS_ServesTheAPI(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), newAuthority(t)
	files := issue(t, ca, dir, port.ServerName("east"), "localhost")
	cfg := tlsConfig(files)
	cfg.TLS.HTTP = &config.TLSHTTP{}
	i, err := openIdentity(cfg, nil, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	address := serve(t, i)
	environment := func(name string) string {
		return map[string]string{"OAKUM_ADDR": address, "OAKUM_CACERT": files.CA}[name]
	}
	must.NoError(t, health(t.Context(), client.Config{}.FromEnv(environment)))
	must.ErrorContains(t, health(t.Context(), client.Config{Address: address}), "unknown authority")
}

func TestHTTPS_AsksCallersForCertificates(t *testing.T) {
	t.Parallel()
	dir, servers, callers := t.TempDir(), newAuthority(t), newAuthority(t)
	own := issue(t, servers, filepath.Join(dir, "own"), port.ServerName("east"), "localhost")
	alice := issue(t, callers, filepath.Join(dir, "alice"), "alice")
	mallory := issue(t, newAuthority(t), filepath.Join(dir, "mallory"), "mallory")
	cfg := tlsConfig(own)
	cfg.TLS.HTTP = &config.TLSHTTP{CAFile: alice.CA, VerifyIncoming: true}
	i, err := openIdentity(cfg, nil, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	address := serve(t, i)
	as := func(f certs.Files) client.Config {
		return client.Config{Address: address, CACert: own.CA, ClientCert: f.Cert, ClientKey: f.Key}
	}
	must.NoError(t, health(t.Context(), as(alice)))
	must.Error(t, health(t.Context(), as(mallory)))
	must.Error(t, health(t.Context(), as(certs.Files{})))

	t.Log("what callers are judged by does not open the servers' port")
	must.NotNil(t, i.servers)
	b, err := i.servers.Bundle()
	must.NoError(t, err)
	caller, err := tls.LoadX509KeyPair(alice.Cert, alice.Key)
	must.NoError(t, err)
	_, err = caller.Leaf.Verify(x509.VerifyOptions{Roots: b.CAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	must.Error(t, err)
}

// What Vault signed is on disk for a start without Vault, and only for its owner.
func TestOpenIdentity_StartsWithTheLastCertificateOfVault(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), newAuthority(t)
	files := issue(t, ca, filepath.Join(dir, "vault"), port.ServerName("east"))
	var s vault.Signed
	for path, to := range map[string]*[]byte{files.Cert: &s.Cert, files.Key: &s.Key, files.CA: &s.CAs} {
		text, err := os.ReadFile(path)
		must.NoError(t, err)
		*to = text
	}
	must.NoError(t, writeCertificate(vaultCache(dir), s))
	for _, path := range []string{vaultCache(dir).Cert, vaultCache(dir).CA} {
		info, err := os.Stat(path)
		must.NoError(t, err)
		must.EqOp(t, os.FileMode(0o600), info.Mode().Perm())
	}
	client, err := vault.New(vault.Config{Address: "http://127.0.0.1:1"})
	must.NoError(t, err)
	cfg := &config.Config{Cluster: "east", DataDir: dir, TLS: config.TLS{Vault: &config.TLSVault{Mount: "pki", Role: "oakum-server", TTL: time.Hour}}}
	i, err := openIdentity(cfg, client, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	must.NotEq(t, "", serial(t, i.servers))

	t.Log("of another cluster it is of no use")
	cfg.Cluster = "west"
	i, err = openIdentity(cfg, client, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	_, err = i.servers.Bundle()
	must.ErrorContains(t, err, "no certificate yet")
}

func TestIdentity_MeasuresWhenCertificatesExpire(t *testing.T) {
	t.Parallel()
	files := issue(t, newAuthority(t), t.TempDir(), port.ServerName("east"))
	i, err := openIdentity(tlsConfig(files), nil, slog.New(slog.DiscardHandler))
	must.NoError(t, err)
	registry := prometheus.NewRegistry()
	registry.MustRegister(i.collectors()...)
	families, err := registry.Gather()
	must.NoError(t, err)
	must.Len(t, 1, families)
	must.EqOp(t, "oakum_tls_certificate_expires_seconds", families[0].GetName())
	must.EqOp(t, float64(i.servers.Expires().Unix()), families[0].GetMetric()[0].GetGauge().GetValue())
}
