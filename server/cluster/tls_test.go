package cluster_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oakumhq/oakum/internal/certs"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/cluster/port"
	"github.com/shoenig/test/must"
)

// authority is a CA of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	must.NoError(t, err)
	return &authority{t: t, cert: cert, key: key, pem: block("CERTIFICATE", der)}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// template is a good server certificate of cluster east, to be spoilt.
func template() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{port.ServerName("east")},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign returns the PEM of a certificate and of its key.
func (a *authority) sign(c *x509.Certificate) (cert, key []byte) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.NoError(a.t, err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	must.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &own.PublicKey, a.key)
	must.NoError(a.t, err)
	keyDER, err := x509.MarshalECPrivateKey(own)
	must.NoError(a.t, err)
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", keyDER)
}

// bundle signs and parses, with the CAs to judge others by.
func (a *authority) bundle(c *x509.Certificate, cas ...*authority) *certs.Bundle {
	a.t.Helper()
	cert, key := a.sign(c)
	var pool []byte
	for _, ca := range append(cas, a) {
		pool = append(pool, ca.pem...)
	}
	b, err := certs.Parse(cert, key, pool)
	must.NoError(a.t, err)
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

// logbook collects what a server logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (l *logbook) count(sentence string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), sentence)
}

// secured starts a server of cluster east.
func secured(t *testing.T, id string, k *certs.Keeper, book *logbook, cfg cluster.Config) *member {
	t.Helper()
	cfg.ID, cfg.Cluster = id, "east"
	if cfg.Bind == "" {
		cfg.Bind = "127.0.0.1:0"
	}
	cfg.Secure = port.TLS(k, "east", book.logger())
	return start(t, cfg)
}

func TestServersOfOneCAFoundACluster(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	addrs := addresses(t, 3)
	var members []*member
	for i, a := range addrs {
		k := port.NewKeeper("east")
		must.NoError(t, k.Put(ca.bundle(template())))
		members = append(members, secured(t, fmt.Sprint("oak-", i), k, &logbook{}, cluster.Config{Bind: a, BootstrapExpect: 3, RetryJoin: addrs}))
	}
	put(t, members, "p")
	agree(t, members)
}

func TestWhoHasNoServerCertificateDoesNotGetIn(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "CA"), newAuthority(t, "another CA")
	with := func(spoil func(*x509.Certificate)) *x509.Certificate {
		c := template()
		spoil(c)
		return c
	}
	for _, tc := range []struct {
		name         string
		stranger     *certs.Bundle
		server, self string // what the server logs, and what the stranger
	}{
		{
			"a client's certificate of the same CA",
			ca.bundle(with(func(c *x509.Certificate) { c.DNSNames = []string{"client.east.oakum"} })),
			"its certificate is for client.east.oakum and not for server.east.oakum: it is a client, or a server of another cluster",
			"it refuses this server's certificate (tls: bad certificate): give both servers certificates of one CA that name server.east.oakum",
		},
		{
			"a server's certificate of another cluster",
			ca.bundle(with(func(c *x509.Certificate) { c.DNSNames = []string{port.ServerName("west")} })),
			"its certificate is for server.west.oakum and not for server.east.oakum",
			"it refuses this server's certificate (tls: bad certificate)",
		},
		{
			"no name",
			ca.bundle(with(func(c *x509.Certificate) { c.DNSNames = nil })),
			"its certificate is for no name and not for server.east.oakum",
			"it refuses this server's certificate (tls: bad certificate)",
		},
		{
			"a certificate of another CA",
			other.bundle(template(), ca),
			"its certificate is signed by a CA that this server does not know: servers of one cluster need certificates of one CA",
			"it refuses this server's certificate (tls: unknown certificate authority)",
		},
		{
			"a certificate of another CA, whose holder does not know ours",
			other.bundle(template()),
			"it refuses this server's certificate (tls: bad certificate)",
			"its certificate is signed by a CA that this server does not know",
		},
		{
			"an expired certificate",
			ca.bundle(with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })),
			"renew it, or set the clocks right",
			"it refuses this server's certificate (tls: expired certificate)",
		},
		{
			"a certificate that is for serving only",
			ca.bundle(with(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })),
			"its certificate lacks a usage: a server's is for both server and client authentication",
			"it refuses this server's certificate (tls: bad certificate)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			k := port.NewKeeper("east")
			must.NoError(t, k.Put(ca.bundle(template())))
			inside, outside := &logbook{}, &logbook{}
			first := secured(t, "a", k, inside, cluster.Config{BootstrapExpect: 1})
			leaderOf(t, []*member{first})
			stranger := secured(t, "b", anything(t, tc.stranger), outside, cluster.Config{RetryJoin: []string{first.Address()}})
			wait.For(t, "both sides say why", func() bool {
				return inside.count(tc.server) > 0 && outside.count(tc.self) > 0
			})
			friend := secured(t, "c", k, &logbook{}, cluster.Config{RetryJoin: []string{first.Address()}})
			wait.For(t, "the friend is in", func() bool { return len(friend.Servers()) == 2 })
			must.Len(t, 2, first.Servers())
			must.SliceEmpty(t, stranger.Servers())
			must.EqOp(t, 1, inside.count(tc.server), must.Sprint("once is enough"))
			must.EqOp(t, 1, outside.count(tc.self))
		})
	}
}

func TestServersWithAndWithoutTLSSaySo(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	k := port.NewKeeper("east")
	must.NoError(t, k.Put(ca.bundle(template())))
	book, plainBook := &logbook{}, &logbook{}
	first := secured(t, "a", k, book, cluster.Config{BootstrapExpect: 1})
	plain := start(t, cluster.Config{ID: "b", Cluster: "east", Bind: "127.0.0.1:0", RetryJoin: []string{first.Address()}})
	wait.For(t, "the server says that the caller does not speak TLS", func() bool {
		return book.count("it does not speak TLS: give it a tls block like this server's") == 1
	})
	secured(t, "c", k, plainBook, cluster.Config{RetryJoin: []string{plain.Address()}})
	wait.For(t, "the caller says that the server does not speak TLS", func() bool {
		return plainBook.count("it closed the connection: it may run without TLS") == 1
	})
	must.SliceEmpty(t, plain.Servers())
	must.Len(t, 1, first.Servers())
}

// A certificate may come late, such as from a Vault that is away at first.
func TestAServerWithoutACertificateSaysSoAndJoinsOnceItHasOne(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	has, waits := port.NewKeeper("east"), port.NewKeeper("east")
	must.NoError(t, has.Put(ca.bundle(template())))
	addrs, book, lateBook := addresses(t, 2), &logbook{}, &logbook{}
	first := secured(t, "a", has, book, cluster.Config{Bind: addrs[0], BootstrapExpect: 2, RetryJoin: addrs})
	second := secured(t, "b", waits, lateBook, cluster.Config{Bind: addrs[1], BootstrapExpect: 2, RetryJoin: addrs})
	wait.For(t, "both say so", func() bool {
		return book.count("it has no certificate to show yet: its log says why") == 1 && lateBook.count("this server has no certificate yet") == 1
	})
	must.NoError(t, waits.Put(ca.bundle(template())))
	put(t, []*member{first, second}, "p")
}

func TestAKeeperRefusesWhatTheOthersWould(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "CA"), newAuthority(t, "another CA")
	k := port.NewKeeper("east")
	_, err := k.Bundle()
	must.ErrorContains(t, err, "this server has no certificate yet")
	good := ca.bundle(template())
	must.NoError(t, k.Put(good))

	foreign := other.bundle(template())
	foreign.CAs = good.CAs
	client := template()
	client.DNSNames = []string{"client.east.oakum"}
	half := template()
	half.ExtKeyUsage = half.ExtKeyUsage[1:]
	old := template()
	old.NotAfter = time.Now().Add(-time.Second)
	early := template()
	early.NotBefore = time.Now().Add(time.Minute)
	bare := ca.bundle(template())
	bare.CAs = nil
	for sentence, b := range map[string]*certs.Bundle{
		"certificate: the CA did not sign it":                                               foreign,
		"certificate: want the DNS name server.east.oakum in it, have client.east.oakum":    ca.bundle(client),
		"certificate: want both the usages server authentication and client authentication": ca.bundle(half),
		"certificate: it expired at ":                                                       ca.bundle(old),
		"certificate: it is not valid before ":                                              ca.bundle(early),
		"CA: want the one that signs the servers' certificates, have none":                  bare,
	} {
		must.ErrorContains(t, k.Put(b), sentence)
		kept, err := k.Bundle()
		must.NoError(t, err)
		must.True(t, kept == good, must.Sprint("the former stays in use"))
	}
}

// The CA itself is replaced while commands go through: first every server
// trusts both, then shows a certificate of the new one, then forgets the old.
func TestCertificatesAndCAChangeUnderTraffic(t *testing.T) {
	t.Parallel()
	old, fresh := newAuthority(t, "old CA"), newAuthority(t, "new CA")
	addrs := addresses(t, 3)
	var members []*member
	var keepers []*certs.Keeper
	for i, a := range addrs {
		k := port.NewKeeper("east")
		must.NoError(t, k.Put(old.bundle(template())))
		keepers = append(keepers, k)
		members = append(members, secured(t, fmt.Sprint("oak-", i), k, &logbook{}, cluster.Config{Bind: a, BootstrapExpect: 3, RetryJoin: addrs}))
	}
	leaderOf(t, members)
	put(t, members, "before")
	for step, next := range []func() *certs.Bundle{
		func() *certs.Bundle { return old.bundle(template(), fresh) },
		func() *certs.Bundle { return fresh.bundle(template(), old) },
		func() *certs.Bundle { return fresh.bundle(template()) },
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
	book := &logbook{}
	secured(t, "late", anything(t, old.bundle(template(), fresh)), book, cluster.Config{RetryJoin: addrs})
	wait.For(t, "the refusal", func() bool { return book.count("unknown certificate authority") > 0 })
	must.Len(t, 3, leaderOf(t, members).Servers())
}
