package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// configTimeout bounds a change of membership.
const configTimeout = 10 * time.Second

// Servers returns the members by name.
func (n *Node) Servers() []api.ServerInfo {
	leader, _ := n.Leader()
	var out []api.ServerInfo
	for _, s := range n.members() {
		info := api.ServerInfo{
			ID: string(s.ID), Address: string(s.Address),
			Leader: string(s.ID) == leader, Voter: s.Suffrage == raft.Voter,
		}
		if info.ID == n.cfg.ID {
			info.Version = n.cfg.Version
		}
		out = append(out, info)
	}
	return out
}

// members returns the servers of the latest configuration by name.
func (n *Node) members() []raft.Server {
	future := n.raft.GetConfiguration()
	if future.Error() != nil { // it is answered at once from memory
		return nil
	}
	return sorted(future.Configuration().Servers)
}

func (n *Node) voters() []raft.Server {
	var out []raft.Server
	for _, s := range n.members() {
		if s.Suffrage == raft.Voter {
			out = append(out, s)
		}
	}
	return out
}

// RemovePeer takes a server out of the cluster. The leader leaves by handing
// over first.
func (n *Node) RemovePeer(ctx context.Context, id string) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	for _, s := range n.members() {
		if string(s.ID) == id {
			return n.wait(ctx, n.raft.RemoveServer(s.ID, 0, configTimeout).Error)
		}
	}
	return api.Errorf(api.CodeNotFound, "server %q is not a member of the cluster", id)
}

// Transfer hands leadership to another server.
func (n *Node) Transfer(ctx context.Context) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	if len(n.voters()) < 2 {
		return api.Errorf(api.CodeConflict, "there is no other server that could lead")
	}
	err := n.wait(ctx, n.raft.LeadershipTransfer().Error)
	if api.IsCode(err, api.CodeInternal) { // Raft has no names for what can go wrong on the way
		return api.Errorf(api.CodeUnavailable, "leadership was not handed over: %v; ask again", err)
	}
	return err
}

// Snapshot writes the whole state, as it is on this server, to w.
func (n *Node) Snapshot(ctx context.Context, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return n.fsm.Store().Snapshot(w)
}

// Restore replaces the state of every server by a snapshot. The membership
// stays. A snapshot with an error changes nothing.
func (n *Node) Restore(ctx context.Context, from io.Reader) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	file, err := os.CreateTemp(n.cfg.Dir, "restore-*")
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	defer func() {
		err := errors.Join(file.Close(), os.Remove(file.Name()))
		if err != nil {
			n.logger.Warn("remove copy of restored snapshot", "error", err)
		}
	}()
	size, err := io.Copy(file, from)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	info, err := state.Inspect(io.NewSectionReader(file, 0, size))
	if err != nil {
		return err
	}
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: info.Index, Size: size}
	// Once begun it is not given up: the file is read until Raft is done.
	return n.wait(context.WithoutCancel(ctx), func() error {
		return n.raft.Restore(meta, io.NewSectionReader(file, 0, size), 0)
	})
}

// State returns a description of Raft for operators: index, term, last contact.
func (n *Node) State() map[string]string { return n.raft.Stats() }

// LastContact is when this server last heard from the leader; the leader
// itself hears from itself now.
func (n *Node) LastContact() time.Time {
	if n.IsLeader() {
		return time.Now()
	}
	return n.raft.LastContact()
}
