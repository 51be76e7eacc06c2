package blame

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/internal/recordings"
	"github.com/oakumhq/oakum/internal/stats"
)

// BenchmarkVote replays faults that were injected into a shop of ten services, and
// reports for how many the vote names the right one. It takes the whole recording,
// which OAKUM_DATA names: the excerpt has two services. Each fault becomes a change
// at the faulty service, and each other service in turn gets a decoy that began at
// the same time. Services whose figures leave their profile are the faults, and the
// reach of each change is its own service and those that call it or are called.
func BenchmarkVote(b *testing.B) {
	shop := recordings.OpenShop(b)
	services := map[string]*recordings.Pod{}
	for name, p := range shop.Pods {
		services[recordings.ServiceOf(name)] = p
	}
	edges := map[string][]string{}
	for column := range shop.Callers[0] {
		if from, to, ok := strings.Cut(column, "_"); ok && services[from] != nil && services[to] != nil {
			edges[from], edges[to] = append(edges[from], to), append(edges[to], from)
		}
	}
	var right, wrong, undecided int
	for b.Loop() {
		right, wrong, undecided = 0, 0, 0
		for _, f := range shop.Faults {
			r, w, u := voteOn(services, edges, recordings.ServiceOf(f.Pod), recordings.Number(b, f.At))
			right, wrong, undecided = right+r, wrong+w, undecided+u
		}
	}
	b.ReportMetric(float64(right), "right")
	b.ReportMetric(float64(wrong), "wrong")
	b.ReportMetric(float64(undecided), "undecided")
}

// voteOn counts for one fault the votes for the faulty service, for the decoy, and
// for neither.
func voteOn(services map[string]*recordings.Pod, edges map[string][]string, faulty string, at float64) (right, wrong, undecided int) {
	began := time.Unix(int64(at), 0)
	names := slices.Sorted(maps.Keys(services))
	var faults []Fault
	for _, name := range names {
		if when, ok := leavesProfile(services[name], at, 8); ok {
			faults = append(faults, Fault{Instance: name, At: when})
		}
	}
	change := func(name string) Change {
		reach := slices.Concat([]string{name}, edges[name])
		slices.Sort(reach)
		return Change{ID: name, Began: []time.Time{began}, Reach: slices.Compact(reach)}
	}
	for _, decoy := range names {
		if decoy == faulty {
			continue
		}
		best := Explain([]Change{change(faulty), change(decoy)}, faults, began.Add(8*time.Minute))
		switch {
		case len(best) == 0 || (len(best) == 2 && best[0].Score == best[1].Score):
			undecided++
		case best[0].ID == faulty:
			right++
		default:
			wrong++
		}
	}
	return right, wrong, undecided
}

// leavesProfile is when a figure of a pod was first beyond its profile by half and
// by six deviations, within some minutes of a Unix time. The first minute is left
// out, as its sample began before.
func leavesProfile(p *recordings.Pod, from, minutes float64) (time.Time, bool) {
	var first float64
	for _, c := range recordings.ShopColumns() {
		var levels stats.Series
		for i, v := range p.Columns[c] {
			if p.At[i] >= recordings.ShopProfile && !math.IsNaN(v) {
				levels.Observe(v)
			}
		}
		limit := max(1.5*levels.Mean(), levels.Mean()+6*math.Sqrt(levels.Variance()))
		for i, v := range p.Columns[c] {
			if p.At[i] < from+60 || p.At[i] >= from+minutes*60 || !(v > limit) {
				continue
			}
			if first == 0 || p.At[i] < first {
				first = p.At[i]
			}
			break
		}
	}
	return time.Unix(int64(first), 0), first > 0
}
