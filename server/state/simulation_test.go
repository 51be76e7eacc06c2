package state_test

import (
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

func job(name string) api.SandboxObject {
	return api.SandboxObject{Kind: api.ObjectJob, Namespace: "prod", Name: name, Role: "control", Pair: 1}
}

func simulating(t *testing.T) (m *machine, put func(api.SimulationStatus) error, note func(state.SimulationNote) error, read func() api.Simulation) {
	t.Helper()
	m = raised(t)
	put = func(status api.SimulationStatus) error {
		return m.commit(&state.SimulationPut{Simulation: api.Simulation{ID: "s1", Patch: "ssl", Target: web(), Status: status}})
	}
	note = func(n state.SimulationNote) error { n.ID = "s1"; return m.commit(&n) }
	read = func() api.Simulation { s, _ := m.store.Simulation("s1"); return s }
	must.NoError(t, put(api.SimulationRunning))
	return m, put, note, read
}

func TestSimulationNote_KeepsWhatASimulationOwns(t *testing.T) {
	t.Parallel()
	m, put, note, read := simulating(t)
	image := api.SandboxObject{Kind: api.ObjectImage, Name: "/images/a.qcow2", Node: "n1"}
	must.NoError(t, note(state.SimulationNote{Own: []api.SandboxObject{job("a"), image}}))
	must.NoError(t, note(state.SimulationNote{Own: []api.SandboxObject{job("b")}}))
	must.NoError(t, note(state.SimulationNote{Own: []api.SandboxObject{job("a")}}), must.Sprint("twice is once"))
	must.Eq(t, []api.SandboxObject{image, job("b"), job("a")}, read().Owned)

	t.Log("a run that records its end knows nothing of that, and loses nothing of it")
	must.NoError(t, note(state.SimulationNote{Progress: &api.SimulationProgress{Phase: api.PhaseLoad}}))
	must.EqOp(t, api.PhaseLoad, read().Progress.Phase)
	must.NoError(t, put(api.SimulationPassed))
	must.Len(t, 3, read().Owned)
	must.Nil(t, read().Progress)

	t.Log("objects are known by kind, place and name")
	must.NoError(t, note(state.SimulationNote{Disown: []api.SandboxObject{
		{Kind: api.ObjectJob, Namespace: "prod", Name: "a"}, {Kind: api.ObjectJob, Namespace: "dev", Name: "b"}, image,
	}}))
	must.Eq(t, []api.SandboxObject{job("b")}, read().Owned)

	t.Log("what can't be removed is told once, until it is gone")
	stuck := state.SimulationNote{Unremoved: "job b: nomad does not answer"}
	must.NoError(t, note(stuck))
	events := len(m.store.Events(0, 0))
	must.NoError(t, note(stuck))
	must.EqOp(t, events, len(m.store.Events(0, 0)))
	must.EqOp(t, stuck.Unremoved, read().Unremoved)
	must.NoError(t, note(state.SimulationNote{Disown: []api.SandboxObject{job("b")}}))
	must.SliceEmpty(t, read().Owned)
	must.EqOp(t, "", read().Unremoved)
}

func TestSimulationNote_RefusesWhatAnEndedSimulationWouldMake(t *testing.T) {
	t.Parallel()
	_, put, note, read := simulating(t)
	must.NoError(t, put(api.SimulationCancelled))
	for _, late := range []state.SimulationNote{
		{Own: []api.SandboxObject{job("late")}},
		{Progress: &api.SimulationProgress{Phase: api.PhaseBoot}},
	} {
		err := note(late)
		must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
		must.ErrorContains(t, err, "simulation s1 has ended: it is cancelled")
	}
	discard := job("discard")
	discard.Role = api.RoleDiscard
	must.NoError(t, note(state.SimulationNote{Own: []api.SandboxObject{discard}}), must.Sprint("it may clear up behind itself"))
	must.Eq(t, []api.SandboxObject{discard}, read().Owned)
	must.ErrorContains(t, note(state.SimulationNote{Own: []api.SandboxObject{{Kind: api.ObjectJob}}}), "want the kind and the name")
}

func TestSimulationNote_RefusesAnUnknownSimulation(t *testing.T) {
	t.Parallel()
	err := raised(t).commit(&state.SimulationNote{ID: "none"})
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
}

func TestOpenSimulations_RunOrOwnSomething(t *testing.T) {
	t.Parallel()
	m, put, note, _ := simulating(t)
	must.NoError(t, m.commit(&state.SimulationPut{Simulation: api.Simulation{ID: "s2", Status: api.SimulationPassed}}))
	ids := func() (out []string) {
		for _, s := range m.store.OpenSimulations() {
			out = append(out, s.ID)
		}
		return out
	}
	must.Eq(t, []string{"s1"}, ids())
	must.NoError(t, note(state.SimulationNote{Own: []api.SandboxObject{job("a")}}))
	must.NoError(t, put(api.SimulationFailed))
	must.Eq(t, []string{"s1"}, ids())
	must.NoError(t, note(state.SimulationNote{Disown: []api.SandboxObject{job("a")}}))
	must.SliceEmpty(t, ids())
}
