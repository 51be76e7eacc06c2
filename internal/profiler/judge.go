package profiler

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// judgedInstances is how many instances of each arm a look reads. Beyond 32
// the smaller arm decides how fast a verdict comes, while the counters of each
// instance travel with the replicated state.
const judgedInstances = 32

// Request asks for one look at a rollout's stage.
type Request struct {
	Target  api.TargetRef
	Spec    api.JudgeSpec
	Stage   int
	State   *api.JudgeState // of the last look; of an earlier stage it gives the reference
	Canary  []string        // allocation IDs
	Stable  []string        // allocation IDs; empty when no former instance is left
	Started time.Time       // when the stage was ready to be judged
	Now     time.Time
}

// memory is what travels from look to look.
type memory struct {
	Bank       *judge.Bank                `json:"bank"`
	References map[string]judge.Reference `json:"references,omitempty"` // of the stages before
	At         time.Time                  `json:"at,omitzero"`
	Upper      stats.Vector               `json:"upper,omitempty"` // bucket bounds of all counters
	Counters   map[string]*counters       `json:"counters,omitempty"`
	Restarts   map[string]int             `json:"restarts,omitempty"`
	OOM        map[string]int64           `json:"oom,omitempty"`      // the last kill for lack of memory that was counted
	Own        map[string]*memorised      `json:"own,omitempty"`      // by KPI: counters of those that have their own
	Unjudged   string                     `json:"unjudged,omitempty"` // KPIs without a source
}

// Judge takes one look at both arms and tells what all looks so far say.
//
// With no stable instance left, the canary is compared with what the stable
// ones showed in the stages before, if Request.State still is the state of
// one of them, else with the target's baseline of the hour of the week, or of all
// time where the hour has too few samples, unless that is cold. Of either
// the limits of its 99.5 percent confidence interval count, the one that makes
// the conclusion harder; without both there is no promotion.
//
// A source that does not answer is an error that names it. KPIs whose source
// was never configured are left out, and the verdict's reason says so.
func (p *Profiler) Judge(ctx context.Context, r Request) (api.Verdict, api.JudgeState, error) {
	if !r.Spec.Enabled {
		return api.Verdict{Kind: api.VerdictPromote, At: r.Now, Reason: "the policy asks for no judgement"},
			api.JudgeState{Stage: r.Stage, Started: r.Started}, nil
	}
	m, state, err := p.resume(r)
	if err != nil {
		return api.Verdict{}, api.JudgeState{}, fmt.Errorf("judge %s: %w", r.Target, err)
	}
	if m.Bank == nil {
		return api.Verdict{Kind: api.VerdictInconclusive, At: r.Now, Reason: "nothing can be judged: " + m.Unjudged}, state, nil
	}
	if r.Now.After(m.At) {
		if err := p.look(ctx, r, m); err != nil {
			return api.Verdict{}, api.JudgeState{}, fmt.Errorf("judge %s: %w", r.Target, err)
		}
	}
	verdict := m.Bank.Verdict(r.Now)
	if m.Unjudged != "" {
		verdict.Reason += "; not judged: " + m.Unjudged
	}
	p.before(r.Target, verdict.KPIs, r.Now)
	if verdict.Kind == api.VerdictContinue {
		if text := p.left(r, state.Started, verdict); text != "" {
			verdict.Reason += "; " + text
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return api.Verdict{}, api.JudgeState{}, fmt.Errorf("judge %s: write state: %w", r.Target, err)
	}
	state.Bank, state.Looks = raw, m.Bank.Looks()
	return verdict, state, nil
}

// resume reads the state of the last look, or opens a bank for a new stage.
func (p *Profiler) resume(r Request) (*memory, api.JudgeState, error) {
	state := api.JudgeState{Stage: r.Stage, Started: r.Started}
	if state.Started.IsZero() {
		state.Started = r.Now
	}
	m := &memory{}
	if r.State != nil && len(r.State.Bank) > 0 {
		if err := json.Unmarshal(r.State.Bank, m); err != nil {
			return nil, state, fmt.Errorf("read judge state: %w", err)
		}
		if r.State.Stage == r.Stage {
			state.Started = r.State.Started
			(&memorised{m.Upper, m.Counters}).bound()
			for _, own := range m.Own {
				own.bound()
			}
			return m, state, nil
		}
		former := m.References
		if m.Bank != nil {
			former = m.Bank.References()
		}
		m = &memory{References: former}
	}
	kpis, spec, unjudged := p.judged(r, m.References)
	m.Unjudged = unjudged
	if len(spec.KPIs) == 0 && len(r.Spec.KPIs) > 0 {
		return m, state, nil
	}
	bank, err := judge.New(spec, kpis, judge.Stage{Started: state.Started, Alone: len(r.Stable) == 0})
	m.Bank = bank
	return m, state, err
}

// judged describes the KPIs that can be judged here, and names the others.
func (p *Profiler) judged(r Request, references map[string]judge.Reference) ([]judge.KPI, api.JudgeSpec, string) {
	spec := r.Spec
	spec.KPIs = nil
	var kpis []judge.KPI
	var without []string
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, want := range r.Spec.KPIs {
		kpi, ok := p.queries.known(want)
		if ok {
			if source := p.sourceOf(kpi); source != "" {
				without = append(without, fmt.Sprintf("%s (%s is not configured)", want.KPI, source))
				continue
			}
			if why := p.distrusted(r.Target, kpi); why != "" {
				without = append(without, fmt.Sprintf("%s (%s)", want.KPI, why))
				continue
			}
			kpi = p.learned(r, kpi)
			kpi.Scrape = p.queries.Scrape.Seconds()
			if ref, ok := references[want.KPI]; ok {
				kpi.Reference = ref
			}
			kpis = append(kpis, kpi)
		}
		spec.KPIs = append(spec.KPIs, want) // an unknown one is for judge.New to refuse
	}
	return kpis, spec, strings.Join(without, ", ")
}

// sourceOf names the source that a KPI lacks, or "".
func (p *Profiler) sourceOf(kpi judge.KPI) string {
	switch {
	case p.metrics == nil && p.byQuery(kpi):
		return sourceMetrics
	case p.stats == nil && !p.byQuery(kpi):
		return sourceStats
	}
	return ""
}

// byQuery reports whether a KPI is read by PromQL.
func (p *Profiler) byQuery(kpi judge.KPI) bool {
	switch kpi.Name {
	case api.KPICPU:
		return p.queries.CPU != ""
	case api.KPIMemory:
		return p.queries.Memory != ""
	case api.KPIRestarts, api.KPIOOMKills:
		return false
	}
	return true
}

// before notes on each KPI what the target's baseline has at this hour, unless that
// is cold.
func (p *Profiler) before(ref api.TargetRef, kpis []api.KPIEffect, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range kpis {
		kpi, ok := p.queries.known(api.KPISpec{KPI: kpis[i].KPI})
		if !ok {
			continue // only a policy has a query for it: nothing is learned
		}
		if s := p.history(ref, kpi); s != nil && !s.cold() {
			if v, ok := s.usual(kpi, at); ok {
				kpis[i].Before = &v
			}
		}
	}
}

// history is the series of a KPI, nil without one; every latency uses that of
// latency_p99, which has them all. The caller holds the lock.
func (p *Profiler) history(ref api.TargetRef, kpi judge.KPI) *series {
	t := p.targets[ref]
	if t == nil {
		return nil
	}
	if _, ok := judge.Known(kpi.Name); ok && kpi.Kind == api.KPILatency {
		return t.series[api.KPILatencyP99]
	}
	return t.series[kpi.Name]
}

// distrusted says why a KPI's own noise keeps it out of judgement, or "". The
// caller holds the lock.
func (p *Profiler) distrusted(ref api.TargetRef, kpi judge.KPI) string {
	if s := p.history(ref, kpi); s != nil {
		return s.control.Distrust()
	}
	return ""
}

// learned adds the history of a KPI. The caller holds the lock.
func (p *Profiler) learned(r Request, kpi judge.KPI) judge.KPI {
	s := p.history(r.Target, kpi)
	if s == nil {
		return kpi
	}
	known := s.describe(r.Spec.Interval.D(), p.interval)
	known.Drift = s.drift()
	if !s.cold() {
		known.Reference = s.referenceAt(r.Now)
	}
	// Beside a stable arm the reference of a latency only says where to look. What
	// just was is then worth more than all time, in which there may have been worse.
	if w := s.recent.window(); len(r.Stable) > 0 && r.Now.Sub(w.at) < recentSamples*p.interval && judge.Placeable(kpi, w.buckets.Counts) {
		known.Reference = judge.Reference{Upper: w.buckets.Upper, Counts: w.buckets.Counts}
	}
	known.Name, known.Kind, known.Unit, known.Quantile = kpi.Name, kpi.Kind, kpi.Unit, kpi.Quantile
	known.Noise.Canary /= float64(min(max(len(r.Canary), 1), judgedInstances))
	known.Noise.Stable /= float64(min(max(len(r.Stable), 1), judgedInstances))
	return known
}
