package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/vault"
	"github.com/oakumhq/oakum/server/cluster/port"
	"github.com/oakumhq/oakum/server/config"
)

// identity holds the server's certificates: one for the other servers, and one for
// callers of the API.
type identity struct {
	servers  *certs.Keeper // nil: no TLS between servers
	api      *certs.Keeper // nil: the API speaks plain HTTP
	callers  bool          // callers of the API need a certificate
	files    []fromFiles
	renewals []*vault.Certificate
	duties   []duty
	log      *slog.Logger
}

// fromFiles is a keeper whose certificate comes from files.
type fromFiles struct {
	use    string
	files  certs.Files
	keeper *certs.Keeper
}

// openIdentity reads the certificates, or prepares to get them from Vault. A file
// that can't be used is an error here. When it is read again later, it is refused
// and the former certificate stays in use.
func openIdentity(cfg *config.Config, client *vault.Client, log *slog.Logger) (*identity, error) {
	i := &identity{log: log}
	t := cfg.TLS
	switch {
	case t.Vault != nil:
		i.servers = port.NewKeeper(cfg.Cluster)
		i.fromVault(cfg, client)
	case t.CertFile != "":
		i.servers = port.NewKeeper(cfg.Cluster)
		i.files = append(i.files, fromFiles{"servers", certs.Files{Cert: t.CertFile, Key: t.KeyFile, CA: t.CAFile}, i.servers})
	case t.Insecure:
		log.Warn("tls.insecure: servers speak to each other in the clear, and whoever reaches the servers' port can join the cluster")
	default: // -dev, or a single server on a loopback address
		lonely, err := certs.Lonely(port.ServerName(cfg.Cluster), time.Now())
		if err != nil {
			return nil, err
		}
		i.servers = port.NewKeeper(cfg.Cluster)
		if err := i.servers.Put(lonely); err != nil {
			return nil, err
		}
	}
	if h := t.HTTP; h != nil {
		i.api, i.callers = i.servers, h.VerifyIncoming
		if h.CertFile != "" || h.CAFile != "" {
			files := certs.Files{Cert: h.CertFile, Key: h.KeyFile, CA: h.CAFile}
			if h.CertFile == "" {
				files.Cert, files.Key = t.CertFile, t.KeyFile
			}
			if h.CAFile == "" {
				files.CA = t.CAFile
			}
			i.api = certs.NewKeeper(func(b *certs.Bundle) error { return apiBundle(b, h.VerifyIncoming) })
			i.files = append(i.files, fromFiles{"api", files, i.api})
		}
	}
	for _, f := range i.files {
		if err := f.load(); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// apiBundle refuses a certificate that no caller could use. It does not ask who
// signed the API's own certificate, which the callers decide about: the bundle's
// CA signs the callers' certificates.
func apiBundle(b *certs.Bundle, callers bool) error {
	if callers && b.CAs == nil {
		return api.Errorf(api.CodeInvalid, "CA: want the one that signs the callers' certificates, have none")
	}
	own := *b
	own.CAs = nil
	return own.Verify("", time.Now())
}

func (f fromFiles) load() error {
	b, err := f.files.Load()
	if err == nil {
		err = f.keeper.Put(b)
	}
	if err != nil {
		return api.Errorf(api.CodeInvalid, "tls certificate for %s from %s: %v", f.use, f.files.Cert, err)
	}
	return nil
}

// fromVault keeps a certificate that Vault signs. The last one is in the data
// directory too, so that a cluster can start while Vault does not answer.
func (i *identity) fromVault(cfg *config.Config, client *vault.Client) {
	v := cfg.TLS.Vault
	cache := vaultCache(cfg.DataDir)
	if _, err := os.Stat(cache.Cert); err == nil {
		b, err := cache.Load()
		if err == nil {
			err = i.servers.Put(b)
		}
		if err != nil {
			i.log.Info("the certificate in the data directory is of no use any more", "file", cache.Cert, "reason", err)
		}
	}
	pki := vault.PKI{
		Mount: v.Mount, Role: v.Role, TTL: v.TTL, Name: port.ServerName(cfg.Cluster), AltNames: v.AltNames, IPs: v.IPSANs,
	}
	certificate := client.Certificate(pki, func(s vault.Signed) (from, until time.Time, err error) {
		b, err := certs.Parse(s.Cert, s.Key, s.CAs)
		if err == nil {
			err = i.servers.Put(b)
		}
		if err != nil {
			return from, until, err
		}
		if err := writeCertificate(cache, s); err != nil {
			i.log.Warn("keep the certificate in the data directory", "error", err)
		}
		return b.Certificate.Leaf.NotBefore, b.Expires(), nil
	})
	i.renewals = append(i.renewals, certificate)
	i.duties = append(i.duties, duty{"certificate from vault", certificate.Run})
}

// vaultCache names the files of the last certificate that Vault signed. Key and
// certificate are in one file, so that they always belong together.
func vaultCache(dataDir string) certs.Files {
	dir := filepath.Join(dataDir, "tls")
	server := filepath.Join(dir, "server.pem")
	return certs.Files{Cert: server, Key: server, CA: filepath.Join(dir, "ca.pem")}
}

// writeCertificate replaces the files of a certificate.
func writeCertificate(at certs.Files, s vault.Signed) error {
	if err := os.MkdirAll(filepath.Dir(at.Cert), 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		text []byte
	}{{at.CA, s.CAs}, {at.Cert, append(s.Key, s.Cert...)}} {
		if err := os.WriteFile(f.path+".new", f.text, 0o600); err != nil {
			return err
		}
		if err := os.Rename(f.path+".new", f.path); err != nil {
			return err
		}
	}
	return nil
}

// reload reads every file again and asks Vault for a new certificate. The error
// names every certificate that can't be used; the former one stays in use.
func (i *identity) reload() error {
	var errs []error
	for _, f := range i.files {
		if err := f.load(); err != nil {
			i.log.Error("new certificate refused, the former stays in use", "use", f.use, "error", err, "former_expires", f.keeper.Expires())
			errs = append(errs, err)
			continue
		}
		i.log.Info("certificate read again", "use", f.use, "file", f.files.Cert, "expires", f.keeper.Expires())
	}
	for _, r := range i.renewals {
		r.Renew()
	}
	return errors.Join(errs...)
}

// secure is the TLS of the servers' port, which is zero without certificates.
func (i *identity) secure(clusterName string, log *slog.Logger) port.Secure {
	if i.servers == nil {
		return port.Secure{}
	}
	return port.TLS(i.servers, clusterName, log)
}

// https wraps the API's listener in TLS, if there is a certificate for the API.
func (i *identity) https(l net.Listener) net.Listener {
	if i.api == nil {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			b, err := i.api.Bundle()
			if err != nil {
				return nil, err
			}
			c := &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{b.Certificate}, NextProtos: []string{"http/1.1"},
				SessionTicketsDisabled: true, // a caller is judged by the CAs of today
			}
			if i.callers {
				// The certificate proves who calls; the token says what the caller may do.
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, b.CAs
			}
			return c, nil
		},
	})
}

// collectors returns the metrics that show when the certificates expire.
func (i *identity) collectors() []prometheus.Collector {
	var out []prometheus.Collector
	for use, keeper := range map[string]*certs.Keeper{"servers": i.servers, "api": i.api} {
		if keeper == nil {
			continue
		}
		out = append(out, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "oakum_tls_certificate_expires_seconds", ConstLabels: prometheus.Labels{"use": use},
			Help: "When the certificate in use ends, in seconds since 1970; 0 while there is none.",
		}, func() float64 {
			if at := keeper.Expires(); !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}))
	}
	return out
}

// Reload reads the certificates again, as SIGHUP asks for. The error names those
// that can't be used; the server goes on with the former ones.
func (s *Server) Reload() error {
	s.mu.Lock()
	i := s.identity
	s.mu.Unlock()
	if i == nil {
		return nil // Start has not read them yet
	}
	return i.reload()
}
