package judge_test

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// BenchmarkVote replays faults injected into a shop of ten services, and reports for
// how many the vote names the right one; that takes all of the data, which
// OAKUM_DATA names, since the excerpt has two services. Each fault becomes a change at the faulty service, and each other service in
// turn gets a decoy that began at the same time. Services whose figures leave
// their profile are the fault signals, and each change reached its own service and
// those that it is joined to.
func BenchmarkVote(b *testing.B) {
	dir := data("nezha-online-boutique", "rca_data", "2022-08-22")
	raw, err := os.ReadFile(filepath.Join(dir, "2022-08-22-fault_list.json"))
	must.NoError(b, err)
	var hours map[string][]fault
	must.NoError(b, json.Unmarshal(raw, &hours))
	files, err := filepath.Glob(filepath.Join(dir, "metric", "*_metric.csv"))
	must.NoError(b, err)
	services := map[string]*pod{}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), "-")
		services[name] = readPod(b, file)
	}
	joined := map[string][]string{}
	for c := range table(b, filepath.Join(dir, "metric", "source_50.csv"))[0] {
		if from, to, ok := strings.Cut(c, "_"); ok && services[from] != nil && services[to] != nil {
			joined[from], joined[to] = append(joined[from], to), append(joined[to], from)
		}
	}
	var right, wrong, silent int
	for b.Loop() {
		right, wrong, silent = 0, 0, 0
		for _, hour := range slices.Sorted(maps.Keys(hours)) {
			for _, f := range hours[hour] {
				r, w, s := vote(services, joined, f, numberOf(b, f.At))
				right, wrong, silent = right+r, wrong+w, silent+s
			}
		}
	}
	b.ReportMetric(float64(right), "right")
	b.ReportMetric(float64(wrong), "wrong")
	b.ReportMetric(float64(silent), "undecided")
}

// vote counts for one fault the votes for the faulty service, for the decoy, and
// for none of them.
func vote(services map[string]*pod, joined map[string][]string, f fault, at float64) (right, wrong, silent int) {
	faulty, _, _ := strings.Cut(f.Pod, "-")
	var signals []judge.Fault
	names := slices.Sorted(maps.Keys(services))
	for _, name := range names {
		if when, ok := services[name].leaves(at, 8); ok {
			signals = append(signals, judge.Fault{Instance: name, At: when})
		}
	}
	began := time.Unix(int64(at), 0)
	change := func(name string) judge.Change {
		reached := slices.Concat([]string{name}, joined[name])
		slices.Sort(reached)
		return judge.Change{ID: name, Began: []time.Time{began}, Reached: slices.Compact(reached)}
	}
	for _, decoy := range names {
		if decoy == faulty {
			continue
		}
		best := judge.Explain([]judge.Change{change(faulty), change(decoy)}, signals, began.Add(8*time.Minute))
		switch {
		case len(best) == 0 || (len(best) == 2 && best[0].Score == best[1].Score):
			silent++
		case best[0].ID == faulty:
			right++
		default:
			wrong++
		}
	}
	return right, wrong, silent
}

// leaves is when a figure of the pod was first beyond its profile by half and by
// six deviations, within some minutes of a time.
func (p *pod) leaves(from, minutes float64) (time.Time, bool) {
	var first float64
	for _, c := range shopColumns {
		var levels stats.Series
		for i, v := range p.columns[c] {
			if p.at[i] >= shopProfile && !math.IsNaN(v) {
				levels.Observe(v)
			}
		}
		limit := max(1.5*levels.Mean(), levels.Mean()+6*math.Sqrt(levels.Variance()))
		for i, v := range p.columns[c] {
			if p.at[i] < from+60 || p.at[i] >= from+minutes*60 || !(v > limit) {
				continue
			}
			if first == 0 || p.at[i] < first {
				first = p.at[i]
			}
			break
		}
	}
	return time.Unix(int64(first), 0), first > 0
}
