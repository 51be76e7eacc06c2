package profiler

import (
	"math"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// Bake forecasts from a recorded profile how long a stage with so many instances
// in each arm will be judged, at the traffic that the profile has for an hour.
func Bake(profile api.Profile, spec api.JudgeSpec, canary, stable int, at time.Time) api.BakeTime {
	p := New(Options{Profiles: func() []api.Profile { return []api.Profile{profile} }})
	p.load()
	return p.Bake(profile.Target, spec, canary, stable, at)
}

// Bake forecasts as the function of the same name, from what is known now.
func (p *Profiler) Bake(ref api.TargetRef, spec api.JudgeSpec, canary, stable int, at time.Time) api.BakeTime {
	r := Request{Target: ref, Spec: spec, Canary: make([]string, canary), Stable: make([]string, stable), Now: at}
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := p.rate(ref, at)
	return judge.Bake(spec, p.described(r), judge.Traffic{Canary: rate * float64(canary), Stable: rate * float64(stable)})
}

// described are the KPIs of a request with their history. The caller holds the
// lock.
func (p *Profiler) described(r Request) []judge.KPI {
	var kpis []judge.KPI
	for _, want := range r.Spec.KPIs {
		if kpi, ok := p.queries.known(want); ok {
			kpis = append(kpis, p.learned(r, kpi))
		}
	}
	return kpis
}

// rate is how many requests a second one instance has at an hour, 0 when nobody
// knows. The caller holds the lock.
func (p *Profiler) rate(ref api.TargetRef, at time.Time) float64 {
	rate := 0.0 // requests a second of one instance
	if s := p.history(ref, judge.KPI{Name: api.KPIRequests}); s != nil {
		week := s.week.Means()
		rate, _ = week.At(at)
	}
	return rate
}

// doubtFrom is the evidence against a canary, a factor of two, from which on
// nothing is said any more about when it will be promoted.
const doubtFrom = 0.3

// left forecasts how much longer an undecided stage takes if the canary is as
// healthy as it should be: what each KPI still lacks in evidence, at the traffic
// that the canary has had so far. It is empty for a canary that looks bad.
func (p *Profiler) left(r Request, started time.Time, v api.Verdict) string {
	elapsed := r.Now.Sub(started)
	if elapsed <= 0 || r.Spec.Method == api.JudgeKayenta {
		return ""
	}
	lacking := map[string]float64{}
	seen := 0.0
	for _, k := range v.KPIs {
		if k.Evidence > doubtFrom || k.Missing {
			return ""
		}
		if k.KPI == api.KPIErrorRate {
			seen = k.Exposure
		}
		if k.Kind == api.VerdictContinue {
			lacking[k.KPI] = math.Log(1/r.Spec.Miss) - k.Promote*math.Ln10
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := p.rate(r.Target, r.Now)
	if seen > 0 && len(r.Canary) > 0 {
		rate = seen / elapsed.Seconds() / float64(min(len(r.Canary), judgedInstances))
	}
	traffic := judge.Traffic{
		Canary: rate * float64(min(len(r.Canary), judgedInstances)), Stable: rate * float64(min(len(r.Stable), judgedInstances)),
	}
	spec := r.Spec
	spec.MinDuration = max(r.Spec.MinDuration-api.Duration(elapsed), 0)
	spec.MaxDuration = max(r.Spec.MaxDuration-api.Duration(elapsed), 0)
	longest := api.BakeTime{Most: spec.MaxDuration}
	for _, want := range r.Spec.KPIs {
		need, ok := lacking[want.KPI]
		if !ok {
			continue
		}
		one := r
		one.Spec = spec
		one.Spec.KPIs, one.Spec.Miss = []api.KPISpec{want}, math.Exp(-max(need, 0.01))
		bake := judge.Bake(one.Spec, p.described(one), traffic)
		if bake.Expected <= 0 {
			return "" // nothing is known of it, and it may take longest
		}
		if bake.Expected > longest.Expected {
			longest = bake
		}
	}
	if longest.Expected <= 0 {
		return ""
	}
	return longest.Left()
}
