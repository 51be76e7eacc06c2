package service

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/server/state"
)

func TestMarkUnread_AddsSourcesThatTheRecordLacks(t *testing.T) {
	got := markUnread([]api.SourceStatus{
		{Name: "a", OK: true}, {Name: "b", OK: true}, {Name: "c", Error: "refused", Failures: 9},
	}, []string{"b", "c", "d"})
	states := map[string]api.SourceState{}
	for _, s := range got {
		states[s.Name] = s.State()
	}
	must.Eq(t, map[string]api.SourceState{"a": api.SourceWhole, "b": api.SourceUnread, "c": api.SourceAway, "d": api.SourceUnread}, states)
}

// afterTrial are policies that ask for the phased strategy once a simulation has
// been made, and for blue-green before.
func afterTrial() state.Command {
	return &state.PolicyPut{Policy: api.Policy{Name: "default", File: api.SourceFile{Name: "default.hcl", Text: `policy "default" {
  critical = graph.blast_radius >= 1
  strategy "phased" {
    when   = impact.simulated
    stages = [100]
  }
  strategy "blue_green" {}
}`}}}
}

// calls is an edge from one service to another. The services that are given are
// new.
func calls(from, to string, services ...string) state.Command {
	change := api.GraphChange{Edges: []api.Edge{{From: from, To: to, State: api.EdgeConfirmed}}}
	for _, name := range services {
		change.Services = append(change.Services, api.Service{Name: name})
	}
	return &state.GraphChange{GraphChange: change}
}

func TestReconsider_DecidesFromTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		web := target("web")
		f := newFixture(t, web)
		f.put(t, afterTrial())
		f.put(t, calls("front", "web", "front"))
		r := api.Rollout{ID: "1", Target: web.TargetRef, Decision: api.Decision{Approval: api.ApprovalSpec{Count: 1}, Doubt: &api.Doubt{}}}
		t.Log("a leader whose term is just beginning vouches for nothing in the record")
		_, err := f.Reconsider(r)
		must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
		must.Eq(t, []string{"nomad-placement has not answered this leader yet"}, api.AsError(err).Details)

		end := f.lead(t, nil)
		d, err := f.Reconsider(r)
		must.NoError(t, err)
		must.True(t, d.Critical)
		must.EqOp(t, "blue_green", d.Strategy.Name)
		must.EqOp(t, 1, d.Doubt.Lapse.Criticality.BlastRadius)

		t.Log("what its simulation showed is taken into account, and must be known")
		r.Simulation = "s"
		_, err = f.Reconsider(r)
		must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
		f.put(t, &state.SimulationPut{Simulation: api.Simulation{ID: "s", Status: api.SimulationPassed, Impact: &api.Impact{}}})
		d, err = f.Reconsider(r)
		must.NoError(t, err)
		must.EqOp(t, "phased", d.Strategy.Name)
		end()

		t.Log("a leader that has not read every source does not vouch for the graph")
		end = f.lead(t, nil, "policy")
		_, err = f.Reconsider(r)
		must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
		must.Eq(t, []string{"policy has not answered this leader yet"}, api.AsError(err).Details)
		must.Error(t, planner.NotWhole(f.Sources()))
		end()
		must.EqOp(t, api.SourceUnread, f.Sources()[0].State(), must.Sprint("a server that does not lead has read nothing"))
	})
}

// simulated submits a patch for web among other targets, and returns its rollout
// and what a simulation of it showed.
func simulated(t *testing.T, others int) (*fixture, api.Rollout, api.Impact) {
	t.Helper()
	targets := []api.Target{target("web")}
	for i := range others {
		targets = append(targets, target(fmt.Sprintf("other-%d", i)))
	}
	f := newFixture(t, targets...)
	f.put(t, afterTrial())
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	r, ok := f.state.Rollout(receipt.Rollouts[0])
	must.True(t, ok)
	must.EqOp(t, "blue_green", r.Decision.Strategy.Name)
	return f, r, api.Impact{Reason: "the twins do not differ"}
}

func TestRedecide_AsksThePoliciesWithTheImpact(t *testing.T) {
	t.Parallel()
	f, r, impact := simulated(t, 0)
	d, err := f.Redecide(r, impact)
	must.NoError(t, err)
	must.EqOp(t, "phased", d.Strategy.Name)
	must.EqOp(t, `{"stages":[100]}`, string(d.Strategy.Config))

	t.Log("the policies are those in force by now")
	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "default", File: api.SourceFile{Name: "default.hcl", Text: `policy "default" {
  strategy "blue_green" {}
}`}}})
	d, err = f.Redecide(r, impact)
	must.NoError(t, err)
	must.EqOp(t, "blue_green", d.Strategy.Name)
}

func TestRedecide_RefusesARolloutThatItsPlanLacks(t *testing.T) {
	t.Parallel()
	f, r, impact := simulated(t, 0)
	r.Target.Job = "elsewhere"
	_, err := f.Redecide(r, impact)
	must.True(t, api.IsCode(err, api.CodeInternal), must.Sprint(err))
	must.StrContains(t, err.Error(), "is not in its plan")
}

// TestRedecide_CostsTheSameInALargeFleet counts allocations: rating a target makes
// some, so that their number would grow with the fleet's.
func TestRedecide_CostsTheSameInALargeFleet(t *testing.T) {
	cost := func(others int) float64 {
		f, r, impact := simulated(t, others)
		return testing.AllocsPerRun(5, func() {
			_, err := f.Redecide(r, impact)
			must.NoError(t, err)
		})
	}
	small, large := cost(10), cost(1_000)
	must.Positive(t, small)
	must.LessEq(t, small+10, large, must.Sprintf("with 10 other targets %v allocations, with 1,000 others %v", small, large))
}
