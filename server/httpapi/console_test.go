package httpapi

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

// simulated is a memory with one simulation.
type simulated struct {
	*memory
	sim api.Simulation
}

func (s simulated) Simulations() []api.Simulation                   { return []api.Simulation{s.sim} }
func (s simulated) Simulation(string) (sim api.Simulation, ok bool) { return s.sim, true }

// TestSimulation_ShowsConsolesToWhoMaySimulate: what a machine wrote may hold what the
// application prints.
func TestSimulation_ShowsConsolesToWhoMaySimulate(t *testing.T) {
	sim := api.Simulation{ID: "s1", Status: api.SimulationPassed, Impact: &api.Impact{
		Reason: "nothing got worse", Twins: []api.Twin{{Role: "control", Job: "oakum-twin-s1", Console: "password=x"}},
	}}
	s := start(t, func(o *Options) {
		o.Store = simulated{newMemory(), sim}
		o.Auth = tokens{
			"r": {Name: "reader", Via: "jwt", Capabilities: []api.Capability{api.CapRead}},
			"s": {Name: "tester", Via: "jwt", Capabilities: []api.Capability{api.CapRead, api.CapSimulate}},
		}
	})
	for token, want := range map[string]string{"r": "", "s": "password=x"} {
		got, _, err := s.client(t, token).Simulation(t.Context(), "s1", client.Query{})
		must.NoError(t, err)
		must.EqOp(t, want, got.Impact.Twins[0].Console)
		must.EqOp(t, "oakum-twin-s1", got.Impact.Twins[0].Job)
		all, _, err := s.client(t, token).Simulations(t.Context(), client.Query{})
		must.NoError(t, err)
		must.EqOp(t, want, all[0].Impact.Twins[0].Console)
	}
	must.EqOp(t, "password=x", sim.Impact.Twins[0].Console, must.Sprint("the record is not changed"))
}
