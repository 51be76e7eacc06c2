package judge_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// three opens a bank of all kinds of KPIs.
func three(t testing.TB) *judge.Bank {
	return open(t, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil)
}

// TestBank_StandsClocksThatJump repeats looks, hands in late ones, and sets the clock back
// and far ahead: what was looked at once does not count again.
func TestBank_StandsClocksThatJump(t *testing.T) {
	t.Parallel()
	w := healthy(12)
	plain, jumpy := three(t), three(t)
	for i := range 20 {
		look := w.look(i)
		plain.Observe(look)
		jumpy.Observe(look)
		jumpy.Observe(look) // duplicated
		if i > 3 {
			late := w.look(i - 3)
			late.KPIs = map[string]judge.Pair{api.KPIErrorRate: {Canary: judge.Count(100, 100), Stable: judge.Count(0, 100)}}
			jumpy.Observe(late)
			late.At = time.Time{}
			jumpy.Observe(late)
		}
		must.Eq(t, plain.Verdict(look.At), jumpy.Verdict(look.At))
	}
	// Far ahead: a look as any other, and the time in between is nobody's.
	ahead := w.look(21)
	ahead.At = ahead.At.Add(1000 * time.Hour)
	jumpy.Observe(ahead)
	must.NotEq(t, api.VerdictInconclusive, jumpy.Verdict(ahead.At).Kind)
	// A clock that stands before the stage began promotes nothing that would not
	// be promoted, and ends nothing.
	must.Eq(t, plain.Verdict(began()).Kind, plain.Verdict(began().Add(-time.Hour)).Kind)
}

func TestBank_TakesAnIntervalWithoutLengthForOne(t *testing.T) {
	for _, seconds := range []float64{math.NaN(), math.Inf(1), -5} {
		b := three(t)
		look := healthy(1).look(1)
		look.Seconds = seconds
		b.Observe(look)
		_, err := json.Marshal(b)
		must.NoError(t, err)
	}
}

func TestBank_NeverPromotesOnEmptyResults(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]map[string]judge.Pair{
		"no KPI": {},
		"zero counts": {
			api.KPIErrorRate: {Canary: judge.Count(0, 0), Stable: judge.Count(0, 0)},
			"latency_p90":    {Canary: judge.Samples(nil), Stable: judge.Samples(nil)},
			api.KPICPU:       {Canary: judge.Gauge(0), Stable: judge.Gauge(0)},
		},
		"a histogram without buckets": {"latency_p90": {Canary: judge.Buckets(nil, []float64{5}), Stable: judge.Buckets(nil, []float64{5})}},
	} {
		b := three(t)
		for i := range 200 {
			b.Observe(judge.Look{At: began().Add(time.Duration(i+1) * step), Seconds: 5, KPIs: empty})
			must.NotEq(t, api.VerdictPromote, b.Verdict(began().Add(time.Duration(i+1)*step)).Kind, must.Sprint(name))
		}
	}
}

// TestBank_NeverPromotesOnDamagedResults draws looks of which one KPI at least is damaged.
func TestBank_NeverPromotesOnDamagedResults(outer *testing.T) {
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -1e300, 1e300}
	rapid.Check(outer, func(t *rapid.T) {
		w := healthy(rapid.Uint64().Draw(t, "seed"))
		b := open(outer, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil)
		which := rapid.SampledFrom([]string{api.KPIErrorRate, "latency_p90", api.KPICPU}).Draw(t, "kpi")
		for i := range rapid.IntRange(1, 80).Draw(t, "looks") {
			look := w.look(i)
			p := look.KPIs[which]
			arm := rapid.SampledFrom([]*judge.Measure{&p.Canary, &p.Stable}).Draw(t, "arm")
			v := rapid.SampledFrom(bad).Draw(t, "value")
			switch which {
			case api.KPIErrorRate:
				field := rapid.SampledFrom([]*float64{&arm.Events, &arm.Exposure}).Draw(t, "field")
				*field = v
			case api.KPICPU:
				arm.Value = v
			default:
				arm.Counts[rapid.IntRange(0, len(arm.Counts)-1).Draw(t, "bucket")] = v
			}
			look.KPIs[which] = p
			b.Observe(look)
			if b.Verdict(look.At).Kind == api.VerdictPromote {
				t.Fatalf("promoted though %s was damaged at every look", which)
			}
			if _, err := json.Marshal(b); err != nil {
				t.Fatalf("the state can't be stored: %v", err)
			}
		}
	})
}

// FuzzBank shows a bank any numbers at all: it never panics, and its state can
// always be stored and read.
func FuzzBank(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add(binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN())))
	f.Fuzz(func(t *testing.T, raw []byte) {
		next := func() float64 {
			if len(raw) < 8 {
				return float64(len(raw))
			}
			v := math.Float64frombits(binary.LittleEndian.Uint64(raw))
			raw = raw[8:]
			return v
		}
		b := three(t)
		for i := range 1 + len(raw)/100 {
			upper := []float64{next(), next(), next()}
			b.Observe(judge.Look{At: began().Add(time.Duration(i+1) * step), Seconds: next(), KPIs: map[string]judge.Pair{
				api.KPIErrorRate: {Canary: judge.Count(next(), next()), Stable: judge.Count(next(), next())},
				"latency_p90": {Canary: judge.Buckets(upper, []float64{next(), next(), next(), next()}),
					Stable: judge.Buckets(upper, []float64{next(), next(), next(), next()})},
				api.KPICPU: {Canary: judge.Gauge(next()), Stable: judge.Gauge(next())},
			}})
			v := b.Verdict(began().Add(time.Duration(i+1) * step))
			_, err := json.Marshal(v)
			must.NoError(t, err)
			stored, err := json.Marshal(b)
			must.NoError(t, err)
			b, err = judge.Load(stored)
			must.NoError(t, err)
		}
	})
}

// TestVerdict_SaysRatiosInFull: a ratio that is plain to read, however large it is.
func TestVerdict_SaysRatiosInFull(t *testing.T) {
	t.Parallel()
	for want, failed := range map[string][2]float64{ // of ten thousand: patched, former
		"is 3.5x stable (": {3500, 1000}, "is 44x stable (": {880, 20}, "is 302x stable (": {3020, 10},
	} {
		b := open(t, spec(errorRate()), judge.Stage{Started: began()}, nil)
		for i := range 10 {
			b.Observe(judge.Look{At: began().Add(time.Duration(i+1) * step), Seconds: step.Seconds(), KPIs: map[string]judge.Pair{
				api.KPIErrorRate: {Canary: judge.Count(failed[0], 10_000), Stable: judge.Count(failed[1], 10_000)},
			}})
		}
		must.StrContains(t, b.Verdict(began().Add(time.Minute)).Reason, want)
	}
}
