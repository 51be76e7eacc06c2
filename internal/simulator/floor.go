package simulator

import (
	"fmt"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

const (
	// floorShare is how often the control succeeds at least, as a part of how often
	// production does. A machine that fails nearly every request says nothing about one
	// that fails them too.
	floorShare = 0.9
	// coverageLeast is the share of the traffic whose paths a workload must cover.
	coverageLeast = 0.8
)

// floor says why the run is too little like production to decide for the patch.
func (e *experiment) floor() []string {
	var out []string
	share := func(v float64) string { return judge.Format(v, judge.UnitShare) }
	p := e.panel
	usual := 1.0
	if e.request.Baseline != nil {
		for _, b := range e.request.Baseline.KPIs {
			if b.KPI == api.KPIErrorRate && !b.Cold {
				usual = min(max(1-b.Mean, 0), 1)
			}
		}
	}
	if served := 1 - float64(p.failures)/float64(max(p.requests, 1)); p.requests == 0 || served < floorShare*usual {
		if p.requests == 0 {
			served = 0
		}
		out = append(out, fmt.Sprintf("the control answered only %s of its requests well, of which %s is the least", share(served), share(floorShare*usual)))
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
