package simulator

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator/evidence"
)

// answered is a panel whose control was sent so many requests.
func answered(t *testing.T, requests, failures int) *evidence.Panel {
	t.Helper()
	policy := api.JudgeSpec{FalseAlarm: 0.01, Miss: 0.05, KPIs: []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2}}}
	panel, err := evidence.New(policy, api.SimulateSpec{}, 5, nil)
	must.NoError(t, err)
	now := time.Unix(1e9, 0)
	must.NoError(t, panel.Begin(now))
	panel.Look(now.Add(time.Second), time.Second, evidence.Interval{Requests: requests, Errors: failures}, evidence.Interval{})
	return panel
}

// TestWeigh_NeedsAnswers has a load that ended early: silence is no answer.
func TestWeigh_NeedsAnswers(t *testing.T) {
	judged := api.JudgeSpec{FalseAlarm: 0.01}
	e := &experiment{request: Request{Judge: judged}, panel: answered(t, 0, 0)}
	outcome, _ := e.weigh(answers{revertRequests, 0})
	must.EqOp(t, api.RevertUndecided, outcome, must.Sprint("nothing is known of the control"))
	e.panel = answered(t, 200, 0)
	for got, want := range map[answers]api.RevertOutcome{
		{0, 0}:                    api.RevertUndecided,
		{revertRequests - 1, 0}:   api.RevertUndecided,
		{revertRequests, 0}:       api.RevertServes,
		{revertRequests - 10, 30}: api.RevertFails,
	} {
		outcome, why := e.weigh(got)
		must.EqOp(t, want, outcome, must.Sprintf("%+v", got))
		must.EqOp(t, want == api.RevertServes, why == "")
	}
}
