package server

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/service"
	"github.com/oakumhq/oakum/server/state"
)

// TestTheTargetsBesideARolloutAreThoseThatAnEdgeJoins reads them from the recorded
// graph, once the rollout has a stage.
func TestTheTargetsBesideARolloutAreThoseThatAnEdgeJoins(t *testing.T) {
	now := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	store := state.NewStore()
	fsm := state.NewFSM(store)
	index := uint64(0)
	record := func(cmd state.Command) {
		t.Helper()
		index++
		entry, err := state.Encode(cmd, now, "test")
		must.NoError(t, err)
		err, _ = fsm.Apply(&raft.Log{Index: index, Type: raft.LogCommand, Data: entry}).(error)
		must.NoError(t, err)
	}
	target := func(job string) api.Target {
		return api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: job, Group: job}, Count: 2, Services: []string{job}}
	}
	change := api.GraphChange{At: now, Edges: []api.Edge{
		{From: "front", To: "cart", State: api.EdgeConfirmed}, {From: "cart", To: "store", State: api.EdgeDeclaredOnly},
		{From: "backoffice", To: "cart", State: api.EdgeDeniedAttempted},
	}}
	for _, job := range []string{"front", "cart", "store", "backoffice", "apart"} {
		change.Targets = append(change.Targets, target(job))
		change.Services = append(change.Services, api.Service{Name: job, Targets: []api.TargetRef{target(job).TargetRef}})
	}
	record(&state.GraphChange{GraphChange: change})
	s := &Server{store: store}
	s.graph = service.NewGraphCache(store)
	must.Eq(t, []api.Target{target("front"), target("store")}, bare(s.graph.Around(target("cart").TargetRef)))
	must.SliceEmpty(t, s.graph.Around(api.TargetRef{Job: "unknown"}))

	r := api.Rollout{ID: "1", Plan: "plan", Patch: "p", PatchDigest: "d", Target: target("cart").TargetRef, Status: api.RolloutPending}
	record(&state.PatchSubmit{Patch: api.Patch{Name: "p", Digest: "d"}, Plan: api.Plan{ID: "plan", Patch: "p", Digest: "d"}, Rollouts: []api.Rollout{r}})
	must.MapEmpty(t, s.beside())
	r, _ = store.Rollout("1")
	r.Status, r.Former = api.RolloutRunning, &api.FormerJob{}
	r.Stages = []api.Stage{{Number: 1, Began: now}}
	record(&state.RolloutTransition{Kind: "stage_advance", Expect: r.ModifyIndex, Rollout: r})
	must.Eq(t, map[api.TargetRef]bool{target("front").TargetRef: true, target("store").TargetRef: true}, s.beside())
}

// bare are targets without what the state adds.
func bare(targets []api.Target) []api.Target {
	for i := range targets {
		targets[i] = api.Target{TargetRef: targets[i].TargetRef, Count: targets[i].Count, Services: targets[i].Services}
	}
	return targets
}
