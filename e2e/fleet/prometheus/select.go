package prometheus

import (
	"context"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	samples "github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// batch is how many instances are read before others may use the model.
const batch = 2000

// querier selects series of the model.
type querier struct {
	p          *Door
	fault      door.Fault
	mint, maxt int64
}

// Select implements storage.Querier.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var wanted []family
	for _, f := range families() {
		if matches(matchers, model.MetricNameLabel, f.name) && matches(matchers, "job", f.job) {
			wanted = append(wanted, f)
		}
	}
	if len(wanted) == 0 {
		return storage.EmptySeriesSet()
	}
	s := &selection{querier: q, hints: hints, matchers: matchers, families: wanted}
	var all []*load.Instance
	q.p.model.View(func(f *fleet.Fleet) {
		s.now = f.Now().Add(-q.fault.Stale).UnixMilli()
		if f.Loads() != nil {
			all = asksFor(f.Loads(), wanted, matchers)
		}
	})
	for part := range slices.Chunk(all, batch) {
		if ctx.Err() != nil {
			return storage.ErrSeriesSet(context.Cause(ctx))
		}
		q.p.model.View(func(f *fleet.Fleet) {
			for _, in := range part {
				s.read(f, in)
			}
		})
	}
	if sorted {
		slices.SortFunc(s.out, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	}
	var warned annotations.Annotations
	if len(q.fault.Hidden) > 0 {
		warned = partly()
	}
	return &set{list: s.out, at: -1, warned: warned}
}

// asksFor lists the instances that may have what is asked for: those that are
// named, or all.
func asksFor(m *load.Model, wanted []family, matchers []*labels.Matcher) []*load.Instance {
	for _, by := range matchers {
		ids := by.SetMatches()
		if by.Type == labels.MatchEqual {
			ids = []string{by.Value}
		}
		if by.Name != "alloc_id" || len(ids) == 0 || slices.Contains(ids, "") || anonymous(wanted) {
			continue
		}
		var out []*load.Instance
		for _, id := range ids {
			if in, ok := m.Instance(id); ok {
				out = append(out, in)
			}
		}
		return out
	}
	return m.Instances()
}

// matches reports whether all matchers of a label accept a value.
func matches(matchers []*labels.Matcher, name, value string) bool {
	for _, m := range matchers {
		if m.Name == name && !m.Matches(value) {
			return false
		}
	}
	return true
}

// accepts reports whether a series is wanted.
func accepts(matchers []*labels.Matcher, l labels.Labels) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// selection is one Select on its way.
type selection struct {
	*querier
	hints    *storage.SelectHints
	matchers []*labels.Matcher
	families []family
	now      int64 // of the last scrape at most
	out      []storage.Series
}

// read adds the series of one instance.
func (s *selection) read(f *fleet.Fleet, in *load.Instance) {
	if slices.Contains(s.fault.Hidden, in.Name()) || !matches(s.matchers, "alloc_id", in.ID) && !anonymous(s.families) {
		return
	}
	alloc, err := f.Alloc(in.ID)
	if err != nil {
		return // ended so long ago that Nomad has forgotten it
	}
	who := instance{load: in, alloc: alloc, began: float64(in.Began().UnixMilli()) / 1000}
	service, _ := f.Loads().Service(in.Name())
	var times []int64
	var shown []load.Sample
	read := false
	for _, fam := range s.families {
		if fam.job == "services" && in.Name() == "" {
			continue
		}
		base := fam.labels(who)
		for _, one := range fam.series(who, service) {
			l := labelled(base, fam, one.labels)
			if !accepts(s.matchers, l) {
				continue
			}
			if !read {
				times, shown = s.scrapes(f.Loads(), in)
				read = true
			}
			if len(times) > 0 {
				s.out = append(s.out, s.series(in, l, one, times, shown))
			}
		}
	}
}

// anonymous reports whether some family that is wanted says nothing of alloc_id.
func anonymous(wanted []family) bool {
	return slices.ContainsFunc(wanted, func(f family) bool { return f.job == "mesh" })
}

func labelled(base labels.Labels, f family, more []string) labels.Labels {
	b := labels.NewBuilder(base)
	b.Set(model.MetricNameLabel, f.name)
	b.Set("job", f.job)
	for i := 0; i+1 < len(more); i += 2 {
		b.Set(more[i], more[i+1])
	}
	return b.Labels()
}

// scrapes lists when the instance was scraped, as far as the query looks, and
// what it showed then. An instant query needs the last scrape only, and a function of
// the last two samples no more than these.
func (s *selection) scrapes(m *load.Model, in *load.Instance) (times []int64, shown []load.Sample) {
	start, end := s.mint, s.maxt
	if s.hints != nil {
		start, end = s.hints.Start, s.hints.End
	}
	end = min(end, s.now)
	every := s.p.every.Milliseconds()
	// Scrapes of different instances are spread over the interval.
	key := fnv.New32a()
	_, _ = key.Write([]byte(in.ID)) // which never fails
	shift := int64(key.Sum32()) % every
	last := floor(end-shift, every) + shift
	most := math.MaxInt
	if s.hints != nil && s.hints.Step == 0 {
		switch {
		case s.hints.Range == 0:
			start = max(start, last)
		case s.hints.Func == "irate" || s.hints.Func == "idelta":
			most = 2
		}
	}
	for t := last; t >= start && len(times) < most; t -= every {
		if sample, ok := m.At(in, time.UnixMilli(t)); ok {
			times, shown = append(times, t), append(shown, sample)
		}
	}
	slices.Reverse(times)
	slices.Reverse(shown)
	return times, shown
}

// floor rounds down to a multiple.
func floor(x, of int64) int64 {
	return int64(math.Floor(float64(x)/float64(of))) * of
}

// series makes one series of what was shown. After an instance has ended its
// series are marked as stale at the next scrape.
func (s *selection) series(in *load.Instance, l labels.Labels, one series, times []int64, shown []load.Sample) storage.Series {
	list := make([]chunks.Sample, len(times), len(times)+1)
	for i := range times {
		list[i] = point{times[i], one.value(shown[i])}
	}
	next := times[len(times)-1] + s.p.every.Milliseconds()
	if ended := in.Ended(); !ended.IsZero() && next <= s.now && (s.hints == nil || next <= s.hints.End) {
		list = append(list, point{next, math.Float64frombits(samples.StaleNaN)})
	}
	return storage.NewListSeries(l, list)
}

// LabelValues implements storage.Querier. No query asks for it.
func (q *querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.Querier. No query asks for it.
func (q *querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (q *querier) Close() error { return nil }

// set is a list of series.
type set struct {
	list   []storage.Series
	at     int
	warned annotations.Annotations
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.list) }
func (s *set) At() storage.Series                { return s.list[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return s.warned }

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
