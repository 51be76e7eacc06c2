package cluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// AutopilotConfig is the configuration that the cluster keeps. While it keeps none,
// it is this server's own, whose ModifyIndex is 0.
func (n *Node) AutopilotConfig() api.AutopilotConfig {
	if kept, ok := n.fsm.Store().Autopilot(); ok {
		return kept
	}
	return n.cfg.Autopilot
}

// Autopilot returns the health of the cluster. The error has code no_leader on a
// server that does not lead, and unavailable before the first round.
func (n *Node) Autopilot() (api.AutopilotState, error) {
	members := n.members()
	reports, asked := n.autopilot.lastReports()
	seen, leads := n.autopilot.lastState()
	n.autopilot.mu.Lock()
	divergent := slices.SortedFunc(maps.Values(n.autopilot.divergent), func(a, b api.Divergence) int { return cmp.Compare(a.Server, b.Server) })
	n.autopilot.mu.Unlock()
	switch {
	case !leads:
		return api.AutopilotState{}, n.noLeader()
	case !asked || seen == nil:
		return api.AutopilotState{}, api.Errorf(api.CodeUnavailable, "server %s has just begun to lead and has not looked at the others yet", n.cfg.ID)
	}
	leader, _ := n.Leader()
	out := api.AutopilotState{
		Healthy: seen.Healthy, FailureTolerance: seen.FailureTolerance, Leader: string(seen.Leader), Voters: []string{},
		Servers: withHealth(describe(members, reports, leader), seen), Divergent: divergent,
	}
	for _, id := range seen.Voters {
		out.Voters = append(out.Voters, string(id))
	}
	slices.Sort(out.Voters)
	return out, nil
}

func withHealth(servers []api.ServerInfo, seen *autopilot.State) []api.ServerInfo {
	for i := range servers {
		if s, ok := seen.Servers[raft.ServerID(servers[i].ID)]; ok {
			servers[i].Healthy, servers[i].StableSince = new(s.Health.Healthy), s.Health.StableSince.UTC()
		}
	}
	return servers
}

// raiseLevel raises the cluster level to the highest that every member supports, one
// level at a time. A silent member might be of an older version.
func (d *delegate) raiseLevel(ctx context.Context, reports map[raft.ServerID]report) {
	highest := levels.Supported
	for _, m := range d.node.members() {
		r, asked := reports[m.ID]
		if !asked || r.err != nil {
			return
		}
		highest = min(highest, r.status.supports())
	}
	for next := d.node.fsm.Store().Level() + 1; next <= highest; next++ {
		if _, err := d.node.Apply(ctx, &state.LevelSet{Level: next}, d.node.cfg.ID); err != nil {
			d.node.logger.Info("raise the cluster level", "level", next, "error", err)
			return
		}
		d.node.logger.Info("the cluster level was raised", "level", next)
	}
}

// compareMarks notes members whose state differs from this server's after the same
// log entry. Only members of this version are compared: another version may write
// the same state in another way.
func (d *delegate) compareMarks(reports map[raft.ServerID]report) {
	own := d.node.marks.kept()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.divergent {
		if _, still := reports[raft.ServerID(id)]; !still {
			delete(d.divergent, id)
		}
	}
	for id, r := range reports {
		name := string(id)
		if name == d.node.cfg.ID || r.status.Version != d.node.cfg.Version {
			continue
		}
		mine, theirs, common := lastCommon(own, r.status.Marks)
		switch _, known := d.divergent[name]; {
		case !common:
		case mine.Hash == theirs.Hash:
			delete(d.divergent, name)
		case !known:
			d.divergent[name] = api.Divergence{Server: name, Index: mine.Index, Hash: theirs.Hash, Leader: mine.Hash, Since: time.Now().UTC()}
			d.node.logger.Error("a server's state differs from the leader's: stop it, empty its data directory and let it join again",
				"peer", name, "index", mine.Index, "hash", theirs.Hash, "leader_hash", mine.Hash)
		}
	}
}

// lastCommon returns the last marks of the same index.
func lastCommon(own, other []mark) (mine, theirs mark, ok bool) {
	for _, a := range slices.Backward(own) {
		for _, b := range slices.Backward(other) {
			if a.Index == b.Index {
				return a, b, true
			}
		}
	}
	return mark{}, mark{}, false
}
