package judge_test

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/judge/kayenta"
	"github.com/oakumhq/oakum/internal/recordings"
	"github.com/oakumhq/oakum/internal/stats"
)

// sampled is one value of a VM.
type sampled struct {
	at    time.Time
	value float64
}

// machines reads a benchmark's series of each of the identical VMs.
func machines(t testing.TB, path string) map[string][]sampled {
	t.Helper()
	out := map[string][]sampled{}
	for _, row := range recordings.Table(t, path) {
		vm := row["VM_id"]
		out[vm] = append(out[vm], sampled{recordings.Time(t, row["starttime"]), recordings.Number(t, row["value"])})
	}
	for _, s := range out {
		sort.SliceStable(s, func(i, j int) bool { return s[i].at.Before(s[j].at) })
	}
	return out
}

// gaugePair tells whether a judge of a gauge calls equal arms different: either
// is found worse than the other, each with half of alpha. History, when there is
// one, is of differences of the same kind.
func gaugePair(t testing.TB, canary, stable []float64, history *stats.Series) bool {
	t.Helper()
	for _, arms := range [][2][]float64{{canary, stable}, {stable, canary}} {
		kpi, _ := judge.Known(api.KPICPU)
		if history != nil {
			h := history.History(1, 20)
			kpi.Phi, kpi.PhiError, kpi.PhiKnown = h.Phi, h.Error, !h.Unknown
			kpi.Noise = judge.Noise{Canary: h.Variance / 2, Stable: h.Variance / 2, N: h.N}
		}
		bank, err := judge.New(api.JudgeSpec{Enabled: true, FalseAlarm: benchAlpha / 2, Miss: 0.05,
			KPIs: []api.KPISpec{{KPI: api.KPICPU, AbortAbove: 1, PromoteBelow: 2}}}, []judge.KPI{kpi}, judge.Stage{Started: began()})
		must.NoError(t, err)
		for i := range arms[0] {
			bank.Observe(judge.Look{At: began().Add(time.Duration(i+1) * time.Minute), Seconds: 60,
				KPIs: map[string]judge.Pair{api.KPICPU: {Canary: judge.Gauge(arms[0][i]), Stable: judge.Gauge(arms[1][i])}}})
		}
		if bank.Aborted() {
			return true
		}
	}
	return false
}

const window = 60 // samples of each arm, Kayenta's own advice and more

// TestBank_RarelyAbortsIdenticalMachines judges pairs of windows from identical cloud VMs, where
// every difference is a false alarm. Interleaved samples of one VM are a fair
// comparison and must keep alpha; two VMs differ for as long as they live, which
// no test of the two alone can tell from a patch. The same windows go to
// Kayenta's judge, for comparison.
func TestBank_RarelyAbortsIdenticalMachines(t *testing.T) {
	files, err := filepath.Glob(recordings.Path(t, "azure-vm-noise", "*.csv"))
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	type tally struct{ windows, cold, warm, kayenta int }
	var same, apart tally
	judgeBoth := func(n *tally, canary, stable []float64, history *stats.Series) {
		n.windows++
		if gaugePair(t, canary, stable, nil) {
			n.cold++
		}
		if history.N > 0 && gaugePair(t, canary, stable, history) {
			n.warm++
		}
		if kayenta.Defaults().Classify(stable, canary).Class != kayenta.Pass {
			n.kayenta++
		}
		for i := range canary {
			history.Observe(canary[i] - stable[i])
		}
	}
	for _, file := range files {
		vms := machines(t, file)
		for vm, series := range vms {
			history := &stats.Series{}
			for from := 0; from+2*window <= len(series); from += 2 * window {
				var canary, stable []float64
				for i := from; i < from+2*window; i += 2 {
					canary, stable = append(canary, series[i].value), append(stable, series[i+1].value)
				}
				judgeBoth(&same, canary, stable, history)
			}
			for other, theirs := range vms {
				if other <= vm {
					continue
				}
				for from := 0; from+window <= len(series); from += window {
					at, _ := slices.BinarySearchFunc(theirs, series[from].at, func(s sampled, at time.Time) int { return s.at.Compare(at) })
					if at+window > len(theirs) {
						break
					}
					var canary, stable []float64
					for i := range window {
						canary, stable = append(canary, theirs[at+i].value), append(stable, series[from+i].value)
					}
					judgeBoth(&apart, canary, stable, &stats.Series{})
				}
			}
		}
	}
	share := func(n, of int) string { return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(of)) }
	t.Logf("one VM, interleaved: %d windows, called different %s without and %s with history; by Kayenta %s",
		same.windows, share(same.cold, same.windows), share(same.warm, same.windows), share(same.kayenta, same.windows))
	t.Logf("two VMs: %d windows, called different %s without history; by Kayenta %s",
		apart.windows, share(apart.cold, apart.windows), share(apart.kayenta, apart.windows))
	mustNotExceed(t, same.cold, same.windows, benchAlpha)
	mustNotExceed(t, same.warm, same.windows, benchAlpha)
	must.LessEq(t, apart.kayenta, apart.cold)
}

// TestBank_AbortsTheFaultsOfTheShop looks for the faults that were injected into a shop of ten
// services, one pod each, by comparing each pod with its own profile: there is no
// second pod to hold it against. The profile is of the hours after the last
// fault; false alarms are counted in other fault-free hours.
func TestBank_AbortsTheFaultsOfTheShop(t *testing.T) {
	shop := recordings.OpenShop(t)
	pods := map[string]*pod{}
	for name, p := range shop.Pods {
		pods[name] = &pod{Pod: p}
	}
	for name, p := range pods {
		for c := range shop.Callers[0] {
			if strings.HasSuffix(c, "_"+recordings.ServiceOf(name)) {
				p.join(t, shop.Callers, c, func(v float64) float64 { return v })
			}
		}
		p.join(t, shop.Front, "SuccessRate(%)", func(v float64) float64 { return 1 - v/100 })
	}
	for name, p := range pods {
		p.fail(pods)
		p.learn()
		must.SliceNotEmpty(t, p.kpis, must.Sprint(name))
	}
	found, all := 0, 0
	var took []float64
	kinds := map[string][2]int{}
	for _, f := range shop.Faults {
		p := pods[f.Pod]
		if p == nil {
			continue
		}
		all++
		minutes, hit := p.judge(t, recordings.Number(t, f.At), 8)
		k := kinds[f.Type]
		k[1]++
		if hit {
			found++
			took = append(took, minutes)
			k[0]++
		}
		kinds[f.Type] = k
		t.Logf("%-16s on %-40s found %v after %g min", f.Type, f.Pod, hit, minutes)
	}
	alarms, windows := 0, 0
	for _, p := range pods {
		for at := recordings.ShopCalm; at+8*60 < recordings.ShopProfile; at += 8 * 60 {
			windows++
			if _, hit := p.judge(t, at, 8); hit {
				alarms++
			}
		}
	}
	slices.Sort(took)
	t.Logf("%d of %d faults found, %v by kind; median %g min; %d false alarms in %d fault-free windows of 8 minutes", found, all, kinds, took[len(took)/2], alarms, windows)
	must.GreaterEq(t, all/2, found)
	must.Less(t, float64(windows)/50, float64(alarms))
}

// pod is one pod of the shop with its profile: besides the columns of the
// recording it has the median latency that each of its callers sees, and the
// share of requests to the shop that fail.
type pod struct {
	*recordings.Pod
	// Requests to the shop and those that failed, each minute.
	requests, failed []float64
	kpis             []judge.KPI
}

// join adds a column of another file, by time. What is empty is not a number.
func (p *pod) join(t testing.TB, rows []map[string]string, column string, of func(float64) float64) {
	t.Helper()
	at := func(row map[string]string) float64 {
		for _, name := range []string{"timestamp", "TimeStamp"} {
			if text, ok := row[name]; ok {
				return recordings.Number(t, text)
			}
		}
		return 0
	}
	i := 0
	values := make([]float64, len(p.At))
	for k, now := range p.At {
		for i+1 < len(rows) && at(rows[i]) < now-30 {
			i++
		}
		values[k] = math.NaN()
		if text := rows[i][column]; text != "" {
			values[k] = of(recordings.Number(t, text))
		}
	}
	p.Columns[column] = values
}

// fail makes counts of the share of requests to the shop that fail.
func (p *pod) fail(pods map[string]*pod) {
	var front *pod
	for name, q := range pods {
		if strings.HasPrefix(name, "frontend-") {
			front = q
		}
	}
	share := p.Columns["SuccessRate(%)"]
	delete(p.Columns, "SuccessRate(%)")
	var spread stats.Series
	kpi := judge.KPI{Name: api.KPIErrorRate, Kind: api.KPICount, Unit: judge.UnitShare}
	for i := range p.At {
		n := 60 * front.Columns["PodWorkload(Ops)"][min(i, len(front.At)-1)]
		p.requests, p.failed = append(p.requests, n), append(p.failed, math.Round(n*share[i]))
		if p.At[i] >= recordings.ShopProfile && !math.IsNaN(share[i]) {
			kpi.Reference.Events += p.failed[i]
			kpi.Reference.Exposure += n
			spread.Observe(p.failed[i])
		}
	}
	if spread.Mean() > 0 {
		kpi.Dispersion = spread.Variance() / spread.Mean()
	}
	p.kpis = append(p.kpis, kpi)
}

// learn makes the profile.
func (p *pod) learn() {
	for _, c := range slices.Sorted(maps.Keys(p.Columns)) {
		if c == "PodWorkload(Ops)" {
			continue
		}
		var levels stats.Series
		kpi := judge.KPI{Name: c, Kind: api.KPIGauge}
		r := &kpi.Reference
		for i, v := range p.Columns[c] {
			if p.At[i] < recordings.ShopProfile || math.IsNaN(v) {
				continue
			}
			levels.Observe(v)
			r.N++
			delta := v - r.Mean
			r.Mean += delta / r.N
			r.M2 += delta * (v - r.Mean)
		}
		h := levels.History(1, 20)
		kpi.Level = &h
		p.kpis = append(p.kpis, kpi)
	}
}

// judge looks at a pod each minute from a time on. The first minute is left out,
// as it began before.
func (p *pod) judge(t testing.TB, from, most float64) (minutes float64, aborted bool) {
	spec := api.JudgeSpec{Enabled: true, FalseAlarm: benchAlpha, Miss: 0.05}
	for _, k := range p.kpis {
		spec.KPIs = append(spec.KPIs, api.KPISpec{KPI: k.Name, AbortAbove: 1.5, PromoteBelow: 4, IgnoreBelow: 0.001})
	}
	bank, err := judge.New(spec, p.kpis, judge.Stage{Started: began(), Alone: true})
	must.NoError(t, err)
	for i, at := range p.At {
		if at < from+60 || at >= from+most*60 {
			continue
		}
		look := judge.Look{At: began().Add(time.Duration(at-from+1) * time.Second), Seconds: 60, KPIs: map[string]judge.Pair{}}
		for _, k := range p.kpis {
			if k.Kind == api.KPICount {
				look.KPIs[k.Name] = judge.Pair{Canary: judge.Count(p.failed[i], p.requests[i])}
				continue
			}
			if v := p.Columns[k.Name][i]; !math.IsNaN(v) {
				look.KPIs[k.Name] = judge.Pair{Canary: judge.Gauge(v)}
			}
		}
		bank.Observe(look)
		if bank.Aborted() {
			return float64(int((at-from)/60) + 1), true
		}
	}
	return most, false
}
