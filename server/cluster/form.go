package cluster

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
)

const (
	// formPause and formPauseMax separate attempts to form a cluster. Servers
	// of one deployment start within seconds of each other; one that joins
	// later is in no hurry.
	formPause    = 200 * time.Millisecond
	formPauseMax = 5 * time.Second
	// forget is how long a founder may be silent before the others settle
	// anew. By then a server that saw everybody agree has long founded.
	forget = 30 * time.Second
	// defaultPort is that of Raft and the servers' conversations.
	defaultPort = 4741
)

// proposal is the set of founders that this server has settled on. While it
// stands, this server tells everybody of that set and of no other, and it
// founds the cluster only with servers that all told it the same: so two
// different sets that share a server can't both found one.
type proposal struct {
	members []member
	missing time.Time // since when one of them is silent; zero when none is
}

// form makes this server a member: it founds the cluster together with the
// others, or joins it.
func (n *Node) form() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.loops.Go(func() {
		select {
		case <-n.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	wait, told := cmp.Or(n.cfg.Tuning.Join, formPause), ""
	for ctx.Err() == nil && !n.bootstrapped() {
		err := n.tryForm(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error() // said once, not at each attempt
			n.logger.Info("not a member of a cluster yet", "reason", err)
		}
		pause(ctx, wait)
		wait = min(wait*3/2, formPauseMax)
	}
}

// bootstrapped reports whether this server belongs to a cluster.
func (n *Node) bootstrapped() bool {
	future := n.raft.GetConfiguration()
	return future.Error() == nil && len(future.Configuration().Servers) > 0
}

// tryForm makes one attempt and returns why it came to nothing.
func (n *Node) tryForm(ctx context.Context) error {
	peers, err := n.askAll(ctx)
	if err != nil {
		return err
	}
	for _, p := range peers {
		if !p.Bootstrapped {
			continue
		}
		me := member{ID: n.cfg.ID, Address: n.advertise, Cluster: n.cfg.Cluster}
		if err := n.tell(ctx, n.client, p.Address, me); err != nil {
			return fmt.Errorf("join by %s: %w", p.Address, err)
		}
		return nil
	}
	if n.cfg.BootstrapExpect == 0 {
		return api.Errorf(api.CodeUnavailable, "none of %s belongs to a cluster", strings.Join(n.cfg.RetryJoin, ", "))
	}
	return n.found(peers)
}

// askAll asks every server of retry_join; this one is left out and each of the
// others comes once, by name.
func (n *Node) askAll(ctx context.Context) ([]status, error) {
	var peers []status
	for _, address := range n.cfg.RetryJoin {
		s, err := n.ask(ctx, withPort(address))
		switch {
		case err != nil:
			n.logger.Debug("no answer from a server", "address", address, "error", err)
		case s.Nonce == n.nonce:
		case s.ID == n.cfg.ID:
			return nil, api.Errorf(api.CodeConflict, "the server at %s has this one's name %q", address, s.ID)
		case s.Cluster != n.cfg.Cluster:
			return nil, api.Errorf(api.CodeConflict, "the server at %s belongs to cluster %q, this one to %q", address, s.Cluster, n.cfg.Cluster)
		case !slices.ContainsFunc(peers, func(p status) bool { return p.ID == s.ID }):
			peers = append(peers, s)
		}
	}
	slices.SortFunc(peers, func(a, b status) int { return strings.Compare(a.ID, b.ID) })
	return peers, nil
}

// found founds the cluster when all founders are there and agree who they are.
func (n *Node) found(peers []status) error {
	want := n.cfg.BootstrapExpect
	if len(peers)+1 > want {
		return api.Errorf(api.CodeConflict, "%d servers answer and none belongs to a cluster, but bootstrap_expect is %d", len(peers)+1, want)
	}
	settled := n.settle(peers)
	if settled == nil {
		return api.Errorf(api.CodeUnavailable, "%d of the %d servers that found the cluster are there", len(peers)+1, want)
	}
	for _, m := range settled {
		if m.ID == n.cfg.ID {
			continue
		}
		i := slices.IndexFunc(peers, func(p status) bool { return p.ID == m.ID && p.Address == m.Address })
		if i < 0 {
			return api.Errorf(api.CodeUnavailable, "founder %s at %s is silent", m.ID, m.Address)
		}
		if peers[i].Expect != want {
			return api.Errorf(api.CodeConflict, "bootstrap_expect is %d here and %d at server %s", want, peers[i].Expect, m.ID)
		}
		if !slices.Equal(peers[i].Proposal, settled) {
			return api.Errorf(api.CodeUnavailable, "server %s has not settled on the same founders yet", m.ID)
		}
	}
	founders := make([]raft.Server, len(settled))
	for i, m := range settled {
		founders[i] = raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.Address)}
	}
	n.logger.Info("found cluster", "servers", len(founders))
	return n.translate(n.raft.BootstrapCluster(raft.Configuration{Servers: founders}).Error())
}

// settle returns the founders that this server has settled on, and does so
// when all are there for the first time.
func (n *Node) settle(peers []status) []member {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.proposal.members != nil {
		silent := slices.ContainsFunc(n.proposal.members, func(m member) bool {
			return m.ID != n.cfg.ID && !slices.ContainsFunc(peers, func(p status) bool { return p.ID == m.ID && p.Address == m.Address })
		})
		switch {
		case !silent:
			n.proposal.missing = time.Time{}
		case n.proposal.missing.IsZero():
			n.proposal.missing = now
		case now.Sub(n.proposal.missing) > forget:
			n.proposal = proposal{}
		}
	}
	if n.proposal.members == nil && len(peers)+1 == n.cfg.BootstrapExpect {
		founders := []member{{ID: n.cfg.ID, Address: n.advertise}}
		for _, p := range peers {
			founders = append(founders, member{ID: p.ID, Address: p.Address})
		}
		slices.SortFunc(founders, func(a, b member) int { return strings.Compare(a.ID, b.ID) })
		n.proposal = proposal{members: founders}
	}
	return n.proposal.members
}

// withPort adds the usual port to an address that names none.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(defaultPort))
}

// sorted returns servers by name.
func sorted(servers []raft.Server) []raft.Server {
	servers = slices.Clone(servers)
	slices.SortFunc(servers, func(a, b raft.Server) int { return cmp.Compare(a.ID, b.ID) })
	return servers
}
