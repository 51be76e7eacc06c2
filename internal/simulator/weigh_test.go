package simulator

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestWeigh_NeedsAnswers has a load that ended early: silence is no answer.
func TestWeigh_NeedsAnswers(t *testing.T) {
	e := &experiment{panel: &panel{requests: 200, policy: api.JudgeSpec{FalseAlarm: 0.01}}}
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
	e.panel.requests = 0
	outcome, _ := e.weigh(answers{revertRequests, 0})
	must.EqOp(t, api.RevertUndecided, outcome, must.Sprint("nothing is known of the control"))
}
