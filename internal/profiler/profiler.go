// Package profiler learns what normal looks like for every target, and judges
// canaries against the instances that they replace.
//
// Run is its one long goroutine: every interval it samples the KPIs of all
// targets, and every checkpoint it hands the profiles that changed to the
// recorder. It never learns from instances that a rollout has patched, nor beside
// one. Worse tells which KPIs of a target are out of the ordinary now. Judge
// may be called at the same time; it reads both arms of one rollout and leaves
// all that it must remember in the state that it returns, so that another
// leader goes on with the next look.
//
// Sources: counters and histograms by PromQL, for the whole fleet at once, and
// CPU, memory and restarts by Nomad's allocation statistics. A source that does
// not answer is an error for the judge, never a promotion.
package profiler

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
)

const (
	// sourceTimeout bounds one question to one source: half of the default
	// interval, so that a slow source cannot delay the next round.
	sourceTimeout = 2500 * time.Millisecond
	// statsPerTarget is how many instances of a target are asked for CPU and
	// memory in one round. Each is a request to a Nomad client; eight tell
	// the mean to about a third of one instance's deviation.
	statsPerTarget = 8
	// statsAtOnce bounds the requests to Nomad clients under way.
	statsAtOnce = 8

	sourceMetrics = "prometheus"
	sourceStats   = "nomad-stats"
)

// Options are the profiler's parts. Metrics and Stats may be nil when there is
// no such source; the KPIs that need it are then neither learned nor judged.
type Options struct {
	Logger   *slog.Logger
	Metrics  Metrics
	Stats    Stats
	Fleet    Fleet
	Recorder Recorder
	Queries  KPIQueries
	// Excluded tells which allocations a running rollout has patched.
	Excluded func() map[string]bool
	// Beside tells which targets are next to one that a rollout under way patches.
	// Their baselines do not learn, so that what the patch does to them never
	// becomes normal.
	Beside func() map[api.TargetRef]bool
	// Profiles are the recorded ones, read once when Run begins.
	Profiles   func() []api.Profile
	Interval   time.Duration // between samples; 0 means 5 s
	Checkpoint time.Duration // between records; 0 means 30 s
	Retention  time.Duration // of profiles whose target is gone; 0 means a week
}

// Profiler learns and judges. It is safe for concurrent use.
type Profiler struct {
	log        *slog.Logger
	metrics    Metrics
	stats      Stats
	fleet      Fleet
	recorder   Recorder
	queries    KPIQueries
	excluded   func() map[string]bool
	beside     func() map[api.TargetRef]bool
	recorded   func() []api.Profile
	interval   time.Duration
	checkpoint time.Duration
	retention  time.Duration

	mu      sync.Mutex
	paused  map[api.TargetRef]time.Time // whose baselines do not learn, and when a rollout was last beside them
	targets map[api.TargetRef]*target
	sources map[string]*api.SourceStatus
	listed  time.Time // when Nomad last named all targets
}

// target is what is known of one target.
type target struct {
	since    time.Time
	updated  time.Time
	seen     time.Time // when Nomad last had it
	recorded time.Time // the same, as it was last recorded
	changed  bool
	series   map[string]*series
}

// New makes a profiler. It asks nothing of anybody yet.
func New(o Options) *Profiler {
	p := &Profiler{
		log: o.Logger, metrics: o.Metrics, stats: o.Stats, fleet: o.Fleet, recorder: o.Recorder,
		queries: o.Queries.or(DefaultQueries()), excluded: o.Excluded, beside: o.Beside, recorded: o.Profiles,
		interval: o.Interval, checkpoint: o.Checkpoint, retention: o.Retention,
		paused: map[api.TargetRef]time.Time{}, targets: map[api.TargetRef]*target{}, sources: map[string]*api.SourceStatus{},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.excluded == nil {
		p.excluded = func() map[string]bool { return nil }
	}
	if p.beside == nil {
		p.beside = func() map[api.TargetRef]bool { return nil }
	}
	if p.interval <= 0 {
		p.interval = 5 * time.Second
	}
	if p.checkpoint <= 0 {
		p.checkpoint = 30 * time.Second
	}
	if p.retention <= 0 {
		p.retention = defaultRetention
	}
	return p
}

// Run samples and records until ctx ends, which is its only error.
func (p *Profiler) Run(ctx context.Context) error {
	p.load()
	sample, record := time.NewTicker(p.interval), time.NewTicker(p.checkpoint)
	defer sample.Stop()
	defer record.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	round := &round{last: map[string]*counters{}, usage: map[string]used{}}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-sample.C:
			p.sample(ctx, round, now.UTC())
		case <-record.C:
			p.record(ctx)
		case now := <-forget.C:
			p.forget(ctx, now.UTC())
		}
	}
}

// load starts from the recorded profiles.
func (p *Profiler) load() {
	if p.recorded == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, profile := range p.recorded() {
		t := &target{since: profile.Since, updated: profile.Updated, seen: profile.Seen, recorded: profile.Seen, series: map[string]*series{}}
		for _, b := range profile.KPIs {
			s, err := restore(b)
			if err != nil {
				p.log.Warn("leave out a recorded baseline", "target", profile.Target.String(), "error", err)
				continue
			}
			t.series[b.KPI] = s
		}
		p.targets[profile.Target] = t
	}
}

// readStats asks Nomad for the usage of some allocations. Those that did not
// answer are missing; the error is the last one.
func (p *Profiler) readStats(ctx context.Context, ids []string) (map[string]AllocStats, error) {
	var (
		mu   sync.Mutex
		out  = map[string]AllocStats{}
		last error
		g    errgroup.Group
	)
	g.SetLimit(statsAtOnce)
	for _, id := range ids {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
			defer cancel()
			u, err := p.stats.AllocStats(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				last = err
				return nil
			}
			out[id] = u
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors
	switch {
	case len(out) > 0:
		p.told(sourceStats, nil)
	case last != nil:
		p.told(sourceStats, last)
	}
	return out, last
}

// series finds or begins a series; the caller holds the lock.
func (p *Profiler) series(ref api.TargetRef, name, source string, now time.Time) *series {
	t := p.targets[ref]
	if t == nil {
		t = &target{since: now, seen: now, series: map[string]*series{}}
		p.targets[ref] = t
	}
	t.updated, t.changed = now, true
	s := t.series[name]
	if s == nil {
		kpi, _ := p.queries.known(api.KPISpec{KPI: name})
		s = newSeries(kpi, source)
		t.series[name] = s
	}
	s.source = source
	return s
}

// Sources tells which sources answer.
func (p *Profiler) Sources() []api.SourceStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]api.SourceStatus, 0, len(p.sources))
	for _, s := range p.sources {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b api.SourceStatus) int { return cmpString(a.Name, b.Name) })
	return out
}

// told notes how a source answered.
func (p *Profiler) told(name string, err error) {
	now := time.Now().UTC()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sources[name]
	if s == nil {
		s = &api.SourceStatus{Name: name, OK: err == nil, Since: now}
		p.sources[name] = s
	}
	if s.OK != (err == nil) {
		s.OK, s.Since = err == nil, now
	}
	s.Error = ""
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.LastOK = now
}

func unavailable(source string, err error) error {
	return api.Errorf(api.CodeUnavailable, "ask %s: %v", source, err)
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
