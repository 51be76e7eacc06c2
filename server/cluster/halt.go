package cluster

// watchHalt takes the server out of Raft when its state machine has met what it
// can't apply. It neither votes nor leads from there on, because it can't vouch
// for a state; it keeps running, so that an operator can ask it why, and goes
// on from its log when a newer version of it is started.
func (n *Node) watchHalt() {
	select {
	case <-n.fsm.Halted():
	case <-n.stop:
		return
	}
	n.logger.Error("this server can't go on and has left raft: upgrade it", "error", n.fsm.Err())
	if err := n.raft.Shutdown().Error(); err != nil {
		n.logger.Error("leave raft", "error", err)
	}
}
