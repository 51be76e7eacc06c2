package kpi

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// Sample is what one KPI of one target showed in one interval. A gauge has Values, a
// count or a latency has Counted.
type Sample struct {
	Target  api.TargetRef
	KPI     judge.KPI // what it is: name, kind, unit and quantile
	Source  string    // who was asked
	At      time.Time // the end of the interval
	Seconds float64   // the length of the interval; 0 for a value of the moment
	Values  []float64 // one for each instance
	Counted *Counted
}

// Counted is by how much the counters of a target grew in one interval. The sample of a
// restart or a kill has only Sum: events out of instance-seconds.
type Counted struct {
	Sum    Increment
	Halves [2]Increment // every other instance, to compare equals with equals
	Each   []Increment  // by instance
}

// Grown are the samples that the counters of a target's instances give since an
// earlier reading. Instances that began, ended or restarted in between are left out.
func (r Reading) Grown(since Reading, known Catalogue, ref api.TargetRef, ids []string) []Sample {
	var out []Sample
	s := Sample{Target: ref, Source: SourceMetrics, At: r.At, Seconds: r.At.Sub(since.At).Seconds()}
	counted := func(name string, c *Counted) {
		kpi, ok := known.Known(api.KPISpec{KPI: name})
		if !ok || kpi.Kind == api.KPILatency && len(c.Sum.Counts) == 0 {
			return
		}
		s.KPI, s.Counted = kpi, c
		out = append(out, s)
	}
	if c := grown(ids, since.Counters, r.Counters); len(c.Each) > 0 {
		rate := s
		rate.KPI, _ = known.Known(api.KPISpec{KPI: api.KPIRequests})
		rate.Values = []float64{c.Sum.Requests / s.Seconds / float64(len(c.Each))}
		out = append(out, rate)
		if c.Sum.Requests > 0 {
			counted(api.KPIErrorRate, c)
			counted(api.KPILatencyP50, c)
			counted(api.KPILatencyP99, c)
		}
	}
	for name, seen := range r.Own {
		if c := grown(ids, since.Own[name], seen); c.Sum.Requests > 0 {
			counted(name, c)
		}
	}
	return out
}

// grown adds up the increments of some instances.
func grown(ids []string, last, seen map[string]*Counters) *Counted {
	c := &Counted{}
	if len(last) > 0 && len(seen) > 0 {
		c.Each = make([]Increment, 0, len(ids))
	}
	for i, id := range ids {
		before, after := last[id], seen[id]
		if before == nil || after == nil {
			continue
		}
		inc, why := after.Since(before)
		if why != "" {
			continue
		}
		c.Sum.Add(inc)
		c.Halves[i%2].Add(inc)
		c.Each = append(c.Each, inc)
	}
	return c
}

// gauges are the samples of the gauges that have a query.
func (r Reading) gauges(known Catalogue, ref api.TargetRef, ids []string) []Sample {
	var out []Sample
	for name, values := range r.Gauges {
		kpi, ok := known.Known(api.KPISpec{KPI: name})
		s := Sample{Target: ref, KPI: kpi, Source: SourceMetrics, At: r.At}
		for _, id := range ids {
			if v, have := values[id]; have {
				s.Values = append(s.Values, v)
			}
		}
		if ok && len(s.Values) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// used is what an allocation's statistics said in the last round.
type used struct {
	at       time.Time
	restarts int
	oom      int64 // when a task was last killed for lack of memory
}

// usage are the samples of what a target's instances use, as far as they answered. A
// restart is counted against the time since the allocation was asked before; in the
// first round, and after a gap, there is no such time. The map last is brought up to date.
func (r Reading) usage(last map[string]used, first bool, known Catalogue, ref api.TargetRef, ids []string) []Sample {
	var cpu, memory []float64
	var restarts, kills, watched float64 // watched in seconds, of all allocations
	for _, id := range ids {
		u, ok := r.Usage[id]
		if !ok {
			continue
		}
		cpu, memory = append(cpu, u.CPUCores), append(memory, u.MemoryBytes)
		before, ok := last[id]
		n, newest := u.oomSince(before.oom)
		if ok && !first && u.Restarts >= before.restarts {
			restarts += float64(u.Restarts - before.restarts)
			kills += n
			watched += r.At.Sub(before.at).Seconds()
		}
		last[id] = used{at: r.At, restarts: u.Restarts, oom: newest}
	}
	if len(cpu) == 0 {
		return nil
	}
	var out []Sample
	add := func(name string, values []float64, counted *Counted) {
		if way, _ := known.Queries.way(api.KPISpec{KPI: name}); way != byUsage {
			return // it has a query
		}
		kpi, _ := judge.Known(name)
		out = append(out, Sample{Target: ref, KPI: kpi, Source: SourceStats, At: r.At, Values: values, Counted: counted})
	}
	add(api.KPICPU, cpu, nil)
	add(api.KPIMemory, memory, nil)
	if watched > 0 {
		add(api.KPIRestarts, nil, &Counted{Sum: Increment{Errors: restarts, Requests: watched}})
		add(api.KPIOOMKills, nil, &Counted{Sum: Increment{Errors: kills, Requests: watched}})
	}
	return out
}
