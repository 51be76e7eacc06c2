package rehearsal

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/canary"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
	"github.com/oakumhq/oakum/plugins/host"
)

// judged plays judgements of one canary beside nine former instances, by the policy
// that ships with Oakum.
func judged(t *testing.T, b behaviour, runs int) (kinds map[api.VerdictKind]int, mean time.Duration, m *member) {
	t.Helper()
	o := Options{At: now(), Healthy: time.Second, inline: host.NewInline()}
	s, err := newScene(someFacts(t, 1, 10), patch(t, `target { jobs = ["*"] }`), o)
	must.NoError(t, err)
	m = s.members[0]
	m.planned.Decision.Judge.MinDuration = 0
	at := -1
	for i, known := range s.behaviours {
		if known == b {
			at = i
		}
	}
	kinds = map[api.VerdictKind]int{}
	for i := range runs {
		j, err := m.newJudgement(1, now(), 1, 9, at, nil, rand.New(rand.NewPCG(uint64(i), 1)), time.Second)
		must.NoError(t, err)
		j.ahead(now().Add(time.Hour), 1, 9, func(time.Time) float64 { return 60 })
		must.True(t, j.decided)
		v, _ := j.verdict(j.last)
		kinds[v.Kind]++
		mean += j.last.Sub(j.started) / time.Duration(runs)
	}
	return kinds, mean, m
}

// TestModel_JudgesHarmlessStagesAsLongAsForecast holds the play of a judgement against
// the closed form that plans are told with.
func TestModel_JudgesHarmlessStagesAsLongAsForecast(t *testing.T) {
	t.Parallel()
	const runs = 300
	kinds, mean, m := judged(t, harmless(), runs)
	forecast := canary.Forecast(m.known, m.history, m.stage(m.planned.Decision.Judge, 1, 9, now()))
	must.Positive(t, forecast.Expected)
	ratio := float64(mean) / float64(forecast.Expected)
	must.Between(t, 0.6, ratio, 1.6, must.Sprintf("%v against %v", mean, forecast))
	low, _ := stats.ShareBounds(kinds[api.VerdictAbort], runs, 0.001)
	must.LessEq(t, m.planned.Decision.Judge.FalseAlarm, low, must.Sprintf("%v: false alarms", kinds))
}

// TestModel_SeesBadPatches judges them in the order of how bad they are.
func TestModel_SeesBadPatches(t *testing.T) {
	t.Parallel()
	const runs = 50
	bad := badPatches()
	var times []time.Duration
	for _, b := range bad[:4] {
		kinds, mean, _ := judged(t, b, runs)
		must.EqOp(t, runs, kinds[api.VerdictAbort], must.Sprintf("%s: %v", b.name, kinds))
		times = append(times, mean)
	}
	must.Less(t, times[0], times[1], must.Sprint("10x errors before 2x"))
	must.LessEq(t, times[2], times[3], must.Sprint("5x latency before +20 %"))
}

// TestModel_SlowsHistograms compares with a distribution whose tail is known: a power
// of the latency, which stays one when every latency is longer.
func TestModel_SlowsHistograms(t *testing.T) {
	t.Parallel()
	var upper, counts []float64
	tail := func(y float64) float64 { return math.Min(math.Pow(y/0.005, -1.5), 1) }
	const n = 1e6
	before := n
	for y := 0.01; y < 10; y *= 1.3 {
		upper, counts = append(upper, y), append(counts, before-n*tail(y))
		before = n * tail(y)
	}
	counts = append(counts, before)
	same := slower(upper, counts, 1)
	for i, c := range counts {
		must.InDelta(t, c/n, same[i], 1e-9)
	}
	for _, factor := range []float64{1.2, 5} {
		share := slower(upper, counts, factor)
		must.InDelta(t, 1, sum(share), 1e-9)
		above := 1.0
		for i, y := range upper {
			above -= share[i]
			must.InDelta(t, tail(y/factor), above, 0.02, must.Sprintf("above %.3g at %gx", y, factor))
		}
	}
}

// TestModel_KeepsTheMeanOfClumps holds that clumps keep the mean, and make the variance
// as many times as large.
func TestModel_KeepsTheMeanOfClumps(t *testing.T) {
	t.Parallel()
	for _, mean := range []float64{0.3, 7, 90, 5000} {
		model := kpiModel{KPI: judge.KPI{Dispersion: 3}}
		model.begin(rand.New(rand.NewPCG(1, 2)))
		const n = 20_000
		var total, squares float64
		for range n {
			x := model.events(mean)
			total, squares = total+x, squares+x*x
		}
		got := total / n
		must.InDelta(t, mean, got, 4*math.Sqrt(3*mean/n), must.Sprint(mean))
		must.InDelta(t, 3, (squares/n-got*got)/mean, 0.3, must.Sprint(mean))
	}
}

func TestHealthTimes_AreReadFromTheRecord(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return now().Add(time.Duration(s) * time.Second) }
	stage := func(n, s int) api.Effect {
		return api.Effect{Kind: api.EffectStage, Stage: n, Status: api.EffectDone, Intended: at(s), Ended: at(s + 1)}
	}
	rollouts := []api.Rollout{
		{
			Target: ref("web"),
			Stages: []api.Stage{{Number: 1, Ready: at(10)}, {Number: 2, Ready: at(90)}, {Number: 3}},
			Effects: []api.Effect{
				{Kind: api.EffectTag, Status: api.EffectDone, Intended: at(0)},
				stage(1, 1), stage(2, 40), stage(2, 60), stage(3, 100),
				{Kind: api.EffectStage, Stage: 3, Status: api.EffectFailed, Intended: at(120)},
			},
		},
		{Target: ref("idle")},
	}
	simulations := []api.Simulation{
		{Target: ref("vm"), Started: at(0), Ended: at(95), Impact: &api.Impact{Twins: []api.Twin{
			{HealthyAfter: api.Duration(9 * time.Second)}, {HealthyAfter: api.Duration(11 * time.Second)}, {},
		}}},
		{Target: ref("vm"), Started: at(0), Ended: at(5), Status: api.SimulationFailed},
	}
	s := func(list ...int) []api.Duration {
		var out []api.Duration
		for _, n := range list {
			out = append(out, api.Duration(time.Duration(n)*time.Second))
		}
		return out
	}
	must.Eq(t, []api.HealthTime{{Target: ref("vm"), Seen: s(9, 11)}, {Target: ref("web"), Seen: s(9, 20, 30)}},
		HealthTimes(rollouts, simulations))
	must.Eq(t, []api.Trial{{Target: ref("vm"), Seen: s(95)}}, Trials(simulations))
}
