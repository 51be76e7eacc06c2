package service

import (
	"context"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// consoles knows what jobs have written.
type consoles map[string]string

func (c consoles) Console(_ context.Context, job api.SandboxObject) (string, error) {
	text, ok := c[job.Name]
	if !ok {
		return "", api.Errorf(api.CodeUnavailable, "its node has removed it already")
	}
	return text, nil
}

// TestConsole_IsTheRecordsWhereTheNodeHasNone asks for machines whose jobs are owned
// still, although their nodes have removed what they wrote.
func TestConsole_IsTheRecordsWhereTheNodeHasNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	f.put(t, &state.SimulationPut{Simulation: api.Simulation{
		ID: "s1", Status: api.SimulationPassed, Patch: "p", Target: target("web").TargetRef,
		Owned:  []api.SandboxObject{{Kind: "job", Role: "bake", Name: "bake"}, {Kind: "job", Role: "control", Pair: 1, Name: "c1"}},
		Impact: &api.Impact{Twins: []api.Twin{{Role: "control", Pair: 1, Console: "one"}}},
	}})
	f.setTerm(&Term{Consoles: consoles{}})
	have, err := f.Console(t.Context(), "s1", "control", 0)
	must.NoError(t, err)
	must.Eq(t, api.Console{Role: "control", Pair: 1, Text: "one"}, have)
	_, err = f.Console(t.Context(), "s1", "bake", 0)
	must.EqOp(t, api.CodeUnavailable, api.AsError(err).Code, must.Sprint("the record has none of a bake"))
}

func TestConsole_IsLiveWhileTheJobIsOwned(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	f.put(t, &state.SimulationPut{Simulation: api.Simulation{
		ID: "s1", Status: api.SimulationRunning, Patch: "p", Target: target("web").TargetRef,
		Owned: []api.SandboxObject{
			{Kind: "job", Role: "bake", Name: "bake"},
			{Kind: "job", Role: "treatment", Pair: 1, Name: "t1"},
			{Kind: "job", Role: "treatment", Pair: 2, Name: "t2"},
			{Kind: "image", Name: "/images/x.qcow2"},
		},
		Impact: &api.Impact{Twins: []api.Twin{{Role: "control", Pair: 1, Console: "one"}, {Role: "control", Pair: 2, Console: "two"}}},
	}})
	_, err := f.Console(t.Context(), "s1", "treatment", 0)
	must.EqOp(t, api.CodeNoLeader, api.AsError(err).Code)
	f.setTerm(&Term{Consoles: consoles{"bake": "b", "t1": "first", "t2": "second"}})
	for _, c := range []struct {
		role string
		pair int
		want api.Console
	}{
		{"bake", 0, api.Console{Role: "bake", Live: true, Text: "b"}},
		{"treatment", 0, api.Console{Role: "treatment", Pair: 2, Live: true, Text: "second"}},
		{"treatment", 1, api.Console{Role: "treatment", Pair: 1, Live: true, Text: "first"}},
		{"control", 0, api.Console{Role: "control", Pair: 2, Text: "two"}},
		{"control", 1, api.Console{Role: "control", Pair: 1, Text: "one"}},
	} {
		have, err := f.Console(t.Context(), "s1", c.role, c.pair)
		must.NoError(t, err)
		must.Eq(t, c.want, have)
	}
	_, err = f.Console(t.Context(), "s1", "revert", 0)
	must.EqOp(t, api.CodeNotFound, api.AsError(err).Code)
	f.put(t, &state.SimulationNote{ID: "s1", Progress: &api.SimulationProgress{Phase: api.PhaseRevert, Pair: 2}})
	have, err := f.Console(t.Context(), "s1", "revert", 0)
	must.NoError(t, err)
	must.Eq(t, api.Console{Role: "revert", Pair: 2, Live: true, Text: "second"}, have, must.Sprint("it has the treatment's job"))
	_, err = f.Console(t.Context(), "s1", "treatment", 0)
	must.EqOp(t, api.CodeNotFound, api.AsError(err).Code, must.Sprint("that one has ended"))
	have, err = f.Console(t.Context(), "s1", "treatment", 1)
	must.NoError(t, err)
	must.Eq(t, "first", have.Text)
	_, err = f.Console(t.Context(), "s1", "control", 3)
	must.ErrorContains(t, err, "it is running and has no control of pair 3")
	_, err = f.Console(t.Context(), "nope", "control", 0)
	must.EqOp(t, api.CodeNotFound, api.AsError(err).Code)
}
