package load

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

func began() time.Time { return time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC) }

func after(d time.Duration) time.Time { return began().Add(d) }

// shop is a chain of services that ends in a circle.
func shop() Topology {
	return Topology{Services: []Service{
		{Name: "front", Rate: 40, Calls: []Call{{To: "catalog", Each: 2}}, Latency: 20 * time.Millisecond},
		{Name: "catalog", Calls: []Call{{To: "store"}, {To: "cache", Each: 0.5}}, Latency: 10 * time.Millisecond},
		{Name: "store", Latency: 5 * time.Millisecond, Disk: 2},
		{Name: "cache", Calls: []Call{{To: "catalog", Each: 0.1}}, Latency: 2 * time.Millisecond},
		{Name: "idle"},
	}}
}

func model(t testing.TB, seed uint64, topology Topology) *Model {
	t.Helper()
	m, err := New(seed, began(), topology)
	must.NoError(t, err)
	return m
}

// up starts instances of a service that serve at once.
func (m *Model) up(now time.Time, name string, n int, harm Harm) []string {
	var ids []string
	for i := range n {
		id := fmt.Sprintf("%s-%d-%d", name, now.Unix(), i)
		m.Begin(now, id, name, harm)
		m.Serve(now, id, true)
		ids = append(ids, id)
	}
	return ids
}

func (m *Model) sample(t testing.TB, id string, at time.Time) Sample {
	t.Helper()
	in, ok := m.Instance(id)
	must.True(t, ok)
	s, ok := m.At(in, at)
	must.True(t, ok, must.Sprintf("%s at %s", id, at))
	return s
}

// grown adds up what instances did in a time.
func (m *Model) grown(t testing.TB, ids []string, from, to time.Time) (requests, errors, seconds float64) {
	t.Helper()
	for _, id := range ids {
		a, b := m.sample(t, id, from), m.sample(t, id, to)
		requests, errors, seconds = requests+b.Requests-a.Requests, errors+b.Errors-a.Errors, seconds+b.Seconds-a.Seconds
	}
	return requests, errors, seconds
}

func TestModel_SendsRequestsAlongTheCalls(t *testing.T) {
	t.Parallel()
	m := model(t, 1, shop())
	// catalog: 80 from front and a tenth of what cache gets, which is half of catalog's.
	want := map[string]float64{"front": 40, "catalog": 80 / 0.95, "store": 80 / 0.95, "cache": 40 / 0.95, "idle": 0}
	for _, name := range m.Services() {
		must.Less(t, 0.15*want[name]+1e-9, math.Abs(m.Rate(name, began())-want[name]), must.Sprint(name))
		m.up(began(), name, 3, Harm{})
	}
	for name, rate := range want {
		var sum float64
		for i := range 3 {
			sum += m.sample(t, fmt.Sprintf("%s-%d-%d", name, began().Unix(), i), after(2*time.Hour)).Requests
		}
		must.LessEq(t, 5*math.Sqrt(rate*7200)+0.01*rate*7200, math.Abs(sum-rate*7200), must.Sprint(name))
	}
	calls := m.sample(t, fmt.Sprintf("front-%d-0", began().Unix()), after(time.Hour)).Calls
	must.Eq(t, "catalog", calls[0].To)
	must.Positive(t, calls[0].Errors)
	must.Less(t, 0.03, math.Abs(calls[0].Seconds/calls[0].Requests-0.010*math.Exp(0.125)))
}

func TestNew_ChecksTheTopology(t *testing.T) {
	t.Parallel()
	circle := shop()
	circle.Services[3].Calls[0].Each = 4
	for want, top := range map[string]Topology{
		"circle":              circle,
		"there is no week":    {Services: []Service{{Name: "a", Week: "moon"}}},
		"is there twice":      {Services: []Service{{Name: "a"}, {Name: "a"}}},
		"it calls \"b\"":      {Services: []Service{{Name: "a", Calls: []Call{{To: "b"}}}}},
		"finite figures":      {Services: []Service{{Name: "a", Rate: math.NaN()}}},
		"for each hour":       {Weeks: map[string]Week{"x": {}}},
		"figures are too lar": {Weeks: map[string]Week{"x": {0: math.MaxFloat64, 1: math.MaxFloat64}}},
	} {
		if w, ok := top.Weeks["x"]; ok && w[0] > 0 {
			for h := range w {
				w[h] = math.MaxFloat64
			}
			top.Weeks["x"] = w
		}
		_, err := New(1, began(), top)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(want))
		must.StrContains(t, err.Error(), want)
	}
}

// TestModel_NeverLetsACounterFall plays random changes and asks at random moments
// of the last ten minutes: no counter ever falls, what is asked twice is answered
// alike, and the parts add up.
func TestModel_NeverLetsACounterFall(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		top := shop()
		m, err := New(rapid.Uint64().Draw(t, "seed"), began(), top)
		must.NoError(t, err)
		now := began()
		m.Begin(now, "watched", "catalog", Harm{})
		harms := []Harm{{}, {Errors: 0.3}, {Latency: 5}, {Tail: 0.1}, {Lies: true, Errors: 1}, {Leak: 1 << 20, After: time.Minute}, {CPU: 3, Above: 20}}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			name := rapid.SampledFrom([]string{"front", "catalog", "store", "cache"}).Draw(t, "service")
			id := fmt.Sprint(name, rapid.IntRange(0, 2).Draw(t, "instance"))
			switch rapid.IntRange(0, 3).Draw(t, "change") {
			case 0:
				m.Begin(now, id, name, rapid.SampledFrom(harms).Draw(t, "harm"))
			case 1:
				m.Serve(now, id, rapid.Bool().Draw(t, "serving"))
			case 2:
				m.End(now, id)
			case 3:
				m.Serve(now, "watched", rapid.Bool().Draw(t, "serving"))
			}
		}
		in, _ := m.Instance("watched")
		var last Sample
		for at := in.stretches[0].from; !at.After(now.Add(time.Minute)); at = at.Add(7 * time.Second) {
			s, ok := m.At(in, at)
			must.True(t, ok)
			again, _ := m.At(in, at)
			must.Eq(t, s, again)
			must.LessEq(t, s.Requests, s.Errors)
			must.Eq(t, s.Requests, s.Buckets[bounds])
			if last.Buckets != nil {
				for i := range s.Buckets {
					must.LessEq(t, s.Buckets[i], last.Buckets[i])
				}
				must.LessEq(t, s.Errors, last.Errors)
				must.LessEq(t, s.CPU, last.CPU)
				must.LessEq(t, s.Seconds, last.Seconds)
				for k, c := range s.Calls {
					must.LessEq(t, c.Requests, last.Calls[k].Requests)
					must.LessEq(t, c.Errors, last.Calls[k].Errors)
					must.LessEq(t, c.Requests, c.Errors)
				}
			}
			last = s
		}
	})
}

func TestModel_HasTheSameFiguresOfTheSameSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (out []Sample) {
		m := model(t, seed, shop())
		m.up(began(), "catalog", 4, Harm{})
		m.up(after(time.Minute), "store", 2, Harm{Tail: 0.1})
		for _, in := range m.Instances() {
			s, ok := m.At(in, after(5*time.Minute))
			must.True(t, ok)
			out = append(out, s)
		}
		return out
	}
	must.Eq(t, run(4), run(4))
	must.NotEq(t, run(4), run(5))
}

// TestHarm_ReachesCallers: a bad build shows on its own instances, and on whoever
// calls them as far as the calls go; what lies shows on callers alone.
func TestHarm_ReachesCallers(t *testing.T) {
	t.Parallel()
	type want struct{ own, caller, far float64 } // shares of errors
	for name, tc := range map[string]struct {
		harm Harm
		want want
	}{
		"none":   {Harm{}, want{0.001, 0.001, 0.001}},
		"errors": {Harm{Errors: 0.05}, want{0.051, 0.051, 0.1}}, // front calls catalog twice
		"lies":   {Harm{Errors: 0.05, Lies: true}, want{0.001, 0.051, 0.1}},
		"heavy":  {Harm{Errors: 0.05, Above: 1000}, want{0.001, 0.001, 0.001}},
	} {
		m := model(t, 7, shop())
		ids := map[string][]string{}
		for _, s := range []string{"front", "catalog", "cache"} {
			ids[s] = m.up(began(), s, 2, Harm{})
		}
		ids["store"] = m.up(began(), "store", 2, tc.harm)
		share := func(s string) float64 {
			requests, errors, _ := m.grown(t, ids[s], began(), after(20*time.Minute))
			return errors / requests
		}
		for s, w := range map[string]float64{"store": tc.want.own, "catalog": tc.want.caller, "front": tc.want.far} {
			must.Less(t, 0.1*w+0.0005, math.Abs(share(s)-w), must.Sprintf("%s: %s", name, s))
		}
	}
}

func TestSlowness_ReachesCallers(t *testing.T) {
	t.Parallel()
	m := model(t, 8, shop())
	ids := map[string][]string{}
	for _, s := range []string{"front", "catalog", "store", "cache"} {
		ids[s] = m.up(began(), s, 2, Harm{})
	}
	mean := func(s string, from, to time.Time) float64 {
		requests, _, seconds := m.grown(t, ids[s], from, to)
		return seconds / requests
	}
	before := map[string]float64{}
	for s := range ids {
		before[s] = mean(s, began(), after(5*time.Minute))
	}
	for _, id := range ids["store"] {
		m.End(after(5*time.Minute), id)
	}
	ids["store"] = m.up(after(5*time.Minute), "store", 2, Harm{Latency: 5})
	for s, more := range map[string]float64{"store": 0.02, "catalog": 0.02, "front": 0.04, "cache": 0.002} {
		got := mean(s, after(5*time.Minute), after(10*time.Minute)) - before[s]
		must.Between(t, 0.8*more, got, 1.4*more, must.Sprint(s))
	}
}

// TestModel_FailsCallersWhenNobodyServes: callers of a service without any instance fail;
// of one that was never there they do not, for nobody has put it in yet.
func TestModel_FailsCallersWhenNobodyServes(t *testing.T) {
	t.Parallel()
	m := model(t, 9, shop())
	catalog := m.up(began(), "catalog", 2, Harm{})
	store := m.up(began(), "store", 1, Harm{})
	requests, errors, _ := m.grown(t, catalog, began(), after(time.Minute))
	must.Less(t, 0.01, errors/requests)
	m.Serve(after(time.Minute), store[0], false)
	requests, errors, _ = m.grown(t, catalog, after(time.Minute), after(2*time.Minute))
	must.Eq(t, requests, errors)
	m.Serve(after(2*time.Minute), store[0], true)
	requests, errors, _ = m.grown(t, catalog, after(2*time.Minute), after(3*time.Minute))
	must.Less(t, 0.01, errors/requests)
}

func TestHarm_ReachesTheMachine(t *testing.T) {
	t.Parallel()
	m := model(t, 10, shop())
	good := m.up(began(), "store", 1, Harm{})
	bad := m.up(after(time.Second), "store", 1, Harm{CPU: 2, Disk: 3, Leak: 64 << 20, After: 5 * time.Minute})
	one, other := func() (*Instance, *Instance) {
		a, _ := m.Instance(good[0])
		b, _ := m.Instance(bad[0])
		return a, b
	}()
	must.Less(t, 0.4, math.Abs(m.CPU(other, after(4*time.Minute))/m.CPU(one, after(4*time.Minute))-1))
	must.True(t, m.Review(after(5*time.Minute+time.Second), bad[0]))
	must.False(t, m.Review(after(5*time.Minute+time.Second), good[0]))
	at := after(65*time.Minute + time.Second)
	grown := func(id string) (cpu, disk float64) {
		a, b := m.sample(t, id, after(6*time.Minute)), m.sample(t, id, at)
		return b.CPU - a.CPU, b.Disk - a.Disk
	}
	cpu, disk := grown(good[0])
	badCPU, badDisk := grown(bad[0])
	must.Between(t, 1.7, badCPU/cpu, 2.2)
	must.Between(t, 2.7, badDisk/disk, 3.3)
	leaked := m.sample(t, bad[0], at).Memory - m.sample(t, good[0], at).Memory
	must.Between(t, 50<<20, leaked, 78<<20)
}

// TestModel_ForgetsEndedInstances: they can be asked for a while, up to their end.
func TestModel_ForgetsEndedInstances(t *testing.T) {
	t.Parallel()
	m := model(t, 11, shop())
	ids := m.up(began(), "store", 2, Harm{})
	m.End(after(time.Minute), ids[0])
	in, ok := m.Instance(ids[0])
	must.True(t, ok)
	_, ok = m.At(in, after(59*time.Second))
	must.True(t, ok)
	_, ok = m.At(in, after(time.Minute))
	must.False(t, ok)
	m.up(after(15*time.Minute), "store", 1, Harm{})
	_, ok = m.Instance(ids[0])
	must.False(t, ok)
	must.Len(t, 2, m.Instances())
	m.Begin(after(15*time.Minute), "stranger", "unheard of", Harm{})
	must.Zero(t, m.sample(t, "stranger", after(20*time.Minute)).Requests)
	must.Positive(t, m.sample(t, "stranger", after(20*time.Minute)).CPU)
}

// TestModel_TakesManyInstancesAtOnce: what is kept of each does not grow with their
// number.
func TestModel_TakesManyInstancesAtOnce(t *testing.T) {
	t.Parallel()
	m := model(t, 13, shop())
	for i := range 300 {
		m.up(after(time.Duration(i)*time.Second), "front", 1, Harm{})
	}
	first := fmt.Sprintf("front-%d-0", began().Unix())
	in, _ := m.Instance(first)
	must.LessEq(t, mostStretches+1, len(in.stretches))
	_, ok := m.At(in, after(time.Second))
	must.False(t, ok, must.Sprint("too many changes ago"))
	// It had the harmonic share of 40 requests/s: 40 * (1 + 1/2 + ... + 1/300).
	must.Between(t, 210, m.sample(t, first, after(300*time.Second)).Requests, 295)
}

func BenchmarkSample(b *testing.B) {
	m := model(b, 12, shop())
	m.up(began(), "catalog", 10, Harm{})
	in := m.Instances()[0]
	for i := 0; b.Loop(); i++ {
		if _, ok := m.At(in, after(time.Hour+time.Duration(i)*time.Millisecond)); !ok {
			b.Fatal("no sample")
		}
	}
}
