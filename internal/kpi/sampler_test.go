package kpi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// rounds is how long a turn lasts.
const rounds = 14

func id(i int) string { return fmt.Sprintf("%08x-0000-0000-0000-000000000000", i) }

// allocations are the first so many.
func allocations(n int) []string {
	var out []string
	for i := range n {
		out = append(out, id(i))
	}
	return out
}

// crowd is a fleet of so many targets with five instances each.
func crowd(targets int) graph.Layout {
	var layout graph.Layout
	for t := range targets {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprintf("job-%05d", t), Group: "web"}
		layout.Targets = append(layout.Targets, api.Target{TargetRef: ref, Count: 5})
		for i := range 5 {
			layout.Instances = append(layout.Instances, graph.Instance{ID: id(5*t + i), Target: ref, Healthy: true})
		}
	}
	return layout
}

// places is a fleet that stays as it is.
type places graph.Layout

func (p places) Layout(context.Context) (graph.Layout, error) { return graph.Layout(p), nil }

// asked counts by allocation how often Nomad is asked for statistics.
type asked struct {
	mu    sync.Mutex
	times map[string]int
}

func (a *asked) AllocStats(_ context.Context, alloc string) (AllocStats, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times[alloc]++
	return AllocStats{CPUCores: 0.5, MemoryBytes: 1 << 20}, nil
}

// TestSampler_AsksNomadForABoundedNumber has Nomad be asked for 200 allocations in each
// round, and for every one in the end.
func TestSampler_AsksNomadForABoundedNumber(t *testing.T) {
	t.Parallel()
	const most = 8
	a := &asked{times: map[string]int{}}
	s := NewSampler(NewReader(nil, a, Queries{}), places(crowd(300)), nil, nil) // 1,500 instances: no turns but those of the usage
	for i := range most {
		_, err := s.Sample(t.Context(), Ask{Turn: rounds, Gap: time.Minute}, began().Add(time.Duration(i)*5*time.Second))
		must.NoError(t, err)
	}
	total := 0
	for _, n := range a.times {
		total += n
	}
	must.Eq(t, most*statsPerRound, total)
	must.MapLen(t, 1_500, a.times)
	must.SliceContainsAll(t, []int{1, 2}, distinct(a.times))
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

// TestSampler_TurnsGoRoundAllTargets holds for lists that change between two rounds too.
func TestSampler_TurnsGoRoundAllTargets(t *testing.T) {
	t.Parallel()
	c := crowd(3_000)
	r := NewSampler(nil, nil, nil, nil)
	seen := map[api.TargetRef]int{}
	for n := range 8 * rounds {
		layout := c
		if n%2 == 1 { // one target comes and goes
			layout.Targets = layout.Targets[1:]
		}
		visits, ids := r.visits(layout, nil, Ask{Turn: rounds})
		must.Between(t, 1_900, len(ids), instancesPerRound)
		for _, v := range visits {
			must.Len(t, 5, v.ids)
			seen[v.target.TargetRef]++
		}
	}
	must.MapLen(t, 3_000, seen)
	least := 8 * rounds
	for _, n := range seen {
		least = min(least, n)
	}
	must.GreaterEq(t, rounds/2, least)
}

// TestSampler_ATurnHasInstances has targets without any come before one that fills a round.
func TestSampler_ATurnHasInstances(t *testing.T) {
	t.Parallel()
	c := crowd(1_000)
	for i := range c.Instances {
		c.Instances[i].Target, c.Instances[i].Healthy = c.Targets[3].TargetRef, i >= 15
	}
	r := NewSampler(nil, nil, nil, nil)
	visits, ids := r.visits(c, nil, Ask{Turn: rounds})
	must.Len(t, 4_985, ids, must.Sprint("none would mean the whole fleet"))
	must.Eq(t, c.Targets[3].TargetRef, visits[3].target.TargetRef)
}

// TestSampler_ForgetsAllocationsThatAreGone keeps no usage of allocations that are no more.
func TestSampler_ForgetsAllocationsThatAreGone(t *testing.T) {
	t.Parallel()
	c := crowd(2)
	r := NewSampler(nil, nil, nil, nil)
	for i := range 30 {
		r.used[id(i)] = used{}
	}
	r.forget(c)
	must.MapLen(t, 10, r.used)
	must.MapContainsKeys(t, r.used, allocations(10))
}

// counting fails, and counts how often it was asked.
type counting struct{ asked int }

func (c *counting) Query(context.Context, string, time.Time) ([]Series, error) {
	c.asked++
	return nil, errors.New("connection refused")
}

func TestSampler_AsksASourceThatIsAwayOnceARound(t *testing.T) {
	t.Parallel()
	c := &counting{}
	own := Queries{Own: map[string]OwnQuery{
		"checkout_failures": {Kind: api.KPICount, Query: `checkouts{code=~"5..",$instances}`, Total: `checkouts{$instances}`},
		"checkout_p90":      {Kind: api.KPILatency, Query: `checkout_seconds_bucket{$instances}`},
	}}
	s := NewSampler(NewReader(c, nil, own), places(crowd(1)), nil, nil)
	for i := range 2 {
		_, err := s.Sample(t.Context(), Ask{Turn: rounds, Gap: time.Minute}, began().Add(time.Duration(i)*5*time.Second))
		must.NoError(t, err)
	}
	must.Eq(t, 2, c.asked)
}

func TestAllocStats_CountKillsThatNomadForgetsOnce(t *testing.T) {
	n, last := AllocStats{OOMKills: []int64{10, 20, 30}}.oomSince(20)
	must.Eq(t, 1, n)
	must.Eq(t, 30, last)
	n, last = AllocStats{OOMKills: []int64{20}}.oomSince(30)
	must.Eq(t, 0, n)
	must.Eq(t, 30, last)
}
