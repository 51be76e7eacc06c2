// Package profiler learns what is usual for every target.
//
// A sample walks one way. A Sampler (package kpi) reads the sources and returns samples;
// Baselines.Learn adds each of them to the baseline of its KPI; at a checkpoint, the
// baselines that changed go to the Recorder. Run is the one long goroutine that makes
// them walk, and it decides what is not learned from: while a rollout at a neighbour is
// under way, the baselines of a target rest.
//
// Baselines can be asked at any time. Worse names the KPIs of a target that are out of
// the ordinary now. Usual, Describe and Recent give the judge the learned figures. Rate
// gives the traffic. RestoreLater makes Baselines from recorded profiles for the next
// leader, and Restore does so for a forecast. Restored Baselines ask no source.
package profiler

import (
	"context"
	"log/slog"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
)

// Defaults of the Options and of Restore.
const (
	DefaultInterval   = 5 * time.Second
	DefaultCheckpoint = 30 * time.Second
	// DefaultRetention is how long the profile of a target that is gone is kept: who
	// comes back within the week finds it.
	DefaultRetention = 7 * 24 * time.Hour
)

const (
	// turnRounds is how many rounds in a row a target of a large fleet is read:
	// increments begin with the second, and a minute and one sample close a window.
	turnRounds = windowSamples + 2
	// longestGap is over how many intervals counters are compared at most.
	longestGap = 10
)

// Sampler reads the KPIs of the whole fleet once.
type Sampler interface {
	Sample(ctx context.Context, ask kpi.Ask, now time.Time) (kpi.Round, error)
}

// Recorder keeps profiles for the next leader and for readers.
type Recorder interface {
	// RecordProfiles stores profiles. A baseline without HourSketches leaves those that
	// are stored as they are.
	RecordProfiles(ctx context.Context, profiles []api.Profile) error
	// ForgetProfiles drops the profiles of targets that were not seen for so long.
	ForgetProfiles(ctx context.Context, targets []api.TargetRef, unseen time.Duration) error
}

// Options are the profiler's parts.
type Options struct {
	Logger    *slog.Logger
	Baselines *Baselines
	Sampler   Sampler
	Recorder  Recorder // nil records nothing
	// Neighbours returns the targets that an edge joins to a target that a rollout
	// under way patches. The baselines of neighbours do not learn, so that the harm of
	// a patch never becomes normal. A nil function means that there are no neighbours.
	Neighbours func() map[api.TargetRef]bool
	Checkpoint time.Duration // between records; 0 means DefaultCheckpoint
	Retention  time.Duration // of profiles whose target is gone; 0 means DefaultRetention
}

// Profiler keeps Baselines up to date and recorded.
type Profiler struct {
	log        *slog.Logger
	baselines  *Baselines
	sampler    Sampler
	recorder   Recorder
	neighbours func() map[api.TargetRef]bool
	checkpoint time.Duration
	retention  time.Duration
}

// New makes a profiler. It asks nothing of anybody yet.
func New(o Options) *Profiler {
	p := &Profiler{
		log: o.Logger, baselines: o.Baselines, sampler: o.Sampler, recorder: o.Recorder,
		neighbours: o.Neighbours, checkpoint: o.Checkpoint, retention: o.Retention,
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.neighbours == nil {
		p.neighbours = func() map[api.TargetRef]bool { return nil }
	}
	if p.checkpoint <= 0 {
		p.checkpoint = DefaultCheckpoint
	}
	if p.retention <= 0 {
		p.retention = DefaultRetention
	}
	return p
}

// Run samples and records until ctx ends, which is its only error.
func (p *Profiler) Run(ctx context.Context) error {
	sample, record := time.NewTicker(p.baselines.interval), time.NewTicker(p.checkpoint)
	defer sample.Stop()
	defer record.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-sample.C:
			p.sample(ctx, now.UTC())
		case <-record.C:
			p.record(ctx)
		case now := <-forget.C:
			p.forget(ctx, now.UTC())
		}
	}
}

// sample takes one round of samples and learns them.
func (p *Profiler) sample(ctx context.Context, now time.Time) {
	ask := kpi.Ask{First: p.baselines.rest(p.neighbours(), now), Turn: turnRounds, Gap: longestGap * p.baselines.interval}
	round, err := p.sampler.Sample(ctx, ask, now)
	if err != nil {
		p.log.Warn("sample targets", "error", err)
		return
	}
	p.baselines.saw(round.Targets, now)
	for _, s := range round.Samples {
		p.baselines.Learn(s)
	}
}
