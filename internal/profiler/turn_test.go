package profiler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// crowd is a large fleet of five instances a target. Each serves eight requests
// a second, and it counts who is asked.
type crowd struct {
	layout  graph.Layout
	began   time.Time
	mu      sync.Mutex
	asked   map[string]int // by allocation, of Nomad
	perTick []int          // allocations in each query for requests
	most    int            // allocations in one query
	whole   int            // queries for the whole fleet
}

func newCrowd(targets int) *crowd {
	c := &crowd{began: time.Now(), asked: map[string]int{}}
	for t := range targets {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprintf("job-%05d", t), Group: "web"}
		c.layout.Targets = append(c.layout.Targets, api.Target{TargetRef: ref, Count: 5})
		for i := range 5 {
			c.layout.Instances = append(c.layout.Instances, graph.Instance{ID: id(5*t + i), Target: ref, Healthy: true})
		}
	}
	return c
}

func (c *crowd) Layout(context.Context) (graph.Layout, error) { return c.layout, nil }

func (c *crowd) AllocStats(_ context.Context, alloc string) (AllocStats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[alloc]++
	return AllocStats{CPUCores: 0.5, MemoryBytes: 1 << 20}, nil
}

func (c *crowd) Query(_ context.Context, promql string, at time.Time) ([]Sample, error) {
	if strings.Contains(promql, "!=") {
		c.whole++
	}
	if !strings.Contains(promql, "http_requests_total{alloc_id=~") {
		return nil, nil
	}
	_, list, _ := strings.Cut(promql, `=~"`)
	list, _, _ = strings.Cut(list, `"`)
	var out []Sample
	for alloc := range strings.SplitSeq(list, "|") {
		out = append(out, Sample{map[string]string{"alloc_id": alloc}, 8 * at.Sub(c.began).Seconds()})
	}
	c.perTick = append(c.perTick, len(out))
	c.most = max(c.most, len(out))
	return out, nil
}

// TestALargeFleetTakesTurns has 1,000 targets of 5,000 instances: a round asks
// for 2,000 of them, three turns go round all targets, and each turn closes a
// window of a minute.
func TestALargeFleetTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1_000)
		p := New(Options{Metrics: c, Fleet: c})
		during(t, p, 3*turnRounds*p.interval+time.Second)
		must.Eq(t, instancesPerRound, c.most)
		must.Eq(t, 0, c.whole, must.Sprint("the whole fleet is never asked for"))
		must.Len(t, 3*turnRounds, c.perTick)
		must.Len(t, 1_000, p.Profiles())
		for _, profile := range p.Profiles() {
			requests := find(t, []api.Profile{profile}, api.KPIRequests)
			must.GreaterEq(t, turnRounds-1, requests.Samples)
			must.InDelta(t, 8, requests.Mean, 1e-6, must.Sprint("of the time between two looks"))
		}
		for ref := range p.targets {
			must.GreaterEq(t, 1, p.targets[ref].series[api.KPIRequests].recent.windows.N, must.Sprint(ref))
		}
	})
}

// TestWhatIsBesideARolloutIsLookedAtInEachRound pauses one target of a large fleet.
func TestWhatIsBesideARolloutIsLookedAtInEachRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(1_000)
		beside := c.layout.Targets[999].TargetRef
		p := New(Options{Metrics: c, Fleet: c, Beside: func() map[api.TargetRef]bool { return map[api.TargetRef]bool{beside: true} }})
		during(t, p, 2*turnRounds*p.interval+time.Second)
		must.Eq(t, instancesPerRound+5, c.most)
		must.SliceNotEmpty(t, p.targets[beside].series[api.KPIRequests].recent.past)
		must.Len(t, recentSamples, p.targets[beside].series[api.KPIRequests].recent.ring)
		must.GreaterEq(t, int64(coldBelow-turnRounds), p.targets[beside].series[api.KPIRequests].samples)
	})
}

// TestUsageIsAskedOfABoundedNumber has Nomad be asked of 200 allocations in each
// round, and of every one in the end.
func TestUsageIsAskedOfABoundedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(300) // 1,500 instances: no turns but those of the usage
		p := New(Options{Stats: c, Fleet: c, Interval: 5 * time.Second})
		rounds := 8
		during(t, p, time.Duration(rounds)*p.interval+time.Second)
		total := 0
		for _, n := range c.asked {
			total += n
		}
		must.Eq(t, rounds*statsPerRound, total)
		must.MapLen(t, 1_500, c.asked)
		must.SliceContainsAll(t, []int{1, 2}, distinct(c.asked))
	})
}

func distinct(counts map[string]int) []int {
	var out []int
	for _, n := range counts {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// TestTurnsGoRoundAllTargets holds for lists that change between two rounds too.
func TestTurnsGoRoundAllTargets(t *testing.T) {
	t.Parallel()
	c := newCrowd(3_000)
	var r round
	seen := map[api.TargetRef]int{}
	for n := range 8 * turnRounds {
		layout := c.layout
		if n%2 == 1 { // one target comes and goes
			layout.Targets = layout.Targets[1:]
		}
		visits, ids := r.visits(layout, nil, nil)
		must.Between(t, 1_900, len(ids), instancesPerRound)
		for _, v := range visits {
			must.Len(t, 5, v.ids)
			seen[v.target.TargetRef]++
		}
	}
	must.MapLen(t, 3_000, seen)
	least := 8 * turnRounds
	for _, n := range seen {
		least = min(least, n)
	}
	must.GreaterEq(t, turnRounds/2, least)
}

// TestATurnHasInstances has targets without any come before one that fills a round.
func TestATurnHasInstances(t *testing.T) {
	t.Parallel()
	c := newCrowd(1_000)
	for i := range c.layout.Instances {
		c.layout.Instances[i].Target, c.layout.Instances[i].Healthy = c.layout.Targets[3].TargetRef, i >= 15
	}
	var r round
	visits, ids := r.visits(c.layout, nil, nil)
	must.Len(t, 4_985, ids, must.Sprint("none would mean the whole fleet"))
	must.Eq(t, c.layout.Targets[3].TargetRef, visits[3].target.TargetRef)
}

// TestWhatIsGoneIsForgotten keeps no usage of allocations that are no more.
func TestWhatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	c := newCrowd(2)
	r := round{usage: map[string]used{}}
	for i := range 30 {
		r.usage[id(i)] = used{}
	}
	r.forget(c.layout)
	must.MapLen(t, 10, r.usage)
	must.MapContainsKeys(t, r.usage, ids(0, 10))
}

var (
	_ Metrics = (*crowd)(nil)
	_ Stats   = (*crowd)(nil)
	_ Fleet   = (*crowd)(nil)
)
