package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestStep_BeginsNoSimulationWhileSomethingIsClosed(t *testing.T) {
	at := time.Date(2026, 12, 20, 12, 0, 0, 0, time.UTC)
	closed := Tick{Observation{Closed: []api.Hold{{Source: "freeze", Reason: "trading freeze"}}}}
	r := api.Rollout{ID: "r1", Status: api.RolloutPending, Decision: api.Decision{Simulate: api.SimulateSpec{Required: true}}}
	waits, err := Step(r, closed, at)
	must.NoError(t, err)
	must.EqOp(t, api.RolloutPending, waits.Status)
	must.Nil(t, waits.Effect)
	must.EqOp(t, "trading freeze", waits.Reason)
	must.Eq(t, []api.Hold{{Source: "freeze", Since: at, Reason: "trading freeze"}}, waits.Holds)

	over, err := Step(waits, Tick{}, at.Add(time.Hour))
	must.NoError(t, err)
	must.EqOp(t, api.RolloutSimulating, over.Status)
	must.SliceEmpty(t, over.Holds)

	r.Decision.Simulate.Required = false
	untried, err := Step(r, closed, at)
	must.NoError(t, err)
	must.EqOp(t, api.RolloutWaiting, untried.Status, must.Sprint("nothing begins with it"))
}
