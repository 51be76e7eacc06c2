package profiler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

// perRound is how many instances one round reads.
const perRound = 2_000

// TestProfiler_TakesTurnsInALargeFleet has 1,000 targets of 5,000 instances: a round asks
// for 2,000 of them, three turns go round all targets, and each turn closes a
// window of a minute.
func TestProfiler_TakesTurnsInALargeFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kpitest.NewLargeFleet(1_000)
		p := open(parts{Metrics: c, Fleet: c})
		during(t, p, 3*turnRounds*p.baselines.interval+time.Second)
		must.Eq(t, perRound, c.Most)
		must.Eq(t, 0, c.Whole, must.Sprint("the whole fleet is never asked for"))
		must.Len(t, 3*turnRounds, c.PerTick)
		must.Len(t, 1_000, p.baselines.Profiles())
		for _, profile := range p.baselines.Profiles() {
			requests := find(t, []api.Profile{profile}, api.KPIRequests)
			must.GreaterEq(t, turnRounds-1, requests.Samples)
			must.InDelta(t, 8, requests.Mean, 1e-6, must.Sprint("of the time between two rounds"))
		}
		for ref := range p.baselines.targets {
			must.GreaterEq(t, 1, p.baselines.targets[ref].kpis[api.KPIRequests].recent.windows.N, must.Sprint(ref))
		}
	})
}

// TestProfiler_SamplesNeighboursInEachRound has one target of a large fleet rest.
func TestProfiler_SamplesNeighboursInEachRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kpitest.NewLargeFleet(1_000)
		neighbour := c.Places.Targets[999].TargetRef
		p := open(parts{Metrics: c, Fleet: c, Neighbours: func() map[api.TargetRef]bool { return map[api.TargetRef]bool{neighbour: true} }})
		during(t, p, 2*turnRounds*p.baselines.interval+time.Second)
		must.Eq(t, perRound+5, c.Most)
		must.SliceNotEmpty(t, p.baselines.targets[neighbour].kpis[api.KPIRequests].recent.past)
		must.Len(t, windowSamples, p.baselines.targets[neighbour].kpis[api.KPIRequests].recent.ring)
		must.GreaterEq(t, int64(coldBelow-turnRounds), p.baselines.targets[neighbour].kpis[api.KPIRequests].samples)
	})
}
