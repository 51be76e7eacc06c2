package kpi

import (
	"context"
	"log/slog"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// Fleet knows the targets and their instances.
type Fleet interface {
	// Layout lists all targets, sorted, and all instances. In a large fleet it may be
	// some minutes old.
	Layout(ctx context.Context) (graph.Layout, error)
}

// Ask is what one round of samples is asked for.
type Ask struct {
	First map[api.TargetRef]bool // targets that are read in each round, whatever the turns
	Turn  int                    // how many rounds in a row a target of a large fleet is read
	Gap   time.Duration          // the longest time between two rounds over which counters are compared
}

// Round is what one round over the fleet has given.
type Round struct {
	Targets []api.Target // all that Nomad has
	Samples []Sample     // of the targets whose turn it was; those of one target follow each other
}

// Sampler takes samples of the whole fleet. It remembers the round before, so that one
// goroutine uses it.
type Sampler struct {
	reader   *Reader
	fleet    Fleet
	excluded func() map[string]bool
	log      *slog.Logger

	last      Reading         // of the round before
	used      map[string]used // by allocation
	turn      int             // rotates over the instances of large targets
	near, far turns           // of the targets that are asked for first, and of the others
	statsLeft int             // allocations that this round may still ask
	statsFrom int             // rotates over the targets that are asked first
}

// NewSampler makes a sampler. Excluded names the allocations that no sample may hold;
// nil means none.
func NewSampler(reader *Reader, fleet Fleet, excluded func() map[string]bool, log *slog.Logger) *Sampler {
	if excluded == nil {
		excluded = func() map[string]bool { return nil }
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Sampler{reader: reader, fleet: fleet, excluded: excluded, log: log, used: map[string]used{}}
}

// Sample takes one round. A source that does not answer is logged, and its KPIs have no
// sample. The error says that the fleet is not known.
func (s *Sampler) Sample(ctx context.Context, ask Ask, now time.Time) (Round, error) {
	layout, err := s.fleet.Layout(ctx)
	if err != nil {
		return Round{}, err
	}
	visits, ids := s.visits(layout, s.excluded(), ask)
	reading := s.read(ctx, visits, ids, now)
	since := now.Sub(s.last.At)
	// After a gap the increments would be averages over it.
	first := s.last.At.IsZero() || since <= 0 || since > ask.Gap
	known := s.reader.catalogue
	out := Round{Targets: layout.Targets}
	for _, v := range visits {
		ref := v.target.TargetRef
		if !first {
			out.Samples = append(out.Samples, reading.Grown(s.last, known, ref, v.ids)...)
		}
		out.Samples = append(out.Samples, reading.usage(s.used, first, known, ref, v.ids)...)
		out.Samples = append(out.Samples, reading.gauges(known, ref, v.ids)...)
	}
	s.forget(layout)
	// A source without an answer leaves nothing: the next increment would be of two rounds.
	s.last = Reading{At: now, Counters: reading.Counters, Own: reading.Own}
	s.turn++
	return out, nil
}

// read asks all sources for the instances of a round; no ids mean the whole fleet. When
// Prometheus does not answer the first question, it is not asked the others. The series
// behind counters are not asked for: what a judge reads of some instances is too much to
// read of a fleet.
func (s *Sampler) read(ctx context.Context, visits []visit, ids []string, now time.Time) Reading {
	r := Reading{At: now}
	if s.reader.metrics != nil {
		var err error
		if r.Counters, err = s.reader.counters(ctx, ids, time.Time{}, now); err != nil {
			s.log.Warn("sample counters", "error", err)
		} else {
			r.Gauges, r.Own = s.readQueries(ctx, ids, now)
		}
	}
	r.Usage = s.readUsage(ctx, visits)
	return r
}

// readQueries asks for the KPIs that have queries of their own. A query that fails is
// logged.
func (s *Sampler) readQueries(ctx context.Context, ids []string, now time.Time) (map[string]map[string]float64, map[string]map[string]*Counters) {
	gauges, owns := map[string]map[string]float64{}, map[string]map[string]*Counters{}
	for _, name := range s.reader.queries.named() {
		var err error
		way, own := s.reader.queries.way(api.KPISpec{KPI: name})
		switch way {
		case byGauge:
			var values map[string]float64
			if values, err = s.reader.gauge(ctx, own.Query, ids, now); err == nil {
				gauges[name] = values
			}
		case byOwn:
			var seen map[string]*Counters
			if seen, err = s.reader.own(ctx, own, ids, time.Time{}, now); err == nil {
				owns[name] = seen
			}
		case unread, byCounters, byUsage:
		}
		if err != nil {
			s.log.Warn("sample queries", "kpi", name, "error", err)
		}
	}
	return gauges, owns
}

// readUsage asks for the usage of some allocations of each target, until the round has
// asked its share. It begins with other targets each time, so that a large fleet is
// read in the end.
func (s *Sampler) readUsage(ctx context.Context, visits []visit) map[string]AllocStats {
	if s.reader.stats == nil || len(visits) == 0 {
		return nil
	}
	s.statsLeft = statsPerRound
	from, targets := s.statsFrom%len(visits), 0
	var ids []string
	for ; targets < len(visits) && s.statsLeft > 0; targets++ {
		ids = append(ids, s.asked(visits[(from+targets)%len(visits)].ids)...)
	}
	s.statsFrom = (from + targets) % len(visits)
	usage, err := s.reader.usage(ctx, ids)
	if err != nil && len(usage) == 0 {
		s.log.Warn("sample usage", "error", unavailable(SourceStats, err))
	}
	return usage
}
