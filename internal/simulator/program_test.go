package simulator_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// programRequest is containerRequest with a load program.
func programRequest() simulator.Request {
	r := containerRequest()
	r.Spec.Program = &api.LoadProgram{Command: "wrk"}
	return r
}

func TestRun_SendsWhatALoadProgramAsks(t *testing.T) {
	m := newInsides()
	runInside(t, m, programRequest(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.StrContains(t, impact.Reason, "; each twin was sent what the load program wrk asks, at most 5 requests/s")
	})
	for _, s := range m.specs {
		must.Eq(t, "wrk", s.Group.Load.Program.Command)
		must.SliceEmpty(t, s.Group.Load.Requests)
		must.Eq(t, 5.0, s.Group.Load.Rate)
	}
}

func TestRun_RejectsByTheRequestsOfALoadProgram(t *testing.T) {
	m := newInsides()
	m.patched.errors = 0.3
	runInside(t, m, programRequest(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict)
		must.StrContains(t, impact.Reason, "error_rate of the patched twin is worse than the control's")
	})
}

func TestRun_IsInconclusiveWithoutTheRequestsOfALoadProgram(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*insides)
		reason string
	}{
		"slow":  {func(m *insides) { m.slowdown = 20 }, "the load program wrk sent a twin"},
		"ended": {func(m *insides) { m.ended = twin.Treatment }, "the load program of the treatment ended with exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newInsides()
			c.change(m)
			runInside(t, m, programRequest(), func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, api.SimulationUndecided, impact.Verdict, must.Sprint(impact.Reason))
				must.StrContains(t, impact.Reason, c.reason)
			})
		})
	}
}

func TestRun_RefusesALoadProgramForAMachine(t *testing.T) {
	m, r := newInsides(), request()
	r.Spec.Program = &api.LoadProgram{Command: "wrk"}
	runInside(t, m, r, func(t *testing.T, _ api.Impact, err error) {
		must.ErrorContains(t, err, "the load program wrk runs beside twins of containers and programs")
	})
	must.SliceEmpty(t, m.specs)
}
