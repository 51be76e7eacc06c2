package fleet_test

import (
	"net/http/httptest"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet"
	"github.com/oakumhq/oakum/internal/vault"
)

// The daemon's own door takes an issuer's tokens, and no other issuer's.
func TestIssuerIsBelieved(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	issuer, err := fleet.NewIssuer(url, "oakum")
	must.NoError(t, err)
	server.Config.Handler = issuer
	server.Start()
	t.Cleanup(server.Close)

	door, err := vault.NewAuthenticator(vault.AuthConfig{
		Issuer: url, Audience: "oakum", JWKS: url + fleet.KeysPath,
		Grant: func(map[string]any) ([]api.Grant, error) {
			return []api.Grant{{Rule: "all", Capabilities: []api.Capability{api.CapRead}}}, nil
		},
	}, nil)
	must.NoError(t, err)

	token, err := issuer.Token("ada", "deployers", "on-call")
	must.NoError(t, err)
	ada, err := door.Authenticate(t.Context(), token)
	must.NoError(t, err)
	must.Eq(t, "ada", ada.Name)
	must.Eq(t, []string{"deployers", "on-call"}, ada.Groups)

	forger, err := fleet.NewIssuer(url, "oakum")
	must.NoError(t, err)
	forged, err := forger.Token("ada", "deployers")
	must.NoError(t, err)
	_, err = door.Authenticate(t.Context(), forged)
	must.True(t, api.IsCode(err, api.CodeUnauthenticated), must.Sprint(err))
}
