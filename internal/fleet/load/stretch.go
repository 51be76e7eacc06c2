package load

import (
	"math"
	"slices"
	"time"
)

// stretch is a time in which an instance's conditions do not change. Only the
// rate of all requests does, whose integral is known.
type stretch struct {
	from   time.Time
	flows  []float64           // integrals of the weeks at the start
	part   float64             // of the service's requests
	shares [bounds + 1]float64 // of the instance's requests: served, by bucket
	errors float64             // share that fails
	// Of each call: the share that fails, and the mean latency in seconds.
	failing, taking []float64
	harm            Harm
	inherited       degradation // of its calls
	// What had been done at the start: the integrals of the rates of requests served
	// by bucket, of failed requests, and of failed calls; and the counters that
	// follow from requests.
	served       [bounds + 1]float64
	failed       float64
	failedCalls  []float64
	requests     float64
	cpu, ops     float64 // core-seconds, disk operations
	leaked       float64 // bytes
	secondsCalls []float64
}

// stretch begins a new one unless the conditions are those of the last.
func (m *Model) stretch(now time.Time, in *Instance, part float64, h Harm, inherited degradation) {
	next := stretch{from: now, part: part, harm: h, inherited: inherited}
	n := len(in.stretches)
	if n > 0 && in.stretches[n-1].harm == h && in.stretches[n-1].inherited == inherited {
		next.errors, next.shares = in.stretches[n-1].errors, in.stretches[n-1].shares
	} else {
		next.errors = in.errors(h, inherited)
		next.shares = in.latencies(h, inherited, 1-next.errors)
	}
	for _, to := range in.service.callees {
		callee := m.services[to]
		p := callee.degradation
		next.failing = append(next.failing, 1-(1-callee.Errors)*(1-p.errors))
		mean := callee.Latency.Seconds() * math.Exp(callee.Spread*callee.Spread/2)
		next.taking = append(next.taking, max(mean/10, mean+p.slow*p.delay))
	}
	if n > 0 {
		last := &in.stretches[n-1]
		if last.like(&next) {
			return
		}
		m.carry(&next, in, now)
		if last.from.Equal(now) {
			in.stretches[n-1] = next
			return
		}
		in.forget(now)
	} else {
		next.failedCalls, next.secondsCalls = make([]float64, len(next.failing)), make([]float64, len(next.failing))
		next.flows = m.integrals(in.service, now)
	}
	in.stretches = append(in.stretches, next)
}

// like reports whether two stretches have the same conditions.
func (s *stretch) like(o *stretch) bool {
	return s.part == o.part && s.harm == o.harm && s.inherited == o.inherited &&
		slices.Equal(s.failing, o.failing) && slices.Equal(s.taking, o.taking)
}

// carry gives a stretch what had been done before.
func (m *Model) carry(next *stretch, in *Instance, now time.Time) {
	d := m.done(in, now)
	next.flows = m.integrals(in.service, now)
	next.served, next.failed, next.failedCalls = d.served, d.failed, d.failedCalls
	next.requests, next.cpu, next.ops, next.leaked, next.secondsCalls = d.requests, d.cpu, d.ops, d.leaked, d.secondsCalls
}

// integrals are those of the weeks that a service's requests follow.
func (m *Model) integrals(s *service, t time.Time) []float64 {
	out := make([]float64, len(m.flows))
	for w, g := range s.gains {
		if g > 0 {
			out[w] = m.flows[w].integral(t)
		}
	}
	return out
}

// errors is the share of an instance's requests that fails.
func (in *Instance) errors(h Harm, inherited degradation) float64 {
	if h.Lies {
		h = Harm{}
	}
	return 1 - (1-inherited.errors)*(1-h.errors(min(in.service.Errors*in.failing, 1)))
}

// latencies spreads the requests that are served over the buckets; they add up to
// served.
func (in *Instance) latencies(h Harm, inherited degradation, served float64) (out [bounds + 1]float64) {
	if h.Lies {
		h = Harm{}
	}
	median := in.service.Latency.Seconds() * in.pace * factor(h.Latency)
	tail := h.tail()
	usual := served * (1 - inherited.slow)
	addShares(&out, usual*(1-tail.share), median, in.service.Spread)
	addShares(&out, usual*tail.share, median*tail.by, in.service.Spread)
	addShares(&out, served*inherited.slow, max(median/10, median+inherited.delay), in.service.Spread)
	return out
}

// forget drops the stretches that ended too long ago, and those that are too many:
// a service whose instances come by the hundred has as many.
func (in *Instance) forget(now time.Time) {
	old := max(0, len(in.stretches)-mostStretches)
	for old+1 < len(in.stretches) && now.Sub(in.stretches[old+1].from) > kept {
		old++
	}
	in.stretches = slices.Delete(in.stretches, 0, old)
}
