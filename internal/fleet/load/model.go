package load

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

const (
	// kept is how far back instances can be asked.
	kept = 10 * time.Minute
	// mostStretches is how many changes back at most.
	mostStretches = 64
	// How much instances of one service differ: their share of the requests, their
	// pace, their errors and their memory, each as a standard deviation.
	unlikeShare, unlikePace, unlikeErrors, unlikeMemory = 0.03, 0.01, 0.05, 0.01
)

// Model is a topology at work. It is not safe for concurrent use.
type Model struct {
	seed      uint64
	flows     []*flow
	services  []*service
	index     map[string]int // of services, by name
	instances map[string]*Instance
	sorted    []*Instance // of instances, by ID; nil when it has to be made anew
	swept     time.Time
}

// service is one of the topology with its instances.
type service struct {
	Service
	week        int       // of the requests from outside
	gains       []float64 // requests/s by week
	callees     []int     // of Calls
	callers     []int     // each once
	live        []*Instance
	weight      float64 // of the instances that serve
	met         bool    // some instance has served it
	degradation degradation
}

// degradation is what is wrong with a service as its callers see it: on top of the
// usual, a share of the calls fails, and a share takes so many seconds longer.
type degradation struct{ errors, slow, delay float64 }

// New returns the model of a topology; now begins all integrals. The error has
// code invalid.
func New(seed uint64, now time.Time, t Topology) (*Model, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	m := &Model{seed: seed, index: map[string]int{}, instances: map[string]*Instance{}, swept: now}
	weeks := map[string]int{"": 0}
	m.flows = append(m.flows, newFlow(Steady(), now, keyOf(seed, "week ")))
	for _, name := range slices.Sorted(maps.Keys(t.Weeks)) {
		if name == "" {
			m.flows[0] = newFlow(t.Weeks[name], now, keyOf(seed, "week "))
			continue
		}
		weeks[name] = len(m.flows)
		m.flows = append(m.flows, newFlow(t.Weeks[name], now, keyOf(seed, "week "+name)))
	}
	for i, s := range t.Services {
		m.index[s.Name] = i
		m.services = append(m.services, &service{Service: s.usual(), week: weeks[s.Week]})
	}
	for i, s := range m.services {
		for _, c := range s.Calls {
			to := m.index[c.To]
			s.callees = append(s.callees, to)
			if callee := m.services[to]; !slices.Contains(callee.callers, i) {
				callee.callers = append(callee.callers, i)
			}
		}
	}
	return m, m.spread()
}

// Instance is one instance of a service, or of none that the topology knows: it
// then has nothing to do.
type Instance struct {
	ID        string
	service   *service
	key       uint64
	began     time.Time
	ended     time.Time // zero while it runs
	serving   bool
	harm      Harm
	share     float64 // of the requests, before it is divided by all instances'
	pace      float64
	failing   float64 // factor on the usual errors
	size      float64 // factor on the memory
	stretches []stretch
}

// Begin starts a run of an instance: its counters are at zero. Nothing reaches it
// yet.
func (m *Model) Begin(now time.Time, id, name string, harm Harm) {
	if old := m.instances[id]; old != nil {
		m.End(now, id)
	}
	key := keyOf(m.seed, id)
	unlike := func(n uint64, by float64) float64 { return 1 + by*min(max(normal(mix(key+n)), -3), 3) }
	in := &Instance{
		ID: id, key: mix(key ^ uint64(now.UnixNano())), began: now, harm: harm,
		share: unlike(1, unlikeShare), pace: unlike(2, unlikePace), failing: unlike(3, unlikeErrors), size: unlike(4, unlikeMemory),
		service: &service{Service: Service{}.usual(), gains: make([]float64, len(m.flows))},
	}
	if i, ok := m.index[name]; ok {
		in.service = m.services[i]
	}
	in.service.live = append(in.service.live, in)
	m.instances[id], m.sorted = in, nil
	m.refresh(now, in.service)
	m.sweep(now)
}

// Serve says whether requests reach an instance.
func (m *Model) Serve(now time.Time, id string, serving bool) {
	in := m.instances[id]
	if in == nil || !in.ended.IsZero() || in.serving == serving {
		return
	}
	in.serving = serving
	in.service.met = in.service.met || serving
	m.refresh(now, in.service)
}

// End ends a run.
func (m *Model) End(now time.Time, id string) {
	in := m.instances[id]
	if in == nil || !in.ended.IsZero() {
		return
	}
	in.serving, in.ended = false, now
	in.service.live = slices.DeleteFunc(in.service.live, func(o *Instance) bool { return o == in })
	m.refresh(now, in.service)
}

// Review looks again at an instance whose harm depends on its age or on how much
// it has to do. It is false when there is nothing to look at any more.
func (m *Model) Review(now time.Time, id string) bool {
	in := m.instances[id]
	if in == nil || !in.ended.IsZero() || !in.harm.later() {
		return false
	}
	m.refresh(now, in.service)
	return true
}

// sweep forgets what nobody may ask for any more.
func (m *Model) sweep(now time.Time) {
	if now.Sub(m.swept) < kept {
		return
	}
	m.swept = now
	for id, in := range m.instances {
		if !in.ended.IsZero() && now.Sub(in.ended) > kept {
			delete(m.instances, id)
			m.sorted = nil
			continue
		}
		in.forget(now)
	}
}

// Instance finds an instance that runs, or has ended a short while ago.
func (m *Model) Instance(id string) (*Instance, bool) {
	in, ok := m.instances[id]
	return in, ok
}

// Instances lists all that can be asked, by ID. Readers leave the list as it is.
func (m *Model) Instances() []*Instance {
	if m.sorted == nil {
		m.sorted = slices.SortedFunc(maps.Values(m.instances), func(a, b *Instance) int { return cmp.Compare(a.ID, b.ID) })
	}
	return m.sorted
}

// Service is a service of the topology, with its defaults filled in.
func (m *Model) Service(name string) (Service, bool) {
	i, ok := m.index[name]
	if !ok {
		return Service{}, false
	}
	return m.services[i].Service, true
}

// Services lists the names of the topology's services in its order.
func (m *Model) Services() []string {
	out := make([]string, len(m.services))
	for i, s := range m.services {
		out[i] = s.Name
	}
	return out
}

// Rate is how many requests/s reach a service at a moment, all instances
// together.
func (m *Model) Rate(name string, at time.Time) float64 {
	i, ok := m.index[name]
	if !ok {
		return 0
	}
	return m.rate(m.services[i], at)
}

func (m *Model) rate(s *service, at time.Time) float64 {
	sum := 0.0
	for w, g := range s.gains {
		if g > 0 {
			sum += g * m.flows[w].rate(at)
		}
	}
	return sum
}

// refresh lets a service's instances, and its callers, know how things are now.
func (m *Model) refresh(now time.Time, s *service) {
	todo := []*service{s}
	for step := 0; len(todo) > 0 && step < deep*(1+len(m.services)); step++ {
		s, todo = todo[0], todo[1:]
		s.weight = 0
		for _, in := range s.live {
			if in.serving {
				s.weight += in.share
			}
		}
		before := s.degradation
		s.degradation = m.restretch(now, s)
		if same(before, s.degradation) {
			continue
		}
		for _, i := range s.callers {
			if caller := m.services[i]; !slices.Contains(todo, caller) {
				todo = append(todo, caller)
			}
		}
	}
}

// same reports whether callers would not notice a difference.
func same(a, b degradation) bool {
	near := func(x, y float64) bool { return math.Abs(x-y) <= 1e-6 }
	return near(a.errors, b.errors) && near(a.slow, b.slow) && near(a.slow*a.delay, b.slow*b.delay)
}

// restretch begins a new stretch of each instance that has other conditions than
// before, and says what the service's callers see.
func (m *Model) restretch(now time.Time, s *service) degradation {
	inherited := m.inherited(s)
	rate := m.rate(s, now)
	var out degradation
	for _, in := range s.live {
		part := 0.0
		if in.serving {
			part = in.share / s.weight
		}
		harm := in.harm.at(rate*part, now.Sub(in.began))
		m.stretch(now, in, part, harm, inherited)
		shows := in.shows(harm, inherited)
		out.errors += part * shows.errors
		out.slow += part * shows.slow
		out.delay += part * shows.slow * shows.delay
	}
	if out.slow > 0 {
		out.delay /= out.slow
	}
	if s.met && s.weight == 0 {
		out = degradation{errors: 1}
	}
	return out
}

// inherited is the degradation of a service's requests by the services that it
// calls.
func (m *Model) inherited(s *service) degradation {
	fine, quick, late := 1.0, 1.0, 0.0
	for k, c := range s.Calls {
		p := m.services[s.callees[k]].degradation
		fine *= 1 - hit(p.errors, c.Each)
		quick *= 1 - hit(p.slow, c.Each)
		late += c.Each * p.slow * p.delay
	}
	out := degradation{errors: 1 - fine, slow: 1 - quick}
	if out.slow > 0 {
		out.delay = late / out.slow
	}
	return out
}

// hit is the share of requests that meet something which so large a share of
// their calls meets.
func hit(share, each float64) float64 {
	if each <= 1 {
		return each * share
	}
	return 1 - math.Pow(1-share, each)
}

// shows is what callers see of one instance on top of the usual.
func (in *Instance) shows(h Harm, inherited degradation) degradation {
	s := in.service
	own := h.errors(s.Errors) - s.Errors
	out := degradation{errors: 1 - (1-inherited.errors)*(1-min(max(own, 0), 1)), slow: inherited.slow, delay: inherited.delay}
	slow, delay := 0.0, s.Latency.Seconds()*(h.delay()-1)
	switch t := h.tail(); {
	case factor(h.Latency) != 1:
		slow = 1
	case t.share > 0:
		slow, delay = t.share, delay/t.share
	}
	if slow == 0 {
		return out
	}
	late := out.slow*out.delay + slow*delay
	out.slow = 1 - (1-out.slow)*(1-slow)
	out.delay = late / out.slow
	return out
}
