// Package blametest has the rollouts and verdicts that tests of blame and of its
// callers begin with.
package blametest

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Noon is the time that the others count minutes from.
func Noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

// Target is prod/job/job with some instances.
func Target(job string, count int) api.Target {
	return api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: job, Group: job}, Count: count}
}

// Judged is a rollout of ten instances, patched of which run the patch, whose first
// stage began some minutes after noon.
func Judged(job string, patched, minutes int) api.Rollout {
	r := api.Rollout{
		ID: "rollout-" + job, Status: api.RolloutRunning, Former: &api.FormerJob{Count: 10},
		Target: Target(job, 10).TargetRef,
		Stages: []api.Stage{{Number: 1, Began: Noon().Add(time.Duration(minutes) * time.Minute)}},
	}
	r.Decision.Judge.KPIs = []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.001}}
	for i := range 10 {
		in := api.Instance{ID: fmt.Sprint(job, i), Build: api.BuildFormer}
		if i < patched {
			in.Build = api.BuildPatched
		}
		r.Instances = append(r.Instances, in)
	}
	return r
}

// Verdict is one on the error rate of both arms, where one percent failed before.
func Verdict(kind api.VerdictKind, canary, stable float64, minutes int) api.Verdict {
	before := 0.01
	return api.Verdict{
		Kind: kind, At: Noon().Add(time.Duration(minutes) * time.Minute), Reason: "the figures say " + string(kind),
		KPIs: []api.KPIEffect{{KPI: api.KPIErrorRate, Unit: "share", Canary: canary, Stable: stable, Before: &before, Exposure: 1000}},
	}
}
