package orchestrator

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestKind_ARolloutThatWhatFailedKeepsFromStartingIsTold(t *testing.T) {
	waits := func(sources ...string) api.Rollout {
		r := api.Rollout{Status: api.RolloutWaiting}
		for _, s := range sources {
			r.Holds = append(r.Holds, api.Hold{Source: s})
		}
		return r
	}
	begun := waits(api.HoldFailures)
	begun.Former = &api.FormerJob{}
	tests := []struct {
		name     string
		from, to api.Rollout
		want     string
	}{
		{"a failure in its chain", waits(), waits(api.HoldDependency), kindBlocked},
		{"the limit in place of a pause", waits(api.HoldPause), waits(api.HoldFailures), kindBlocked},
		{"as its first step of all", api.Rollout{Status: api.RolloutPending}, waits(api.HoldFailures), kindBlocked},
		{"another cause", waits(api.HoldDependency), waits(api.HoldFailures), kindBlocked},
		{"one more cause", waits(api.HoldDependency), waits(api.HoldDependency, api.HoldFailures), kindObserve},
		{"as before", waits(api.HoldFailures), waits(api.HoldFailures), kindObserve},
		{"not any more", waits(api.HoldFailures), waits(), kindObserve},
		{"a pause", waits(), waits(api.HoldPause), kindObserve},
		{"one that has begun", waits(), begun, kindObserve},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			must.EqOp(t, tc.want, kind(tc.from, tc.to))
		})
	}
}
