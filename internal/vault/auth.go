package vault

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// Grant returns what the rules give to a caller with these claims, and deny. It is never
// nil without an error.
type Grant func(claims map[string]any) ([]api.Grant, error)

// AuthConfig says whose tokens are accepted.
type AuthConfig struct {
	Issuer      string // of identity tokens; empty means that none are taken
	Audience    string // that identity tokens must be meant for
	JWKS        string // URL of the keys
	NameClaim   string // "username" when empty
	GroupsClaim string // "groups" when empty
	VaultTokens bool   // whether Vault tokens are taken as well
	Grant       Grant
	Logger      *slog.Logger
}

// Authenticator identifies the holder of a token. It is safe for concurrent use.
type Authenticator struct {
	conf  AuthConfig
	keys  *keySet
	vault *Client // nil: no Vault tokens
	log   *slog.Logger
	good  memory
	bad   memory // of its own: whoever tries tokens must not push out those of callers
}

// NewAuthenticator returns an authenticator. It calls nothing. It reads the
// entities of Vault tokens with the client's login.
func NewAuthenticator(c AuthConfig, client *Client) (*Authenticator, error) {
	if c.Grant == nil {
		return nil, api.Errorf(api.CodeInvalid, "auth: no rules")
	}
	if c.Issuer != "" && (c.Audience == "" || c.JWKS == "") {
		return nil, api.Errorf(api.CodeInvalid, "auth: identity tokens need an audience and the URL of the keys")
	}
	if c.Issuer == "" && !c.VaultTokens {
		return nil, api.Errorf(api.CodeInvalid, "auth: neither identity tokens nor Vault tokens would be taken")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.NameClaim, c.GroupsClaim = cmp.Or(c.NameClaim, "username"), cmp.Or(c.GroupsClaim, "groups")
	a := &Authenticator{conf: c, log: c.Logger}
	web := http.DefaultClient
	if client != nil {
		web = client.HTTPClient()
	}
	a.keys = &keySet{url: c.JWKS, http: web, log: c.Logger}
	if c.VaultTokens {
		if client == nil {
			return nil, api.Errorf(api.CodeInvalid, "auth: Vault tokens need a vault block")
		}
		a.vault = client
	}
	return a, nil
}

// Authenticate returns who holds the token and which capabilities they have.
// Errors have the code unauthenticated. They have the code unavailable when only
// Vault could decide and Vault does not answer.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (api.Identity, error) {
	if strings.Count(token, ".") == 2 && strings.HasPrefix(token, "eyJ") {
		if a.conf.Issuer == "" {
			return api.Identity{}, api.Errorf(api.CodeUnauthenticated, "this server does not take identity tokens")
		}
		claims, expiry, err := a.verify(ctx, token)
		if err != nil {
			return api.Identity{}, err
		}
		return a.identity("jwt", claims, expiry.Add(leeway))
	}
	if a.vault == nil {
		return api.Identity{}, api.Errorf(api.CodeUnauthenticated, "this server takes identity tokens only, and this is none")
	}
	return a.lookUp(ctx, token)
}

// identity turns claims into the caller's identity, until the token expires.
func (a *Authenticator) identity(via string, claims map[string]any, expires time.Time) (api.Identity, error) {
	grants, err := a.conf.Grant(claims)
	if err != nil {
		return api.Identity{}, api.Errorf(api.CodeUnauthenticated, "read the claims of the token: %v", err)
	}
	name, _ := claims[a.conf.NameClaim].(string)
	subject, _ := claims["sub"].(string)
	id := api.Identity{
		Name: cmp.Or(name, subject, "unnamed"), Subject: subject, Via: via, Groups: words(claims[a.conf.GroupsClaim]),
		Capabilities: access.Held(grants), Grants: grants, Expires: expires,
	}
	if id.Grants == nil {
		id.Grants = []api.Grant{} // nil is for those who may do it everywhere
	}
	a.log.Debug("caller authenticated", "identity", id.Name, "via", via, "grants", len(grants))
	return id, nil
}

// words reads a claim that is a list of strings, or one string.
func words(claim any) []string {
	switch v := claim.(type) {
	case string:
		if v == "" {
			return nil
		}
		return []string{v}
	case []string:
		return v
	case []any:
		var out []string
		for _, item := range v {
			if text, ok := item.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// Limits of the memory of Vault tokens.
const (
	// rememberGood is how long a revoked token may still be accepted.
	rememberGood = 30 * time.Second
	// rememberBad keeps a client with an invalid token from causing a call to
	// Vault each time.
	rememberBad = 5 * time.Second
	// rememberMax bounds the memory. When it is full, it is emptied.
	rememberMax = 4096
)

// memory remembers the identities of tokens by the tokens' hashes.
type memory struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]finding
}

type finding struct {
	id    api.Identity
	err   error
	until time.Time
}

func (m *memory) get(token string) (finding, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.known[sha256.Sum256([]byte(token))]
	return f, ok && time.Now().Before(f.until)
}

func (m *memory) put(token string, f finding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= rememberMax {
		m.known = map[[sha256.Size]byte]finding{}
	}
	m.known[sha256.Sum256([]byte(token))] = f
}
