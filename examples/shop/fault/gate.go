package fault

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The rate of an instance is counted over window in slots of slot: coarse
// enough to cost nothing, fine enough that a fault starts and stops within a
// tenth of a second of its condition.
const (
	window = 2 * time.Second
	slot   = 100 * time.Millisecond
	slots  = int(window / slot)
)

// Effect is what the faults do to one request.
type Effect struct {
	Delay time.Duration
	Busy  time.Duration
	Leak  int64
	Disk  int64
	Fail  bool
	// Garbage makes the answer unreadable, though its status says that all is well.
	Garbage bool
}

// Gate decides which faults of a Spec strike. It may be used by many
// goroutines at once.
type Gate struct {
	spec    Spec
	started time.Time

	mu     sync.Mutex
	counts [slots]int
	last   int64 // number of the newest slot, counted from started
}

// NewGate returns a gate for an instance that started at the given time.
func NewGate(spec Spec, started time.Time) *Gate {
	return &Gate{spec: spec, started: started}
}

// Request counts one request and says what the faults do to it.
func (g *Gate) Request(now time.Time) Effect {
	g.mu.Lock()
	g.advance(now)
	g.counts[g.last%int64(slots)]++
	rate := g.rate()
	g.mu.Unlock()

	var e Effect
	for _, rule := range g.spec {
		if !rule.strikes(rate) {
			continue
		}
		e.Delay += rule.Latency
		if rule.Slow > 0 && rand.Float64() < rule.SlowShare {
			e.Delay += rule.Slow
		}
		if rule.Errors > 0 && rand.Float64() < rule.Errors {
			e.Fail = true
		}
		if rule.Garbage > 0 && rand.Float64() < rule.Garbage {
			e.Garbage = true
		}
		e.Busy += rule.CPU
		e.Leak += rule.Leak
		e.Disk += rule.Disk
	}
	return e
}

// Rate is the requests per second over the last two seconds.
func (g *Gate) Rate(now time.Time) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advance(now)
	return g.rate()
}

// Healthy reports whether the health endpoint should say so.
func (g *Gate) Healthy(now time.Time) bool {
	rate := g.Rate(now)
	for _, rule := range g.spec {
		if rule.Unhealthy && rule.strikes(rate) {
			return false
		}
	}
	return true
}

// CanCrash reports whether any rule holds a crash.
func (g *Gate) CanCrash() bool {
	return slices.ContainsFunc(g.spec, func(r Rule) bool { return r.Crash > 0 })
}

// Crashed reports whether the instance should be gone by now.
func (g *Gate) Crashed(now time.Time) bool {
	rate := g.Rate(now)
	for _, rule := range g.spec {
		if rule.Crash > 0 && now.Sub(g.started) >= rule.Crash && rule.strikes(rate) {
			return true
		}
	}
	return false
}

func (r Rule) strikes(rate float64) bool { return r.AboveRPS == 0 || rate > r.AboveRPS }

// advance moves to the slot of now, emptying the ones that passed. A clock that
// went back stays in the newest slot.
func (g *Gate) advance(now time.Time) {
	number := int64(now.Sub(g.started) / slot)
	if number <= g.last {
		return
	}
	if number-g.last >= int64(slots) {
		g.counts = [slots]int{}
	} else {
		for n := g.last + 1; n <= number; n++ {
			g.counts[n%int64(slots)] = 0
		}
	}
	g.last = number
}

func (g *Gate) rate() float64 {
	sum := 0
	for _, n := range g.counts {
		sum += n
	}
	return float64(sum) / window.Seconds()
}
