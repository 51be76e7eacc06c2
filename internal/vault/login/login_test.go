package login_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/vault/login"
)

// vault answers logins as Vault does.
func vault(t *testing.T) *login.Client {
	t.Helper()
	answer := func(w http.ResponseWriter, code int, body any) {
		w.WriteHeader(code)
		must.NoError(t, json.NewEncoder(w).Encode(body))
	}
	auth := map[string]any{"auth": map[string]any{"client_token": "hvs.a", "lease_duration": 3600}}
	nonces := map[string]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/auth/pipelines/login", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		must.NoError(t, json.NewDecoder(r.Body).Decode(&in))
		if in["jwt"] != "e.y.j" || in["role"] != "deploy" || r.Header.Get("X-Vault-Namespace") != "team" {
			answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"invalid role or jwt"}})
			return
		}
		answer(w, http.StatusOK, auth)
	})
	mux.HandleFunc("PUT /v1/auth/oidc/oidc/auth_url", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		must.NoError(t, json.NewDecoder(r.Body).Decode(&in))
		if in["role"] != "oakum" { // as Vault does where the role does not allow the address
			answer(w, http.StatusOK, map[string]any{"data": map[string]any{"auth_url": ""}})
			return
		}
		nonces["st_1"] = in["client_nonce"]
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"auth_url": "https://idp.example/auth?state=st_1&redirect_uri=" + url.QueryEscape(in["redirect_uri"])}})
	})
	mux.HandleFunc("GET /v1/auth/oidc/oidc/callback", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("code") != "c1" || q.Get("client_nonce") != nonces[q.Get("state")] {
			answer(w, http.StatusForbidden, map[string]any{"errors": []string{"invalid code"}})
			return
		}
		answer(w, http.StatusOK, auth)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := login.New(login.Config{Address: server.URL, Namespace: "team"})
	must.NoError(t, err)
	return c
}

func TestJWT_NamesWhatVaultRefuses(t *testing.T) {
	t.Parallel()
	c := vault(t)
	token, err := c.JWT(t.Context(), "pipelines", "deploy", "e.y.j\n")
	must.NoError(t, err)
	must.Eq(t, "hvs.a", token.Token)
	must.True(t, token.Expires.After(time.Now().Add(time.Minute)))
	_, err = c.JWT(t.Context(), "pipelines", "deploy", "x")
	must.ErrorContains(t, err, "vault refuses: invalid role or jwt")
	must.True(t, api.IsCode(err, api.CodePermissionDenied))
}

// visit is a browser that the identity provider sends back.
func visit(t *testing.T, address string, back url.Values) (int, string) {
	t.Helper()
	parsed, err := url.Parse(address)
	must.NoError(t, err)
	resp, err := http.Get(strings.Replace(parsed.Query().Get("redirect_uri"), "localhost", "127.0.0.1", 1) + "?" + back.Encode())
	must.NoError(t, err)
	defer func() { must.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestOIDC_TakesTheAnswerOfItsOwnLoginOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		back url.Values
		want string // error; empty for a token
	}{
		{"a person logs in", url.Values{"state": {"st_1"}, "code": {"c1"}}, ""},
		{"the provider says no", url.Values{"state": {"st_1"}, "error": {"access_denied"}, "error_description": {"not you"}}, "access_denied: not you"},
		{"a code that was made up", url.Values{"state": {"st_1"}, "code": {"c2"}}, "invalid code"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := vault(t)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			must.NoError(t, err)
			token, err := c.OIDC(t.Context(), "oidc", "oakum", listener, func(address string) {
				code, _ := visit(t, address, url.Values{"state": {"st_2"}, "code": {"c1"}}) // another page
				must.Eq(t, http.StatusBadRequest, code)
				code, text := visit(t, address, tt.back)
				must.Eq(t, http.StatusOK, code)
				must.StrContains(t, text, "go back to the terminal")
			})
			if tt.want != "" {
				must.ErrorContains(t, err, tt.want)
				return
			}
			must.NoError(t, err)
			must.Eq(t, "hvs.a", token.Token)
			_, err = net.Dial("tcp", listener.Addr().String())
			must.Error(t, err) // nobody listens any more
		})
	}
}

func TestOIDC_SaysWhatTheRoleLacks(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	_, err = vault(t).OIDC(t.Context(), "oidc", "other", listener, func(string) { t.Error("there is nothing to open") })
	must.ErrorContains(t, err, `does role "other" of auth/oidc allow http://localhost:`)
}

func TestNew_WantsAnAddress(t *testing.T) {
	t.Parallel()
	_, err := login.New(login.Config{})
	must.ErrorContains(t, err, "VAULT_ADDR")
	_, err = login.New(login.Config{Address: "http://127.0.0.1:1", CACert: "/nowhere.pem"})
	must.ErrorContains(t, err, "CA certificate")
}
