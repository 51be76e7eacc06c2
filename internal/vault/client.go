package vault

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"github.com/oakumhq/oakum/api"
)

// Config says where Vault is and how the daemon logs in.
type Config struct {
	Address      string
	CACert       string // path of a PEM file
	ApprolePath  string // mount of the AppRole method; "approle" when empty
	RoleIDFile   string
	SecretIDFile string
	Logger       *slog.Logger
}

// Limits of the login to Vault.
const (
	requestTimeout = 10 * time.Second // of one request; a Vault that is slower is as good as away
	retryFirst     = time.Second      // after a failure, doubling
	retryMax       = 30 * time.Second // so that a Vault that comes back is used soon
	// renewAt is the share of a lifetime after which a login is renewed. The last
	// third is for retries.
	renewAt = 2.0 / 3
	// lifetimeMin keeps a very short lifetime from becoming a busy loop.
	lifetimeMin = 3 * time.Second
)

// Client holds the daemon's login to Vault. It is safe for concurrent use.
type Client struct {
	conf  Config
	api   *vaultapi.Client
	log   *slog.Logger
	once  sync.Once
	ready chan struct{} // closed by the first login
}

// New returns a client. It calls nothing. No VAULT_ variable of the environment has an
// effect, since those belong to a person and not to the daemon; but one that can't be
// read, such as a VAULT_CACERT that names no file, is an error.
func New(c Config) (*Client, error) {
	conf := vaultapi.DefaultConfig()
	if conf.Error != nil {
		return nil, fmt.Errorf("prepare Vault client: %w", conf.Error)
	}
	conf.Address, conf.AgentAddress = c.Address, ""
	conf.SRVLookup, conf.DisableRedirects, conf.Limiter = false, false, nil
	if transport, ok := conf.HttpClient.Transport.(*http.Transport); ok {
		// The library has read VAULT_SKIP_VERIFY and its like into it.
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		transport.Proxy = http.ProxyFromEnvironment
	}
	conf.Timeout = requestTimeout
	conf.MaxRetries = 1 // the loops here retry with their own pace
	if c.CACert != "" {
		if err := conf.ConfigureTLS(&vaultapi.TLSConfig{CACert: c.CACert}); err != nil {
			return nil, api.Errorf(api.CodeInvalid, "vault.ca_cert: %v", err)
		}
	}
	client, err := vaultapi.NewClient(conf)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "vault.address: %v", err)
	}
	client.ClearToken()
	client.ClearNamespace()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.ApprolePath = cmp.Or(c.ApprolePath, "approle")
	return &Client{conf: c, api: client, log: c.Logger, ready: make(chan struct{})}, nil
}

// HTTPClient returns the client's HTTP client with Vault's CA, for reading the key
// set.
func (c *Client) HTTPClient() *http.Client { return c.api.CloneConfig().HttpClient }

// Login logs in with the role ID and the secret ID. It reads both from their files
// each time, so that they can be rotated without a restart.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.login(ctx)
	return err
}

func (c *Client) login(ctx context.Context) (lease, error) {
	roleID, err := readSecret("vault.role_id_file", c.conf.RoleIDFile)
	if err != nil {
		return lease{}, err
	}
	secretID, err := readSecret("vault.secret_id_file", c.conf.SecretIDFile)
	if err != nil {
		return lease{}, err
	}
	secret, err := c.api.Logical().WriteWithContext(ctx, "auth/"+c.conf.ApprolePath+"/login",
		map[string]any{"role_id": roleID, "secret_id": secretID})
	if err != nil {
		return lease{}, fmt.Errorf("log in to Vault: %w", reason(err))
	}
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return lease{}, errors.New("log in to Vault: the answer holds no token")
	}
	c.api.SetToken(secret.Auth.ClientToken)
	c.once.Do(func() { close(c.ready) })
	return leaseOf(secret.Auth), nil
}

func readSecret(field, path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", api.Errorf(api.CodeInvalid, "%s: %v", field, err)
	}
	value := strings.TrimSpace(string(text))
	if value == "" {
		return "", api.Errorf(api.CodeInvalid, "%s: %s is empty", field, path)
	}
	return value, nil
}

// lease says how long a login is valid and whether it can be renewed. A lifetime
// of zero means for ever.
type lease struct {
	lifetime  time.Duration
	renewable bool
}

func leaseOf(auth *vaultapi.SecretAuth) lease {
	return lease{time.Duration(auth.LeaseDuration) * time.Second, auth.Renewable}
}

// Run logs in and keeps the login valid until ctx ends. While Vault does not
// answer it tries again. It returns nil.
func (c *Client) Run(ctx context.Context) error {
	held, wait := lease{}, time.Duration(0)
	pace := backoff{}
	loggedIn := c.api.Token() != ""
	if loggedIn {
		wait = lifetimeMin // the first renewal shows how long Login's token holds
	}
	for pause(ctx, wait) == nil {
		next, err := c.refresh(ctx, loggedIn, held)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			wait = pace.next()
			c.log.Warn("vault login does not hold", "error", err, "retry_in", wait)
			loggedIn = loggedIn && !denied(err)
			continue
		}
		if !loggedIn {
			c.log.Info("logged in to vault", "lifetime", next.lifetime)
		}
		held, loggedIn = next, true
		pace.reset()
		wait = untilRenewal(held.lifetime)
	}
	return nil
}

// refresh renews the login. It logs in again when the login can't be renewed or
// the renewal is too short.
func (c *Client) refresh(ctx context.Context, loggedIn bool, held lease) (lease, error) {
	if !loggedIn {
		return c.login(ctx)
	}
	secret, err := c.api.Auth().Token().RenewSelfWithContext(ctx, 0)
	if err == nil && secret != nil && secret.Auth != nil {
		next := leaseOf(secret.Auth)
		// Near a login's maximum lifetime each renewal is shorter than the one
		// before.
		if next.renewable && next.lifetime >= held.lifetime/2 {
			return next, nil
		}
	}
	return c.login(ctx)
}

func untilRenewal(lifetime time.Duration) time.Duration {
	if lifetime <= 0 {
		return time.Hour // for ever; look in once in a while
	}
	return time.Duration(float64(max(lifetime, lifetimeMin)) * renewAt)
}

// IdentityToken asks Vault for an identity token of the daemon. The role decides
// who accepts the token. It waits for the first login.
func (c *Client) IdentityToken(ctx context.Context, role string) (string, error) {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return "", fmt.Errorf("get identity token of role %s: not logged in to Vault yet: %w", role, ctx.Err())
	}
	secret, err := c.api.Logical().ReadWithContext(ctx, "identity/oidc/token/"+role)
	if err != nil {
		return "", fmt.Errorf("get identity token of role %s: %w", role, reason(err))
	}
	if secret == nil {
		return "", fmt.Errorf("get identity token: Vault has no OIDC role %s", role)
	}
	token, ok := secret.Data["token"].(string)
	if !ok || token == "" {
		return "", fmt.Errorf("get identity token of role %s: the answer holds no token", role)
	}
	return token, nil
}

// reason shortens Vault's error of several lines to its message.
func reason(err error) error {
	if answer, ok := errors.AsType[*vaultapi.ResponseError](err); ok {
		text := strings.Join(answer.Errors, "; ")
		if text == "" {
			text = http.StatusText(answer.StatusCode)
		}
		return &refusal{answer.StatusCode, text}
	}
	return err
}

// refusal is an answer of Vault with another status than the expected one.
type refusal struct {
	status int
	text   string
}

// Error returns what Vault said.
func (r *refusal) Error() string { return fmt.Sprintf("vault answered %d: %s", r.status, r.text) }

// denied reports whether Vault answered and refused.
func denied(err error) bool {
	said, ok := errors.AsType[*refusal](err)
	if !ok {
		return false
	}
	switch said.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false // such as 429, 503: it was not about the token
}

// backoff doubles from retryFirst to retryMax.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(b.last*2, retryFirst), retryMax)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
