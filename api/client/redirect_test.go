package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func TestClient_TakesItsTokenNowhereElse(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked with token %q", r.Header.Get(client.HeaderToken))
	}))
	defer other.Close()
	for _, code := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect} {
		server := httptest.NewServer(http.RedirectHandler(other.URL, code))
		c, err := client.New(client.Config{Address: server.URL, Token: "s3cret"})
		must.NoError(t, err)
		_, err = c.RolloutAction(t.Context(), "r", "pause", "")
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
		must.ErrorContains(t, err, other.URL)
		_, _, err = c.Rollouts(t.Context(), client.Query{})
		must.ErrorContains(t, err, "redirects")
		c.Close()
		server.Close()
	}
}
