package httpapi

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func newShares(most int) *shares { return &shares{most: most, by: map[holder]*share{}} }

func TestShares_BoundWhatAnIdentityHasOpen(t *testing.T) {
	t.Parallel()
	s := newShares(2)
	ada, bob := api.Identity{Name: "ada", Via: "jwt"}, api.Identity{Name: "bob", Via: "jwt"}
	var gives []func()
	for range 2 {
		give, err := s.take(t.Context(), ada, false)
		must.NoError(t, err)
		gives = append(gives, give)
	}
	_, err := s.take(t.Context(), ada, false)
	must.True(t, api.IsCode(err, api.CodeBusy), must.Sprint(err))
	give, err := s.take(t.Context(), bob, false)
	must.NoError(t, err, must.Sprint("another one is not held up"))
	give()
	for range 9 {
		_, err = s.take(t.Context(), api.Identity{}, false)
		must.NoError(t, err, must.Sprint("nobody's requests are of open routes"))
	}
	gives[0]()
	give, err = s.take(t.Context(), ada, false)
	must.NoError(t, err)
	give()
	gives[1]()
	must.MapEmpty(t, s.by, must.Sprint("nothing is kept of who has gone"))
}

func TestShares_CountAPersonOnceWhateverTheirTokensAreCalled(t *testing.T) {
	t.Parallel()
	s := newShares(1)
	give, err := s.take(t.Context(), api.Identity{Name: "ada", Subject: "e-1", Via: "vault"}, false)
	must.NoError(t, err)
	_, err = s.take(t.Context(), api.Identity{Name: "token-2", Subject: "e-1", Via: "vault"}, false)
	must.True(t, api.IsCode(err, api.CodeBusy), must.Sprint(err))
	// Nobody takes another's share by a name that looks like it.
	for _, other := range []api.Identity{
		{Name: "ada", Subject: "e-2", Via: "vault"}, {Name: "ada e-1", Via: "vault"}, {Name: "e-1", Via: "vault"}, {Name: "ada", Subject: "e-1", Via: "jwt"},
	} {
		give, err := s.take(t.Context(), other, false)
		must.NoError(t, err)
		give()
	}
	give()
	must.MapEmpty(t, s.by)
}

func TestShares_LetCostlyRequestsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShares(0)
		ada := api.Identity{Name: "ada"}
		var gives []func()
		for range plansAtOnce {
			give, err := s.take(t.Context(), ada, true)
			must.NoError(t, err)
			gives = append(gives, give)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.take(t.Context(), ada, false)
		must.NoError(t, err, must.Sprint("a cheap one does not wait"))
		got := make(chan error, 2)
		go func() {
			_, err := s.take(ctx, ada, true)
			got <- err
		}()
		synctest.Wait()
		cancel()
		must.ErrorIs(t, <-got, context.Canceled)
		go func() {
			give, err := s.take(t.Context(), ada, true)
			if err == nil {
				give()
			}
			got <- err
		}()
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		gives[0]()
		must.NoError(t, <-got)
		gives[1]()
	})
}

func TestLimited_RefusesFurtherConnectionsOfAClient(t *testing.T) {
	t.Parallel()
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	server := &httptest.Server{Listener: Limited(plain, 2), Config: &http.Server{Handler: http.NotFoundHandler()}} //nolint:gosec // for tests
	server.Start()
	defer server.Close()
	ask := func() (net.Conn, int) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", plain.Addr().String())
		must.NoError(t, err)
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // a refused client may find it closed
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return conn, 0
		}
		must.NoError(t, answer.Body.Close())
		return conn, answer.StatusCode
	}
	first, code := ask()
	must.EqOp(t, http.StatusNotFound, code)
	second, code := ask()
	must.EqOp(t, http.StatusNotFound, code)
	third, code := ask()
	must.NotEq(t, http.StatusNotFound, code)
	must.NoError(t, third.Close())
	must.NoError(t, first.Close())
	must.NoError(t, second.Close())
	for { // until the server has seen that they are gone
		again, code := ask()
		must.NoError(t, again.Close())
		if code == http.StatusNotFound {
			return
		}
		must.NoError(t, t.Context().Err())
	}
}

func TestServeHTTP_RefusesNamesWithoutAuthentication(t *testing.T) {
	t.Parallel()
	for host, refused := range map[string]bool{
		"127.0.0.1:4740": false, "localhost:4740": false, "localhost": false, "[::1]:4740": false, "10.0.0.1": false,
		"evil.example": true, "evil.example:4740": true, "127.0.0.1.evil.example:4740": true, "localhost.evil.example": true,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v1/rollouts", nil)
		must.EqOp(t, refused, rebound(r), must.Sprint(host))
	}
}
