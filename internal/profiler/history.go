package profiler

import (
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// History is what a recorded profile says of one target, for whoever plays a
// judgement that nobody measures. It never changes.
type History struct {
	profiler *Profiler
	target   api.TargetRef
}

// Recall reads a recorded profile. Metrics says whether the KPIs that need PromQL
// could be measured, and interval is what the samples were apart; 0 means 5 s.
func Recall(profile api.Profile, metrics bool, interval time.Duration) *History {
	o := Options{Profiles: func() []api.Profile { return []api.Profile{profile} }, Stats: recalled{}, Interval: interval}
	if metrics {
		o.Metrics = recalled{}
	}
	o.Queries.Own = map[string]OwnQuery{}
	for _, b := range profile.KPIs {
		if _, ok := judge.Known(b.KPI); !ok {
			// What was measured has a query, whichever.
			o.Queries.Own[b.KPI] = OwnQuery{Kind: b.Kind, Unit: b.Unit, Query: b.Source}
		}
	}
	h := &History{profiler: New(o), target: profile.Target}
	h.profiler.load()
	for _, t := range h.profiler.targets {
		for _, s := range t.series {
			s.drifts = s.drift() // it takes longer than all that a judgement asks besides
		}
	}
	return h
}

// Judged describes the KPIs that a stage with so many instances in each arm is
// judged by, and the judge's specification without those that can't be; the last
// value names these, with the reason for each. References are what stages before
// saw, by KPI.
func (h *History) Judged(spec api.JudgeSpec, canary, stable int, at time.Time, references map[string]judge.Reference) ([]judge.KPI, api.JudgeSpec, string) {
	r := Request{Target: h.target, Spec: spec, Canary: make([]string, canary), Stable: make([]string, stable), Now: at}
	return h.profiler.judged(r, references)
}

// Usual describes one KPI as it is at an hour, with or without what the judge
// would make of it. It is false while the KPI is cold.
func (h *History) Usual(name string, interval time.Duration, at time.Time) (judge.KPI, bool) {
	h.profiler.mu.Lock()
	defer h.profiler.mu.Unlock()
	kpi, ok := h.profiler.queries.known(api.KPISpec{KPI: name})
	if !ok {
		return judge.KPI{}, false
	}
	s := h.profiler.history(h.target, kpi)
	if s == nil || s.cold() {
		return judge.KPI{}, false
	}
	known := s.describe(interval, h.profiler.interval)
	known.Drift, known.Reference = s.drift(), s.referenceAt(at)
	known.Name, known.Kind, known.Unit, known.Quantile = kpi.Name, kpi.Kind, kpi.Unit, kpi.Quantile
	return known, true
}

// Rate is how many requests a second one instance has at an hour; 0 when nobody
// knows.
func (h *History) Rate(at time.Time) float64 {
	h.profiler.mu.Lock()
	defer h.profiler.mu.Unlock()
	return h.profiler.rate(h.target, at)
}

// recalled stands for sources that there are, and that nobody asks any more.
type recalled struct{}

var (
	_ Metrics = recalled{}
	_ Stats   = recalled{}
)

// Query answers nothing.
func (recalled) Query(context.Context, string, time.Time) ([]Sample, error) {
	return nil, api.Errorf(api.CodeUnavailable, "a recorded profile has no new samples")
}

// AllocStats answers nothing.
func (recalled) AllocStats(context.Context, string) (AllocStats, error) {
	return AllocStats{}, api.Errorf(api.CodeUnavailable, "a recorded profile has no new samples")
}
