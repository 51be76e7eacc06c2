package rehearsal

import (
	"math/rand/v2"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/canary"
	"github.com/oakumhq/oakum/internal/judge"
)

// judgement is the judge of one stage. It uses the judge of production and gives
// it drawn samples. Looks that leave it undecided do not change the rollout, so it
// runs ahead to the look that decides.
type judgement struct {
	stage     int
	started   time.Time
	spec      api.JudgeSpec
	bank      *judge.Bank // nil when nothing can be judged
	unjudged  string
	kpiModels []kpiModel
	src       *rand.Rand
	interval  time.Duration
	last      time.Time // the last look; the first one only reads the counters
	decided   bool
	final     api.Verdict // once it is decided
	look      judge.Look
}

// newJudgement begins the judgement of a stage with the numbers of healthy
// instances in each arm.
func (m *member) newJudgement(stage int, started time.Time, canaries, stables int, b int, references map[string]judge.Reference, src *rand.Rand, tick time.Duration) (*judgement, error) {
	spec := m.planned.Decision.Judge
	kpis, spec, unjudged := canary.Judged(m.known, m.history, m.stage(spec, canaries, stables, started), references)
	j := &judgement{stage: stage, started: started, spec: spec, unjudged: unjudged, src: src, last: started}
	// A look happens at a tick of the orchestrator.
	j.interval = max((spec.Interval.D()+tick-1)/tick*tick, tick)
	j.look = judge.Look{Seconds: j.interval.Seconds(), KPIs: map[string]judge.Pair{}}
	if len(spec.KPIs) == 0 {
		return j, nil
	}
	bank, err := judge.New(spec, kpis, judge.Stage{Started: started, Alone: stables == 0})
	if err != nil {
		return nil, err
	}
	j.bank = bank
	for _, want := range spec.KPIs {
		t := m.kpiModels[b][want.KPI]
		if !t.known {
			continue
		}
		t.begin(src)
		if stables == 0 {
			t.shift()
		}
		if t.Kind == api.KPILatency {
			t.room = [2][]float64{make([]float64, len(t.room[0])), make([]float64, len(t.room[1]))}
		}
		j.kpiModels = append(j.kpiModels, t)
	}
	return j, nil
}

// ahead takes the looks until a time, or until a look decides. rate is how many
// requests per second one instance gets at a time.
func (j *judgement) ahead(until time.Time, canaries, stables int, rate func(time.Time) float64) {
	if j.bank == nil {
		j.decided = true
		return
	}
	arms := [2]float64{float64(min(canaries, canary.JudgedInstances)), float64(min(stables, canary.JudgedInstances))}
	chance := newPoisson(j.src)
	for !j.decided && !j.last.Add(j.interval).After(until) {
		j.last = j.last.Add(j.interval)
		seconds := j.look.Seconds
		var requests [2]float64
		for a := range requests {
			if mean := rate(j.last) * arms[a] * seconds; mean > 0 {
				requests[a] = poisson(&chance, mean)
			}
		}
		j.look.At = j.last
		for i := range j.kpiModels {
			t := &j.kpiModels[i]
			t.step()
			pair := judge.Pair{Canary: t.look(patched, arms[patched], requests[patched], seconds)}
			if stables > 0 {
				pair.Stable = t.look(former, arms[former], requests[former], seconds)
			}
			j.look.KPIs[t.Name] = pair
		}
		j.bank.Observe(j.look)
		j.decided = j.decides()
	}
}

// decides reports whether the last look decided. It asks the cheapest question
// first.
func (j *judgement) decides() bool {
	after := j.last.Sub(j.started)
	over := j.spec.MaxDuration > 0 && after >= j.spec.MaxDuration.D()
	if !over && !j.bank.Aborted() && (after < j.spec.MinDuration.D() || !j.bank.Promoted()) {
		return false
	}
	j.final = j.bank.Verdict(j.last)
	return j.final.Kind != api.VerdictContinue
}

// verdict is the verdict of all looks so far. An undecided one has no reason,
// since nobody reads it.
func (j *judgement) verdict(now time.Time) (api.Verdict, api.JudgeState) {
	state := api.JudgeState{Stage: j.stage, Started: j.started}
	switch {
	case j.bank == nil:
		return api.Verdict{Kind: api.VerdictInconclusive, At: now, Reason: "nothing can be judged: " + j.unjudged}, state
	case !j.decided || now.Before(j.last): // nobody knows yet what a later look will decide
		return api.Verdict{Kind: api.VerdictContinue, At: now, Reason: "undecided so far"}, state
	}
	state.Looks = j.bank.Looks()
	v := j.final
	v.At = now
	if j.unjudged != "" {
		v.Reason += "; not judged: " + j.unjudged
	}
	return v, state
}
