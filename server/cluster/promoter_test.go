package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
	"github.com/shoenig/test/must"
)

func TestPromoter_PromotesOnlyDeclaredVoters(t *testing.T) {
	t.Parallel()
	healthy := autopilot.ServerHealth{Healthy: true, StableSince: time.Now().Add(-time.Hour)}
	server := func(state autopilot.RaftState, meta map[string]string, health autopilot.ServerHealth) *autopilot.ServerState {
		return &autopilot.ServerState{
			Server: autopilot.Server{Meta: meta}, State: state, Health: health, Stats: autopilot.ServerStats{LastIndex: 7},
		}
	}
	willing, never := map[string]string{metaNonVoter: no}, map[string]string{metaNonVoter: yes}
	empty := server(autopilot.RaftNonVoter, willing, healthy)
	empty.Stats.LastIndex = 0
	state := &autopilot.State{Servers: map[raft.ServerID]*autopilot.ServerState{
		"willing":   server(autopilot.RaftNonVoter, willing, healthy),
		"never":     server(autopilot.RaftNonVoter, never, healthy),
		"untold":    server(autopilot.RaftNonVoter, nil, healthy),
		"sick":      server(autopilot.RaftNonVoter, willing, autopilot.ServerHealth{}),
		"empty":     empty,
		"voter":     server(autopilot.RaftVoter, willing, healthy),
		"retired":   server(autopilot.RaftVoter, never, healthy),
		"leader":    server(autopilot.RaftLeader, never, healthy),
		"sickvoter": server(autopilot.RaftVoter, willing, autopilot.ServerHealth{}),
	}}
	changes := (&promoter{}).CalculatePromotionsAndDemotions(&autopilot.Config{}, state)
	must.Eq(t, []raft.ServerID{"willing"}, changes.Promotions)
	must.Eq(t, []raft.ServerID{"retired"}, changes.Demotions)
	must.EqOp(t, "voter", changes.Leader, must.Sprint("a leader that is never to vote hands over to a healthy voter"))
}

func TestPromoter_RemovesOnlyDeadServers(t *testing.T) {
	t.Parallel()
	silent, dead := &autopilot.Server{ID: "silent", NodeStatus: autopilot.NodeUnknown}, &autopilot.Server{ID: "dead", NodeStatus: autopilot.NodeFailed}
	kept := (&promoter{}).FilterFailedServerRemovals(nil, nil, &autopilot.FailedServers{
		FailedVoters: []*autopilot.Server{silent, dead}, FailedNonVoters: []*autopilot.Server{silent}, StaleVoters: []raft.ServerID{"odd"},
	})
	must.Eq(t, []*autopilot.Server{dead}, kept.FailedVoters)
	must.SliceEmpty(t, kept.FailedNonVoters)
	must.SliceEmpty(t, kept.StaleVoters)
}
