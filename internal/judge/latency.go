package judge

import (
	"math"
	"slices"
	"sort"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// latencyModel judges a latency by counting requests that took longer than a
// limit: y on the stable arm, and on the canary b = max(m*y, y+d), with the
// margins m and d. If the canary is slower by no more than the margin, its share above b
// is at most the stable share above y, whatever the distribution. The abort compares the
// counts at many limits at once (order.go). The promotion compares them at one, the KPI's
// own quantile.
//
// The limits are fixed before the requests that they are applied to: they come
// from the history or from the first requests of the stable arm, which are used
// for nothing else, and later from what the stable arm has shown so far.
// On the canary b is always a bucket's bound, so its requests are counted
// exactly. On the stable arm y usually lies inside a bucket, whose share above
// y is taken from the requests that place the limits, by a power law through
// the bucket's ends. If that share is wrong, the margin that is really used
// lies between "none" and the bucket's width; equal arms stay equal for the
// abort in any case.
type latencyModel struct {
	margins
	Alone   bool         `json:"alone,omitempty"`
	Upper   stats.Vector `json:"upper,omitempty"`
	Canary  stats.Vector `json:"canary,omitempty"` // requests per bucket
	Stable  stats.Vector `json:"stable,omitempty"`
	Carried Reference    `json:"carried,omitzero"`
	Slower  *ordered     `json:"slower,omitempty"` // with a stable arm
	Worse   []*limit     `json:"worse,omitempty"`  // without one
	Better  *limit       `json:"better,omitempty"`
	Again   []*limit     `json:"again,omitempty"` // further limits of the promotion, where the first was far off
	Seen    stats.Vector `json:"seen,omitempty"`  // stable requests when that was last looked at
}

// limit compares counts above Canary with counts above Stable.
type limit struct {
	edge
	Ratio *stats.Ratio `json:"ratio,omitempty"`
	Rate  *stats.Rate  `json:"rate,omitempty"` // when there is no stable arm
}

func newLatency(kpi KPI, spec api.KPISpec, alone bool) *latencyModel {
	m := &latencyModel{
		margins: marginsOf(kpi, spec),
		Alone:   alone,
		Carried: Reference{Upper: slices.Clone(kpi.Reference.Upper), Counts: slices.Clone(kpi.Reference.Counts)},
	}
	if len(m.Carried.Counts) != len(m.Carried.Upper)+1 {
		m.Carried = Reference{}
	}
	return m
}

// enough is how many requests it takes to place the limits: two are then beyond the
// quantile on average. They are never so few that the median is a guess.
func enough(quantile float64) float64 { return max(50, 2/(1-quantile)) }

// Placeable reports whether a histogram has enough requests to place the limits of a
// latency.
func Placeable(kpi KPI, counts []float64) bool {
	return kpi.Kind == api.KPILatency && total(counts) >= enough(kpi.Quantile)
}

func (m *latencyModel) observe(kpi KPI, pair Pair, _ float64) {
	if !m.layout(pair.Canary.Upper) || !m.Alone && !slices.Equal(pair.Stable.Upper, pair.Canary.Upper) {
		return // the histogram changed its buckets: start over with the next look
	}
	if !m.placed() && Placeable(kpi, m.Carried.Counts) {
		m.place(kpi)
	}
	m.renew(kpi)
	m.placeAgain(kpi)
	for i, c := range pair.Canary.Counts {
		m.Canary[i] += c
	}
	ready := m.placed()
	if !m.Alone {
		for i, c := range pair.Stable.Counts {
			m.Stable[i] += c
			if !ready {
				m.Carried.Counts[i] += c // these place the limits
			}
		}
	}
	if !ready {
		return
	}
	if m.Slower != nil {
		m.Slower.observe(m.Upper, pair, kpi.Dispersion)
	}
	for _, l := range m.Worse {
		l.observe(m.Upper, pair, kpi.Dispersion)
	}
	for _, l := range m.promoting() {
		l.observe(m.Upper, pair, kpi.Dispersion)
	}
}

// promoting are the limits of the promotion in the order in which they were placed.
func (m *latencyModel) promoting() []*limit {
	if m.Better == nil {
		return nil
	}
	return append([]*limit{m.Better}, m.Again...)
}

// layout makes sure that all counts are about the same buckets.
func (m *latencyModel) layout(upper []float64) bool {
	if slices.Equal(m.Upper, upper) {
		return true
	}
	fresh := len(m.Upper) == 0
	m.Upper = slices.Clone(upper)
	m.Canary = make(stats.Vector, len(upper)+1)
	m.Stable = make(stats.Vector, len(upper)+1)
	m.Slower, m.Worse, m.Better, m.Again, m.Seen = nil, nil, nil, nil, nil
	if !slices.Equal(m.Carried.Upper, upper) {
		m.Carried = Reference{Upper: slices.Clone(upper), Counts: make(stats.Vector, len(upper)+1)}
	}
	return fresh
}

// placed reports whether the limits are known.
func (m *latencyModel) placed() bool { return m.Slower != nil || len(m.Worse) > 0 }

// place chooses the limits from the stable arm's histogram.
func (m *latencyModel) place(kpi KPI) {
	if m.Alone {
		m.placeAlone(kpi)
	} else {
		m.placeOrder(kpi.Quantile, m.Carried.Counts)
	}
	m.placeBetter(kpi)
}

// placeAlone chooses the limits that a canary without a stable arm is held to.
func (m *latencyModel) placeAlone(kpi KPI) {
	counts := m.Carried.Counts
	// All instances may be slower by the drift without any patch. The margins come on top.
	drift := math.Exp(kpi.Drift)
	margin := func(b float64) float64 { return m.AbortBase(b) / drift }
	used := map[int]bool{}
	for _, q := range []float64{0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, kpi.Quantile} {
		if q < kpi.Quantile/2 || q > kpi.Quantile {
			continue
		}
		at := Quantile(m.Upper, counts, q)
		want := math.Log(m.AbortLimit(at * drift))
		i := sort.Search(len(m.Upper), func(i int) bool { return math.Log(m.Upper[i]) >= want })
		if i == len(m.Upper) || i > 0 && want-math.Log(m.Upper[i-1]) < math.Log(m.Upper[i])-want {
			i--
		}
		if i < 0 {
			continue
		}
		y := margin(m.Upper[i])
		if y <= 0 { // the margin alone is wider than the bound
			if math.Log(m.Upper[i])-want > -0.1 { // by no more than a tenth: the quantile serves as it is
				y = at
			} else if i+1 < len(m.Upper) {
				i++
				y = margin(m.Upper[i])
			}
		}
		if used[i] {
			continue
		}
		used[i] = true
		if l := m.limit(y, m.Upper[i], stats.Worse); l != nil {
			m.Worse = append(m.Worse, l)
		}
	}
}

// placeBetter chooses the limit of the promotion.
func (m *latencyModel) placeBetter(kpi KPI) {
	counts := m.Carried.Counts
	// The promotion is about the quantile itself. A limit further down would be easier to
	// prove and say nothing about the tail. A limit further up would wait for rare
	// requests. Of the bounds in between, take the one that a canary like the stable arm
	// would pass soonest.
	beyond := (1 - kpi.Quantile) * total(counts)
	soonest := m.placeAtQuantile(kpi)
	for _, bound := range m.Upper {
		y := m.PromoteBase(bound)
		if y <= 0 {
			continue
		}
		stable := Above(m.Upper, counts, y)
		if stable > 1.5*beyond {
			continue
		}
		if stable < beyond/2 && m.Better != nil {
			break
		}
		if g := growth(stable, Above(m.Upper, counts, bound)); g > soonest || m.Better == nil {
			soonest, m.Better = g, m.limit(y, bound, stats.Better)
		}
	}
}

const (
	// againFirst is the share of the first limit in the promotion. With seven eighths,
	// the other limits cost a canary an eighth of a factor of e at most.
	againFirst = 7. / 8
	// againMost is how many more limits there may be. The first time to ask whether one
	// is needed is after againAfter times as many stable requests as place limits. After
	// each further limit, the next time is after renewal times as many.
	againMost  = 3
	againAfter = 10
)

// placeAgain adds a limit of the promotion when hardly a stable request reaches the last
// one. Such a limit was placed in a busy minute, and would wait for the next busy minute.
// Only the stable arm decides this.
func (m *latencyModel) placeAgain(kpi KPI) {
	limits := m.promoting()
	if m.Alone || len(limits) == 0 || len(m.Again) == againMost {
		return
	}
	n := total(m.Stable) - total(m.Seen)
	if n < againAfter*enough(kpi.Quantile)*math.Pow(renewal, float64(len(m.Again))) {
		return
	}
	recent := slices.Clone(m.Stable)
	for i, c := range m.Seen {
		recent[i] -= c
	}
	m.Seen = slices.Clone(m.Stable)
	if Above(m.Upper, recent, limits[len(limits)-1].Stable) > n*(1-kpi.Quantile)/2 {
		return
	}
	now := latencyModel{margins: m.margins, Upper: m.Upper, Carried: Reference{Upper: m.Upper, Counts: recent}}
	if now.placeBetter(kpi); now.Better != nil {
		m.Again = append(m.Again, now.Better)
	}
}

// placeAtQuantile puts the promotion's limit at the stable quantile itself. For the
// canary it takes the last bucket's bound within the margin. The margin that is proven is
// then no wider than the policy's. This holds too where the policy's margin reaches over
// many buckets, as a margin of 50 ms does around a quantile of 1 ms. It returns how fast
// a canary like the stable arm gathers evidence, 0 without such a limit.
func (m *latencyModel) placeAtQuantile(kpi KPI) float64 {
	counts := m.Carried.Counts
	y := Quantile(m.Upper, counts, kpi.Quantile)
	margin := m.PromoteLimit(y)
	i := sort.Search(len(m.Upper), func(i int) bool { return m.Upper[i] > margin }) - 1
	stable := Above(m.Upper, counts, y)
	if i < 0 || m.Upper[i] <= y || stable <= 0 {
		return 0
	}
	m.Better = m.limit(y, m.Upper[i], stats.Better)
	return growth(stable, Above(m.Upper, counts, m.Upper[i]))
}

// growth is the evidence that a request of a canary like the stable arm brings,
// up to a factor, when canary counts are compared with stable ones.
func growth(stable, canary float64) float64 {
	x := canary / max(stable, 1e-9)
	return stable * (x*math.Log(max(x, 1e-9)) - x + 1)
}

// limit starts the comparison of "above y" on stable with "above b" on canary.
func (m *latencyModel) limit(y, b float64, side stats.Side) *limit {
	if y <= 0 {
		return nil
	}
	counts := m.Carried.Counts
	l := &limit{edge: m.edge(counts, y, b)}
	if !m.Alone {
		// What a canary like the stable arm would show.
		like := Above(m.Upper, counts, b) / max(Above(m.Upper, counts, y), 0.5)
		r := stats.NewRatio(1, side, max(like, 0.01))
		l.Ratio = &r
		return l
	}
	low, high := stats.RateBounds(Above(m.Upper, counts, y), total(counts), referenceMiss)
	r := stats.NewRate(high, side)
	if side == stats.Better {
		r = stats.NewRate(low, side)
	}
	l.Rate = &r
	return l
}

func (l *limit) observe(upper []float64, pair Pair, dispersion float64) {
	canary := tail(upper, pair.Canary.Counts, l.Canary)
	requests := total(pair.Canary.Counts)
	if l.Ratio == nil {
		l.Rate.Observe(canary, requests, dispersion)
		return
	}
	l.Ratio.Observe(stats.Block{
		CanaryEvents: canary, CanaryExposure: requests,
		StableEvents: l.beyond(upper, pair.Stable.Counts), StableExposure: total(pair.Stable.Counts),
	}, dispersion)
}

func (l *limit) logE() float64 {
	if l.Ratio == nil {
		return l.Rate.LogE()
	}
	return l.Ratio.LogE()
}

func (m *latencyModel) evidence() (abort, promote float64) {
	var all []float64
	if m.Slower != nil {
		all = append(all, m.Slower.Order.LogE())
	}
	for _, l := range m.Worse {
		all = append(all, l.logE())
	}
	abort = stats.LogMeanExp(all...)
	return abort, m.promotion()
}

// promotion is the mean of the evidence at the promotion's limits, weighted by their
// shares. A limit that was never placed keeps its share, with evidence 1. A mean of
// e-processes that start at different looks is an e-process, as long as each of them is
// placed by earlier requests only.
func (m *latencyModel) promotion() float64 {
	limits := m.promoting()
	if len(limits) == 0 {
		return 0
	}
	left := 1.0
	var terms []float64
	for i, l := range limits {
		share := left / 2
		if i == 0 {
			share = againFirst
		}
		left -= share
		terms = append(terms, math.Log(share)+l.logE())
	}
	terms = append(terms, math.Log(left))
	return stats.LogMeanExp(terms...) + math.Log(float64(len(terms)))
}

func (m *latencyModel) most() (abort, promote float64) {
	if m.Slower != nil {
		abort = m.Slower.Order.Most()
	}
	for _, l := range m.Worse {
		abort = max(abort, l.most())
	}
	if limits := m.promoting(); len(limits) > 0 {
		promote = limits[len(limits)-1].most() // the one that is where the requests are
	}
	return abort, promote
}

func (l *limit) most() float64 {
	if l.Ratio == nil {
		return l.Rate.Most()
	}
	return l.Ratio.Most()
}

func (m *latencyModel) figures(kpi KPI) (stable, canary, exposure float64) {
	upper, counts := m.Upper, m.Stable
	if m.Alone {
		upper, counts = m.Carried.Upper, m.Carried.Counts
	}
	return Quantile(upper, counts, kpi.Quantile), Quantile(m.Upper, m.Canary, kpi.Quantile), total(m.Canary)
}

func (m *latencyModel) reference() Reference {
	if m.Alone || total(m.Stable) < min(freshRequests, total(m.Carried.Counts)) {
		return Reference{Upper: slices.Clone(m.Carried.Upper), Counts: slices.Clone(m.Carried.Counts)}
	}
	return Reference{Upper: slices.Clone(m.Upper), Counts: slices.Clone(m.Stable)}
}

func total(counts []float64) float64 { return Measure{Counts: counts}.requests() }

// tail is the number of requests above a bucket's bound.
func tail(upper, counts []float64, bound float64) float64 {
	var sum float64
	for _, c := range counts[sort.SearchFloat64s(upper, bound)+1:] {
		sum += c
	}
	return sum
}

// Above is the number of requests above y; within a bucket the number falls as
// a power of the latency.
func Above(upper, counts []float64, y float64) float64 {
	i := sort.SearchFloat64s(upper, y)
	if i >= len(upper) {
		return counts[len(upper)]
	}
	high := tail(upper, counts, upper[i])
	low := high + counts[i]
	if y == upper[i] || low == high {
		return high
	}
	floor := upper[i] / 2
	if i > 0 {
		floor = upper[i-1]
	}
	if y <= floor {
		return low
	}
	part := math.Log(y/floor) / math.Log(upper[i]/floor)
	// Half a request stands in for none, where a power law would not end.
	return low * math.Pow(max(high, min(0.5, low/2))/low, part)
}

// Quantile is the latency that a share q of the requests does not exceed.
func Quantile(upper, counts []float64, q float64) float64 {
	n := total(counts)
	if n == 0 || len(upper) == 0 {
		return 0
	}
	want := (1 - q) * n
	for i, bound := range upper {
		high := tail(upper, counts, bound)
		if high > want {
			continue
		}
		low, floor := high+counts[i], bound/2
		if i > 0 {
			floor = upper[i-1]
		}
		end := max(high, min(0.5, low/2))
		if low <= want || low <= end {
			return bound
		}
		part := math.Log(low/max(want, end)) / math.Log(low/end)
		return floor * math.Pow(bound/floor, part)
	}
	return upper[len(upper)-1]
}
