package evidence

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// usualWithin is the standard error of a pair that measures the processor for a minute.
const usualWithin = 0.0245

// formerOf is a history of processors whose boots had this standard deviation.
func formerOf(deviation float64) []api.BootSpread {
	return []api.BootSpread{
		{KPI: api.KPICPU, Variance: deviation * deviation, Within: usualWithin * usualWithin, Freedom: 40},
		{KPI: api.KPIMemory, Variance: 1, Within: 1, Freedom: 40},
	}
}

func TestSpreads_PooledTrustsAHistoryThatSaysMore(t *testing.T) {
	t.Parallel()
	kpi, _ := judge.Known(api.KPICPU)
	const within = usualWithin * usualWithin
	of := func(former ...api.BootSpread) float64 {
		return math.Sqrt(newSpreads(kpi, former).pooled(within).Variance)
	}
	must.Eq(t, 0.02, of())
	must.InDelta(t, math.Sqrt((12*0.02*0.02+8*0.01*0.01)/20), of(formerOf(0.01)...), 1e-9)
	must.InDelta(t, math.Sqrt((12*0.02*0.02+40*0.06*0.06)/52), of(formerOf(0.06)...), 1e-9, must.Sprint("what says more counts for all that it rests on"))
	must.Eq(t, 0.005, of(api.BootSpread{KPI: api.KPICPU, Variance: -0.01, Within: within, Freedom: 40}), must.Sprint("boots never differ by nothing"))
	few := of(api.BootSpread{KPI: api.KPICPU, Variance: 0.06 * 0.06, Within: within, Freedom: 1})
	must.Between(t, 0.021, few, 0.03, must.Sprint("one pair says little"))
	must.Less(t, few, of(api.BootSpread{KPI: api.KPICPU, Variance: 0.06 * 0.06, Within: 100 * within, Freedom: 1}), must.Sprint("a noisy pair says less"))
	for _, wrong := range []api.BootSpread{
		{KPI: api.KPICPU, Variance: math.NaN(), Freedom: 9}, {KPI: api.KPICPU, Variance: math.Inf(1), Freedom: 9}, {KPI: api.KPICPU, Variance: 1},
		{KPI: api.KPICPU, Variance: 1, Within: -1, Freedom: 9}, {KPI: api.KPICPU, Variance: 1, Freedom: math.Inf(1)}, {KPI: api.KPIMemory, Variance: 1, Freedom: 9},
	} {
		must.Eq(t, 0.02, of(wrong), must.Sprintf("%+v", wrong))
	}
}

func TestSpreads_RoomOnlyGrows(t *testing.T) {
	t.Parallel()
	kpi, _ := judge.Known(api.KPICPU)
	must.Eq(t, 0.02, newSpreads(kpi, formerOf(0)).room())
	precise := formerOf(0.06)
	precise[0].Within = 0
	must.InDelta(t, math.Sqrt((12*0.02*0.02+40*0.06*0.06)/52), newSpreads(kpi, precise).room(), 1e-9)
}

// rejects is the share of runs in which the pairs reject by the processor, which the
// patch changes by this much, as a logarithm.
func rejects(pairs int, boots, change float64, former []api.BootSpread) float64 {
	const runs = 12_000
	kpi, _ := judge.Known(api.KPICPU)
	rng := rand.New(rand.NewPCG(uint64(pairs), 5))
	needed := math.Log(1 / (0.25 * partOfEach * 0.01)) // a quarter of the weight
	rejected := 0.0
	for range runs {
		r := newReplicate(kpi, api.KPISpec{KPI: api.KPICPU, AbortAbove: 1, PromoteBelow: 2}, pairs, 100, former)
		for range pairs {
			control := 0.1 * math.Exp(boots*rng.NormFloat64()/math.Sqrt2)
			treatment := 0.1 * math.Exp(change+boots*rng.NormFloat64()/math.Sqrt2+usualWithin*rng.NormFloat64())
			r.observe(figure{control, treatment, usualWithin * treatment})
		}
		if r.worse.LogE() >= needed {
			rejected++
		}
	}
	return rejected / runs
}

// TestSpreads_FalseAlarmsHoldWhateverTheHistorySays has no margin, so that every rejection
// is a false alarm. Three KPIs of this rate stay within a false_alarm of a hundredth.
func TestSpreads_FalseAlarmsHoldWhateverTheHistorySays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		boots  float64
		former []api.BootSpread
		most   float64
	}{
		"no history":                                      {0.02, nil, partOfEach * 0.01 / 4 * 2},
		"a true history":                                  {0.01, formerOf(0.01), partOfEach * 0.01 / 4 * 2},
		"more than is known":                              {0.06, formerOf(0.06), 0.01 / 3},
		"nothing, and boots differ as is known":           {0.02, formerOf(0), 0.01 / 3},
		"nothing, and boots differ by half as much again": {0.03, formerOf(0), 0.01 / 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, pairs := range []int{2, 7} {
				share := rejects(pairs, c.boots, 0, c.former)
				t.Logf("%d pairs: %.5f", pairs, share)
				must.LessEq(t, c.most, share, must.Sprintf("%d pairs", pairs))
			}
		})
	}
}

// TestSpreads_ATrueHistoryShowsMore than none, where boots differ by less than is known.
func TestSpreads_ATrueHistoryShowsMore(t *testing.T) {
	t.Parallel()
	const change = 0.055
	with, without := rejects(7, 0.01, change, formerOf(0.01)), rejects(7, 0.01, change, nil)
	t.Logf("%.3f with, %.3f without", with, without)
	must.Greater(t, without+0.03, with)
}

// TestPanel_BootsAreWhatBootsDifferBy averages over many runs, of which each says little.
func TestPanel_BootsAreWhatBootsDifferBy(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, alike := range map[string]bool{"a patch": false, "two controls": true} {
		const runs, pairs, boots = 400, 7, 0.03
		sum, freedom := 0.0, 0.0
		for range runs {
			p, err := New(api.JudgeSpec{FalseAlarm: 0.01, Miss: 0.05, KPIs: usualWorld(pairs).kpis}, api.SimulateSpec{Pairs: pairs}, 5, nil)
			must.NoError(t, err)
			const cpu = 2
			for range pairs {
				f := figure{control: 0.1, treatment: 0.1 * math.Exp(math.Hypot(boots, usualWithin)*rng.NormFloat64())}
				if !alike {
					f.treatment *= 1.5
				}
				f.deviation = usualWithin * f.treatment
				p.replicates[cpu].observe(f)
				p.figures[cpu] = append(p.figures[cpu], f)
			}
			list := p.Boots(alike)
			must.Len(t, 1, list, must.Sprint("the others have no pairs"))
			must.EqOp(t, api.KPICPU, list[0].KPI)
			sum, freedom = sum+list[0].Variance*list[0].Freedom, freedom+list[0].Freedom
		}
		must.Between(t, 0.9*boots, math.Sqrt(sum/freedom), 1.1*boots, must.Sprint(name))
	}
}
