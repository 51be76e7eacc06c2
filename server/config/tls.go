package config

import (
	"net"
	"net/url"
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// TLS says how the servers prove themselves to each other, and whether the API
// speaks HTTPS. The servers' certificate comes from the three files or from
// Vault.
type TLS struct {
	Insecure bool // no TLS at all, said in so many words
	// PlainHTTP lets tokens go over plain HTTP where others could read them: of the API, and
	// to Vault. Insecure does too.
	PlainHTTP bool
	CAFile    string
	CertFile  string
	KeyFile   string
	Vault     *TLSVault
	HTTP      *TLSHTTP // nil: the API speaks plain HTTP, on a loopback address unless PlainHTTP or Insecure
}

// TLSVault says which role of which PKI engine signs the servers' certificate.
type TLSVault struct {
	Mount    string
	Role     string
	TTL      time.Duration
	AltNames []string // more DNS names, for HTTPS
	IPSANs   []string // addresses, for HTTPS
}

// TLSHTTP is the API's own certificate; without files it shows the one that the
// server shows to the others.
type TLSHTTP struct {
	CAFile         string // of callers; empty means the one of the servers
	CertFile       string
	KeyFile        string
	VerifyIncoming bool // callers need a certificate of their own
}

// Servers reports whether there is TLS between the servers.
func (t TLS) Servers() bool { return t.CertFile != "" || t.Vault != nil }

const (
	defaultPKIMount = "pki"
	defaultPKITTL   = 72 * time.Hour
	// shortestTTL leaves a third of the certificate's life, 20 s, for renewals
	// that fail.
	shortestTTL = time.Minute
)

type tlsBlock struct {
	Insecure *hcl.Attribute `hcl:"insecure,optional"`
	Plain    *hcl.Attribute `hcl:"plain_http,optional"`
	CAFile   *hcl.Attribute `hcl:"ca_file,optional"`
	CertFile *hcl.Attribute `hcl:"cert_file,optional"`
	KeyFile  *hcl.Attribute `hcl:"key_file,optional"`
	Vault    *tlsVaultBlock `hcl:"vault,block"`
	HTTP     *tlsHTTPBlock  `hcl:"http,block"`
}

type tlsVaultBlock struct {
	Mount    *hcl.Attribute `hcl:"mount,optional"`
	Role     *hcl.Attribute `hcl:"role,optional"`
	TTL      *hcl.Attribute `hcl:"ttl,optional"`
	AltNames *hcl.Attribute `hcl:"alt_names,optional"`
	IPSANs   *hcl.Attribute `hcl:"ip_sans,optional"`
}

type tlsHTTPBlock struct {
	CAFile         *hcl.Attribute `hcl:"ca_file,optional"`
	CertFile       *hcl.Attribute `hcl:"cert_file,optional"`
	KeyFile        *hcl.Attribute `hcl:"key_file,optional"`
	VerifyIncoming *hcl.Attribute `hcl:"verify_incoming,optional"`
}

func (l *loader) tls(b *tlsBlock) {
	t := &l.cfg.TLS
	l.flag(b.Insecure, &t.Insecure)
	l.flag(b.Plain, &t.PlainHTTP)
	l.str(b.CAFile, &t.CAFile)
	l.str(b.CertFile, &t.CertFile)
	l.str(b.KeyFile, &t.KeyFile)
	block(l, "vault", b.Vault, func(b *tlsVaultBlock) {
		if t.Vault == nil {
			t.Vault = &TLSVault{Mount: defaultPKIMount, TTL: defaultPKITTL}
		}
		l.str(b.Mount, &t.Vault.Mount)
		l.str(b.Role, &t.Vault.Role)
		l.duration(b.TTL, &t.Vault.TTL)
		l.strs(b.AltNames, &t.Vault.AltNames)
		l.strs(b.IPSANs, &t.Vault.IPSANs)
	})
	block(l, "http", b.HTTP, func(b *tlsHTTPBlock) {
		if t.HTTP == nil {
			t.HTTP = &TLSHTTP{}
		}
		l.str(b.CAFile, &t.HTTP.CAFile)
		l.str(b.CertFile, &t.HTTP.CertFile)
		l.str(b.KeyFile, &t.HTTP.KeyFile)
		l.flag(b.VerifyIncoming, &t.HTTP.VerifyIncoming)
	})
}

// checkTLS refuses a configuration in which servers on different machines would
// communicate without TLS, unless insecure is set.
func (l *loader) checkTLS() {
	l.checkPlain()
	t := l.cfg.TLS
	files := t.CAFile != "" || t.CertFile != "" || t.KeyFile != ""
	switch {
	case t.Insecure && (files || t.Vault != nil):
		l.problem("tls.insecure", "want either insecure = true or certificates, have both")
	case files && t.Vault != nil:
		l.problem("tls.vault", "want the certificate either from files or from Vault, have both")
	case files:
		l.absolute("tls.ca_file", t.CAFile, "the absolute path of the CA that signs every server's certificate")
		l.absolute("tls.cert_file", t.CertFile, "the absolute path of this server's certificate")
		l.absolute("tls.key_file", t.KeyFile, "the absolute path of the certificate's key")
	case t.Vault != nil:
		l.checkTLSVault(t.Vault)
	case !t.Insecure && l.othersReachIt():
		l.problem("tls", "want certificates for the servers (ca_file, cert_file and key_file, or a vault block): "+
			"only -dev and a single server on a loopback address run without; insecure = true switches TLS off all the same")
	}
	if !t.Insecure && !clusterLabel(l.cfg.Cluster) {
		l.problem("cluster", "want letters a to z, digits and dashes, have %q: the servers' certificates name it", l.cfg.Cluster)
	}
	if t.HTTP != nil {
		l.checkTLSHTTP(t)
	}
}

// checkPlain refuses plain HTTP where others reach it: tokens go over it. What Oakum logs
// in with goes to Vault.
func (l *loader) checkPlain() {
	c := l.cfg
	t := &c.TLS
	if c.Dev || t.Insecure || t.PlainHTTP {
		return
	}
	const anyway = "; plain_http = true in the tls block allows it all the same"
	if c.InClear() && (t.Servers() || !l.othersReachIt()) { // else the whole block is missing
		l.problem("tls.http", "want an http block: tokens would go to %s in clear%s", c.Addresses.HTTP, anyway)
	}
	if c.Vault != nil && inClear(c.Vault.Address) {
		l.problem("vault.address", "want https, have %q: what Oakum logs in with would go there in clear%s", c.Vault.Address, anyway)
	} else if inClear(c.Auth.JWKS) {
		l.problem("auth.jwks_url", "want https, have %q: whoever is between could put keys of their own there%s", c.Auth.JWKS, anyway)
	}
}

// inClear reports whether a URL leads to another machine without TLS.
func inClear(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	return !loopbackHost(u.Hostname())
}

func (l *loader) checkTLSVault(v *TLSVault) {
	if l.cfg.Vault == nil {
		l.problem("tls.vault", "want a vault block beside the tls block: its login gets the certificate")
	}
	if v.Mount == "" || v.Role == "" {
		l.problem("tls.vault", "want the mount of the PKI engine and the role that signs servers' certificates")
	}
	if v.TTL < shortestTTL {
		l.problem("tls.vault.ttl", "want at least %s, have %s", shortestTTL, v.TTL)
	}
	for _, ip := range v.IPSANs {
		if net.ParseIP(ip) == nil {
			l.problem("tls.vault.ip_sans", "want IP addresses, have %q", ip)
		}
	}
}

func (l *loader) checkTLSHTTP(t TLS) {
	h := t.HTTP
	switch {
	case h.CertFile != "" || h.KeyFile != "":
		l.absolute("tls.http.cert_file", h.CertFile, "the absolute path of the API's certificate")
		l.absolute("tls.http.key_file", h.KeyFile, "the absolute path of the certificate's key")
	case h.CAFile != "" && t.Vault != nil:
		l.problem("tls.http.ca_file", "want cert_file and key_file beside it: the servers' certificate comes from Vault with a CA of its own")
	case !t.Servers():
		l.problem("tls.http", "want cert_file and key_file: there is no certificate of the server to use instead")
	}
	if h.CAFile != "" {
		l.absolute("tls.http.ca_file", h.CAFile, "the absolute path of the CA that signs the callers' certificates")
	} else if h.VerifyIncoming && !t.Servers() {
		l.problem("tls.http.ca_file", "want the CA that signs the callers' certificates, or verify_incoming = false")
	}
}

// InClear reports whether the API speaks plain HTTP on an address that others reach.
func (c *Config) InClear() bool {
	return c.TLS.HTTP == nil && (!loopback(c.Addresses.HTTP) || !loopback(c.Advertise.HTTP))
}

// othersReachIt reports whether other machines, or other servers, can reach the
// servers' port.
func (l *loader) othersReachIt() bool {
	c := l.cfg
	if c.Dev {
		return false
	}
	return c.Server.BootstrapExpect != 1 || !loopback(c.Addresses.Raft) || !loopback(c.Advertise.Raft)
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return loopbackHost(host)
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// clusterLabel reports whether a name can stand in a DNS name.
func clusterLabel(name string) bool {
	ok, err := regexp.MatchString(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, name)
	return ok && err == nil
}
