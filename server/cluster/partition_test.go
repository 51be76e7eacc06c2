package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/cluster/port"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// cable is a server's connection to the others, which can be pulled.
type cable struct {
	mu     sync.Mutex
	pulled bool
	conns  []net.Conn
}

// plug puts every connection of the server, in and out, on the cable.
func (c *cable) plug() port.Secure {
	return port.Secure{
		Listener: func(l net.Listener) net.Listener { return &cabled{l, c} },
		Dialer: func(_ context.Context, conn net.Conn, _ string) (net.Conn, error) {
			if !c.add(conn) {
				return nil, errors.New("the cable is pulled")
			}
			return conn, nil
		},
	}
}

func (c *cable) add(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled {
		return false
	}
	c.conns = append(c.conns, conn)
	return true
}

func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for _, conn := range c.conns {
		_ = conn.Close() // some are closed already
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = false
}

// cabled is a listener that drops what comes in while the cable is pulled.
type cabled struct {
	net.Listener
	cable *cable
}

func (l *cabled) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.cable.add(conn) {
			return conn, err
		}
		_ = conn.Close() // pulled
	}
}

func TestLeader_ConfirmsNothingWhileIsolated(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 3)
	var members []*member
	cables := map[*member]*cable{}
	for i, a := range addrs {
		c := &cable{}
		m := start(t, cluster.Config{
			ID: fmt.Sprint("oak-", i), Dir: t.TempDir(), Bind: a, BootstrapExpect: 3, RetryJoin: addrs, Secure: c.plug(),
		})
		members = append(members, m)
		cables[m] = c
	}
	put(t, members, "before")
	agree(t, members)

	leader := leaderOf(t, members)
	cables[leader].pull()
	_, err := leader.Apply(t.Context(), &state.PolicyPut{Policy: api.Policy{Name: "lost"}}, "tester")
	must.True(t, api.IsCode(err, api.CodeTimeout) || api.IsCode(err, api.CodeNoLeader), must.Sprint(err))
	must.Error(t, leader.VerifyLeader(t.Context()))

	var rest []*member
	for _, m := range members {
		if m != leader {
			rest = append(rest, m)
		}
	}
	put(t, rest, "meanwhile")
	_, found := leader.store.Policy("meanwhile")
	must.False(t, found)

	cables[leader].mend()
	agree(t, members)
	_, found = leader.store.Policy("meanwhile")
	must.True(t, found)
	_, found = leader.store.Policy("lost")
	must.False(t, found, must.Sprint("what was not confirmed gave way to what was"))
}
