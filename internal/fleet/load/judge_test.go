package load

import (
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// look is how often the judge looks here.
const look = 5 * time.Second

// trial is one judgement: two patched instances beside eight former ones.
type trial struct {
	m              *Model
	canary, stable []string
	bank           *judge.Bank
	last           map[string]Sample // of each instance, at the look before
}

func newTrial(t *testing.T, seed uint64, harm Harm) *trial {
	t.Helper()
	m := model(t, seed, Topology{Services: []Service{{Name: "web", Rate: 200, Errors: 0.02, Latency: 30 * time.Millisecond, Disk: 1}}})
	r := &trial{m: m, stable: m.up(began(), "web", 8, Harm{}), canary: m.up(after(time.Minute), "web", 2, harm)}
	spec := api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, MaxDuration: api.Duration(30 * time.Minute), KPIs: []api.KPISpec{
		{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001},
		{KPI: api.KPILatencyP99, AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.001},
		{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5, IgnoreBelow: 0.01},
	}}
	var kpis []judge.KPI
	for _, k := range spec.KPIs {
		kpi, ok := judge.Known(k.KPI)
		must.True(t, ok)
		kpis = append(kpis, kpi)
	}
	bank, err := judge.New(spec, kpis, judge.Stage{Started: after(2 * time.Minute)})
	must.NoError(t, err)
	r.bank, r.last = bank, map[string]Sample{}
	for _, id := range slices.Concat(r.canary, r.stable) {
		r.last[id] = m.sample(t, id, after(2*time.Minute))
	}
	return r
}

// measure is what one arm did in one interval.
func (r *trial) measure(t *testing.T, ids []string, to time.Time) map[string]judge.Measure {
	t.Helper()
	counts := make([]float64, bounds+1)
	var requests, errors, cpu float64
	for _, id := range ids {
		a, b := r.last[id], r.m.sample(t, id, to)
		r.last[id] = b
		requests, errors = requests+b.Requests-a.Requests, errors+b.Errors-a.Errors
		before := 0.0
		for i := range counts {
			grown := b.Buckets[i] - a.Buckets[i]
			counts[i] += grown - before
			before = grown
		}
		in, _ := r.m.Instance(id)
		cpu += r.m.CPU(in, to) / float64(len(ids))
	}
	return map[string]judge.Measure{
		api.KPIErrorRate: judge.Count(errors, requests), api.KPILatencyP99: judge.Buckets(Bounds(), counts), api.KPICPU: judge.Gauge(cpu),
	}
}

// run looks until there is a verdict, or as often as it is told.
func (r *trial) run(t *testing.T, looks int) (api.VerdictKind, time.Duration) {
	t.Helper()
	from := after(2 * time.Minute)
	for i := range looks {
		at := from.Add(time.Duration(i+1) * look)
		canary, stable := r.measure(t, r.canary, at), r.measure(t, r.stable, at)
		pairs := map[string]judge.Pair{}
		for name, m := range canary {
			pairs[name] = judge.Pair{Canary: m, Stable: stable[name]}
		}
		r.bank.Observe(judge.Look{At: at, Seconds: look.Seconds(), KPIs: pairs})
		if v := r.bank.Verdict(at); v.Kind == api.VerdictAbort || v.Kind == api.VerdictPromote {
			return v.Kind, at.Sub(from)
		}
	}
	return api.VerdictContinue, time.Duration(looks) * look
}

// TestModel_CanBeJudged: patches that change nothing are promoted, with no
// more false alarms than were allowed; bad ones are found about as soon as the
// number of requests lets them be.
func TestModel_CanBeJudged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		harm   Harm
		want   api.VerdictKind
		seeds  int
		wrong  int           // verdicts of the other kind, at most
		middle time.Duration // half of the verdicts come within
	}{
		// 100 runs with at most one false alarm in a hundred: six or more of them come
		// once in 2,000 times. Of 25 bad ones, one in twenty may be missed.
		"nothing":       {Harm{}, api.VerdictPromote, 100, 5, 8 * time.Minute},
		"errors twice":  {Harm{ErrorsBy: 2}, api.VerdictAbort, 25, 5, 7 * time.Minute},
		"errors +5":     {Harm{Errors: 0.05}, api.VerdictAbort, 25, 5, time.Minute},
		"latency 5x":    {Harm{Latency: 5}, api.VerdictAbort, 25, 5, 15 * time.Second},
		"latency +20 %": {Harm{Latency: 1.2}, api.VerdictAbort, 25, 5, time.Minute},
		"tail":          {Harm{Tail: 0.05, TailBy: 10}, api.VerdictAbort, 25, 5, 20 * time.Second},
		"processor 2x":  {Harm{CPU: 2}, api.VerdictAbort, 25, 5, 8 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var took []time.Duration
			kinds := map[api.VerdictKind]int{}
			for seed := range tc.seeds {
				kind, after := newTrial(t, uint64(seed), tc.harm).run(t, 360)
				kinds[kind]++
				took = append(took, after)
			}
			slices.Sort(took)
			t.Logf("%v; half within %s, all but one of ten within %s", kinds, took[tc.seeds/2], took[tc.seeds*9/10])
			other := api.VerdictAbort
			if tc.want == api.VerdictAbort {
				other = api.VerdictPromote
			}
			must.LessEq(t, tc.wrong, kinds[other])
			must.GreaterEq(t, tc.seeds*8/10, kinds[tc.want])
			must.LessEq(t, tc.middle, took[tc.seeds/2])
		})
	}
}
