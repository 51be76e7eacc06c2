package stats_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/internal/stats"
)

// replicates are values about a mean, whose deviation is drawn from what is known of it.
func replicates(rng *rand.Rand, planned int, mean float64, known stats.Spread) *stats.Replicates {
	deviation := math.Sqrt(known.Variance * known.Trust / distuv.ChiSquared{K: known.Trust, Src: rng}.Rand())
	r := &stats.Replicates{Planned: planned}
	for range planned {
		r.Observe(mean+deviation*rng.NormFloat64(), known)
	}
	return r
}

// TestReplicates_FalseAlarms looks after each value, with a variance that is not known
// exactly. What is stated is nearly used up: the looks are few.
func TestReplicates_FalseAlarms(t *testing.T) {
	t.Parallel()
	const runs, alpha = 20_000, 0.01
	for _, planned := range []int{1, 2, 7, 16} {
		for _, trust := range []float64{4, 12, 60} {
			rng := rand.New(rand.NewPCG(uint64(planned), uint64(trust)))
			known := stats.Spread{Variance: 0.05 * 0.05, Trust: trust}
			alarms, below := 0, 0
			for range runs {
				if replicates(rng, planned, 0, known).LogE() >= math.Log(1/alpha) {
					alarms++
				}
				if replicates(rng, planned, -0.01, known).LogE() >= math.Log(1/alpha) {
					below++
				}
			}
			noise := 3 * math.Sqrt(runs*alpha)
			must.Between(t, 0.6*runs*alpha-noise, float64(alarms), runs*alpha+noise, must.Sprintf("%d values, trust %g", planned, trust))
			must.Less(t, alarms, below)
		}
	}
}

// TestReplicates_AgreeWithStudent has one look, of which the evidence is 1 ÷ p. The
// moderated t of no trust would be the usual one: of 1, 2, 3, 4 it is 3.873, whose p is
// 0.01523 (SciPy, ttest_1samp, one-sided). A trust that is next to nothing comes close.
func TestReplicates_AgreeWithStudent(t *testing.T) {
	t.Parallel()
	r := stats.Replicates{Planned: 4}
	for _, y := range []float64{1, 2, 3} {
		r.Observe(y, stats.Spread{}) // nothing is known, so these are no looks
	}
	must.Eq(t, 0, r.LogE())
	r.Observe(4, stats.Spread{Variance: 1e-9, Trust: 1e-9})
	must.InDelta(t, math.Log(8.0/15/0.015233), r.LogE(), 1e-3)
}

func TestReplicates_VisibleIsFound(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	last := math.Inf(1)
	for _, n := range []int{1, 2, 4, 8} {
		known := stats.Spread{Variance: 0.05 * 0.05, Trust: 12}
		needed := math.Log(300)
		mean := (&stats.Replicates{Planned: n}).Visible(known, n, needed, 0.95)
		must.Between(t, 0.01, mean, last, must.Sprint("more values see more"))
		last = mean
		found := 0
		for range 4000 {
			if replicates(rng, n, mean, known).LogE() >= needed {
				found++
			}
		}
		must.Between(t, 0.94*4000, float64(found), 4000, must.Sprintf("%d values", n))
	}
}

func TestReplicates_SaysNothing(t *testing.T) {
	t.Parallel()
	known := stats.Spread{Variance: 0.01, Trust: 8}
	for name, observe := range map[string]func(r *stats.Replicates){
		"no values":       func(*stats.Replicates) {},
		"nothing known":   func(r *stats.Replicates) { r.Observe(3, stats.Spread{}) },
		"below the limit": func(r *stats.Replicates) { r.Observe(-3, known) },
		"no numbers":      func(r *stats.Replicates) { r.Observe(math.NaN(), known); r.Observe(math.Inf(1), known) },
		"not planned":     func(r *stats.Replicates) { r.Planned = 0; r.Observe(3, known) },
	} {
		r := stats.Replicates{Planned: 2}
		observe(&r)
		must.Eq(t, 0, r.LogE(), must.Sprint(name))
	}
	r := stats.Replicates{Planned: 3}
	must.True(t, math.IsInf(r.Visible(stats.Spread{}, 3, 1, 0.95), 1))
	must.True(t, math.IsInf(r.Visible(known, 0, 1, 0.95), 1))
	must.True(t, math.IsInf(r.Visible(known, 4, 1, 0.95), 1))
	r.Observe(1e6, known)
	must.False(t, math.IsInf(r.LogE(), 0), must.Sprint("no evidence is without end"))
}

func TestReplicates_ResumesFromJSON(t *testing.T) {
	t.Parallel()
	known := stats.Spread{Variance: 0.01, Trust: 8}
	r := stats.Replicates{Planned: 2}
	r.Observe(0.1, known)
	raw, err := json.Marshal(r)
	must.NoError(t, err)
	var again stats.Replicates
	must.NoError(t, json.Unmarshal(raw, &again))
	again.Observe(0.2, known)
	r.Observe(0.2, known)
	must.Eq(t, r.LogE(), again.LogE())
	must.Positive(t, r.LogE())
}
