package httpapi

import (
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

// callers is a listener that gives out connections of made-up clients.
type callers struct{ next chan net.Conn }

func (c *callers) Accept() (net.Conn, error) {
	conn, ok := <-c.next
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (c *callers) Close() error   { return nil }
func (c *callers) Addr() net.Addr { return &net.TCPAddr{} }

// caller is a connection of a client at an address.
type caller struct {
	net.Conn
	from net.Addr
}

func (c *caller) RemoteAddr() net.Addr { return c.from }

func TestLimited_RefusesFurtherConnectionsOfAClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &callers{make(chan net.Conn)}
		l := Limited(from, 2)
		accepted := make(chan net.Conn)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- conn
			}
		}()
		call := func(host string) (refusal string, conn net.Conn) {
			here, there := net.Pipe()
			from.next <- &caller{there, &net.TCPAddr{IP: net.ParseIP(host), Port: 4000}}
			heard := make(chan string, 1)
			go func() {
				text, _ := io.ReadAll(here) // it ends when the other end is closed
				heard <- string(text)
			}()
			select {
			case conn := <-accepted:
				return "", conn
			case text := <-heard:
				return text, nil
			}
		}
		var open []net.Conn
		for range 2 {
			refusal, conn := call("10.0.0.7")
			must.EqOp(t, "", refusal)
			open = append(open, conn)
		}
		refusal, _ := call("10.0.0.7")
		must.StrContains(t, refusal, "429")
		refusal, other := call("10.0.0.8")
		must.EqOp(t, "", refusal, must.Sprint("another one is not held up"))
		must.NoError(t, open[0].Close())
		_ = open[0].Close() // twice counts once
		refusal, again := call("10.0.0.7")
		must.EqOp(t, "", refusal)
		refusal, _ = call("10.0.0.7")
		must.StrContains(t, refusal, "429")
		for range 9 {
			refusal, conn := call("127.0.0.1")
			must.EqOp(t, "", refusal, must.Sprint("a proxy of this machine stands for many"))
			must.NoError(t, conn.Close())
		}
		for _, conn := range []net.Conn{open[1], other, again} {
			must.NoError(t, conn.Close())
		}
		must.MapEmpty(t, l.(*limitedListener).open)
		close(from.next)
	})
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
