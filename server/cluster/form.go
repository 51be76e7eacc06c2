package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/discover"
	"github.com/oakumhq/oakum/internal/log"
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
	// rejoinAfter is how long a server that starts with state on disk waits for
	// a leader to speak up: some elections' worth.
	rejoinAfter = 10 * time.Second
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
	ctx, cancel := n.lifetime()
	defer cancel()
	if n.bootstrapped() {
		n.comeBack(ctx)
		return
	}
	wait := cmp.Or(n.cfg.Tuning.Join, formPause)
	var repeats log.Limiter
	for ctx.Err() == nil && !n.bootstrapped() {
		if err := n.tryForm(ctx); err != nil && ctx.Err() == nil && repeats.Allow(err.Error()) {
			n.logger.Info("not a member of a cluster yet", "reason", err)
		}
		pause(ctx, wait)
		wait = min(wait*3/2, formPauseMax)
	}
}

// comeBack is for a server that starts with state on disk and hears of no
// leader: it was taken out while it was away, or its address is another one
// now. It asks to be let in again until it follows a leader for two looks in a
// row: a leader that took it out may still send it the news of that, and falls
// silent again. A server that is taken out later stays out until somebody
// starts it anew.
func (n *Node) comeBack(ctx context.Context) {
	var repeats log.Limiter
	wait := cmp.Or(n.cfg.Tuning.Rejoin, rejoinAfter)
	for followed := 0; ; {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if n.follows() {
			if followed++; followed == 2 {
				return
			}
			continue
		}
		followed, wait = 0, min(wait, formPauseMax)
		peers, _, err := n.askAll(ctx)
		if err == nil {
			err = n.join(ctx, peers)
		}
		if err != nil && ctx.Err() == nil && repeats.Allow(err.Error()) {
			n.logger.Info("no leader is heard of", "reason", err)
		}
	}
}

// follows reports whether this server hears of a leader, or is it, as a member.
func (n *Node) follows() bool {
	id, _ := n.Leader()
	return id != "" && slices.ContainsFunc(n.members(), func(s raft.Server) bool { return string(s.ID) == n.cfg.ID })
}

// bootstrapped reports whether this server belongs to a cluster.
func (n *Node) bootstrapped() bool {
	future := n.raft.GetConfiguration()
	return future.Error() == nil && len(future.Configuration().Servers) > 0
}

// tryForm makes one attempt and returns why it came to nothing.
func (n *Node) tryForm(ctx context.Context) error {
	peers, elsewhere, err := n.askAll(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(peers, func(p status) bool { return p.Bootstrapped }) {
		return n.join(ctx, peers)
	}
	switch {
	case elsewhere != nil:
		return elsewhere
	case n.cfg.BootstrapExpect == 0:
		return api.Errorf(api.CodeUnavailable, "none of %s belongs to a cluster", strings.Join(n.cfg.RetryJoin, ", "))
	}
	return n.found(peers)
}

// join asks those that belong to a cluster, one after the other, to be let in.
func (n *Node) join(ctx context.Context, peers []status) error {
	me := member{ID: n.cfg.ID, Address: n.Address(), Cluster: n.cfg.Cluster}
	err := error(api.Errorf(api.CodeUnavailable, "none of the servers that answer belongs to a cluster"))
	for _, p := range peers {
		if !p.Bootstrapped {
			continue
		}
		if err = n.tell(ctx, n.client, p.Address, me); err == nil {
			return nil
		}
		err = fmt.Errorf("join by %s: %w", p.Address, err)
	}
	return err
}

// askAll finds the other servers anew and asks them all at once who they are;
// this one is left out and each of the others comes once, by name. At once,
// because a cluster is founded from these answers, and the oldest of them must
// be far younger than the time after which a founder gives up.
//
// The second result says why no cluster may be founded from what was found: a
// source did not answer, or knows of a member that does not.
func (n *Node) askAll(ctx context.Context) (peers []status, elsewhere, err error) {
	found, missing := n.finder.Find(ctx)
	if missing != nil {
		elsewhere = api.Errorf(api.CodeUnavailable, "not all servers could be looked up: %v", missing)
	}
	for _, m := range n.members() { // of a server that comes back
		found = append(found, discover.Server{Address: string(m.Address)})
	}
	answers := make([]status, len(found))
	errs := make([]error, len(found))
	var asking sync.WaitGroup
	for i, f := range found {
		asking.Go(func() { answers[i], errs[i] = n.ask(ctx, f.Address) })
	}
	asking.Wait()
	for i, f := range found {
		s := answers[i]
		switch {
		case errs[i] != nil:
			n.logger.Debug("no answer from a server", "address", f.Address, "error", errs[i])
			if f.Member {
				elsewhere = api.Errorf(api.CodeUnavailable, "the server at %s is known to belong to a cluster, but does not answer: bring it back or deregister it", f.Address)
			}
		case s.Nonce == n.nonce:
		case s.ID == n.cfg.ID:
			return nil, nil, api.Errorf(api.CodeConflict, "the server at %s has this one's name %q", f.Address, s.ID)
		case s.Cluster != n.cfg.Cluster:
			return nil, nil, api.Errorf(api.CodeConflict, "the server at %s belongs to cluster %q, this one to %q", f.Address, s.Cluster, n.cfg.Cluster)
		default:
			twin := slices.IndexFunc(peers, func(p status) bool { return p.ID == s.ID })
			if twin >= 0 && peers[twin].Nonce != s.Nonce {
				return nil, nil, api.Errorf(api.CodeConflict, "the servers at %s and %s both have the name %q: give one of them another", peers[twin].Address, s.Address, s.ID)
			}
			if twin < 0 {
				peers = append(peers, s)
			}
		}
	}
	slices.SortFunc(peers, func(a, b status) int { return strings.Compare(a.ID, b.ID) })
	return peers, elsewhere, nil
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
		founders := []member{{ID: n.cfg.ID, Address: n.Address()}}
		for _, p := range peers {
			founders = append(founders, member{ID: p.ID, Address: p.Address})
		}
		slices.SortFunc(founders, func(a, b member) int { return strings.Compare(a.ID, b.ID) })
		n.proposal = proposal{members: founders}
	}
	return n.proposal.members
}

// sorted returns servers by name.
func sorted(servers []raft.Server) []raft.Server {
	servers = slices.Clone(servers)
	slices.SortFunc(servers, func(a, b raft.Server) int { return cmp.Compare(a.ID, b.ID) })
	return servers
}
