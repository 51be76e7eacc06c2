// Package promtest is a store of metrics in memory, for tests of what asks for them.
// Queries run on Prometheus' own engine. Only tests import it.
package promtest

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/kpi"
)

const (
	// Every is how often the metrics are scraped.
	Every = 15 * time.Second
	// scrapes is how many scrapes there were after the first.
	scrapes = 40
)

// Last is when the last scrape was.
func Last() time.Time { return time.Unix(0, 0).Add(scrapes * Every) }

// Store holds series. It is safe for concurrent use.
type Store struct {
	Metadata map[string]string // types of metrics, by name

	engine *promql.Engine
	series map[string][]storage.Series // by metric
}

// New returns an empty store.
func New() *Store {
	return &Store{
		series: map[string][]storage.Series{},
		engine: promql.NewEngine(promql.EngineOpts{
			Logger: slog.New(slog.DiscardHandler), MaxSamples: 50e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
			Parser: parser.NewParser(parser.Options{}), NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		}),
	}
}

// Load adds one series for each line: as the exposition format writes it, with the growth
// from scrape to scrape in the place of the value. A value behind = stays the same.
func (s *Store) Load(tb testing.TB, text string) {
	tb.Helper()
	parse := parser.NewParser(parser.Options{})
	for line := range strings.Lines(strings.TrimSpace(text)) {
		at := strings.LastIndex(line, " ")
		grows := strings.TrimSpace(line[at+1:])
		if value, ok := strings.CutPrefix(grows, "="); ok {
			grows = value + "+0x40"
		} else {
			grows = "0+" + grows + "x40"
		}
		l, values, err := parse.ParseSeriesDesc(line[:at] + " " + grows)
		must.NoError(tb, err, must.Sprint(line))
		samples := make([]chunks.Sample, len(values))
		for n, v := range values {
			samples[n] = point{int64(n) * Every.Milliseconds(), v.Value}
		}
		s.Add(l, samples)
	}
}

// Play adds one series for each line, with its samples in the notation of Prometheus' own
// tests: one value every so often from the Unix epoch on, _ for none, and stale.
func (s *Store) Play(tb testing.TB, every time.Duration, text string) {
	tb.Helper()
	parse := parser.NewParser(parser.Options{})
	for line := range strings.Lines(strings.TrimSpace(text)) {
		l, values, err := parse.ParseSeriesDesc(strings.TrimSpace(line))
		must.NoError(tb, err, must.Sprint(line))
		var samples []chunks.Sample
		for n, v := range values {
			if !v.Omitted {
				samples = append(samples, point{int64(n) * every.Milliseconds(), v.Value})
			}
		}
		s.Add(l, samples)
	}
}

// Samples are those of a series that grows by so much from scrape to scrape.
func Samples(grows float64) []chunks.Sample {
	samples := make([]chunks.Sample, scrapes+1)
	for n := range samples {
		samples[n] = point{int64(n) * Every.Milliseconds(), float64(n) * grows}
	}
	return samples
}

// Add adds one series.
func (s *Store) Add(l labels.Labels, samples []chunks.Sample) {
	name := l.Get(model.MetricNameLabel)
	s.series[name] = append(s.series[name], storage.NewListSeries(l, samples))
}

// Vector makes one instant query.
func (s *Store) Vector(ctx context.Context, text string, at time.Time) (promql.Vector, error) {
	q, err := s.engine.NewInstantQuery(ctx, s, nil, text, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	got, err := q.Exec(ctx).Vector()
	return slices.Clone(got), err
}

// Query implements kpi.Metrics.
func (s *Store) Query(ctx context.Context, text string, at time.Time) ([]kpi.Series, error) {
	got, err := s.Vector(ctx, text, at)
	if err != nil {
		return nil, err
	}
	out := make([]kpi.Series, len(got))
	for i, one := range got {
		out[i] = kpi.Series{Labels: one.Metric.Map(), Value: one.F}
	}
	return out, nil
}

// Measured makes one query, and says how many samples the engine read for it, and how long
// the answer is.
func (s *Store) Measured(ctx context.Context, text string, at time.Time) ([]kpi.Series, kpi.Cost, error) {
	q, err := s.engine.NewInstantQuery(ctx, s, nil, text, at)
	if err != nil {
		return nil, kpi.Cost{}, err
	}
	defer q.Close()
	vector, err := q.Exec(ctx).Vector()
	if err != nil {
		return nil, kpi.Cost{}, err
	}
	cost := kpi.Cost{Samples: int(q.Stats().Samples.TotalSamples), Bytes: len(vector.String())}
	series, err := s.Query(ctx, text, at)
	return series, cost, err
}

// Names lists the names of the metrics.
func (s *Store) Names(_ context.Context, _ time.Time, limit int) (names []string, whole bool, err error) {
	names = slices.Sorted(maps.Keys(s.series))
	return names[:min(len(names), limit)], len(names) <= limit, nil
}

// LabelNames lists the labels of the series of a selector.
func (s *Store) LabelNames(_ context.Context, selector string, _ time.Time) ([]string, error) {
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for series := s.selected(matchers); series.Next(); {
		series.At().Labels().Range(func(l labels.Label) { found[l.Name] = true })
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Types lists what the store was told.
func (s *Store) Types(context.Context) (map[string]string, error) { return s.Metadata, nil }

// Querier implements storage.Queryable.
func (s *Store) Querier(int64, int64) (storage.Querier, error) {
	return querier{storage.NoopQuerier(), s}, nil
}

// querier selects series. No query asks for anything else.
type querier struct {
	storage.Querier
	store *Store
}

// Select implements storage.Querier.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return q.store.selected(matchers)
}

func (s *Store) selected(matchers []*labels.Matcher) *set {
	out := &set{}
	for name, list := range s.series {
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel && !m.Matches(name) }) {
			continue
		}
		for _, one := range list {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.Labels().Get(m.Name)) }) {
				out.left = append(out.left, one)
			}
		}
	}
	return out
}

// set is a list of series.
type set struct {
	left []storage.Series
	at   storage.Series
}

// Next implements storage.SeriesSet.
func (s *set) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.at, s.left = s.left[0], s.left[1:]
	return true
}

// At implements storage.SeriesSet.
func (s *set) At() storage.Series { return s.at }

// Err implements storage.SeriesSet.
func (s *set) Err() error { return nil }

// Warnings implements storage.SeriesSet.
func (s *set) Warnings() annotations.Annotations { return nil }

// point is one sample.
type point struct {
	t int64
	v float64
}

func (p point) ST() int64                     { return 0 }
func (p point) T() int64                      { return p.t }
func (p point) F() float64                    { return p.v }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }
