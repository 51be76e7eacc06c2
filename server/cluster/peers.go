package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
)

// report is what a member said of itself when it was asked last.
type report struct {
	status status
	at     time.Time // of its last answer; zero when it never answered
	since  time.Time // of its last answer, or else of the first question
	err    error     // why it did not answer the last question; nil when it did
}

// askMembers asks all members about themselves, at the same time.
func (n *Node) askMembers(ctx context.Context, members []raft.Server) map[raft.ServerID]report {
	answers := make([]report, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() {
			r := report{since: time.Now()}
			if string(m.ID) == n.cfg.ID {
				r.status = n.status()
			} else {
				r.status, r.err = askStatus(ctx, n.client, string(m.Address))
			}
			if r.err == nil && r.status.ID != string(m.ID) {
				r.err = api.Errorf(api.CodeConflict, "server %s is at its address", r.status.ID)
			}
			if r.err == nil {
				r.at = time.Now()
			}
			answers[i] = r
		})
	}
	asking.Wait()
	out := make(map[raft.ServerID]report, len(members))
	for i, m := range members {
		out[m.ID] = answers[i]
	}
	return out
}

// Peers returns the members by name, with what each says of itself. The leader
// gives the last reports of autopilot; any other server asks the members now.
func (n *Node) Peers(ctx context.Context) []api.ServerInfo {
	members := n.members()
	reports, leads := n.autopilot.lastReports()
	if !leads {
		reports = n.askMembers(ctx, members)
	}
	leader, _ := n.Leader()
	return describe(members, reports, leader)
}

// describe is the operator's view of the members and their reports.
func describe(members []raft.Server, reports map[raft.ServerID]report, leader string) []api.ServerInfo {
	out := make([]api.ServerInfo, len(members))
	var furthest uint64
	for i, m := range members {
		r := reports[m.ID]
		out[i] = api.ServerInfo{
			ID: string(m.ID), Address: string(m.Address), Leader: string(m.ID) == leader, Voter: m.Suffrage == raft.Voter,
			NonVoter: r.status.NonVoter, Version: r.status.Version, Level: r.status.Level,
			LastIndex: r.status.LastIndex, LastTerm: r.status.LastTerm, LastContact: r.status.LastContact,
		}
		if r.err != nil {
			out[i].Silent = r.err.Error()
		}
		furthest = max(furthest, r.status.LastIndex)
	}
	for i := range out {
		if out[i].LastIndex > 0 {
			out[i].Lag = furthest - out[i].LastIndex
		}
	}
	return out
}
