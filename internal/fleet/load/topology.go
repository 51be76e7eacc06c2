package load

import (
	"cmp"
	"math"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Topology is the services of a fleet and who calls whom. Callers may stand
// before or behind whom they call, and may call each other.
type Topology struct {
	Weeks    map[string]Week // of requests from outside, by name; the name "" is steady
	Services []Service
}

// Service is what one instance of a service usually does. What is zero has a
// default.
type Service struct {
	Name    string
	Rate    float64       // requests/s from outside to all instances together, mean of a week
	Week    string        // name of the week that they follow
	Calls   []Call        // whom it calls
	Latency time.Duration // median of its requests; 10 ms when 0
	Spread  float64       // standard deviation of the latency's logarithm; 0.5 when 0
	Errors  float64       // share of its requests that fail; 0.001 when 0, none when negative
	CPU     time.Duration // processor time of a request; 2 ms when 0
	Idle    float64       // cores without any request; 0.01 when 0
	Memory  float64       // bytes; 128 MiB when 0
	Disk    float64       // disk operations of a request, of 4 KiB each
	Bytes   float64       // of a request, both ways; 2,000 when 0
}

// Call is calls of another service.
type Call struct {
	To   string
	Each float64 // calls for each request that is served; 1 when 0
}

// deep bounds how far calls follow each other where services call in a circle.
const deep = 64

// usual fills in the defaults.
func (s Service) usual() Service {
	s.Latency, s.Spread = cmp.Or(s.Latency, 10*time.Millisecond), cmp.Or(s.Spread, 0.5)
	s.Errors = max(0, cmp.Or(s.Errors, 0.001))
	s.CPU, s.Idle = cmp.Or(s.CPU, 2*time.Millisecond), cmp.Or(s.Idle, 0.01)
	s.Memory, s.Bytes = cmp.Or(s.Memory, 128<<20), cmp.Or(s.Bytes, 2000)
	calls := make([]Call, len(s.Calls))
	for i, c := range s.Calls {
		calls[i] = Call{c.To, cmp.Or(c.Each, 1)}
	}
	s.Calls = calls
	return s
}

// check refuses what has no meaning.
func (t Topology) check() error {
	known := make(map[string]bool, len(t.Services))
	for _, s := range t.Services {
		if s.Name == "" || known[s.Name] {
			return api.Errorf(api.CodeInvalid, "topology: service %q has no name or is there twice", s.Name)
		}
		known[s.Name] = true
		if _, ok := t.Weeks[s.Week]; !ok && s.Week != "" {
			return api.Errorf(api.CodeInvalid, "topology: service %s: there is no week %q", s.Name, s.Week)
		}
		for _, v := range []float64{s.Rate, s.Latency.Seconds(), s.Spread, s.CPU.Seconds(), s.Idle, s.Memory, s.Disk, s.Bytes, 1 - s.Errors} {
			if !(v >= 0) || math.IsInf(v, 0) {
				return api.Errorf(api.CodeInvalid, "topology: service %s: want finite figures that are not negative, and errors of at most 1", s.Name)
			}
		}
	}
	for _, s := range t.Services {
		for _, c := range s.Calls {
			if !known[c.To] || !(c.Each >= 0) || math.IsInf(c.Each, 0) {
				return api.Errorf(api.CodeInvalid, "topology: service %s: it calls %q %g times, want a service and a number", s.Name, c.To, c.Each)
			}
		}
	}
	for name, w := range t.Weeks {
		total := 0.0
		for _, v := range w {
			if !(v > 0) || math.IsInf(v, 0) {
				return api.Errorf(api.CodeInvalid, "topology: week %q: want a positive figure for each hour", name)
			}
			total += v
		}
		if math.IsInf(total, 0) {
			return api.Errorf(api.CodeInvalid, "topology: week %q: the figures are too large", name)
		}
	}
	return nil
}

// spread follows the requests from outside through the calls: gains[i][w] is how
// many requests/s service i gets of week w at its mean.
func (m *Model) spread() error {
	fresh := make([][]float64, len(m.services))
	for i, s := range m.services {
		s.gains, fresh[i] = make([]float64, len(m.flows)), make([]float64, len(m.flows))
		fresh[i][s.week] = s.Rate
	}
	for range deep {
		next := make([][]float64, len(m.services))
		left := false
		for i, s := range m.services {
			for w, g := range fresh[i] {
				if g < 1e-9 {
					continue
				}
				left = true
				s.gains[w] += g
				for k, c := range s.Calls {
					to := s.callees[k]
					if next[to] == nil {
						next[to] = make([]float64, len(m.flows))
					}
					next[to][w] += g * c.Each
				}
			}
		}
		if !left {
			return nil
		}
		fresh = next
	}
	return api.Errorf(api.CodeInvalid, "topology: calls go in a circle in which they become no fewer, or more than %d follow each other", deep)
}
