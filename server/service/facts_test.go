package service

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// TestFacts_HoldNoSecret looks for whatever a job's text, a patch, an instance
// and a plugin may tell, in what goes to rehearsals.
func TestFacts_HoldNoSecret(t *testing.T) {
	t.Parallel()
	now := epoch()
	f := newFixture(t)
	web := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}, Count: 2, Services: []string{"web"}}
	old := api.TargetRef{Namespace: "prod", Job: "old", Group: "old"}
	f.put(t, &state.GraphChange{GraphChange: api.GraphChange{
		At: now, Targets: []api.Target{web}, Services: []api.Service{{Name: "web", Targets: []api.TargetRef{web.TargetRef}}},
		Edges: []api.Edge{{From: "web", To: "db", State: api.EdgeConfirmed, Evidence: []api.Evidence{{Source: "prometheus", Detail: "large"}}}},
	}})
	apply := []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"KEY": "hunter2"}}}
	f.put(t, &state.PatchSubmit{
		Patch: api.Patch{Name: "p", Digest: "d", Apply: apply}, Plan: api.Plan{ID: "plan", Patch: "p", Digest: "d"},
		Rollouts: []api.Rollout{{ID: "1", Plan: "plan", Patch: "p", PatchDigest: "d", Target: web.TargetRef, Status: api.RolloutPending, Apply: apply}},
	})
	r, _ := f.state.Rollout("1")
	r.Status, r.Former = api.RolloutRunning, &api.FormerJob{Job: json.RawMessage(`{"Env":{"KEY":"hunter2"}}`)}
	r.Stages = []api.Stage{{Number: 1, Began: now, Ready: now.Add(12 * time.Second)}}
	r.Effects = []api.Effect{{ID: "1.1", Kind: api.EffectStage, Stage: 1, Status: api.EffectDone, Intended: now}}
	f.put(t, &state.RolloutTransition{Kind: "stage_advance", Expect: r.ModifyIndex, Rollout: r})
	f.put(t, &state.ProfilesPut{Profiles: []api.Profile{
		{Target: web.TargetRef, KPIs: []api.Baseline{{KPI: api.KPICPU, Kind: api.KPIGauge, HourSketches: []byte("large")}}},
		{Target: old, KPIs: []api.Baseline{{KPI: api.KPICPU}}},
	}})

	f.fleet.targets = []api.Target{web}
	f.opt.Facts = FactsOptions{
		Metrics: true, Sampling: 5 * time.Second, Tick: time.Second,
		Plugins: func() []api.PluginInfo { return []api.PluginInfo{{Name: "own", Path: "/secret/place"}} },
	}
	facts, err := f.Facts(t.Context())
	must.NoError(t, err)
	text, err := json.Marshal(facts)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "hunter2")
	must.StrNotContains(t, string(text), "/secret/place")
	must.EqOp(t, "test", facts.Oakum)
	must.EqOp(t, epoch(), facts.At)
	must.Eq(t, []api.HealthTime{{Target: web.TargetRef, Seen: []api.Duration{api.Duration(12 * time.Second)}}}, facts.Healthy)
	must.Len(t, 1, facts.Open)
	must.EqOp(t, api.RolloutRunning, facts.Open[0].Status)
	must.Len(t, 1, facts.Graph.Edges)
	must.SliceEmpty(t, facts.Graph.Edges[0].Evidence)
	must.Len(t, 1, facts.Profiles, must.Sprint("a target that is gone is not rehearsed"))
	must.SliceEmpty(t, facts.Profiles[0].KPIs[0].HourSketches)
}
