package cluster

import (
	"cmp"
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
	// autopilotInterval is the time between two rounds, in each of which every member
	// is asked about itself. A newcomer votes at the first round after its
	// stabilisation.
	autopilotInterval = 2 * time.Second
	// missedRounds is how many rounds in a row a member may leave unanswered before
	// it is not healthy any more: one lost answer says nothing.
	missedRounds = 3
)

// delegate serves raft-autopilot while this server leads. It asks the members about
// themselves, and carries removals out. Raft-autopilot decides who is healthy, which
// newcomer may vote and who is dead. In each round the delegate also raises the
// cluster level when it can, and compares the members' states.
type delegate struct {
	node     *Node
	interval time.Duration
	removing sync.WaitGroup

	mu        sync.Mutex
	autopilot *autopilot.Autopilot // nil unless this server leads, as what follows
	began     time.Time            // when this term began
	reports   map[raft.ServerID]report
	divergent map[string]api.Divergence
}

var _ autopilot.ApplicationIntegration = (*delegate)(nil)

func newDelegate(n *Node) *delegate {
	return &delegate{node: n, interval: cmp.Or(n.cfg.Tuning.Autopilot, autopilotInterval)}
}

// run runs autopilot in each term of leadership, until ctx ends.
func (d *delegate) run(ctx context.Context) {
	for {
		t, err := d.node.leadership.next(ctx)
		if err != nil || t == nil {
			return
		}
		d.lead(ctx, t)
	}
}

// lead runs autopilot for one term. Everything that it starts has ended when it
// returns.
func (d *delegate) lead(ctx context.Context, t *term) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	auto := autopilot.New(d.node.raft, d,
		autopilot.WithLogger(log.HCLog(d.node.logger)), autopilot.WithPromoter(&promoter{}),
		autopilot.WithUpdateInterval(d.interval), autopilot.WithReconcileInterval(d.interval))
	d.begin(auto)
	auto.Start(ctx)
	defer func() {
		cancel()
		<-auto.Stop()
		d.removing.Wait()
		d.end()
	}()
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if reports, ok := d.lastReports(); ok {
				d.compareMarks(reports)
				d.raiseLevel(ctx, reports)
			}
		case <-t.lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (d *delegate) begin(auto *autopilot.Autopilot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.autopilot, d.began, d.reports, d.divergent = auto, time.Now(), map[raft.ServerID]report{}, map[string]api.Divergence{}
}

func (d *delegate) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.autopilot, d.reports, d.divergent = nil, nil, nil
}

// lastState is the last state that autopilot worked out. It is nil before the first: the
// reports of a round are there a moment before its state. leads is false when this
// server does not lead.
func (d *delegate) lastState() (seen *autopilot.State, leads bool) {
	d.mu.Lock()
	auto := d.autopilot
	d.mu.Unlock()
	if auto == nil {
		return nil, false
	}
	if seen = auto.GetState(); len(seen.Servers) == 0 {
		return nil, true
	}
	return seen, true
}

// lastReports are the reports of the last round. Ok is false when this server does
// not lead, or has not asked yet.
func (d *delegate) lastReports() (reports map[raft.ServerID]report, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.autopilot == nil || len(d.reports) == 0 {
		return nil, false
	}
	return maps.Clone(d.reports), true
}

// AutopilotConfig is Node.AutopilotConfig for raft-autopilot.
func (d *delegate) AutopilotConfig() *autopilot.Config {
	c := d.node.AutopilotConfig()
	return &autopilot.Config{
		CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: c.LastContactThreshold.D(), MaxTrailingLogs: c.MaxTrailingLogs,
		MinQuorum: c.MinQuorum, ServerStabilizationTime: c.ServerStabilizationTime.D(), Ext: c.DeadServerThreshold.D(),
	}
}

// NotifyState does nothing: Node.Autopilot reads the state when it is asked.
func (d *delegate) NotifyState(*autopilot.State) {}

// FetchServerStats asks the members about themselves.
func (d *delegate) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	members := make([]raft.Server, 0, len(servers))
	for id, s := range servers {
		members = append(members, raft.Server{ID: id, Address: s.Address})
	}
	answers := d.node.askMembers(ctx, members)
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil // leadership was lost: a missing answer says nothing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	stats := make(map[raft.ServerID]*autopilot.ServerStats, len(answers))
	reports := make(map[raft.ServerID]report, len(answers)) // members that have left are forgotten
	for id, r := range answers {
		if r.err != nil {
			former, known := d.reports[id]
			if !known {
				former.since = d.began
			}
			former.err = r.err
			reports[id] = former
			continue
		}
		r.since = r.at
		reports[id] = r
		contact := r.status.LastContact.D()
		if string(id) == d.node.cfg.ID {
			contact = 0
		}
		stats[id] = &autopilot.ServerStats{LastContact: contact, LastTerm: r.status.LastTerm, LastIndex: r.status.LastIndex}
	}
	d.reports = reports
	return stats
}

// KnownServers are the members with their last reports.
func (d *delegate) KnownServers() map[raft.ServerID]*autopilot.Server {
	members := d.node.members()
	threshold := d.node.AutopilotConfig().DeadServerThreshold.D()
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[raft.ServerID]*autopilot.Server, len(members))
	for _, m := range members {
		r, asked := d.reports[m.ID]
		s := &autopilot.Server{
			ID: m.ID, Name: string(m.ID), Address: m.Address, NodeStatus: autopilot.NodeAlive, Version: r.status.Version,
			RaftVersion: int(raft.ProtocolVersionMax), IsLeader: string(m.ID) == d.node.cfg.ID, NodeType: autopilot.NodeVoter,
		}
		if r.status.NonVoter {
			s.NodeType, s.Meta = typeNonVoter, map[string]string{metaNonVoter: yes}
		} else if !r.at.IsZero() {
			s.Meta = map[string]string{metaNonVoter: no}
		}
		switch silent := now.Sub(r.since); {
		case !asked || r.err == nil:
			// It is asked in the next round, or has answered.
		case silent > threshold:
			s.NodeStatus = autopilot.NodeFailed
		case silent > missedRounds*d.interval:
			s.NodeStatus = autopilot.NodeUnknown
		}
		out[m.ID] = s
	}
	return out
}

// RemoveFailedServer takes a dead server out.
func (d *delegate) RemoveFailedServer(s *autopilot.Server) {
	d.removing.Go(func() {
		d.node.logger.Warn("a dead server is taken out of the cluster", "peer", string(s.ID), "address", string(s.Address))
		if err := d.node.raft.RemoveServer(s.ID, 0, configTimeout).Error(); err != nil {
			d.node.logger.Warn("take a dead server out", "peer", string(s.ID), "error", err)
		}
	})
}
