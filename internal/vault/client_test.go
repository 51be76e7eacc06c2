package vault_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/vault"
)

// TestNew_IgnoresTheVariablesOfPeople has a person's environment turn the check of Vault's
// certificate off, and send everything to a proxy.
func TestNew_IgnoresTheVariablesOfPeople(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	for name, value := range map[string]string{
		"VAULT_SKIP_VERIFY": "true", "VAULT_PROXY_ADDR": server.URL, "VAULT_ADDR": "https://elsewhere.invalid",
		"VAULT_SRV_LOOKUP": "true", "VAULT_TLS_SERVER_NAME": "example.com",
	} {
		t.Setenv(name, value)
	}
	c, err := vault.New(vault.Config{Address: server.URL})
	must.NoError(t, err)
	resp, err := c.HTTPClient().Get(server.URL)
	if err == nil {
		must.NoError(t, resp.Body.Close())
	}
	must.ErrorContains(t, err, "unknown authority")
	transport, ok := c.HTTPClient().Transport.(*http.Transport)
	must.True(t, ok)
	must.EqOp(t, "", transport.TLSClientConfig.ServerName)
	r, err := http.NewRequest(http.MethodGet, server.URL, http.NoBody)
	must.NoError(t, err)
	proxy, err := transport.Proxy(r)
	must.NoError(t, err)
	must.Nil(t, proxy)
}
