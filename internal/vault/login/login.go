// Package login gets a person a token from Vault: by user name and password, by the token
// of another issuer (JWT), or by a browser (OIDC). It is for the command line; the daemon
// logs in by package vault.
package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"github.com/oakumhq/oakum/api"
)

const (
	// requestTimeout is of one request to Vault.
	requestTimeout = 30 * time.Second
	// farewellTimeout is how long the browser has to get its last page.
	farewellTimeout = time.Second
	// browserTimeout is how long a person has to log in with a browser.
	browserTimeout = 5 * time.Minute
)

// Config says where Vault is.
type Config struct {
	Address   string // URL
	CACert    string // path of a PEM file; the system's when empty
	Namespace string // of Vault Enterprise; none when empty
}

// Token is what a login gives.
type Token struct {
	Token   string
	Expires time.Time // zero for never
}

// Client logs in to one Vault.
type Client struct{ api *vaultapi.Client }

// New returns a client. It calls nothing. Of the environment, what VAULT_ variables say of
// TLS and of limits counts beside the configuration, as it does for the vault command.
func New(c Config) (*Client, error) {
	if c.Address == "" {
		return nil, api.Errorf(api.CodeInvalid, "no address of Vault: want -vault-address or VAULT_ADDR")
	}
	conf := vaultapi.DefaultConfig()
	if conf.Error != nil {
		return nil, fmt.Errorf("prepare Vault client: %w", conf.Error)
	}
	conf.Address, conf.AgentAddress, conf.Timeout, conf.MaxRetries = c.Address, "", requestTimeout, 1
	if err := conf.ConfigureTLS(&vaultapi.TLSConfig{CACert: c.CACert}); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "vault: CA certificate: %v", err)
	}
	client, err := vaultapi.NewClient(conf)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "vault address %q: %v", c.Address, err)
	}
	client.ClearToken()
	client.SetNamespace(c.Namespace)
	return &Client{client}, nil
}

// Password logs in with a name and a password, by a method such as userpass or ldap.
func (c *Client) Password(ctx context.Context, mount, name, password string) (Token, error) {
	return c.write(ctx, "auth/"+mount+"/login/"+url.PathEscape(name), map[string]any{"password": password})
}

// JWT logs in with the token of another issuer, such as the identity of a pipeline.
func (c *Client) JWT(ctx context.Context, mount, role, jwt string) (Token, error) {
	return c.write(ctx, "auth/"+mount+"/login", map[string]any{"role": role, "jwt": strings.TrimSpace(jwt)})
}

// OIDC logs in with a browser. Open is given the address to visit. Vault's role must allow
// http://localhost:PORT/oidc/callback of the listener, which OIDC closes.
func (c *Client) OIDC(ctx context.Context, mount, role string, listener net.Listener, open func(address string)) (Token, error) {
	defer func() { _ = listener.Close() }() // it was only listened on
	ctx, cancel := context.WithTimeoutCause(ctx, browserTimeout, errors.New("nobody logged in with the browser in five minutes"))
	defer cancel()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return Token{}, fmt.Errorf("listen for the browser: %w", err)
	}
	nonce := rand.Text()
	secret, err := c.api.Logical().WriteWithContext(ctx, "auth/"+mount+"/oidc/auth_url", map[string]any{
		"role": role, "redirect_uri": "http://localhost:" + port + "/oidc/callback", "client_nonce": nonce,
	})
	if err != nil {
		return Token{}, refused(err)
	}
	address, _ := dataOf(secret)["auth_url"].(string)
	if address == "" {
		return Token{}, api.Errorf(api.CodePermissionDenied, "vault gives no address to log in at: does role %q of auth/%s allow http://localhost:%s/oidc/callback?", role, mount, port)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return Token{}, fmt.Errorf("vault's address to log in at: %w", err)
	}
	answers := make(chan url.Values, 1)
	server := &http.Server{ReadHeaderTimeout: requestTimeout, Handler: callback(parsed.Query().Get("state"), answers)}
	go func() { _ = server.Serve(listener) }() // it ends with Close
	defer func() {
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
		defer cancel()
		_ = server.Shutdown(bound) // the browser gets its page
		_ = server.Close()
	}()
	open(address)
	select {
	case <-ctx.Done():
		return Token{}, context.Cause(ctx)
	case got := <-answers:
		if problem := got.Get("error"); problem != "" {
			return Token{}, api.Errorf(api.CodePermissionDenied, "the browser came back with %s: %s", problem, got.Get("error_description"))
		}
		secret, err := c.api.Logical().ReadWithDataWithContext(ctx, "auth/"+mount+"/oidc/callback", map[string][]string{
			"state": {got.Get("state")}, "code": {got.Get("code")}, "client_nonce": {nonce},
		})
		return tokenOf(secret, err)
	}
}

// callback takes the one answer of the browser that has the state of this login. Any other
// page that calls it learns nothing and ends nothing.
func callback(state string, answers chan<- url.Values) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oidc/callback", func(w http.ResponseWriter, r *http.Request) {
		got := r.URL.Query()
		if state == "" || got.Get("state") != state {
			http.Error(w, "This is not the login that was begun.", http.StatusBadRequest)
			return
		}
		select {
		case answers <- got:
		default: // it has come already
		}
		_, _ = fmt.Fprintln(w, "You may close this page and go back to the terminal.")
	})
	return mux
}

// Identity is an identity token of a role, signed by Vault for whoever has the token.
func (c *Client) Identity(ctx context.Context, token Token, role string) (Token, error) {
	client, err := c.api.Clone()
	if err != nil {
		return Token{}, fmt.Errorf("prepare Vault client: %w", err)
	}
	client.SetToken(token.Token)
	client.SetNamespace(c.api.Namespace())
	secret, err := client.Logical().ReadWithContext(ctx, "identity/oidc/token/"+role)
	if err != nil {
		return Token{}, refused(err)
	}
	signed, _ := dataOf(secret)["token"].(string)
	if signed == "" {
		return Token{}, api.Errorf(api.CodePermissionDenied, "vault signs no identity token of role %q", role)
	}
	out := Token{Token: signed}
	if ttl, err := secret.TokenTTL(); err == nil && ttl > 0 {
		out.Expires = time.Now().Add(ttl)
	}
	return out, nil
}

func (c *Client) write(ctx context.Context, path string, body map[string]any) (Token, error) {
	secret, err := c.api.Logical().WriteWithContext(ctx, path, body)
	return tokenOf(secret, err)
}

// tokenOf is the token of a login.
func tokenOf(secret *vaultapi.Secret, err error) (Token, error) {
	switch {
	case err != nil:
		return Token{}, refused(err)
	case secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "":
		return Token{}, api.Errorf(api.CodePermissionDenied, "vault gave no token: a second factor, if it asks for one, is not supported")
	}
	out := Token{Token: secret.Auth.ClientToken}
	if ttl := time.Duration(secret.Auth.LeaseDuration) * time.Second; ttl > 0 {
		out.Expires = time.Now().Add(ttl)
	}
	return out, nil
}

func dataOf(secret *vaultapi.Secret) map[string]any {
	if secret == nil {
		return nil
	}
	return secret.Data
}

// refused says in one line why Vault refused.
func refused(err error) error {
	if answer, ok := errors.AsType[*vaultapi.ResponseError](err); ok {
		if answer.StatusCode < http.StatusInternalServerError {
			return api.Errorf(api.CodePermissionDenied, "vault refuses: %s", strings.Join(answer.Errors, "; "))
		}
		return api.Errorf(api.CodeUnavailable, "vault: %s", strings.Join(answer.Errors, "; "))
	}
	return api.Errorf(api.CodeUnavailable, "vault: %v", err)
}
