package cluster

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
)

// heard is what this server knows of another one by asking it.
type heard struct {
	status status
	at     time.Time // of the answer; zero when there was none
	since  time.Time // since when it is asked, or of the last answer
	err    error     // why the last question was not answered
}

// askMembers asks all servers of the configuration about themselves, at once.
func (n *Node) askMembers(ctx context.Context, members []raft.Server) map[raft.ServerID]heard {
	answers := make([]heard, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() {
			h := heard{since: time.Now()}
			if string(m.ID) == n.cfg.ID {
				h.status = n.status()
			} else {
				h.status, h.err = n.ask(ctx, string(m.Address))
			}
			if h.err == nil && h.status.ID != string(m.ID) {
				h.err = api.Errorf(api.CodeConflict, "server %s is at its address", h.status.ID)
			}
			if h.err == nil {
				h.at = time.Now()
			}
			answers[i] = h
		})
	}
	asking.Wait()
	out := make(map[raft.ServerID]heard, len(members))
	for i, m := range members {
		out[m.ID] = answers[i]
	}
	return out
}

// Peers returns the members by name, with what each says of itself. The leader
// answers with what it heard last, any other server asks them all now.
func (n *Node) Peers(ctx context.Context) []api.ServerInfo {
	members := n.members()
	told, leads := n.pilot.told()
	if !leads {
		told = n.askMembers(ctx, members)
	}
	return n.describe(members, told)
}

// describe makes the operator's view of what the servers told.
func (n *Node) describe(members []raft.Server, told map[raft.ServerID]heard) []api.ServerInfo {
	leader, _ := n.Leader()
	out := make([]api.ServerInfo, len(members))
	var furthest uint64
	for i, m := range members {
		h := told[m.ID]
		out[i] = api.ServerInfo{
			ID: string(m.ID), Address: string(m.Address), Leader: string(m.ID) == leader, Voter: m.Suffrage == raft.Voter,
			NonVoter: h.status.NonVoter, Version: h.status.Version, Level: h.status.Level,
			LastIndex: h.status.LastIndex, LastTerm: h.status.LastTerm, LastContact: h.status.LastContact,
		}
		if h.err != nil {
			out[i].Silent = h.err.Error()
		}
		furthest = max(furthest, h.status.LastIndex)
	}
	for i := range out {
		if out[i].LastIndex > 0 {
			out[i].Lag = furthest - out[i].LastIndex
		}
	}
	return out
}

// replica is how far this server's log is.
func (n *Node) replica() (lastIndex, lastTerm, applied uint64) {
	term, _ := strconv.ParseUint(n.raft.Stats()["last_log_term"], 10, 64) // Raft writes a number
	return n.raft.LastIndex(), term, n.raft.AppliedIndex()
}

// sinceContact is how long ago this server heard of a leader; negative when it
// never did.
func (n *Node) sinceContact() time.Duration {
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

// Term is that of this server's leadership, 0 when it does not lead.
func (n *Node) Term() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.term == nil {
		return 0
	}
	return n.term.number
}

// Member reports whether this server belongs to a cluster.
func (n *Node) Member() bool { return n.bootstrapped() }

// SinceContact is how long ago this server heard of a leader; negative when it
// never did.
func (n *Node) SinceContact() time.Duration { return n.sinceContact() }

// Err is why this server's state machine has stopped, or nil.
func (n *Node) Err() error { return n.fsm.Err() }
