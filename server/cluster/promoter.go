package cluster

import (
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
)

// What a server says about its vote, for the promoter.
const (
	metaNonVoter = "non_voter"
	yes, no      = "yes", "no" // absent: it has not answered yet
	typeNonVoter = autopilot.NodeType("non-voter")
)

// promoter decides for raft-autopilot who votes: healthy newcomers, but none that is
// configured as a non-voter. It has only dead servers removed.
type promoter struct{ autopilot.StablePromoter }

var _ autopilot.Promoter = (*promoter)(nil)

// GetNodeTypes is what each server is configured to be.
func (*promoter) GetNodeTypes(_ *autopilot.Config, s *autopilot.State) map[raft.ServerID]autopilot.NodeType {
	types := make(map[raft.ServerID]autopilot.NodeType, len(s.Servers))
	for id, server := range s.Servers {
		types[id] = autopilot.NodeVoter
		if server.Server.Meta[metaNonVoter] == yes {
			types[id] = typeNonVoter
		}
	}
	return types
}

// CalculatePromotionsAndDemotions promotes only servers that have answered that they
// vote. In raft-autopilot a server's health is a round newer than its Meta, so a
// newcomer is healthy before its answer is there. A server that is a non-voter by its
// new configuration loses leadership and its vote.
func (*promoter) CalculatePromotionsAndDemotions(c *autopilot.Config, s *autopilot.State) autopilot.RaftChanges {
	var changes autopilot.RaftChanges
	now, stable := time.Now(), s.ServerStabilizationTime(c)
	for id, server := range s.Servers {
		never, votes := server.Server.Meta[metaNonVoter] == yes, server.Server.Meta[metaNonVoter] == no
		switch {
		case never && server.State == autopilot.RaftLeader:
			changes.Leader = successor(s)
		case never && server.State == autopilot.RaftVoter:
			changes.Demotions = append(changes.Demotions, id)
		case votes && server.State == autopilot.RaftNonVoter && server.Stats.LastIndex > 0 && server.Health.IsStable(now, stable):
			changes.Promotions = append(changes.Promotions, id)
		}
	}
	return changes
}

// successor is the first healthy voter by name that may lead; "" when there is none.
func successor(s *autopilot.State) (first raft.ServerID) {
	for id, server := range s.Servers {
		fit := server.State == autopilot.RaftVoter && server.Health.Healthy && server.Server.Meta[metaNonVoter] != yes
		if fit && (first == "" || id < first) {
			first = id
		}
	}
	return first
}

// FilterFailedServerRemovals removes only dead servers, and none that is silent for a
// while.
func (*promoter) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	dead := func(all []*autopilot.Server) (out []*autopilot.Server) {
		for _, s := range all {
			if s.NodeStatus == autopilot.NodeFailed {
				out = append(out, s)
			}
		}
		return out
	}
	return &autopilot.FailedServers{FailedVoters: dead(failed.FailedVoters), FailedNonVoters: dead(failed.FailedNonVoters)}
}

// IsPotentialVoter reports whether a server may ever vote.
func (*promoter) IsPotentialVoter(t autopilot.NodeType) bool { return t == autopilot.NodeVoter }
