package cluster_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/authority"
	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/log/logtest"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/cluster/port"
)

// newCA makes the CA of a cluster.
func newCA(t *testing.T) *authority.Authority {
	t.Helper()
	ca, err := authority.New()
	must.NoError(t, err)
	return ca
}

// template is a good server certificate of cluster east, to be spoilt.
func template() *x509.Certificate { return authority.Template(port.ServerName("east")) }

// bundle signs and parses a certificate, with the CAs to check others by.
func bundle(t *testing.T, ca *authority.Authority, c *x509.Certificate, cas ...*authority.Authority) *certs.Bundle {
	t.Helper()
	b, err := ca.Bundle(c, cas...)
	must.NoError(t, err)
	return b
}

// anything is a keeper that looks at nothing: what the other side must refuse
// could not be put into a server's own.
func anything(t *testing.T, b *certs.Bundle) *certs.Keeper {
	t.Helper()
	k := certs.NewKeeper(func(*certs.Bundle) error { return nil })
	must.NoError(t, k.Put(b))
	return k
}

// secured starts a server of cluster east.
func secured(t *testing.T, id string, k *certs.Keeper, book *logtest.Book, cfg cluster.Config) *member {
	t.Helper()
	cfg.ID, cfg.Cluster = id, "east"
	if cfg.Bind == "" {
		cfg.Bind = "127.0.0.1:0"
	}
	cfg.Secure = port.TLS(k, "east", book.Logger(slog.LevelWarn))
	return start(t, cfg)
}

func TestTLS_BootstrapsServersOfOneCA(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	addrs := addresses(t, 3)
	var members []*member
	for i, a := range addrs {
		k := port.NewKeeper("east")
		must.NoError(t, k.Put(bundle(t, ca, template())))
		members = append(members, secured(t, fmt.Sprint("oak-", i), k, &logtest.Book{}, cluster.Config{Bind: a, BootstrapExpect: 3, RetryJoin: addrs}))
	}
	put(t, members, "p")
	agree(t, members)
}

func TestTLS_RefusesAClientsCertificate(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	k := port.NewKeeper("east")
	must.NoError(t, k.Put(bundle(t, ca, template())))
	inside, outside := &logtest.Book{}, &logtest.Book{}
	first := secured(t, "a", k, inside, cluster.Config{BootstrapExpect: 1})
	leaderOf(t, []*member{first})
	client := bundle(t, ca, authority.Template("client.east.oakum"))
	stranger := secured(t, "b", anything(t, client), outside, cluster.Config{RetryJoin: []string{first.Address()}})
	wait.For(t, "both sides say why", func() bool {
		return inside.Count("its certificate is for client.east.oakum and not for server.east.oakum") > 0 &&
			outside.Count("it refuses this server's certificate") > 0
	})
	friend := secured(t, "c", k, &logtest.Book{}, cluster.Config{RetryJoin: []string{first.Address()}})
	wait.For(t, "the friend is in", func() bool { return len(friend.Servers()) == 2 })
	must.Len(t, 2, first.Servers())
	must.SliceEmpty(t, stranger.Servers())
	must.EqOp(t, 1, inside.Count("its certificate is for client.east.oakum"), must.Sprint("once is enough"))
}

// A certificate may come late, such as from a Vault that is away at first.
func TestTLS_JoinsOnceTheServerHasACertificate(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	has, waits := port.NewKeeper("east"), port.NewKeeper("east")
	must.NoError(t, has.Put(bundle(t, ca, template())))
	addrs, book, lateBook := addresses(t, 2), &logtest.Book{}, &logtest.Book{}
	first := secured(t, "a", has, book, cluster.Config{Bind: addrs[0], BootstrapExpect: 2, RetryJoin: addrs})
	second := secured(t, "b", waits, lateBook, cluster.Config{Bind: addrs[1], BootstrapExpect: 2, RetryJoin: addrs})
	wait.For(t, "both say so", func() bool {
		return book.Count("it has no certificate to show yet: its log says why") == 1 && lateBook.Count("this server has no certificate yet") == 1
	})
	must.NoError(t, waits.Put(bundle(t, ca, template())))
	put(t, []*member{first, second}, "p")
}

// The CA itself is replaced while commands go through: first every server
// trusts both, then shows a certificate of the new one, then forgets the old.
func TestTLS_ChangesCertificatesAndCAUnderTraffic(t *testing.T) {
	t.Parallel()
	old, fresh := newCA(t), newCA(t)
	addrs := addresses(t, 3)
	var members []*member
	var keepers []*certs.Keeper
	for i, a := range addrs {
		k := port.NewKeeper("east")
		must.NoError(t, k.Put(bundle(t, old, template())))
		keepers = append(keepers, k)
		members = append(members, secured(t, fmt.Sprint("oak-", i), k, &logtest.Book{}, cluster.Config{Bind: a, BootstrapExpect: 3, RetryJoin: addrs}))
	}
	leaderOf(t, members)
	put(t, members, "before")
	for step, next := range []func() *certs.Bundle{
		func() *certs.Bundle { return bundle(t, old, template(), fresh) },
		func() *certs.Bundle { return bundle(t, fresh, template(), old) },
		func() *certs.Bundle { return bundle(t, fresh, template()) },
	} {
		for i, k := range keepers {
			must.NoError(t, k.Put(next()))
			put(t, members, fmt.Sprintf("step-%d-%d", step, i))
		}
		do(t, members, "a transfer, which makes new connections", func(ctx context.Context, leader *member) error { return leader.Transfer(ctx) })
		leaderOf(t, members)
	}
	put(t, members, "after")
	agree(t, members)

	t.Log("a certificate of the old CA is worth nothing any more")
	book := &logtest.Book{}
	secured(t, "late", anything(t, bundle(t, old, template(), fresh)), book, cluster.Config{RetryJoin: addrs})
	wait.For(t, "the refusal", func() bool { return book.Count("unknown certificate authority") > 0 })
	must.Len(t, 3, leaderOf(t, members).Servers())
}
