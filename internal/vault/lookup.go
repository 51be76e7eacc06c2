package vault

import (
	"context"
	"maps"
	"net/http"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"github.com/oakumhq/oakum/api"
)

// lookUp asks Vault for the holder of a Vault token.
func (a *Authenticator) lookUp(ctx context.Context, token string) (api.Identity, error) {
	if known, ok := a.good.get(token); ok {
		return known.id, nil
	}
	if known, ok := a.bad.get(token); ok {
		return api.Identity{}, known.err
	}
	claims, err := a.vault.claims(ctx, token)
	if err != nil {
		if denied(err) {
			err = api.Errorf(api.CodeUnauthenticated, "Vault does not know this token, or it has expired")
			a.bad.put(token, finding{err: err, until: time.Now().Add(rememberBad)})
			return api.Identity{}, err
		}
		return api.Identity{}, api.Errorf(api.CodeUnavailable, "ask Vault who holds the token: %v", err)
	}
	var expires time.Time // stays zero of a token that never does
	if ends, ok := claims["expire_time"].(string); ok {
		if expires, err = time.Parse(time.RFC3339Nano, ends); err != nil {
			return api.Identity{}, api.Errorf(api.CodeUnavailable, "Vault says that the token expires at %q: %v", ends, err)
		}
	}
	id, err := a.identity("vault-token", claims, expires)
	if err != nil {
		return id, err
	}
	until := time.Now().Add(rememberGood)
	if !expires.IsZero() && expires.Before(until) {
		until = expires
	}
	a.good.put(token, finding{id: id, until: until})
	return id, nil
}

// claims returns what Vault knows of a token, in the form of an identity token's
// claims. sub is the entity's ID, username its name, and groups the names of its
// groups; the entity's metadata are further claims. policies, display_name, meta
// and path are the token's own.
func (c *Client) claims(ctx context.Context, token string) (map[string]any, error) {
	caller, err := c.api.Clone()
	if err != nil {
		return nil, err
	}
	caller.ClearNamespace()
	caller.SetToken(token)
	self, err := caller.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, reason(err)
	}
	if self == nil {
		return nil, &refusal{http.StatusForbidden, "no such token"}
	}
	claims := map[string]any{}
	if id, _ := self.Data["entity_id"].(string); id != "" {
		c.entity(ctx, id, claims)
		claims["sub"] = id
	}
	for _, name := range []string{"display_name", "meta", "path", "expire_time", "type"} {
		claims[name] = self.Data[name]
	}
	claims["policies"] = append(words(self.Data["policies"]), words(self.Data["identity_policies"])...)
	if claims["username"] == nil {
		claims["username"] = self.Data["display_name"]
	}
	return claims, nil
}

// entity adds the claims of the token's entity. When the daemon's policy forbids
// to read the entity, these claims are missing and the rules that need them do not
// match.
func (c *Client) entity(ctx context.Context, id string, claims map[string]any) {
	found, err := c.api.Logical().ReadWithContext(ctx, "identity/entity/id/"+id)
	if err != nil || found == nil {
		c.log.Warn("entity of a caller can't be read", "error", err)
		return
	}
	if metadata, ok := found.Data["metadata"].(map[string]any); ok {
		maps.Copy(claims, metadata)
	}
	claims["username"] = found.Data["name"]
	groups := []string{}
	for _, group := range words(found.Data["group_ids"]) {
		if name := c.groupName(ctx, group); name != "" {
			groups = append(groups, name)
		}
	}
	claims["groups"] = groups
}

func (c *Client) groupName(ctx context.Context, id string) string {
	var found *vaultapi.Secret
	found, err := c.api.Logical().ReadWithContext(ctx, "identity/group/id/"+id)
	if err != nil || found == nil {
		c.log.Warn("group of a caller can't be read", "error", err)
		return ""
	}
	name, _ := found.Data["name"].(string)
	return name
}
