package vault

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/oakumhq/oakum/api"
)

// leeway is how far the clocks of Vault and this server may differ. It is more
// than NTP leaves and far less than a token's lifetime.
const leeway = 30 * time.Second

// tokenMax bounds an identity token. A proxy would not accept a longer header.
const tokenMax = 16 << 10

// algorithms lists the algorithms with which Vault's identity engine signs. The
// list does not contain "none", nor any algorithm with a shared secret.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// verify verifies an identity token and returns its claims and its expiry. It asks Vault
// for keys only when it does not know the token's key.
func (a *Authenticator) verify(ctx context.Context, token string) (map[string]any, time.Time, error) {
	if len(token) > tokenMax {
		return nil, time.Time{}, api.Errorf(api.CodeUnauthenticated, "the identity token is larger than %d KiB", tokenMax>>10)
	}
	parsed, err := jwt.ParseSigned(token, algorithms())
	if err != nil || len(parsed.Headers) != 1 {
		return nil, time.Time{}, api.Errorf(api.CodeUnauthenticated, "the identity token can't be read")
	}
	kid := parsed.Headers[0].KeyID
	if kid == "" {
		return nil, time.Time{}, api.Errorf(api.CodeUnauthenticated, "the identity token does not name its key")
	}
	keys, err := a.keys.find(ctx, kid)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, key := range keys {
		// A key for another algorithm or another use must not verify this token.
		if key.Algorithm != "" && key.Algorithm != parsed.Headers[0].Algorithm {
			continue
		}
		if key.Use != "" && key.Use != "sig" {
			continue
		}
		var standard jwt.Claims
		var raw json.RawMessage
		if parsed.Claims(key.Public().Key, &standard, &raw) != nil {
			continue
		}
		if err := a.checkClaims(standard, time.Now()); err != nil {
			return nil, time.Time{}, err
		}
		claims := map[string]any{}
		if err := json.Unmarshal(raw, &claims); err != nil {
			return nil, time.Time{}, api.Errorf(api.CodeUnauthenticated, "the identity token's claims can't be read")
		}
		return claims, standard.Expiry.Time(), nil
	}
	return nil, time.Time{}, api.Errorf(api.CodeUnauthenticated, "the identity token's signature is wrong")
}

// checkClaims checks the audience, the issuer and the times of a token.
func (a *Authenticator) checkClaims(c jwt.Claims, now time.Time) error {
	if c.Expiry == nil {
		return api.Errorf(api.CodeUnauthenticated, "the identity token never expires: such tokens are not taken")
	}
	err := c.ValidateWithLeeway(jwt.Expected{
		Issuer: a.conf.Issuer, AnyAudience: jwt.Audience{a.conf.Audience}, Time: now,
	}, leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return api.Errorf(api.CodeUnauthenticated, "the identity token expired at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrInvalidAudience):
		return api.Errorf(api.CodeUnauthenticated, "the identity token is meant for %q, not for %q", []string(c.Audience), a.conf.Audience)
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return api.Errorf(api.CodeUnauthenticated, "the identity token was issued by %q, not by %q", c.Issuer, a.conf.Issuer)
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return api.Errorf(api.CodeUnauthenticated, "the identity token is not valid yet: is the clock right?")
	}
	return api.Errorf(api.CodeUnauthenticated, "the identity token's claims are wrong: %v", err)
}
