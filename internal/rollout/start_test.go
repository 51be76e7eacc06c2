package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestStep_WaitsForTheEndOfAFreezeWithTwinsOnNodesOfProduction(t *testing.T) {
	at := time.Date(2026, 12, 20, 12, 0, 0, 0, time.UTC)
	r := api.Rollout{ID: "r1", Status: api.RolloutPending, Decision: api.Decision{
		Simulate: api.SimulateSpec{Required: true},
		Freezes:  []api.Freeze{{Name: "year-end", From: at.Add(-time.Hour), To: at.Add(time.Hour), Reason: "trading freeze"}},
	}}
	waits, err := Step(r, Tick{}, at)
	must.NoError(t, err)
	must.EqOp(t, api.RolloutPending, waits.Status)
	must.Nil(t, waits.Effect)
	must.StrContains(t, waits.Reason, `freeze "year-end" until 2026-12-20T13:00:00Z: trading freeze; its twins would run on nodes of production`)

	over, err := Step(waits, Tick{}, at.Add(time.Hour))
	must.NoError(t, err)
	must.EqOp(t, api.RolloutSimulating, over.Status)

	r.Decision.Simulate.Pool = "sandbox"
	elsewhere, err := Step(r, Tick{}, at)
	must.NoError(t, err)
	must.EqOp(t, api.RolloutSimulating, elsewhere.Status, must.Sprint("a pool of its own is not production"))
}
