package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

func TestVisibleQuantile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ own, requests, want float64 }{
		{0.99, 0, 0.5}, {0.99, 190, 0.5}, {0.99, 200, 0.75}, {0.99, 500, 0.9}, {0.99, 1000, 0.95}, {0.99, 5001, 0.99}, {0.99, 1e9, 0.99},
		{0.9, 1e9, 0.9}, {0.93, 800, 0.93}, {0.5, 1e9, 0.5}, {0.25, 1e9, 0.25},
	} {
		must.Eq(t, c.want, visibleQuantile(c.own, c.requests), must.Sprintf("%+v", c))
	}
}

// TestQuantileOf_ErrorIsAsOftenSeen compares the standard error with the spread over
// many lists.
func TestQuantileOf_ErrorIsAsOftenSeen(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, q := range []float64{0.5, 0.75, 0.9} {
		var values, errors []float64
		for range 500 {
			list := make([]float64, 300)
			for i := range list {
				list[i] = math.Exp(0.5 * rng.NormFloat64())
			}
			value, deviation, ok := quantileOf(list, q)
			must.True(t, ok)
			values, errors = append(values, value), append(errors, deviation)
		}
		seen, about := 0.0, mean(values)
		for _, v := range values {
			seen += (v - about) * (v - about) / float64(len(values))
		}
		must.Between(t, 0.85, mean(errors)/math.Sqrt(seen), 1.2, must.Sprint(q))
	}
	_, _, ok := quantileOf([]float64{1, 2, 3}, 0.5)
	must.False(t, ok, must.Sprint("three values have no standard error"))
}

// TestGaugeFigure_WhatBothHaveInCommonCancels has two machines on a node that is now
// and then busy.
func TestGaugeFigure_WhatBothHaveInCommonCancels(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var control, treatment []float64
	for range 30 {
		busy := 1 + rng.Float64()
		control, treatment = append(control, busy*(1+0.01*rng.NormFloat64())), append(treatment, 1.1*busy*(1+0.01*rng.NormFloat64()))
	}
	f, ok := gaugeFigure(control, treatment)
	must.True(t, ok)
	must.Between(t, 1.09, f.treatment/f.control, 1.11)
	must.Less(t, 0.01, f.deviation)
	_, ok = gaugeFigure(control[:3], treatment[:3])
	must.False(t, ok)
}

// TestReplicate_FiguresNeverPanic gives it anything that a sandbox may say.
func TestReplicate_FiguresNeverPanic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kpi, _ := judge.Known(api.KPICPU)
		r := newReplicate(kpi, api.KPISpec{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5, IgnoreBelow: rapid.SampledFrom([]float64{0, 0.01}).Draw(t, "ignore")}, 5, 100, nil)
		value := rapid.SampledFrom([]float64{0, 1e-12, 0.1, 1, 1e12, math.Inf(1), math.NaN()})
		for range rapid.IntRange(0, 5).Draw(t, "pairs") {
			r.observe(figure{value.Draw(t, "control"), value.Draw(t, "treatment"), value.Draw(t, "deviation")})
		}
		k := api.KPIEffect{Kind: api.VerdictContinue, Needed: 3}
		r.effect(&k, 1.5)
		must.False(t, math.IsNaN(k.Evidence))
		must.False(t, math.IsNaN(k.Promote))
	})
}

// TestReplicate_EffectHasOneFigureOfTheEvidence whatever the judge has said before.
func TestReplicate_EffectHasOneFigureOfTheEvidence(t *testing.T) {
	t.Parallel()
	kpi, _ := judge.Known(api.KPICPU)
	for name, c := range map[string]struct {
		judged  api.KPIEffect
		byPairs bool
	}{
		"the looks reject":      {api.KPIEffect{Kind: api.VerdictAbort, Evidence: 3.5, Needed: 3, Reason: "evidence 10^3.5 of 10^3.0 needed"}, false},
		"the looks do not know": {api.KPIEffect{Kind: api.VerdictContinue, Evidence: 0.5, Needed: 3}, true},
	} {
		r := newReplicate(kpi, api.KPISpec{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5}, 6, 100, nil)
		for range 6 {
			r.observe(figure{control: 0.2, treatment: 0.8, deviation: 0.01})
		}
		k := c.judged
		r.effect(&k, 1.5)
		must.EqOp(t, api.VerdictAbort, k.Kind, must.Sprint(name))
		must.StrContains(t, k.Reason, fmt.Sprintf("evidence 10^%.1f of 10^3.0 needed", k.Evidence), must.Sprint(name))
		must.EqOp(t, c.byPairs, strings.Contains(k.Reason, "pairs"), must.Sprint(name))
	}
}

func TestSlope(t *testing.T) {
	t.Parallel()
	var list []memoryUse
	for i := range 10 {
		list = append(list, memoryUse{time.Unix(int64(100+2*i), 0), 1e6 + 3000*float64(i)})
	}
	growth, ok := slope(list)
	must.True(t, ok)
	must.Between(t, 1499.9, growth, 1500.1)
	_, ok = slope(list[:2])
	must.False(t, ok)
	same := []memoryUse{list[0], list[0], list[0], list[0]}
	_, ok = slope(same)
	must.False(t, ok, must.Sprint("no time has passed"))
}

// TestSeries_KeepsAtMostItsPoints over all pairs.
func TestSeries_KeepsAtMostItsPoints(t *testing.T) {
	t.Parallel()
	kpi, _ := judge.Known(api.KPIErrorRate)
	var s series
	must.SliceEmpty(t, s.points())
	for pair := range 3 {
		s.begin()
		for i := range 50 {
			control := Interval{Requests: 10, Errors: i % 2}
			if pair == 1 {
				control.Requests = 0
			}
			s.add([]judge.KPI{kpi}, time.Second, control, Interval{Requests: 10})
		}
	}
	lines, total := s.points(), 0
	must.Len(t, 3, lines)
	for i, line := range lines {
		must.Eq(t, i+1, line.Pair)
		must.Eq(t, api.Duration(3*time.Second), line.Every)
		total += len(line.Control)
	}
	must.LessEq(t, seriesMost, total)
	must.Eq(t, -1, lines[1].Control[0], must.Sprint("nothing was measured"))
	must.Eq(t, 0, lines[1].Treatment[0])
}
