package cluster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
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
	// joinPause and joinPauseMax separate tries to become a member. Servers of
	// one deployment start within seconds of each other; a server that joins later
	// is in no hurry.
	joinPause    = 200 * time.Millisecond
	joinPauseMax = 5 * time.Second
	// rejoinAfter is how long a server that starts with state on disk waits for a
	// leader. Some elections take as long.
	rejoinAfter = 10 * time.Second
	// defaultPort is the port of the connections between servers.
	defaultPort = 4741
)

// membership is Raft's configuration, as it concerns this server.
type membership interface {
	members() []raft.Server                // empty while this server belongs to no cluster
	follows() bool                         // whether this server knows a leader and is a member
	bootstrap(servers []raft.Server) error // begins a cluster of these servers
}

// bootstrapper makes this server a member of a cluster: it bootstraps one together
// with other servers, or joins one.
type bootstrapper struct {
	self      member
	nonce     string // distinguishes this process from another one of the same name
	expect    int    // servers that bootstrap the cluster together; 0 only joins
	retryJoin []string
	finder    *discover.Finder
	via       http.RoundTripper // to the other servers
	raft      membership
	logger    *slog.Logger

	mu       sync.Mutex
	proposal proposal
}

// run makes this server a member, and returns then or when ctx ends. Each reason
// why it is none yet is logged once.
func (b *bootstrapper) run(ctx context.Context, tuning Tuning) {
	if len(b.raft.members()) > 0 {
		b.rejoin(ctx, cmp.Or(tuning.Rejoin, rejoinAfter))
		return
	}
	var repeats log.Limiter
	for wait := cmp.Or(tuning.Join, joinPause); ctx.Err() == nil && len(b.raft.members()) == 0; wait = min(wait*3/2, joinPauseMax) {
		if err := b.try(ctx); err != nil && ctx.Err() == nil && repeats.Allow(err.Error()) {
			b.logger.Info("not a member of a cluster yet", "reason", err)
		}
		pause(ctx, wait)
	}
}

// rejoin is for a server that starts with state on disk. If the server knows no
// leader after the wait, it was removed while it was away, or its address is another
// one now. It then asks to be let in until it follows a leader at two checks in a
// row. One check is not enough, because a leader that removed the server may still
// send it the entry of the removal, and nothing after it. A server that is removed
// later stays out until somebody starts it again.
func (b *bootstrapper) rejoin(ctx context.Context, wait time.Duration) {
	var repeats log.Limiter
	for followed := 0; followed < 2; {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		if b.raft.follows() {
			followed++
			continue
		}
		followed, wait = 0, min(wait, joinPauseMax)
		peers, _, err := b.askPeers(ctx)
		if err == nil {
			err = b.join(ctx, peers)
		}
		if err != nil && ctx.Err() == nil && repeats.Allow(err.Error()) {
			b.logger.Info("no leader is heard of", "reason", err)
		}
	}
}

// try asks once to join a cluster or to bootstrap one, and returns why this
// server is not a member yet.
func (b *bootstrapper) try(ctx context.Context) error {
	peers, incomplete, err := b.askPeers(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(peers, func(p status) bool { return p.Bootstrapped }) {
		return b.join(ctx, peers)
	}
	switch {
	case incomplete != nil:
		return incomplete
	case b.expect == 0:
		return api.Errorf(api.CodeUnavailable, "none of %s belongs to a cluster", strings.Join(b.retryJoin, ", "))
	}
	return b.bootstrap(peers)
}

// join asks each of the members among the peers to be let in, until one does.
func (b *bootstrapper) join(ctx context.Context, peers []status) error {
	err := error(api.Errorf(api.CodeUnavailable, "none of the servers that answer belongs to a cluster"))
	for _, p := range peers {
		if !p.Bootstrapped {
			continue
		}
		if err = requestChange(ctx, b.via, p.Address, pathJoin, b.self); err == nil {
			return nil
		}
		err = fmt.Errorf("join by %s: %w", p.Address, err)
	}
	return err
}

// askPeers looks the other servers up, and asks all of them at once who they are.
// At once, because a cluster is bootstrapped from these answers: the oldest of them
// must be far younger than proposalTimeout. A peer comes once, and they are in the
// order of their names.
//
// The second result says why no cluster may be bootstrapped from the peers: a
// source of addresses did not answer, or knows of a member that did not.
func (b *bootstrapper) askPeers(ctx context.Context) (peers []status, incomplete, err error) {
	servers, missing := b.finder.Find(ctx)
	if missing != nil {
		incomplete = api.Errorf(api.CodeUnavailable, "not all servers could be looked up: %v", missing)
	}
	for _, m := range b.raft.members() { // as a server that starts with state knows them
		servers = append(servers, discover.Server{Address: string(m.Address)})
	}
	answers := make([]status, len(servers))
	errs := make([]error, len(servers))
	var asking sync.WaitGroup
	for i, s := range servers {
		asking.Go(func() { answers[i], errs[i] = askStatus(ctx, b.via, s.Address) })
	}
	asking.Wait()
	for i, s := range servers {
		if errs[i] != nil {
			b.logger.Debug("no answer from a server", "address", s.Address, "error", errs[i])
			if s.Member {
				incomplete = api.Errorf(api.CodeUnavailable, "the server at %s is known to belong to a cluster, but does not answer: bring it back or deregister it", s.Address)
			}
			continue
		}
		if peers, err = b.add(peers, s.Address, answers[i]); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(peers, func(a, b status) int { return strings.Compare(a.ID, b.ID) })
	return peers, incomplete, nil
}

// add adds the answer of the server at an address to the peers, unless it is this
// server or one of them. It refuses a server of another cluster, and two servers of
// one name.
func (b *bootstrapper) add(peers []status, address string, s status) ([]status, error) {
	switch {
	case s.Nonce == b.nonce:
		return peers, nil
	case s.ID == b.self.ID:
		return nil, api.Errorf(api.CodeConflict, "the server at %s has this one's name %q", address, s.ID)
	case s.Cluster != b.self.Cluster:
		return nil, api.Errorf(api.CodeConflict, "the server at %s belongs to cluster %q, this one to %q", address, s.Cluster, b.self.Cluster)
	}
	i := slices.IndexFunc(peers, func(p status) bool { return p.ID == s.ID })
	switch {
	case i < 0:
		return append(peers, s), nil
	case peers[i].Nonce != s.Nonce:
		return nil, api.Errorf(api.CodeConflict, "the servers at %s and %s both have the name %q: give one of them another", peers[i].Address, s.Address, s.ID)
	}
	return peers, nil
}

// bootstrap begins the cluster when all servers of the proposal propose the same.
func (b *bootstrapper) bootstrap(peers []status) error {
	b.mu.Lock()
	b.proposal = b.proposal.next(b.self, b.expect, peers, time.Now())
	p := b.proposal
	b.mu.Unlock()
	if err := p.agreed(b.self, b.expect, peers); err != nil {
		return err
	}
	servers := make([]raft.Server, len(p.members))
	for i, m := range p.members {
		servers[i] = raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.Address)}
	}
	b.logger.Info("bootstrap cluster", "servers", len(servers))
	return b.raft.bootstrap(servers)
}

// proposed is the set of servers that this one would bootstrap a cluster with; nil
// means none.
func (b *bootstrapper) proposed() []member {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proposal.members
}
