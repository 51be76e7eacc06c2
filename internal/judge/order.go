package judge

import (
	"math"
	"sort"

	"github.com/oakumhq/oakum/internal/stats"
)

// edge divides the requests of both arms: requests above Canary on the canary are
// compared with requests above Stable on the stable arm. Canary is the bound of a bucket,
// and at least Stable plus the margin.
type edge struct {
	Stable float64 `json:"stable"`
	Canary float64 `json:"canary"`
	Share  float64 `json:"share"` // of the stable bucket around Stable that lies above it
}

// above counts the requests of a stable histogram above the edge; tails holds
// the number of requests in each bucket and beyond.
func (e edge) above(upper, counts, tails []float64) float64 {
	i := sort.SearchFloat64s(upper, e.Stable)
	if i == len(upper) {
		return tails[i]
	}
	return e.Share*counts[i] + tails[i+1]
}

// beyond counts as above does, for one edge alone.
func (e edge) beyond(upper, counts []float64) float64 {
	i := sort.SearchFloat64s(upper, e.Stable)
	if i == len(upper) {
		return counts[i]
	}
	var sum float64 // from the end, as tails adds up
	for k := len(counts) - 1; k > i; k-- {
		sum += counts[k]
	}
	return e.Share*counts[i] + sum
}

// ordered is the evidence that the canary is slower than the margin somewhere in
// its distribution: an order e-process over bins between edges.
type ordered struct {
	Edges  []edge      `json:"edges"` // both sides rise
	Order  stats.Order `json:"order"`
	Placed float64     `json:"placed"` // stable requests that it was placed by
}

// levels are the shares of requests above the edges of the bins. They are closer
// together in the tail. Finer bins would gain a few percent more evidence.
func levels() []float64 {
	return []float64{0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.025, 0.01, 0.005, 0.0025, 0.001, 0.0005, 0.00025, 0.0001}
}

// reach is the share of requests beyond the quantile up to which an abort looks.
// A KPI of the tail, from p90 on, stands for the tail: it looks until a tenth
// of the requests beyond its own quantile are left. A KPI below p90 looks at its own
// quantile and below.
func reach(quantile float64) float64 {
	if quantile >= 0.9 {
		return (1 - quantile) / 10
	}
	return 1 - quantile
}

// renewal is by which factor the stable requests grow until the bins are placed anew.
// This is often enough to leave an old reference behind, and rare enough to cost nothing.
const renewal = 4

// placeOrder chooses the bins from the stable requests in counts.
func (m *latencyModel) placeOrder(quantile float64, counts []float64) {
	n, least := total(counts), reach(quantile)
	shares := make([]float64, len(m.Upper)) // of stable requests above each bound's edge
	last := -1
	for i, b := range m.Upper {
		y := m.AbortBase(b)
		if y <= 0 {
			shares[i] = 1
			continue
		}
		shares[i] = Above(m.Upper, counts, y) / n
		if shares[i] < least {
			last = i
			break
		}
	}
	used := map[int]bool{}
	for _, level := range levels() {
		best, distance := -1, math.Inf(1)
		for i := range m.Upper {
			if last >= 0 && i >= last || shares[i] >= 1 {
				continue
			}
			if d := math.Abs(math.Log(shares[i] / level)); level >= least && d < distance {
				best, distance = i, d
			}
		}
		if best >= 0 {
			used[best] = true
		}
	}
	var edges []edge
	for i, b := range m.Upper {
		if used[i] {
			edges = append(edges, m.edge(counts, m.AbortBase(b), b))
		}
	}
	if last >= 0 {
		// The stable side of the last edge is where the reach ends, which leaves
		// the canary some more room than its margin where buckets are coarse.
		y := min(m.AbortBase(m.Upper[last]), Quantile(m.Upper, counts, 1-least))
		if len(edges) == 0 || y > edges[len(edges)-1].Stable {
			edges = append(edges, m.edge(counts, y, m.Upper[last]))
		}
	}
	if len(edges) == 0 {
		return
	}
	if m.Slower == nil {
		m.Slower = &ordered{}
	}
	m.Slower.Edges, m.Slower.Placed = edges, n
	base := m.Slower.stable(nil, m.Upper, counts)
	if m.Slower.Order.Log == nil {
		m.Slower.Order = stats.NewOrder(base)
		return
	}
	m.Slower.Order.Rebase(base)
}

// edge makes an edge at y and b. Within a bucket, the share above y comes from a power law
// through the bucket's ends.
func (m *latencyModel) edge(counts []float64, y, b float64) edge {
	e := edge{Stable: y, Canary: b}
	i := sort.SearchFloat64s(m.Upper, y)
	if i < len(m.Upper) && counts[i] > 0 {
		beyond := tail(m.Upper, counts, m.Upper[i])
		e.Share = min(max((Above(m.Upper, counts, y)-beyond)/counts[i], 0), 1)
	}
	return e
}

// renew places the bins anew when there are enough stable requests.
func (m *latencyModel) renew(kpi KPI) {
	if n := total(m.Stable); m.Slower != nil && n >= enough(kpi.Quantile) && n >= renewal*m.Slower.Placed {
		m.placeOrder(kpi.Quantile, m.Stable)
	}
}

// tails sums a histogram from each bucket to the end, in room where that suffices.
func tails(room, counts []float64) []float64 {
	out := append(room[:0], counts...)
	for i := len(out) - 2; i >= 0; i-- {
		out[i] += out[i+1]
	}
	return out
}

// histogramRoom is room on the stack for the buckets of nearly all histograms.
const histogramRoom = 64

// stable counts the stable requests in each bin, in room where that suffices.
func (o *ordered) stable(room []float64, upper, counts []float64) []float64 {
	var sumRoom [histogramRoom]float64
	sums := tails(sumRoom[:], counts)
	former := sums[0]
	out := room[:0]
	for _, e := range o.Edges {
		next := min(e.above(upper, counts, sums), former)
		out, former = append(out, former-next), next
	}
	return append(out, former)
}

// canary counts the canary's requests in each bin, in room where that suffices.
func (o *ordered) canary(room []float64, upper, counts []float64) []float64 {
	out := room[:0]
	for range len(o.Edges) + 1 {
		out = append(out, 0)
	}
	k := 0
	for i, c := range counts {
		for k < len(o.Edges) && (i == len(upper) || upper[i] > o.Edges[k].Canary) {
			k++
		}
		out[k] += c
	}
	return out
}

func (o *ordered) observe(upper []float64, pair Pair, dispersion float64) {
	var canary, stable [histogramRoom]float64
	o.Order.Observe(o.canary(canary[:], upper, pair.Canary.Counts), o.stable(stable[:], upper, pair.Stable.Counts), dispersion)
}

// worst is the edge at which the canary stands out most, by the score of a
// two-sample test, and the shares of both arms above it.
func (o *ordered) worst(upper, canary, stable []float64) (at edge, ours, theirs float64) {
	c, s := tails(nil, o.canary(nil, upper, canary)), tails(nil, o.stable(nil, upper, stable))
	best := math.Inf(-1)
	if c[0] == 0 || s[0] == 0 {
		return edge{}, 0, 0
	}
	for k, e := range o.Edges {
		p, q := c[k+1]/c[0], s[k+1]/s[0]
		pooled := (c[k+1] + s[k+1]) / (c[0] + s[0])
		if pooled <= 0 || pooled >= 1 {
			continue
		}
		if z := (p - q) / math.Sqrt(pooled*(1-pooled)*(1/c[0]+1/s[0])); z > best {
			best, at, ours, theirs = z, e, p, q
		}
	}
	return at, ours, theirs
}
