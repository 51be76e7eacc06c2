package httpapi

import (
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// devIdentity is who everybody is when authentication is off.
func devIdentity() api.Identity {
	return api.Identity{Name: "dev", Via: api.ViaDev, Capabilities: api.Capabilities()}
}

// token returns the caller's token from X-Oakum-Token or Authorization: Bearer.
func (c *call) token() string {
	if token := c.r.Header.Get(headerToken); token != "" {
		return token
	}
	scheme, token, found := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// authorise finds out who the caller is and whether the route lets them in.
func (a *API) authorise(rt route, c *call) error {
	if a.opt.Auth == nil {
		c.by = devIdentity()
		return nil
	}
	token := c.token()
	if token == "" {
		if rt.open {
			return nil
		}
		return &api.Error{
			Code:    api.CodeUnauthenticated,
			Message: "no token: this server asks who you are",
			Details: []string{"send an identity token or a Vault token in X-Oakum-Token (the CLI sends OAKUM_TOKEN)"},
		}
	}
	by, err := a.opt.Auth.Authenticate(c.ctx(), token)
	if err != nil {
		if rt.open {
			return nil
		}
		return err
	}
	c.by = by
	switch {
	case rt.open || rt.cap == "":
		return nil
	case !by.Can(rt.cap):
		return &api.Error{
			Code:    api.CodePermissionDenied,
			Message: "identity " + by.Name + " lacks the capability " + string(rt.cap),
			Details: []string{"it has: " + capabilityList(by.Capabilities)},
		}
	case !rt.scoped && !access.Everywhere(by, rt.cap):
		return &api.Error{
			Code:    api.CodePermissionDenied,
			Message: "identity " + by.Name + " has the capability " + string(rt.cap) + " on a part of the fleet only, and this needs it everywhere",
			Details: access.Says(by.Grants, rt.cap),
		}
	}
	return nil
}

// authSelf is who the caller is, and what the rules give and deny.
func (a *API) authSelf(c *call) (any, error) { return c.by, nil }

func capabilityList(caps []api.Capability) string {
	if len(caps) == 0 {
		return "none; no auth rule matches its claims"
	}
	words := make([]string, len(caps))
	for i, c := range caps {
		words[i] = string(c)
	}
	return strings.Join(words, ", ")
}
