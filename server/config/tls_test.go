package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/config"
	"github.com/shoenig/test/must"
)

// withTLS is the full configuration with another tls block.
func withTLS(block string) string {
	return strings.ReplaceAll(full, "tls { insecure = true }", block)
}

const tlsFiles = `
tls {
  ca_file   = "/etc/oakum/ca.pem"
  cert_file = "/etc/oakum/server.pem"
  key_file  = "/etc/oakum/server-key.pem"
  http { verify_incoming = true }
}
`

const tlsVault = `
tls {
  http {}
  vault {
    role    = "oakum-server"
    ip_sans = ["10.0.0.1"]
  }
}
`

func TestTLSFromFiles(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", withTLS(tlsFiles))}, false, environment)
	must.NoError(t, err)
	must.Eq(t, config.TLS{
		CAFile: "/etc/oakum/ca.pem", CertFile: "/etc/oakum/server.pem", KeyFile: "/etc/oakum/server-key.pem",
		HTTP: &config.TLSHTTP{VerifyIncoming: true},
	}, c.TLS)
	must.True(t, c.TLS.Servers())
}

func TestTLSFromVault(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", withTLS(tlsVault))}, false, environment)
	must.NoError(t, err)
	must.Eq(t, &config.TLSVault{Mount: "pki", Role: "oakum-server", TTL: 72 * time.Hour, IPSANs: []string{"10.0.0.1"}}, c.TLS.Vault)
	must.True(t, c.TLS.Servers())
}

func TestOneServerOnLoopbackNeedsNoTLS(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("bootstrap_expect = 3", "bootstrap_expect = 1", `raft = "10.0.0.1:4741"`, `raft = "127.0.0.1:4741"`,
		`http = "0.0.0.0:4740"`, `http = "127.0.0.1:4740"`, `http = "10.0.0.1:4740"`, `http = "127.0.0.1:4740"`).Replace(withTLS(""))
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", text)}, false, environment)
	must.NoError(t, err)
	must.False(t, c.TLS.Servers())
	must.False(t, c.TLS.Insecure)
}

func TestTLS_PlainHTTPIsSaidInSoManyWords(t *testing.T) {
	t.Parallel()
	for _, block := range []string{"tls { insecure = true }", strings.Replace(tlsVault, "http {}", "plain_http = true", 1)} {
		c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", withTLS(block))}, false, environment)
		must.NoError(t, err)
		must.Nil(t, c.TLS.HTTP)
		must.True(t, c.InClear())
	}
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", withTLS(tlsFiles))}, false, environment)
	must.NoError(t, err)
	must.False(t, c.InClear())
}

func TestLimits(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", full)}, false, environment)
	must.NoError(t, err)
	must.Eq(t, config.Limits{HTTPMaxConnsPerClient: 200, HTTPMaxRequestsPerIdentity: 500}, c.Limits)
	c, err = config.Load([]string{write(t, t.TempDir(), "a.hcl", full+"limits {\n  http_max_conns_per_client = 0\n  http_max_requests_per_identity = 9\n}\n")}, false, environment)
	must.NoError(t, err)
	must.Eq(t, config.Limits{HTTPMaxRequestsPerIdentity: 9}, c.Limits)
	_, err = config.Load([]string{write(t, t.TempDir(), "a.hcl", full+"limits {\n  http_max_conns_per_client = -1\n}\n")}, false, environment)
	must.ErrorContains(t, err, "limits.http_max_conns_per_client: want 0 (no limit) or more, have -1")
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	const wanted = "tls: want certificates for the servers (ca_file, cert_file and key_file, or a vault block)"
	loop := func(text string) string {
		return strings.ReplaceAll(text, `raft = "10.0.0.1:4741"`, `raft = "127.0.0.1:4741"`)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"three servers", withTLS(""), wanted},
		{"three servers on loopback", loop(withTLS("")), wanted},
		{"one server that joins", loop(strings.ReplaceAll(withTLS(""), "bootstrap_expect = 3", "")), wanted},
		{"one server that others can reach", strings.ReplaceAll(withTLS(""), "bootstrap_expect = 3", "bootstrap_expect = 1"), wanted},
		{"both insecure and not", strings.ReplaceAll(withTLS(tlsFiles), "tls {", "tls {\ninsecure = true"), "a.hcl:13,12: tls.insecure: want either insecure = true or certificates, have both"},
		{"no key", strings.ReplaceAll(withTLS(tlsFiles), `key_file  = "/etc/oakum/server-key.pem"`, ""), "tls.key_file: want the absolute path of the certificate's key"},
		{"relative path", strings.ReplaceAll(withTLS(tlsFiles), "/etc/oakum/ca.pem", "ca.pem"), `a.hcl:13,15: tls.ca_file: want the absolute path of the CA that signs every server's certificate, have "ca.pem"`},
		{"files and Vault", strings.ReplaceAll(withTLS(tlsFiles), "http { verify_incoming = true }", "http {}\nvault { role = \"x\" }"), "tls.vault: want the certificate either from files or from Vault, have both"},
		{"no role", strings.ReplaceAll(withTLS(tlsVault), `role    = "oakum-server"`, ""), "tls.vault: want the mount of the PKI engine and the role"},
		{"no address", strings.ReplaceAll(withTLS(tlsVault), `["10.0.0.1"]`, `["here"]`), `tls.vault.ip_sans: want IP addresses, have "here"`},
		{"short life", strings.ReplaceAll(withTLS(tlsVault), `role    =`, "ttl = \"5s\"\nrole ="), "tls.vault.ttl: want at least 1m0s, have 5s"},
		{"odd cluster", strings.ReplaceAll(withTLS(tlsVault), `"prod"`, `"Prod East"`), `a.hcl:3,12: cluster: want letters a to z, digits and dashes, have "Prod East": the servers' certificates name it`},
		{"HTTPS without a certificate", withTLS("tls {\ninsecure = true\nhttp {}\n}"), "tls.http: want cert_file and key_file"},
		{"half of HTTPS", withTLS("tls {\ninsecure = true\nhttp { cert_file = \"/a\" }\n}"), "tls.http.key_file: want the absolute path of the certificate's key"},
		{"another CA beside Vault's", withTLS(strings.Replace(tlsVault, "http {}", "http { ca_file = \"/a\" }", 1)), "tls.http.ca_file: want cert_file and key_file beside it"},
		{"plain HTTP to others", strings.Replace(withTLS(tlsVault), "http {}", "", 1), "tls.http: want an http block: tokens would go to 0.0.0.0:4740 in clear"},
		{"plain HTTP of a lonely server", strings.NewReplacer("bootstrap_expect = 3", "bootstrap_expect = 1", `raft = "10.0.0.1:4741"`, `raft = "127.0.0.1:4741"`).Replace(withTLS("")),
			"tls.http: want an http block"},
		{"Vault in clear", strings.Replace(withTLS(tlsVault), "http://127.0.0.1:8200", "http://vault.example:8200", 1), `vault.address: want https, have "http://vault.example:8200"`},
		{"keys in clear", strings.Replace(withTLS(tlsVault), "auth {", "auth {\njwks_url = \"http://10.0.0.9/keys\"", 1), `auth.jwks_url: want https, have "http://10.0.0.9/keys"`},
		{"callers of no CA", withTLS("tls {\ninsecure = true\nhttp {\ncert_file = \"/a\"\nkey_file = \"/b\"\nverify_incoming = true\n}\n}"), "tls.http.ca_file: want the CA that signs the callers' certificates, or verify_incoming = false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", tc.text)}, false, environment)
			must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
			must.StrContains(t, err.Error(), tc.want)
			must.Len(t, 1, api.AsError(err).Details, must.Sprint(err))
		})
	}
}
