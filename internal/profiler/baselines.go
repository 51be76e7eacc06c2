package profiler

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
)

// Baselines hold the usual figures of each KPI of each target. They are safe for
// concurrent use.
type Baselines struct {
	log      *slog.Logger
	interval time.Duration

	mu      sync.Mutex
	targets map[api.TargetRef]*target
	resting map[api.TargetRef]time.Time // whose baselines do not learn, and when a rollout at a neighbour was last under way
	listed  time.Time                   // when Nomad last named all targets
}

// target is what is known of one target.
type target struct {
	since    time.Time
	updated  time.Time
	seen     time.Time // when Nomad last had it
	recorded time.Time // the value of seen that was last recorded
	changed  bool
	kpis     map[string]*baseline
}

// Restore makes baselines from recorded profiles. A record that can't be read is
// logged and left out. Interval is the time between two samples, 0 means
// DefaultInterval; the log may be nil.
func Restore(recorded []api.Profile, interval time.Duration, log *slog.Logger) *Baselines {
	if interval <= 0 {
		interval = DefaultInterval
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Baselines{log: log, interval: interval, targets: map[api.TargetRef]*target{}, resting: map[api.TargetRef]time.Time{}}
	b.take(recorded)
	return b
}

// RestoreLater is Restore for a leader that has rollouts to go on with: twenty thousand
// profiles take ten seconds. It returns at once. Whoever asks the baselines, or has
// them learn, waits until all records were read, and never sees a part of them.
func RestoreLater(recorded func() []api.Profile, interval time.Duration, log *slog.Logger) *Baselines {
	b := Restore(nil, interval, log)
	b.mu.Lock()
	go func() {
		defer b.mu.Unlock()
		b.take(recorded())
	}()
	return b
}

// take adds recorded profiles. The caller holds the lock, or nobody else knows b yet.
func (b *Baselines) take(recorded []api.Profile) {
	for _, profile := range recorded {
		t := &target{since: profile.Since, updated: profile.Updated, seen: profile.Seen, recorded: profile.Seen, kpis: map[string]*baseline{}}
		for _, record := range profile.KPIs {
			base, err := restore(record)
			if err != nil {
				b.log.Warn("leave out a recorded baseline", "target", profile.Target.String(), "error", err)
				continue
			}
			t.kpis[record.KPI] = base
		}
		b.targets[profile.Target] = t
	}
}

// Learn adds one sample to the baseline of its KPI, and to the last minute that Worse
// looks at. While a rollout at a neighbour is under way, a baseline that is not cold
// does not learn: what the samples show may be the doing of the rollout.
func (b *Baselines) Learn(s kpi.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	base := b.baseline(s)
	resting := !b.resting[s.Target].IsZero()
	learns := !resting || base.cold()
	// The last minute of the latencies is kept once, for every quantile.
	if s.KPI.Name != api.KPILatencyP50 {
		base.note(s, b.window(), resting, learns)
	}
	if learns {
		base.learn(s, b.interval)
	}
}

// baseline finds the baseline of a sample's KPI, or begins one. The caller holds the lock.
func (b *Baselines) baseline(s kpi.Sample) *baseline {
	t := b.targets[s.Target]
	if t == nil {
		t = &target{since: s.At, seen: s.At, kpis: map[string]*baseline{}}
		b.targets[s.Target] = t
	}
	t.updated, t.changed = s.At, true
	base := t.kpis[s.KPI.Name]
	if base == nil || base.kpi.Kind != s.KPI.Kind {
		base = newBaseline(s.KPI, s.Source)
		t.kpis[s.KPI.Name] = base
	}
	base.source = s.Source
	return base
}

// window is the length of the last minute: so many samples at the interval.
func (b *Baselines) window() time.Duration { return windowSamples * b.interval }

// rest notes which targets are neighbours of a rollout now, and returns the targets
// whose baselines rest in this round. Neighbours rest. Former neighbours rest for a
// minute more, since metrics come late and old instances end last.
func (b *Baselines) rest(neighbours map[api.TargetRef]bool, now time.Time) map[api.TargetRef]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ref := range neighbours {
		b.resting[ref] = now
	}
	maps.DeleteFunc(b.resting, func(_ api.TargetRef, last time.Time) bool { return now.Sub(last) >= b.window() })
	out := make(map[api.TargetRef]bool, len(b.resting))
	for ref := range b.resting {
		out[ref] = true
	}
	return out
}

// saw notes which targets Nomad has.
func (b *Baselines) saw(targets []api.Target, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed = now
	for _, have := range targets {
		if t := b.targets[have.TargetRef]; t != nil {
			t.seen = now
			t.changed = t.changed || now.Sub(t.recorded) >= seenEvery
		}
	}
}

// Profiles are the present baselines, sorted by target.
func (b *Baselines) Profiles() []api.Profile {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []api.Profile
	for ref, t := range b.targets {
		out = append(out, b.profile(ref, t, func(*baseline) bool { return true }))
	}
	slices.SortFunc(out, func(a, b api.Profile) int { return a.Target.Compare(b.Target) })
	return out
}

// profile is a target as it is recorded and read, with the weeks that are asked for.
// The caller holds the lock.
func (b *Baselines) profile(ref api.TargetRef, t *target, withWeek func(*baseline) bool) api.Profile {
	out := api.Profile{Target: ref, Since: t.since, Updated: t.updated, Seen: t.seen}
	for name, base := range t.kpis {
		record, err := base.record(withWeek(base))
		if err != nil {
			b.log.Warn("leave out a baseline", "target", ref.String(), "kpi", name, "error", err)
			continue
		}
		out.KPIs = append(out.KPIs, record)
	}
	slices.SortFunc(out.KPIs, func(a, b api.Baseline) int { return cmp.Compare(a.KPI, b.KPI) })
	return out
}

// of is the baseline of a KPI, nil without one. Every latency that Oakum knows by itself
// uses that of latency_p99, which has all buckets. The caller holds the lock.
func (b *Baselines) of(ref api.TargetRef, k judge.KPI) *baseline {
	t := b.targets[ref]
	if t == nil {
		return nil
	}
	if _, ok := judge.Known(k.Name); ok && k.Kind == api.KPILatency {
		return t.kpis[api.KPILatencyP99]
	}
	return t.kpis[k.Name]
}

// Describe adds to a KPI what was learned of it: how much equal instances differ, for
// looks that are apart by interval, how far all of them drift together, and what the
// hour of the week usually has. The noise is that of one instance. A KPI of which
// nothing was learned comes back as it is, and one that is cold without a reference.
func (b *Baselines) Describe(ref api.TargetRef, k judge.KPI, interval time.Duration, at time.Time) judge.KPI {
	b.mu.Lock()
	defer b.mu.Unlock()
	base := b.of(ref, k)
	if base == nil {
		return k
	}
	known := base.describe(interval, b.interval)
	known.Drift = base.drift()
	if !base.cold() {
		known.Reference = base.referenceAt(at)
	}
	known.Name, known.Kind, known.Unit, known.Quantile = k.Name, k.Kind, k.Unit, k.Quantile
	return known
}

// Recent is the histogram of the last minute of a latency. It is empty when the minute
// is over, and of a KPI that is no latency.
func (b *Baselines) Recent(ref api.TargetRef, k judge.KPI, at time.Time) judge.Reference {
	b.mu.Lock()
	defer b.mu.Unlock()
	base := b.of(ref, k)
	if base == nil {
		return judge.Reference{}
	}
	w := base.recent.window()
	if at.Sub(w.at) >= b.window() {
		return judge.Reference{}
	}
	return judge.Reference{Upper: w.buckets.Upper, Counts: w.buckets.Counts}
}

// Distrust says why the noise of a KPI keeps it out of judgement, and is empty when it
// does not: the judge called equal instances different too often.
func (b *Baselines) Distrust(ref api.TargetRef, k judge.KPI) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if base := b.of(ref, k); base != nil {
		return base.control.Distrust()
	}
	return ""
}

// Usual is what a KPI usually has at a time, in its unit: the rate of a count, the mean
// of a gauge, the quantile of a latency. It is false while the KPI is cold.
func (b *Baselines) Usual(ref api.TargetRef, k judge.KPI, at time.Time) (float64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if base := b.of(ref, k); base != nil && !base.cold() {
		return base.usual(k, at)
	}
	return 0, false
}

// Rate is how many requests a second one instance has at an hour of the week; 0 when
// nobody knows.
func (b *Baselines) Rate(ref api.TargetRef, at time.Time) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	base := b.of(ref, judge.KPI{Name: api.KPIRequests})
	if base == nil {
		return 0
	}
	means := base.week.Means()
	rate, _ := means.At(at)
	return rate
}
