package service

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// TestFactsHoldNoSecret looks for what a job's text, a patch and an instance may
// tell, in what goes to rehearsals.
func TestFactsHoldNoSecret(t *testing.T) {
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
	for level := store.Level() + 1; level <= state.SupportedLevel; level++ {
		record(&state.LevelSet{Level: level})
	}
	web := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}, Count: 2, Services: []string{"web"}}
	old := api.TargetRef{Namespace: "prod", Job: "old", Group: "old"}
	record(&state.GraphChange{GraphChange: api.GraphChange{
		At: now, Targets: []api.Target{web}, Services: []api.Service{{Name: "web", Targets: []api.TargetRef{web.TargetRef}}},
		Edges: []api.Edge{{From: "web", To: "db", State: api.EdgeConfirmed, Evidence: []api.Evidence{{Source: "prometheus", Detail: "large"}}}},
	}})
	apply := []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"KEY": "hunter2"}}}
	record(&state.PatchSubmit{
		Patch: api.Patch{Name: "p", Digest: "d", Apply: apply}, Plan: api.Plan{ID: "plan", Patch: "p", Digest: "d"},
		Rollouts: []api.Rollout{{ID: "1", Plan: "plan", Patch: "p", PatchDigest: "d", Target: web.TargetRef, Status: api.RolloutPending, Apply: apply}},
	})
	r, _ := store.Rollout("1")
	r.Status, r.Former = api.RolloutRunning, &api.FormerJob{Job: json.RawMessage(`{"Env":{"KEY":"hunter2"}}`)}
	r.Stages = []api.Stage{{Number: 1, Began: now, Ready: now.Add(12 * time.Second)}}
	r.Effects = []api.Effect{{ID: "1.1", Kind: api.EffectStage, Stage: 1, Status: api.EffectDone, Intended: now}}
	record(&state.RolloutTransition{Kind: "stage_advance", Expect: r.ModifyIndex, Rollout: r})
	record(&state.ProfilesPut{Profiles: []api.Profile{
		{Target: web.TargetRef, KPIs: []api.Baseline{{KPI: api.KPICPU, Kind: api.KPIGauge, HourSketches: []byte("large")}}},
		{Target: old, KPIs: []api.Baseline{{KPI: api.KPICPU}}},
	}})

	facts := factsOf(store, []api.Target{web})
	text, err := json.Marshal(facts)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "hunter2")
	must.Eq(t, []api.HealthTime{{Target: web.TargetRef, Seen: []api.Duration{api.Duration(12 * time.Second)}}}, facts.Healthy)
	must.Len(t, 1, facts.Open)
	must.EqOp(t, api.RolloutRunning, facts.Open[0].Status)
	must.Len(t, 1, facts.Graph.Edges)
	must.SliceEmpty(t, facts.Graph.Edges[0].Evidence)
	must.Len(t, 1, facts.Profiles, must.Sprint("a target that is gone is not rehearsed"))
	must.SliceEmpty(t, facts.Profiles[0].KPIs[0].HourSketches)
}
