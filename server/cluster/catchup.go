package cluster

import "context"

// CatchUp returns when this server, as leader, has applied everything that
// former leaders confirmed. A new leader has their entries in its log but does
// not know yet that they are committed: until it does, its state is older than
// what callers were told. Once in a term is enough, the rest costs nothing.
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
