package sdk

import "github.com/oakumhq/oakum/api"

// Stopped is the advice of any careful strategy when a rollout must not move
// forward: roll back after an abort, hold while the last stage has no verdict
// that promotes. It reports false when the way is free: no stage has begun, or
// the last one was judged well.
func Stopped(view api.StrategyView) (api.Advice, bool) {
	if view.Verdict != nil && view.Verdict.Kind == api.VerdictAbort {
		return api.Advice{Action: api.AdviceRollback, Reason: "the last verdict was abort: " + view.Verdict.Reason}, true
	}
	n := len(view.Stages)
	if n == 0 {
		return api.Advice{}, false
	}
	if last := view.Stages[n-1]; last.Judged.IsZero() {
		return api.Advice{Action: api.AdviceHold, Reason: "the present stage has not been judged"}, true
	}
	return api.Advice{}, false
}
