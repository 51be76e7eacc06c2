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
)

// AutopilotConfig is what the cluster keeps, or else what this server was
// configured with; its ModifyIndex is 0 then.
func (n *Node) AutopilotConfig() api.AutopilotConfig {
	if kept, ok := n.fsm.Store().Autopilot(); ok {
		return kept
	}
	return n.cfg.Autopilot
}

// Autopilot tells what autopilot sees. Only the leader can; the error has code
// no_leader elsewhere, and unavailable before the first look.
func (n *Node) Autopilot() (api.AutopilotState, error) {
	members := n.members()
	told, asked := n.pilot.told()
	n.pilot.mu.Lock()
	leads, auto := n.pilot.leads, n.pilot.auto
	divergent := slices.SortedFunc(maps.Values(n.pilot.divergent), func(a, b api.Divergence) int { return cmp.Compare(a.Server, b.Server) })
	n.pilot.mu.Unlock()
	if !leads {
		return api.AutopilotState{}, n.noLeader()
	}
	if !asked || auto == nil {
		return api.AutopilotState{}, api.Errorf(api.CodeUnavailable, "server %s has just begun to lead and has not looked at the others yet", n.cfg.ID)
	}
	seen := auto.GetState()
	out := api.AutopilotState{
		Healthy: seen.Healthy, FailureTolerance: seen.FailureTolerance, Leader: string(seen.Leader), Voters: []string{},
		Servers: withHealth(n.describe(members, told), seen), Divergent: divergent,
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

// upkeep is what a leader does with what it heard.
func (p *pilot) upkeep(ctx context.Context) {
	told, ok := p.told()
	if !ok {
		return
	}
	p.compare(told)
	p.raise(ctx, told)
}

// raise lifts the cluster level by one when every server supports the next.
// A server that is silent might be of an older version.
func (p *pilot) raise(ctx context.Context, told map[raft.ServerID]heard) {
	next := p.node.fsm.Store().Level() + 1
	if next > state.SupportedLevel {
		return
	}
	for _, m := range p.node.members() {
		h, asked := told[m.ID]
		if !asked || h.err != nil || max(h.status.Level, 1) < next {
			return
		}
	}
	if _, err := p.node.Apply(ctx, &state.LevelSet{Level: next}, p.node.cfg.ID); err != nil {
		p.node.logger.Info("raise the cluster level", "level", next, "error", err)
		return
	}
	p.node.logger.Info("the cluster level was raised", "level", next)
}

// compare looks for servers whose state is not this one's although both had
// applied the same log. Only servers of this version are compared: another one
// may write the same state differently.
func (p *pilot) compare(told map[raft.ServerID]heard) {
	own := p.node.marks.kept()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.divergent {
		if _, still := told[raft.ServerID(id)]; !still {
			delete(p.divergent, id)
		}
	}
	for id, h := range told {
		name := string(id)
		if name == p.node.cfg.ID || h.status.Version != p.node.cfg.Version {
			continue
		}
		mine, theirs, common := lastCommon(own, h.status.Marks)
		switch _, known := p.divergent[name]; {
		case !common:
		case mine.Hash == theirs.Hash:
			delete(p.divergent, name)
		case !known:
			p.divergent[name] = api.Divergence{Server: name, Index: mine.Index, Hash: theirs.Hash, Leader: mine.Hash, Since: time.Now().UTC()}
			p.node.logger.Error("a server's state differs from the leader's: stop it, empty its data directory and let it join again",
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
