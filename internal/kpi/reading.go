package kpi

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// Reading is what the sources said of some instances at one time. A map is nil when its
// source was not asked or did not answer.
type Reading struct {
	At       time.Time
	Counters map[string]*Counters            // by allocation
	Own      map[string]map[string]*Counters // counts and latencies with queries of their own, by KPI and allocation
	Gauges   map[string]map[string]float64   // gauges with a query, by KPI and allocation
	Usage    map[string]AllocStats           // by allocation
}

// Last is what one reading leaves for the next. It is part of the replicated state.
type Last struct {
	At       time.Time            `json:"at,omitzero"`
	Upper    stats.Vector         `json:"upper,omitempty"` // bucket bounds that all counters share
	Counters map[string]*Counters `json:"counters,omitempty"`
	Restarts map[string]int       `json:"restarts,omitempty"`
	OOM      map[string]int64     `json:"oom,omitempty"` // the last kill for lack of memory that was counted
	Own      map[string]*Kept     `json:"own,omitempty"` // by KPI
}

// Kept are the counters of one KPI that has its own.
type Kept struct {
	Upper    stats.Vector         `json:"upper,omitempty"` // bucket bounds that all counters share
	Counters map[string]*Counters `json:"counters"`
}

// Next is what a reading of some allocations leaves for the one after it.
func (l Last) Next(ids []string, r Reading) Last {
	kept := keep(ids, r.Counters)
	next := Last{At: r.At, Upper: kept.Upper, Counters: kept.Counters, Restarts: map[string]int{}, OOM: map[string]int64{}}
	for name, seen := range r.Own {
		if next.Own == nil {
			next.Own = map[string]*Kept{}
		}
		next.Own[name] = keep(ids, seen)
	}
	for _, id := range ids {
		if u, ok := r.Usage[id]; ok {
			next.Restarts[id] = u.Restarts
			_, next.OOM[id] = u.oomSince(l.OOM[id])
		}
	}
	return next
}

// keep keeps the counters of some allocations. Histograms with other bounds than the
// first one lose their buckets.
func keep(ids []string, seen map[string]*Counters) *Kept {
	k := &Kept{Counters: map[string]*Counters{}}
	for _, id := range ids {
		c := seen[id]
		if c == nil || math.IsNaN(c.Requests) { // it has no requests yet
			continue
		}
		if k.Upper == nil {
			k.Upper = c.Upper
		}
		kept := *c
		if !slices.Equal(k.Upper, c.Upper) {
			kept.Upper, kept.Buckets = nil, nil
		}
		k.Counters[id] = &kept
	}
	return k
}

// ShareBounds gives the counters their bounds back, which are stored once.
func (l *Last) ShareBounds() {
	for _, c := range l.Counters {
		c.Upper = l.Upper
	}
	for _, own := range l.Own {
		for _, c := range own.Counters {
			c.Upper = own.Upper
		}
	}
}

// Measure is what some allocations show of a KPI between the last reading and this one.
// Allocations without data are named in Partial. Without data of any of them, the
// measure is absent.
func (l Last) Measure(kpi judge.KPI, ids []string, r Reading) judge.Measure {
	seconds := r.At.Sub(l.At).Seconds()
	var t tally
	var silent []string
	have := 0
	for _, id := range ids {
		if why := l.add(&t, kpi, id, r); why != "" {
			silent = append(silent, fmt.Sprintf("%s of %s", why, short(id)))
			continue
		}
		have++
	}
	if have == 0 {
		return judge.Measure{Dropped: strings.Join(silent, ", ")}
	}
	var m judge.Measure
	switch {
	case kpi.Kind == api.KPILatency:
		m = judge.Buckets(t.sum.Upper, t.sum.Counts)
	case kpi.Name == api.KPIRestarts, kpi.Name == api.KPIOOMKills:
		m = judge.Count(t.events, float64(have)*seconds)
	case kpi.Kind == api.KPICount:
		m = judge.Count(t.sum.Errors, t.sum.Requests)
	case kpi.Name == api.KPIRequests:
		m = judge.Gauge(t.sum.Requests / seconds / float64(have))
	default:
		m = judge.Gauge(t.values / float64(have))
	}
	m.Partial = strings.Join(silent, ", ")
	return m
}

// tally adds up the allocations of one arm.
type tally struct {
	sum    Increment
	values float64 // of a gauge
	events float64 // restarts or kills
}

// add adds one allocation, or says why it has no data.
func (l Last) add(t *tally, kpi judge.KPI, id string, r Reading) string {
	if values, ok := r.Gauges[kpi.Name]; ok {
		v, ok := values[id]
		if !ok {
			return "no series"
		}
		t.values += v
		return ""
	}
	switch kpi.Name {
	case api.KPICPU, api.KPIMemory, api.KPIRestarts, api.KPIOOMKills:
		u, ok := r.Usage[id]
		if !ok {
			return "no allocation statistics"
		}
		return l.use(t, kpi.Name, id, u)
	}
	return l.count(t, kpi, id, r)
}

// use adds what one allocation uses.
func (l Last) use(t *tally, kpi, id string, u AllocStats) string {
	switch kpi {
	case api.KPICPU:
		t.values += u.CPUCores
		return ""
	case api.KPIMemory:
		t.values += u.MemoryBytes
		return ""
	}
	restarts, known := l.Restarts[id]
	killed, counted := l.OOM[id]
	switch {
	case kpi == api.KPIOOMKills && counted:
		kills, _ := u.oomSince(killed)
		t.events += kills
	case kpi == api.KPIOOMKills || !known:
		return "first look"
	case u.Restarts < restarts:
		return "restart counter was reset"
	default:
		t.events += float64(u.Restarts - restarts)
	}
	return ""
}

// count adds the increment of one allocation.
func (l Last) count(t *tally, kpi judge.KPI, id string, r Reading) string {
	after, before := r.Counters[id], l.Counters[id]
	if own, ok := r.Own[kpi.Name]; ok {
		after, before = own[id], nil
		if last := l.Own[kpi.Name]; last != nil {
			before = last.Counters[id]
		}
	}
	switch {
	case after == nil:
		return "no series"
	case before == nil:
		return "first look"
	}
	inc, why := after.Since(before)
	if why != "" {
		return why
	}
	if kpi.Kind == api.KPILatency && len(inc.Counts) == 0 {
		return "no latency histogram"
	}
	if !t.sum.Add(inc) && kpi.Kind == api.KPILatency {
		return "other histogram buckets"
	}
	return ""
}

// short is the part of an allocation's ID that people are shown.
func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}
