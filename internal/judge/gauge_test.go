package judge_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// beginning plays a gauge of which nothing is known. Its canary works hard for the first
// readings and then stays around level cores. It returns how many runs were promoted
// within so many looks, and how many looks the last of them took.
func beginning(t *testing.T, runs, looks int, level float64) (promoted, most int) {
	t.Helper()
	kpi, _ := judge.Known(api.KPICPU)
	margins := api.KPISpec{KPI: api.KPICPU, AbortAbove: 2, PromoteBelow: 4, IgnoreBelow: 0.2}
	for seed := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		bank, err := judge.New(spec(margins), []judge.KPI{kpi}, judge.Stage{Started: began()})
		must.NoError(t, err)
		for look := range looks {
			canary := level + 0.01*rng.NormFloat64()
			if look < 4 {
				canary += 0.5
			}
			at := began().Add(time.Duration(look+1) * 2 * time.Second)
			bank.Observe(judge.Look{
				At: at, Seconds: 2,
				KPIs: map[string]judge.Pair{api.KPICPU: {Canary: judge.Gauge(canary), Stable: judge.Gauge(0.04 + 0.007*rng.NormFloat64())}},
			})
			if bank.Verdict(at).Kind == api.VerdictPromote {
				promoted, most = promoted+1, max(most, look+1)
				break
			}
		}
	}
	return promoted, most
}

// A machine that boots is busier than it ever will be again. Without the evidence
// that begins later, all 40 stood undecided after four minutes.
func TestGauge_PromotesACanaryThatBeganBusy(t *testing.T) {
	t.Parallel()
	promoted, most := beginning(t, 40, 120, 0.044)
	t.Logf("promoted %d of 40, after %d looks at most", promoted, most)
	must.GreaterEq(t, 38, promoted)
	must.LessEq(t, 60, most)
}

// The second evidence does not weaken the guarantee: a canary that stays where the
// margin lies is promoted no more often than the policy's miss.
func TestGauge_PromotesNoCanaryAtItsMargin(t *testing.T) {
	t.Parallel()
	promoted, _ := beginning(t, 200, 120, 0.24)
	t.Logf("promoted %d of 200", promoted)
	must.LessEq(t, 15, promoted) // 5 % of 200, and what chance adds in 99.9 of 100 tries
}
