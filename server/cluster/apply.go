package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// enqueueTimeout bounds the wait for a place in Raft's queue when ctx has no
// deadline. A leader that can't take an entry for this long has lost its disk or
// its peers.
const enqueueTimeout = 10 * time.Second

// Apply carries a command out on every server and returns its log index. Only
// the leader can. The error is an *api.Error: no_leader when it was surely not
// carried out, because this server does not lead; timeout when that is not
// known, because leadership was lost or ctx ended in the middle; else the
// command's own refusal.
func (n *Node) Apply(ctx context.Context, cmd state.Command, by string) (uint64, error) {
	if !n.IsLeader() {
		return 0, n.noLeader()
	}
	entry, err := n.fsm.Entry(cmd, time.Now(), by)
	if err != nil {
		return 0, api.AsError(err)
	}
	future := n.raft.Apply(entry.Data, timeout(ctx))
	defer n.fsm.Prepare(entry)() // the disk has the entry meanwhile
	if err := n.wait(ctx, future.Error); err != nil {
		return 0, err
	}
	if refused, ok := future.Response().(error); ok {
		return future.Index(), api.AsError(refused)
	}
	return future.Index(), nil
}

// Barrier returns when this server, as leader, has applied everything that was
// committed before.
func (n *Node) Barrier(ctx context.Context) error {
	return n.wait(ctx, n.raft.Barrier(timeout(ctx)).Error)
}

// VerifyLeader asks a majority whether this server still leads. A read after
// it sees everything that was confirmed to anybody before it.
func (n *Node) VerifyLeader(ctx context.Context) error {
	if err := n.CatchUp(ctx); err != nil {
		return err
	}
	return n.wait(ctx, n.raft.VerifyLeader().Error)
}

// CatchUp returns when this server, as leader, has applied everything that former
// leaders confirmed. A new leader has their entries in its log but does not know yet
// that they are committed. Until it knows, its state is older than the answers that
// callers had from former leaders. The wait is needed once in a term; further calls
// cost nothing.
func (n *Node) CatchUp(ctx context.Context) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	term := n.raft.CurrentTerm()
	if n.caughtUp.Load() == term {
		return nil
	}
	if err := n.Barrier(ctx); err != nil {
		return err
	}
	// The barrier passed in one term; if it is still this one, it was this one.
	if n.raft.CurrentTerm() == term {
		n.caughtUp.Store(term)
	}
	return nil
}

func (n *Node) noLeader() *api.Error {
	if halted, ok := errors.AsType[*api.Error](n.fsm.Err()); ok {
		return halted
	}
	if id, _ := n.Leader(); id != "" {
		return api.Errorf(api.CodeNoLeader, "server %s does not lead, %s does", n.cfg.ID, id)
	}
	return api.Errorf(api.CodeNoLeader, "the cluster has no leader now")
}

// timeout is how long the caller waits at most.
func timeout(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return enqueueTimeout
	}
	return max(time.Until(deadline), time.Millisecond)
}

// wait returns the outcome of a call into Raft, or a timeout when ctx ends first.
// The call then goes on by itself.
func (n *Node) wait(ctx context.Context, outcome func() error) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return api.Errorf(api.CodeNoLeader, "server %s is stopping", n.cfg.ID)
	}
	n.waiting.Add(1)
	n.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		defer n.waiting.Done()
		done <- outcome()
	}()
	select {
	case err := <-done:
		return n.translate(err)
	case <-ctx.Done():
		return api.Errorf(api.CodeTimeout, "no answer from the cluster in time (%v): what was asked may still happen", context.Cause(ctx))
	}
}

// translate gives Raft's errors the codes of the API.
func (n *Node) translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return n.noLeader()
	case errors.Is(err, raft.ErrRaftShutdown):
		// Raft returns this for entries that it refused, and for entries that were
		// committed but are not applied here any more.
		return api.Errorf(api.CodeTimeout, "server %s stopped before the cluster confirmed: what was asked may still happen", n.cfg.ID)
	case errors.Is(err, raft.ErrLeadershipLost):
		return api.Errorf(api.CodeTimeout, "server %s lost its leadership before the cluster confirmed: what was asked may still happen", n.cfg.ID)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return api.Errorf(api.CodeTimeout, "the cluster is too busy to take this in time: nothing was done")
	case errors.Is(err, raft.ErrAbortedByRestore):
		return api.Errorf(api.CodeUnavailable, "a snapshot was restored meanwhile: nothing was done")
	case errors.Is(err, raft.ErrCantBootstrap), errors.Is(err, raft.ErrNothingNewToSnapshot):
		return api.Errorf(api.CodeConflict, "%v", err)
	}
	return api.AsError(err)
}
