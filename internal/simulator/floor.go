package simulator

import (
	"fmt"
	"math"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

const (
	// floorShare is how often the control succeeds at least, as a part of how often
	// production does. A machine that fails nearly every request says nothing about one
	// that fails them too.
	floorShare = 0.9
	// servedLeast is how often it succeeds at least where production hardly ever does.
	servedLeast = 0.05
	// coverageLeast is the share of the traffic whose paths a workload must cover.
	coverageLeast = 0.8
)

// usualShare is the share of its requests that production answers well: 1 when nobody
// knows it.
func usualShare(profile *api.Profile) float64 {
	usual := 1.0
	if profile != nil {
		for _, b := range profile.KPIs {
			if b.KPI == api.KPIErrorRate && !b.Cold {
				usual = min(max(1-b.Mean, 0), 1)
			}
		}
	}
	return usual
}

// floorOf is what the floor of a run depends on beside its content: how often production
// answers well, in twentieths, and whether a health check alone stands for its requests.
func floorOf(r Request) []any {
	return []any{math.Round(20 * usualShare(r.Baseline)), r.Spec.Program == nil && workloadOf(r).Empty() && uncovered(r.Baseline) != nil}
}

// floor says why the run is too little like production to decide for the patch.
func (e *experiment) floor() []string {
	var out []string
	share := func(v float64) string { return judge.Format(v, judge.UnitShare) }
	least := max(floorShare*usualShare(e.request.Baseline), servedLeast)
	good, all := e.panel.Control()
	if served := float64(good) / float64(max(all, 1)); served < least {
		out = append(out, fmt.Sprintf("the control answered only %s of its requests well, of which %s is the least", share(served), share(least)))
	}
	if e.workload == nil || e.workload.covered == nil {
		return out
	}
	if covered, missing := e.workload.covered(); covered < coverageLeast || len(missing) > 0 {
		why := fmt.Sprintf("the workload covers %s of the target's traffic, of which %s is the least", share(covered), share(coverageLeast))
		if len(missing) > 0 {
			why += "; it lacks " + strings.Join(missing[:min(len(missing), namesMost)], ", ")
		}
		out = append(out, why)
	}
	return out
}

// aboutControls turns a sentence about a patched twin into one about two controls.
func aboutControls(reason string) string {
	return strings.NewReplacer("the patched twin", "one control", "the control's", "the other's", "the control", "the other").Replace(reason)
}
