package vault

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

const (
	testIssuer   = "http://vault.example/v1/identity/oidc"
	testAudience = "oakum"
)

// issuer is a model of Vault's identity engine: it signs and publishes.
type issuer struct {
	keys    map[string]*ecdsa.PrivateKey
	public  jose.JSONWebKeySet
	down    bool
	fetches int
}

func newIssuer(t *testing.T, kids ...string) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]*ecdsa.PrivateKey{}}
	for _, kid := range kids {
		i.addKey(t, kid)
	}
	return i
}

func (i *issuer) addKey(t *testing.T, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(t, err)
	i.keys[kid] = key
	i.public.Keys = append(i.public.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"})
}

// RoundTrip answers the request for the keys.
func (i *issuer) RoundTrip(*http.Request) (*http.Response, error) {
	i.fetches++
	if i.down {
		return nil, errors.New("connection refused")
	}
	text, err := json.Marshal(i.public)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(text))}, nil
}

func (i *issuer) sign(t *testing.T, kid string, claims map[string]any) string {
	t.Helper()
	key := jose.JSONWebKey{Key: i.keys[kid], KeyID: kid}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	must.NoError(t, err)
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	must.NoError(t, err)
	return text
}

func goodClaims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "e-1", "exp": now + 900, "iat": now, "nbf": now,
		"username": "alice", "groups": []string{"deployers"}, "team": "platform",
	}
}

func with(claims map[string]any, key string, value any) map[string]any {
	if value == nil {
		delete(claims, key)
	} else {
		claims[key] = value
	}
	return claims
}

func grantPlatform(claims map[string]any) ([]api.Grant, error) {
	if claims["team"] != "platform" {
		return nil, nil
	}
	return platform(), nil
}

// platform is what grantPlatform gives.
func platform() []api.Grant {
	return []api.Grant{{Rule: "platform", Capabilities: []api.Capability{api.CapPatchSubmit, api.CapRead}}}
}

func newTestAuth(t *testing.T, i *issuer) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(AuthConfig{
		Issuer: testIssuer, Audience: testAudience, JWKS: "http://vault.example/keys", Grant: grantPlatform,
	}, nil)
	must.NoError(t, err)
	a.keys.http = &http.Client{Transport: i}
	return a
}

func TestIdentityToken(t *testing.T) {
	i := newIssuer(t, "k1")
	a := newTestAuth(t, i)
	claims := goodClaims()
	id, err := a.Authenticate(t.Context(), i.sign(t, "k1", claims))
	must.NoError(t, err)
	must.Eq(t, api.Identity{
		Name: "alice", Subject: "e-1", Via: "jwt", Groups: []string{"deployers"},
		Capabilities: []api.Capability{api.CapPatchSubmit, api.CapRead}, Grants: platform(),
		Expires: time.Unix(claims["exp"].(int64), 0).Add(leeway),
	}, id)

	// Known to Vault, but no rule matches: an identity that may do nothing.
	id, err = a.Authenticate(t.Context(), i.sign(t, "k1", with(goodClaims(), "team", "guests")))
	must.NoError(t, err)
	must.Eq(t, []api.Capability{}, id.Capabilities)
	must.EqOp(t, 1, i.fetches)
}

func TestAuthenticate_RefusesBadIdentityTokens(t *testing.T) {
	i := newIssuer(t, "k1")
	stranger := newIssuer(t, "k1", "k9")
	now := time.Now().Unix()
	good := i.sign(t, "k1", goodClaims())
	parts := strings.Split(good, ".")
	forged, err := json.Marshal(with(goodClaims(), "team", "platform-admins"))
	must.NoError(t, err)
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k1"}`)) + "." + parts[1] + "."
	// The published key taken for a shared secret.
	secret, err := json.Marshal(i.public.Keys[0])
	must.NoError(t, err)
	hmac, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: "k1"},
	}, nil)
	must.NoError(t, err)
	confused, err := jwt.Signed(hmac).Claims(goodClaims()).Serialize()
	must.NoError(t, err)

	for name, tc := range map[string]struct{ token, want string }{
		"wrong audience":    {i.sign(t, "k1", with(goodClaims(), "aud", "other")), `is meant for ["other"], not for "oakum"`},
		"no audience":       {i.sign(t, "k1", with(goodClaims(), "aud", nil)), "is meant for"},
		"wrong issuer":      {i.sign(t, "k1", with(goodClaims(), "iss", "http://evil.example")), "was issued by"},
		"expired":           {i.sign(t, "k1", with(goodClaims(), "exp", now-60)), "expired at"},
		"never expires":     {i.sign(t, "k1", with(goodClaims(), "exp", nil)), "never expires"},
		"not yet":           {i.sign(t, "k1", with(goodClaims(), "nbf", now+300)), "not valid yet"},
		"another's key":     {stranger.sign(t, "k1", goodClaims()), "signature is wrong"},
		"unknown key":       {stranger.sign(t, "k9", goodClaims()), "a key that Vault does not publish"},
		"changed claims":    {parts[0] + "." + base64.RawURLEncoding.EncodeToString(forged) + "." + parts[2], "signature is wrong"},
		"cut signature":     {parts[0] + "." + parts[1] + "." + parts[2][:10], "signature is wrong"},
		"algorithm none":    {unsigned, "can't be read"},
		"shared secret":     {confused, "can't be read"},
		"garbage":           {"eyJ.x.y", "can't be read"},
		"a Vault token":     {"hvs.CAESIJ", "takes identity tokens only"},
		"larger than it is": {good + strings.Repeat("x", tokenMax), "larger than 16 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newTestAuth(t, i).Authenticate(t.Context(), tc.token)
			must.True(t, api.IsCode(err, api.CodeUnauthenticated), must.Sprint(err))
			must.StrContains(t, err.Error(), tc.want)
			must.StrNotContains(t, err.Error(), tc.token)
		})
	}
}

func TestKeys_RotateAndSurviveVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t, "k1")
		a := newTestAuth(t, i)
		check := func(kid string) error {
			_, err := a.Authenticate(t.Context(), i.sign(t, kid, goodClaims()))
			return err
		}
		must.NoError(t, check("k1"))

		// Rotated a moment later: the unknown key is fetched, but not at once.
		i.addKey(t, "k2")
		must.ErrorContains(t, check("k2"), "does not publish")
		time.Sleep(keysPause)
		must.NoError(t, check("k2"))
		must.NoError(t, check("k1"))
		must.EqOp(t, 2, i.fetches)

		// Invented key IDs are no load on Vault.
		stranger := newIssuer(t, "k9")
		time.Sleep(keysPause)
		for range 100 {
			_, err := a.Authenticate(t.Context(), stranger.sign(t, "k9", goodClaims()))
			must.True(t, api.IsCode(err, api.CodeUnauthenticated))
		}
		must.EqOp(t, 3, i.fetches)

		// Vault away: what is known goes on being used, however old.
		i.down = true
		time.Sleep(24 * time.Hour)
		must.NoError(t, check("k1"))

		// Back, with the old key withdrawn.
		i.down = false
		i.public.Keys = i.public.Keys[1:]
		time.Sleep(keysPause)
		must.NoError(t, check("k2"))
		must.ErrorContains(t, check("k1"), "does not publish")
	})
}

func TestKeys_NeverSeenAreUnavailable(t *testing.T) {
	i := newIssuer(t, "k1")
	i.down = true
	_, err := newTestAuth(t, i).Authenticate(t.Context(), i.sign(t, "k1", goodClaims()))
	must.True(t, api.IsCode(err, api.CodeUnavailable))
	must.StrContains(t, err.Error(), "not known yet")
}

func TestAuthConfig_MustTakeSomething(t *testing.T) {
	_, err := NewAuthenticator(AuthConfig{Grant: grantPlatform}, nil)
	must.ErrorContains(t, err, "neither identity tokens nor Vault tokens")
	_, err = NewAuthenticator(AuthConfig{Grant: grantPlatform, VaultTokens: true}, nil)
	must.ErrorContains(t, err, "need a vault block")
	_, err = NewAuthenticator(AuthConfig{Grant: grantPlatform, Issuer: testIssuer}, nil)
	must.ErrorContains(t, err, "need an audience")
	_, err = NewAuthenticator(AuthConfig{Issuer: testIssuer, Audience: "x", JWKS: "y"}, nil)
	must.ErrorContains(t, err, "no rules")
}

// signer is a Vault that makes identity tokens unless it is away.
type signer struct{ down atomic.Bool }

func (s *signer) IdentityToken(context.Context, string) (string, error) {
	if s.down.Load() {
		return "", errors.New("vault is away")
	}
	return "jwt", nil
}

// consul is a model of Consul's logins: tokens of ten minutes.
type consul struct {
	mu     sync.Mutex
	issued int
	live   map[string]bool
	bodies []string
}

// valid are the tokens that were issued and not given back.
func (c *consul) valid() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.live)
}

// asked are the bodies of the logins.
func (c *consul) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.bodies)
}

func (c *consul) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, out any) (*http.Response, error) {
		text, err := json.Marshal(out)
		return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(text))}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/acl/login":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.bodies = append(c.bodies, string(body))
		c.issued++
		token := string(rune('a' + c.issued - 1))
		c.live[token] = true
		return answer(200, map[string]any{"SecretID": token, "ExpirationTime": time.Now().Add(10 * time.Minute)})
	case "/v1/acl/logout":
		delete(c.live, r.Header.Get("X-Consul-Token"))
		return answer(200, nil)
	}
	return answer(404, nil)
}

func TestSource_RenewsAndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault, world := &signer{}, &consul{live: map[string]bool{}}
		s := newSource(vault, Via{
			Address: "http://consul.example/", AuthMethod: "vault", OIDCRole: "oakum", HTTP: &http.Client{Transport: world},
		}, consulSystem(), slog.New(slog.DiscardHandler))
		must.EqOp(t, "", s.Token())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		must.EqOp(t, "a", s.Token())
		must.Eq(t, []string{`{"AuthMethod":"vault","BearerToken":"jwt"}`}, world.asked())

		time.Sleep(7 * time.Minute) // past two thirds of its life
		synctest.Wait()
		must.EqOp(t, "b", s.Token())
		must.True(t, world.valid()["a"]) // requests under way may still carry it
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		must.EqOp(t, "c", s.Token())
		must.Eq(t, map[string]bool{"b": true, "c": true}, world.valid())

		// Vault away: the token stays, and a new one comes soon after its return.
		vault.down.Store(true)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		must.EqOp(t, "c", s.Token())
		vault.down.Store(false)
		time.Sleep(retryMax)
		synctest.Wait()
		must.EqOp(t, "d", s.Token())

		stop()
		must.NoError(t, <-ended)
		must.MapEmpty(t, world.valid())
	})
}

func TestSource_KeepsItsTokenWhenVaultIsAway(t *testing.T) {
	world := &consul{live: map[string]bool{}}
	s := newSource(&signer{}, Via{Address: "http://x", HTTP: &http.Client{Transport: world}}, nomadSystem(),
		slog.New(slog.DiscardHandler))
	must.NoError(t, s.Login(t.Context()))
	must.EqOp(t, `{"AuthMethodName":"","LoginToken":"jwt"}`, world.asked()[0])
	away := &signer{}
	away.down.Store(true)
	s.from = away
	must.ErrorContains(t, s.Login(t.Context()), "log in to nomad: vault is away")
	must.EqOp(t, "a", s.Token())
}
