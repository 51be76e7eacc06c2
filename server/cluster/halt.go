package cluster

import "context"

// watchHalt takes the server out of Raft when its state machine has met an entry that
// it can't apply. From then on the server neither votes nor leads, because it does not
// have the state. It keeps running, so that an operator can ask it why. A newer
// version of it goes on from its log.
func (n *Node) watchHalt() {
	select {
	case <-n.fsm.Halted():
	case <-n.life.Done():
		return
	}
	n.logger.Error("this server can't go on and has left raft: upgrade it", "error", n.fsm.Err())
	if err := n.raft.Shutdown().Error(); err != nil {
		n.logger.Error("leave raft", "error", err)
	}
}

// Broken waits until Raft can't go on with what is on the disk, and returns the reason.
// Whoever runs the server starts it again: it has lost nothing that it confirmed. It
// returns nil when ctx ends.
func (n *Node) Broken(ctx context.Context) error {
	select {
	case err := <-n.disk.Cut:
		return err
	case <-ctx.Done():
		return nil
	}
}
