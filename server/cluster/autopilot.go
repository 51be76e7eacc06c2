package cluster

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/log"
)

const (
	// pilotEvery is the pause between two looks at the servers. A question is
	// given half of it, and a newcomer votes at the first look after its
	// stabilisation.
	pilotEvery = 2 * time.Second
	// missedLooks is how many looks in a row a server may leave unanswered
	// before it is not healthy any more: one lost answer is no news.
	missedLooks = 3
)

// Marks of a server for the promoter.
const (
	metaNonVoter = "non_voter"
	yes, not     = "yes", "no" // absent: it has not told yet
	typeNonVoter = autopilot.NodeType("non-voter")
)

// pilot watches the servers while this one leads: who is healthy, which
// newcomer may vote, who is dead. The decisions are those of raft-autopilot;
// the pilot asks the servers, and carries removals out. At each look it also
// raises the cluster level when it can, and compares the servers' states.
type pilot struct {
	node     *Node
	auto     *autopilot.Autopilot
	every    time.Duration
	removing sync.WaitGroup

	mu        sync.Mutex
	leads     bool
	began     time.Time // when this term's watch began
	heard     map[raft.ServerID]heard
	divergent map[string]api.Divergence
}

var _ autopilot.ApplicationIntegration = (*pilot)(nil)

func newPilot(n *Node) *pilot {
	every := n.cfg.Tuning.Pilot
	if every == 0 {
		every = pilotEvery
	}
	return &pilot{node: n, every: every}
}

// run watches in each term of leadership, until the node stops.
func (p *pilot) run() {
	ctx, cancel := p.node.lifetime()
	defer cancel()
	for {
		t, err := p.node.nextTerm(ctx)
		if err != nil || t == nil {
			return
		}
		p.watch(ctx, t)
	}
}

// watch is one term. Everything that it starts has ended when it returns.
func (p *pilot) watch(ctx context.Context, t *term) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.begin()
	auto := autopilot.New(p.node.raft, p,
		autopilot.WithLogger(log.HCLog(p.node.logger)), autopilot.WithPromoter(&promoter{}),
		autopilot.WithUpdateInterval(p.every), autopilot.WithReconcileInterval(p.every))
	auto.Start(ctx)
	p.mu.Lock()
	p.auto = auto
	p.mu.Unlock()
	defer func() {
		cancel()
		<-auto.Stop()
		p.removing.Wait()
		p.end()
	}()
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.upkeep(ctx)
		case <-t.lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (p *pilot) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads, p.began, p.heard, p.divergent = true, time.Now(), map[raft.ServerID]heard{}, map[string]api.Divergence{}
}

func (p *pilot) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads, p.heard, p.divergent, p.auto = false, nil, nil, nil
}

// told is what the servers said last; false when this server does not lead, or
// has not asked yet.
func (p *pilot) told() (map[raft.ServerID]heard, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.leads || len(p.heard) == 0 {
		return nil, false
	}
	return maps.Clone(p.heard), true
}

// AutopilotConfig is what the cluster keeps, or else what this server was
// configured with.
func (p *pilot) AutopilotConfig() *autopilot.Config {
	c := p.node.AutopilotConfig()
	return &autopilot.Config{
		CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: c.LastContactThreshold.D(), MaxTrailingLogs: c.MaxTrailingLogs,
		MinQuorum: c.MinQuorum, ServerStabilizationTime: c.ServerStabilizationTime.D(), Ext: c.DeadServerThreshold.D(),
	}
}

// NotifyState does nothing: whoever wants to know asks.
func (p *pilot) NotifyState(*autopilot.State) {}

// FetchServerStats asks the servers about themselves.
func (p *pilot) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	members := make([]raft.Server, 0, len(servers))
	for id, s := range servers {
		members = append(members, raft.Server{ID: id, Address: s.Address})
	}
	now := p.node.askMembers(ctx, members)
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil // leadership was lost: what is missing says nothing
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[raft.ServerID]*autopilot.ServerStats, len(now))
	fresh := make(map[raft.ServerID]heard, len(now)) // those that left are forgotten
	for id, h := range now {
		if h.err != nil {
			former, known := p.heard[id]
			if !known {
				former.since = p.began
			}
			former.err = h.err
			fresh[id] = former
			continue
		}
		h.since = h.at
		fresh[id] = h
		contact := h.status.LastContact.D()
		if string(id) == p.node.cfg.ID {
			contact = 0
		}
		out[id] = &autopilot.ServerStats{LastContact: contact, LastTerm: h.status.LastTerm, LastIndex: h.status.LastIndex}
	}
	p.heard = fresh
	return out
}

// KnownServers is the configuration with what was heard of each server.
func (p *pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	members := p.node.members()
	dead := p.node.AutopilotConfig().DeadServerThreshold.D()
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[raft.ServerID]*autopilot.Server, len(members))
	for _, m := range members {
		h, asked := p.heard[m.ID]
		s := &autopilot.Server{
			ID: m.ID, Name: string(m.ID), Address: m.Address, NodeStatus: autopilot.NodeAlive, Version: h.status.Version,
			RaftVersion: int(raft.ProtocolVersionMax), IsLeader: string(m.ID) == p.node.cfg.ID, NodeType: autopilot.NodeVoter,
		}
		if h.status.NonVoter {
			s.NodeType, s.Meta = typeNonVoter, map[string]string{metaNonVoter: yes}
		} else if !h.at.IsZero() {
			s.Meta = map[string]string{metaNonVoter: not}
		}
		switch silent := now.Sub(h.since); {
		case !asked || h.err == nil:
			// Asked in a moment, or heard of.
		case silent > dead:
			s.NodeStatus = autopilot.NodeFailed
		case silent > missedLooks*p.every:
			s.NodeStatus = autopilot.NodeUnknown
		}
		out[m.ID] = s
	}
	return out
}

// RemoveFailedServer takes a dead server out.
func (p *pilot) RemoveFailedServer(s *autopilot.Server) {
	p.removing.Go(func() {
		p.node.logger.Warn("a dead server is taken out of the cluster", "peer", string(s.ID), "address", string(s.Address))
		if err := p.node.raft.RemoveServer(s.ID, 0, configTimeout).Error(); err != nil {
			p.node.logger.Warn("take a dead server out", "peer", string(s.ID), "error", err)
		}
	})
}

// promoter makes voters of healthy newcomers, but of none that is configured
// never to vote, and gives up only servers that are dead.
type promoter struct{ autopilot.StablePromoter }

var _ autopilot.Promoter = (*promoter)(nil)

// GetNodeTypes tells what each server is meant to be.
func (*promoter) GetNodeTypes(_ *autopilot.Config, s *autopilot.State) map[raft.ServerID]autopilot.NodeType {
	types := make(map[raft.ServerID]autopilot.NodeType, len(s.Servers))
	for id, server := range s.Servers {
		types[id] = autopilot.NodeVoter
		if server.Server.Meta[metaNonVoter] == yes {
			types[id] = typeNonVoter
		}
	}
	return types
}

// CalculatePromotionsAndDemotions makes voters only of those that told that
// they want to: what autopilot knows of a server is a look older than how it
// does, so that a newcomer is healthy before it has told. It takes
// leadership and the vote from a server that was configured so since.
func (*promoter) CalculatePromotionsAndDemotions(c *autopilot.Config, s *autopilot.State) autopilot.RaftChanges {
	var changes autopilot.RaftChanges
	now, stable := time.Now(), s.ServerStabilizationTime(c)
	for id, server := range s.Servers {
		never, willing := server.Server.Meta[metaNonVoter] == yes, server.Server.Meta[metaNonVoter] == not
		switch {
		case never && server.State == autopilot.RaftLeader:
			changes.Leader = successor(s)
		case never && server.State == autopilot.RaftVoter:
			changes.Demotions = append(changes.Demotions, id)
		case willing && server.State == autopilot.RaftNonVoter && server.Stats.LastIndex > 0 && server.Health.IsStable(now, stable):
			changes.Promotions = append(changes.Promotions, id)
		}
	}
	return changes
}

// successor is a healthy voter that may lead, by name, or nobody.
func successor(s *autopilot.State) (first raft.ServerID) {
	for id, server := range s.Servers {
		fit := server.State == autopilot.RaftVoter && server.Health.Healthy && server.Server.Meta[metaNonVoter] != yes
		if fit && (first == "" || id < first) {
			first = id
		}
	}
	return first
}

// FilterFailedServerRemovals keeps those that are only silent for a while.
func (*promoter) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	dead := func(all []*autopilot.Server) (out []*autopilot.Server) {
		for _, s := range all {
			if s.NodeStatus == autopilot.NodeFailed {
				out = append(out, s)
			}
		}
		return out
	}
	return &autopilot.FailedServers{FailedVoters: dead(failed.FailedVoters), FailedNonVoters: dead(failed.FailedNonVoters)}
}

// IsPotentialVoter reports whether a server may ever vote.
func (*promoter) IsPotentialVoter(t autopilot.NodeType) bool { return t == autopilot.NodeVoter }
