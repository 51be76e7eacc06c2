package load

import (
	"math"
	"time"
)

// Sample is what an instance shows at a moment. Counters begin with its run.
type Sample struct {
	Requests, Errors float64    // counters; Requests has those that failed among them
	Buckets          []float64  // requests up to each of Bounds and beyond, cumulative
	Seconds          float64    // counter: sum of the latencies
	CPU              float64    // counter: core-seconds
	Disk             float64    // counter: operations, of 4 KiB each
	Memory           float64    // bytes
	Waiting          [3]float64 // counters: seconds waited for processor, memory and disk
	Calls            []Traffic  // by call of its service
	Serving          bool
}

// Traffic is what an instance has sent to one service, all counters.
type Traffic struct {
	To               string
	Requests, Errors float64
	Seconds          float64 // sum of the latencies
	Bytes            float64 // both ways
}

// done is what had been done at a moment, as in stretch.
type done struct {
	served       [bounds + 1]float64
	failed       float64
	failedCalls  []float64
	buckets      [bounds + 1]float64 // points
	errors       float64             // points
	requests     float64
	cpu, ops     float64
	leaked       float64
	secondsCalls []float64
	stretch      *stretch
}

// Name is the service that the instance serves; empty when the topology does not
// know it.
func (in *Instance) Name() string { return in.service.Name }

// Began is when the instance's run began.
func (in *Instance) Began() time.Time { return in.began }

// Ended is when the run ended; zero while it goes on.
func (in *Instance) Ended() time.Time { return in.ended }

// At is what an instance shows at a moment; false before its run began, after it
// ended, and when the moment is too long ago.
func (m *Model) At(in *Instance, t time.Time) (Sample, bool) {
	if t.Before(in.stretches[0].from) || !in.ended.IsZero() && !t.Before(in.ended) {
		return Sample{}, false
	}
	d := m.done(in, t)
	s := in.service
	out := Sample{
		Requests: d.requests, Errors: d.errors, Buckets: make([]float64, bounds+1), CPU: d.cpu, Disk: d.ops,
		Memory: in.memory(d, t), Serving: d.stretch.part > 0,
	}
	usual := in.usualBucket()
	sum := 0.0
	for i, n := range d.buckets {
		if i == usual {
			n += d.errors
		}
		sum += n
		out.Buckets[i] = sum
		out.Seconds += n * middle(i)
	}
	out.Waiting = [3]float64{0.02 * d.cpu, 0, 0.0005 * d.ops}
	for k, c := range s.Calls {
		calls := math.Floor(c.Each * d.requests)
		out.Calls = append(out.Calls, Traffic{
			To: c.To, Requests: calls, Errors: min(calls, arrivals(mix(in.key+uint64(100+k)), d.failedCalls[k])),
			Seconds: d.secondsCalls[k], Bytes: calls * m.services[s.callees[k]].Bytes,
		})
	}
	return out, true
}

// usualBucket is where requests that fail are: they take what the service usually
// takes, whatever the build.
func (in *Instance) usualBucket() int {
	for i, upper := range Bounds() {
		if in.service.Latency.Seconds() <= upper {
			return i
		}
	}
	return bounds
}

// done adds up what an instance has done until a moment, which lies in one of its
// stretches.
func (m *Model) done(in *Instance, t time.Time) done {
	i := len(in.stretches) - 1
	for i > 0 && t.Before(in.stretches[i].from) {
		i--
	}
	s := &in.stretches[i]
	r := 0.0 // integral of the rate since the stretch began
	if s.part > 0 {
		for w, g := range in.service.gains {
			if g > 0 {
				r += g * (m.flows[w].integral(t) - s.flows[w])
			}
		}
		r = max(0, r*s.part)
	}
	d := done{stretch: s, served: s.served, failed: s.failed + r*s.errors}
	for b, share := range s.shares {
		d.served[b] += r * share
		d.buckets[b] = arrivals(mix(in.key+uint64(b)), d.served[b])
		d.requests += d.buckets[b]
	}
	d.errors = arrivals(mix(in.key+bounds+1), d.failed)
	d.requests += d.errors
	more, seconds := d.requests-s.requests, t.Sub(s.from).Seconds()
	d.cpu = s.cpu + factor(s.harm.CPU)*more*in.service.CPU.Seconds() + in.service.Idle*seconds
	d.ops = s.ops + factor(s.harm.Disk)*more*in.service.Disk
	d.leaked = s.leaked + s.harm.Leak*seconds/anHour
	for k := range s.failing {
		each := in.service.Calls[k].Each
		d.failedCalls = append(d.failedCalls, s.failedCalls[k]+each*r*s.failing[k])
		d.secondsCalls = append(d.secondsCalls, s.secondsCalls[k]+each*more*s.taking[k])
	}
	return d
}

// memory is a gauge: what the build takes, a little more and less as time goes
// by, and what has leaked.
func (in *Instance) memory(d done, t time.Time) float64 {
	age := t.Sub(in.began).Seconds()
	wave := 0.01 * math.Sin(2*math.Pi*(age/211+uniform(mix(in.key+200))))
	return in.service.Memory*in.size*factor(d.stretch.harm.Memory)*(1+wave) + d.leaked
}

// CPU is how many cores an instance uses: the mean of the last seconds.
func (m *Model) CPU(in *Instance, t time.Time) float64 {
	const window = 10 * time.Second
	from := t.Add(-window)
	if from.Before(in.stretches[0].from) {
		from = in.stretches[0].from
	}
	seconds := t.Sub(from).Seconds()
	if seconds <= 0 {
		return 0
	}
	return (m.done(in, t).cpu - m.done(in, from).cpu) / seconds
}
