package profiler

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

func began() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

// parts are what a profiler is made of, with the sampler and the reader that the server
// would give it.
type parts struct {
	Logger                          *slog.Logger
	Metrics                         kpi.Metrics
	Stats                           kpi.Stats
	Fleet                           kpi.Fleet
	Queries                         kpi.Queries
	Recorder                        Recorder
	Excluded                        func() map[string]bool
	Neighbours                      func() map[api.TargetRef]bool
	Profiles                        func() []api.Profile
	Interval, Checkpoint, Retention time.Duration
}

// open makes a profiler that goes on from the recorded profiles.
func open(o parts) *Profiler {
	var recorded []api.Profile
	if o.Profiles != nil {
		recorded = o.Profiles()
	}
	return New(Options{
		Logger: o.Logger, Baselines: Restore(recorded, o.Interval, o.Logger), Recorder: o.Recorder, Neighbours: o.Neighbours,
		Sampler:    kpi.NewSampler(kpi.NewReader(o.Metrics, o.Stats, o.Queries), o.Fleet, o.Excluded, o.Logger),
		Checkpoint: o.Checkpoint, Retention: o.Retention,
	})
}

// during runs a profiler for a while in a bubble, the round at its end included.
func during(t *testing.T, p *Profiler, d time.Duration) {
	t.Helper()
	// Whether a round at the very moment that cuts it off is one, is luck.
	ctx, cancel := context.WithTimeout(t.Context(), d+time.Millisecond)
	defer cancel()
	must.ErrorIs(t, p.Run(ctx), context.DeadlineExceeded)
}

// find is the baseline of a KPI in the only profile.
func find(t *testing.T, profiles []api.Profile, name string) api.Baseline {
	t.Helper()
	must.Len(t, 1, profiles)
	for _, b := range profiles[0].KPIs {
		if b.KPI == name {
			return b
		}
	}
	t.Fatalf("no baseline of %s in %v", name, profiles[0].KPIs)
	return api.Baseline{}
}

// known describes a KPI that Oakum knows by itself.
func known(name string) judge.KPI {
	k, _ := judge.Known(name)
	return k
}

// values are a sample of a gauge.
func values(ref api.TargetRef, name string, at time.Time, values ...float64) kpi.Sample {
	return kpi.Sample{Target: ref, KPI: known(name), Source: kpi.SourceStats, At: at, Values: values}
}

// counted is a sample of a count or a latency.
func counted(name string, at time.Time, seconds float64, sum kpi.Increment) kpi.Sample {
	return kpi.Sample{Target: kpitest.Shop(), KPI: known(name), Source: kpi.SourceMetrics, At: at, Seconds: seconds, Counted: &kpi.Counted{Sum: sum}}
}

// ledger records profiles as the state does.
type ledger struct {
	mu       sync.Mutex
	recorded []api.Profile
	records  int
	weeks    int // with how many weeks of a KPI
}

var _ Recorder = (*ledger)(nil)

func (l *ledger) RecordProfiles(_ context.Context, profiles []api.Profile) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records++
	for _, p := range profiles {
		for i := range p.KPIs {
			l.weeks += min(len(p.KPIs[i].HourSketches), 1)
			l.keep(p.Target, &p.KPIs[i])
		}
		l.recorded = slices.DeleteFunc(l.recorded, func(o api.Profile) bool { return o.Target == p.Target })
		l.recorded = append(l.recorded, p)
	}
	return nil
}

// keep is what the state does with a record without a week.
func (l *ledger) keep(ref api.TargetRef, b *api.Baseline) {
	if len(b.HourSketches) > 0 {
		return
	}
	for _, p := range l.recorded {
		for _, old := range p.KPIs {
			if p.Target == ref && old.KPI == b.KPI {
				b.HourSketches = old.HourSketches
			}
		}
	}
}

func (l *ledger) ForgetProfiles(_ context.Context, targets []api.TargetRef, _ time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded = slices.DeleteFunc(l.recorded, func(o api.Profile) bool { return slices.Contains(targets, o.Target) })
	return nil
}

func (l *ledger) profiles() []api.Profile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.recorded)
}
