package port_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/authority"
	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/log/logtest"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster/port"
)

// listen opens a port that answers HTTP requests with its name.
func listen(t *testing.T, name string, secure port.Secure, j *logtest.Book) *port.Port {
	t.Helper()
	p, err := port.Listen(port.Config{Bind: "127.0.0.1:0", Secure: secure, Logger: j.Logger(slog.LevelWarn)})
	must.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, name, " ", r.URL.Path) // the caller has gone, then
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(p.Listener()) }) // until Close
	t.Cleanup(func() {
		must.NoError(t, server.Close())
		must.NoError(t, p.Close())
		serving.Wait()
	})
	return p
}

// ask sends one HTTP request from a port to another.
func ask(t *testing.T, from *port.Port, address string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/hello", nil)
	must.NoError(t, err)
	response, err := from.Client().RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { must.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// vote sends one of Raft's messages from a port to another, which answers it.
func vote(t *testing.T, from, to *port.Port) {
	t.Helper()
	var answering sync.WaitGroup
	answering.Go(func() {
		rpc := <-to.Raft().Consumer()
		rpc.Respond(&raft.RequestVoteResponse{Term: 7, Granted: true}, nil)
	})
	var answer raft.RequestVoteResponse
	must.NoError(t, from.Raft().RequestVote("b", raft.ServerAddress(to.Address()), &raft.RequestVoteRequest{Term: 7}, &answer))
	must.True(t, answer.Granted)
	answering.Wait()
}

func newCA(t *testing.T) *authority.Authority {
	t.Helper()
	ca, err := authority.New()
	must.NoError(t, err)
	return ca
}

// bundle is a certificate with the CAs to check others by.
func bundle(t *testing.T, ca *authority.Authority, c *x509.Certificate, cas ...*authority.Authority) *certs.Bundle {
	t.Helper()
	b, err := ca.Bundle(c, cas...)
	must.NoError(t, err)
	return b
}

// good is a certificate of a server of cluster east, to be spoilt.
func good() *x509.Certificate { return authority.Template(port.ServerName("east")) }

// secured is TLS with a bundle that nobody has checked: a server could not put it
// into a keeper of its own.
func secured(t *testing.T, b *certs.Bundle, j *logtest.Book) port.Secure {
	t.Helper()
	k := certs.NewKeeper(func(*certs.Bundle) error { return nil })
	must.NoError(t, k.Put(b))
	return port.TLS(k, "east", j.Logger(slog.LevelWarn))
}

func TestPort_CarriesRaftAndHTTP(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	for name, secure := range map[string]func(*logtest.Book) port.Secure{
		"in the clear": func(*logtest.Book) port.Secure { return port.Secure{} },
		"by TLS":       func(j *logtest.Book) port.Secure { return secured(t, bundle(t, ca, good()), j) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &logtest.Book{}
			a, b := listen(t, "a", secure(j), j), listen(t, "b", secure(j), j)
			answer, err := ask(t, a, b.Address())
			must.NoError(t, err)
			must.EqOp(t, "b /hello", answer)
			vote(t, b, a)
			must.EqOp(t, 0, j.Count("\n"), must.Sprint("nothing is worth a warning"))
		})
	}
}

func TestListen_RefusesAnAddressThatNobodyCouldReach(t *testing.T) {
	t.Parallel()
	_, err := port.Listen(port.Config{Bind: "0.0.0.0:0", Logger: slog.New(slog.DiscardHandler)})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	must.ErrorContains(t, err, "set the one to advertise to the others")
	_, err = port.Listen(port.Config{Bind: "127.0.0.1:0", Advertise: "oakum", Logger: slog.New(slog.DiscardHandler)})
	must.ErrorContains(t, err, `advertise address "oakum"`)

	p, err := port.Listen(port.Config{Bind: "127.0.0.1:0", Advertise: "10.1.2.3:4741", Logger: slog.New(slog.DiscardHandler)})
	must.NoError(t, err)
	must.EqOp(t, "10.1.2.3:4741", p.Address())
	must.EqOp(t, "10.1.2.3:4741", string(p.Raft().LocalAddr()))
	must.NoError(t, p.Close())
}

func TestPort_CloseEndsACallerThatNeverSaysWhatItWants(t *testing.T) {
	t.Parallel()
	p, err := port.Listen(port.Config{Bind: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	must.NoError(t, err)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address())
	must.NoError(t, err)
	defer func() { must.NoError(t, conn.Close()) }()
	must.NoError(t, p.Close())
	_, err = conn.Read(make([]byte, 1))
	must.Error(t, err)
	_, err = ask(t, p, p.Address())
	must.Error(t, err)
}

func TestTLS_RefusesWhoHasNoServerCertificate(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t), newCA(t)
	with := func(spoil func(*x509.Certificate)) *x509.Certificate {
		c := good()
		spoil(c)
		return c
	}
	for name, tc := range map[string]struct {
		stranger     *certs.Bundle
		server, self string // what the server logs, and what the stranger does
	}{
		"a client's certificate of the same CA": {
			bundle(t, ca, with(func(c *x509.Certificate) { c.DNSNames = []string{"client.east.oakum"} })),
			"its certificate is for client.east.oakum and not for server.east.oakum: it is a client, or a server of another cluster",
			"it refuses this server's certificate (tls: bad certificate): give both servers certificates of one CA that name server.east.oakum",
		},
		"a server's certificate of another cluster": {
			bundle(t, ca, with(func(c *x509.Certificate) { c.DNSNames = []string{port.ServerName("west")} })),
			"its certificate is for server.west.oakum and not for server.east.oakum",
			"it refuses this server's certificate (tls: bad certificate)",
		},
		"no name": {
			bundle(t, ca, with(func(c *x509.Certificate) { c.DNSNames = nil })),
			"its certificate is for no name and not for server.east.oakum",
			"it refuses this server's certificate (tls: bad certificate)",
		},
		"a certificate of another CA": {
			bundle(t, other, good(), ca),
			"its certificate is signed by a CA that this server does not know: servers of one cluster need certificates of one CA",
			"it refuses this server's certificate (tls: unknown certificate authority)",
		},
		"a certificate of another CA, whose holder does not know ours": {
			bundle(t, other, good()),
			"it refuses this server's certificate (tls: bad certificate)",
			"its certificate is signed by a CA that this server does not know",
		},
		"an expired certificate": {
			bundle(t, ca, with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })),
			"renew it, or set the clocks right",
			"it refuses this server's certificate (tls: expired certificate)",
		},
		"a certificate that is for serving only": {
			bundle(t, ca, with(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })),
			"its certificate lacks a usage: a server's is for both server and client authentication",
			"it refuses this server's certificate (tls: bad certificate)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inside, outside := &logtest.Book{}, &logtest.Book{}
			server := listen(t, "server", secured(t, bundle(t, ca, good()), inside), inside)
			stranger := listen(t, "stranger", secured(t, tc.stranger, outside), outside)
			for range 3 {
				_, err := ask(t, stranger, server.Address())
				must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
				must.ErrorContains(t, err, tc.self)
			}
			wait.For(t, "the server says why", func() bool { return inside.Count(tc.server) > 0 })
			must.EqOp(t, 1, outside.Count(tc.self), must.Sprint("once is enough"))
			must.EqOp(t, 1, inside.Count(tc.server), must.Sprint("once is enough"))

			t.Log("Raft's messages do not get in either, and a friend does")
			must.Error(t, stranger.Raft().RequestVote("a", raft.ServerAddress(server.Address()), &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}))
			friend := listen(t, "friend", secured(t, bundle(t, ca, good()), outside), outside)
			_, err := ask(t, friend, server.Address())
			must.NoError(t, err)
		})
	}
}

func TestTLS_SaysThatTheOtherServerRunsWithoutIt(t *testing.T) {
	t.Parallel()
	ca, book, plainBook := newCA(t), &logtest.Book{}, &logtest.Book{}
	server := listen(t, "server", secured(t, bundle(t, ca, good()), book), book)
	plain := listen(t, "plain", port.Secure{}, plainBook)
	_, err := ask(t, plain, server.Address())
	must.Error(t, err)
	wait.For(t, "the server says so", func() bool { return book.Count("it does not speak TLS: give it a tls block like this server's") == 1 })
	_, err = ask(t, server, plain.Address())
	must.ErrorContains(t, err, "it closed the connection: it may run without TLS")
	must.EqOp(t, 1, book.Count("it closed the connection: it may run without TLS"))
	must.EqOp(t, 1, plainBook.Count("the caller speaks TLS, and this server runs without: give all servers of the cluster the same kind of tls block"))
}

func TestTLS_TakesANewCertificateFromTheNextConnectionOn(t *testing.T) {
	t.Parallel()
	ca, j := newCA(t), &logtest.Book{}
	late := port.NewKeeper("east")
	a := listen(t, "a", secured(t, bundle(t, ca, good()), j), j)
	b := listen(t, "b", port.TLS(late, "east", j.Logger(slog.LevelWarn)), j)
	_, err := ask(t, b, a.Address())
	must.ErrorContains(t, err, "this server has no certificate yet")
	_, err = ask(t, a, b.Address())
	must.ErrorContains(t, err, "it has no certificate to show yet: its log says why")
	must.NoError(t, late.Put(bundle(t, ca, good())))
	for _, way := range [][2]*port.Port{{a, b}, {b, a}} {
		_, err = ask(t, way[0], way[1].Address())
		must.NoError(t, err)
	}
}

func TestTLS_GivesUpOnAServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // it never accepts
	must.NoError(t, err)
	defer func() { must.NoError(t, silent.Close()) }()
	j := &logtest.Book{}
	p := listen(t, "a", secured(t, bundle(t, newCA(t), good()), j), j)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+silent.Addr().String()+"/", nil)
	must.NoError(t, err)
	response, err := p.Client().RoundTrip(request)
	if err == nil {
		must.NoError(t, response.Body.Close())
	}
	must.Error(t, err)
	must.False(t, api.IsCode(err, api.CodePermissionDenied))
	must.EqOp(t, 0, j.Count("can't be spoken to"), must.Sprint("nobody refused"))
}

func TestNewKeeper_RefusesACertificateThatTheOtherServersWould(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t), newCA(t)
	k := port.NewKeeper("east")
	_, err := k.Bundle()
	must.ErrorContains(t, err, "this server has no certificate yet")
	first := bundle(t, ca, good())
	must.NoError(t, k.Put(first))

	foreign := bundle(t, other, good())
	foreign.CAs = first.CAs
	client := authority.Template("client.east.oakum")
	half := good()
	half.ExtKeyUsage = half.ExtKeyUsage[1:]
	old := good()
	old.NotAfter = time.Now().Add(-time.Second)
	early := good()
	early.NotBefore = time.Now().Add(time.Minute)
	bare := bundle(t, ca, good())
	bare.CAs = nil
	for sentence, b := range map[string]*certs.Bundle{
		"certificate: the CA did not sign it":                                               foreign,
		"certificate: want the DNS name server.east.oakum in it, have client.east.oakum":    bundle(t, ca, client),
		"certificate: want both the usages server authentication and client authentication": bundle(t, ca, half),
		"certificate: it expired at ":                                                       bundle(t, ca, old),
		"certificate: it is not valid before ":                                              bundle(t, ca, early),
		"CA: want the one that signs the servers' certificates, have none":                  bare,
	} {
		must.ErrorContains(t, k.Put(b), sentence)
		kept, err := k.Bundle()
		must.NoError(t, err)
		must.True(t, kept == first, must.Sprint("the former stays in use"))
	}
}
