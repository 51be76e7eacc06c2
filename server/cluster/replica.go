package cluster

import (
	"strconv"
	"time"

	"github.com/hashicorp/raft"
)

// IsLeader reports whether this server leads, as far as it knows.
func (n *Node) IsLeader() bool { return n.raft.State() == raft.Leader }

// Leader returns the leader's name and address, empty when none is known.
func (n *Node) Leader() (id, address string) {
	a, i := n.raft.LeaderWithID()
	return string(i), string(a)
}

// LastContact is when the leader last contacted this server. On the leader it is
// now.
func (n *Node) LastContact() time.Time {
	if n.IsLeader() {
		return time.Now()
	}
	return n.raft.LastContact()
}

// lastLog is the last entry of this server's log.
func (n *Node) lastLog() (index, term uint64) {
	term, _ = strconv.ParseUint(n.raft.Stats()["last_log_term"], 10, 64) // Raft writes a number
	return n.raft.LastIndex(), term
}

// SinceContact is how long ago the leader last contacted this server. It is 0 on the
// leader, and negative if no leader ever did.
func (n *Node) SinceContact() time.Duration {
	if n.IsLeader() {
		return 0
	}
	last := n.LastContact()
	if last.IsZero() {
		return -1
	}
	return max(time.Since(last), 0)
}

// Lag is how many committed log entries this server has not applied yet.
func (n *Node) Lag() uint64 {
	applied := n.raft.AppliedIndex() // first: it never overtakes the other
	return n.raft.CommitIndex() - applied
}

// Err is why this server's state machine has stopped, or nil.
func (n *Node) Err() error { return n.fsm.Err() }
