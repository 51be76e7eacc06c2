package cluster

import (
	"context"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
)

// admit adds a server after making sure that it is the one that it says and can be
// reached. A newcomer follows without a vote until autopilot has seen it healthy for
// a while: a voter that lags or can't be reached weakens the cluster.
func (n *Node) admit(ctx context.Context, m member) error {
	if err := m.check(); err != nil {
		return err
	}
	if m.Cluster != n.cfg.Cluster {
		return api.Errorf(api.CodeConflict, "join: this is cluster %q, server %s belongs to %q", n.cfg.Cluster, m.ID, m.Cluster)
	}
	seen, err := askStatus(ctx, n.client, m.Address)
	if err != nil {
		return api.Errorf(api.CodeUnavailable, "join: server %s can't be reached at %s: %v", m.ID, m.Address, err)
	}
	if seen.ID != m.ID {
		return api.Errorf(api.CodeConflict, "join: at %s there is server %s, not %s", m.Address, seen.ID, m.ID)
	}
	if level := n.fsm.Store().Level(); seen.supports() < level {
		return api.Errorf(api.CodeConflict, "join: this cluster is at level %d, server %s supports %d: upgrade that server first", level, m.ID, seen.supports())
	}
	members := n.members()
	if i := slices.IndexFunc(members, func(s raft.Server) bool { return string(s.Address) == m.Address && string(s.ID) != m.ID }); i >= 0 {
		return api.Errorf(api.CodeConflict, "join: address %s belongs to member %s: remove that first", m.Address, members[i].ID)
	}
	add := n.raft.AddNonvoter
	if former := find(members, m.ID); former != nil {
		if string(former.Address) == m.Address {
			return nil // it is a member already
		}
		if err := n.mayMove(ctx, *former, m, seen); err != nil {
			return err
		}
		if former.Suffrage == raft.Voter {
			add = n.raft.AddVoter // it has a new address and keeps its vote
		}
	}
	n.logger.Info("server joins", "peer", m.ID, "address", m.Address)
	return n.wait(ctx, add(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, configTimeout).Error)
}

// mayMove refuses a server that has the name of a member, unless it is that member
// at a new address: the member must not answer at its former address, and the server
// must bring the state of a member.
func (n *Node) mayMove(ctx context.Context, former raft.Server, m member, seen status) error {
	if other, err := askStatus(ctx, n.client, string(former.Address)); err == nil && other.ID == m.ID && other.Nonce != seen.Nonce {
		return api.Errorf(api.CodeConflict, "join: another server named %s is alive at %s", m.ID, former.Address)
	}
	if !seen.Bootstrapped {
		// The member may only be away for a while, and has a vote.
		return api.Errorf(api.CodeConflict, "join: a server named %s belongs to the cluster, at %s, and the one at %s has no state: give it another name, "+
			"or, if the former is gone for good, remove that first: oakum operator raft remove-peer %s", m.ID, former.Address, m.Address, m.ID)
	}
	return nil
}

// removeLeaver takes a server that leaves out of the cluster.
func (n *Node) removeLeaver(ctx context.Context, m member) error {
	switch {
	case !n.IsLeader():
		return n.noLeader()
	case m.ID == n.cfg.ID:
		return api.Errorf(api.CodeNoLeader, "server %s leads and has to hand over before it leaves", m.ID)
	case m.Cluster != n.cfg.Cluster:
		return api.Errorf(api.CodeConflict, "leave: this is cluster %q, server %s belongs to %q", n.cfg.Cluster, m.ID, m.Cluster)
	}
	s := find(n.members(), m.ID)
	if s == nil {
		// It is gone already. The change may not be agreed on yet, and be lost with
		// this leader: the barrier is agreed on after it.
		return n.Barrier(ctx)
	}
	if string(s.Address) != m.Address {
		return api.Errorf(api.CodeConflict, "leave: server %s is a member at %s, not at %s", m.ID, s.Address, m.Address)
	}
	n.logger.Info("server leaves", "peer", m.ID, "address", m.Address)
	return n.wait(ctx, n.raft.RemoveServer(s.ID, 0, configTimeout).Error)
}
