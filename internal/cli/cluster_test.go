package cli

import (
	"time"

	"github.com/oakumhq/oakum/api"
)

// clusterFixtures is a cluster of three, of which one is silent, and a follower
// that never votes.
func clusterFixtures(answer func(pattern string, out any)) {
	servers := []api.ServerInfo{
		{ID: "oak-1", Address: "10.0.0.1:4741", Leader: true, Voter: true, Version: "1.2", Level: 2, LastIndex: 900, LastTerm: 3,
			Healthy: new(true), StableSince: testNow().Add(-time.Hour)},
		{ID: "oak-2", Address: "10.0.0.2:4741", Voter: true, Version: "1.2", Level: 2, LastIndex: 898, LastTerm: 3, Lag: 2,
			LastContact: api.Duration(12 * time.Millisecond), Healthy: new(true), StableSince: testNow().Add(-time.Hour)},
		{ID: "oak-3", Address: "10.0.0.3:4741", Voter: true, Silent: "connection refused", Healthy: new(false), StableSince: testNow().Add(-20 * time.Second)},
		{ID: "reader", Address: "10.0.0.4:4741", NonVoter: true, Version: "1.1", Level: 1, LastIndex: 900, LastTerm: 3,
			LastContact: api.Duration(40 * time.Millisecond), Healthy: new(true), StableSince: testNow().Add(-time.Minute)},
	}
	config := api.AutopilotConfig{
		CleanupDeadServers: true, DeadServerThreshold: api.Duration(time.Hour), LastContactThreshold: api.Duration(2 * time.Second),
		MaxTrailingLogs: 250, MinQuorum: 3, ServerStabilizationTime: api.Duration(10 * time.Second),
	}
	set := config
	set.CleanupDeadServers, set.ModifyIndex = false, 901
	answer("GET /v1/operator/raft/configuration", servers)
	answer("GET /v1/operator/autopilot", config)
	answer("POST /v1/operator/autopilot", set)
	answer("GET /v1/operator/autopilot/state", api.AutopilotState{
		FailureTolerance: 0, Leader: "oak-1", Voters: []string{"oak-1", "oak-2", "oak-3"}, Servers: servers,
		Divergent: []api.Divergence{{Server: "reader", Index: 800, Since: testNow().Add(-time.Minute)}},
	})
	running := runningRollout()
	answer("GET /v1/operator/rollout-audit", []api.OpenIntent{{
		Rollout: running.ID, Target: running.Target, Status: running.Status, Effect: "e", Kind: api.EffectStage, Stage: 2,
		Intended: testNow().Add(-20 * time.Minute), By: "oak-1", Term: 3, Trouble: "nomad: connection refused",
	}})
	answer("POST /v1/agent/leave", nil)
	answer("GET /v1/agent/monitor", "a line")
}
