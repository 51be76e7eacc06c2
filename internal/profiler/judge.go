package profiler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
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
	Unjudged   string                     `json:"unjudged,omitempty"` // KPIs without a source
}

// Judge takes one look at both arms and tells what all looks so far say.
//
// With no stable instance left, the canary is compared with what the stable
// ones showed in the stages before, if Request.State still is the state of
// one of them, else with the target's baseline unless that is cold. Of either
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
	p.before(r.Target, verdict.KPIs)
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
			for _, c := range m.Counters {
				c.Upper = m.Upper
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

// before notes on each KPI what the target's baseline has, unless that is cold.
func (p *Profiler) before(ref api.TargetRef, kpis []api.KPIEffect) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range kpis {
		kpi, ok := p.queries.known(api.KPISpec{KPI: kpis[i].KPI})
		if !ok {
			continue // only a policy has a query for it: nothing is learned
		}
		if s := p.history(ref, kpi); s != nil && !s.cold() {
			if v, ok := s.usual(kpi); ok {
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
	if kpi.Kind == api.KPILatency {
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
	known.Name, known.Kind, known.Unit, known.Quantile = kpi.Name, kpi.Kind, kpi.Unit, kpi.Quantile
	known.Noise.Canary /= float64(min(max(len(r.Canary), 1), judgedInstances))
	known.Noise.Stable /= float64(min(max(len(r.Stable), 1), judgedInstances))
	return known
}

// look reads both arms and feeds the bank.
func (p *Profiler) look(ctx context.Context, r Request, m *memory) error {
	canary, stable := some(r.Canary), some(r.Stable)
	ids := slices.Concat(canary, stable)
	if len(ids) == 0 {
		return api.Errorf(api.CodeUnavailable, "no healthy instance to look at")
	}
	reading := &reading{before: m.Counters, restarts: m.Restarts, oom: m.OOM, seconds: r.Now.Sub(m.At).Seconds()}
	var err error
	if p.metrics != nil && p.needs(r.Spec, true) {
		if reading.after, err = p.readCounters(ctx, ids, r.Now); err != nil {
			return err
		}
	}
	if p.needs(r.Spec, false) && p.stats != nil {
		if reading.usage, err = p.readStats(ctx, ids); len(reading.usage) == 0 && err != nil {
			return unavailable(sourceStats, err)
		}
	}
	if reading.cpu, err = p.readGauge(ctx, p.queries.CPU, ids, r.Now); err != nil {
		return err
	}
	if reading.memory, err = p.readGauge(ctx, p.queries.Memory, ids, r.Now); err != nil {
		return err
	}
	if reading.gauges, err = p.readGauges(ctx, r.Spec, ids, r.Now); err != nil {
		return err
	}
	first := m.At.IsZero()
	m.remember(r.Now, ids, reading)
	if first {
		return nil // increments begin with the next look
	}
	look := judge.Look{At: r.Now, Seconds: reading.seconds, KPIs: map[string]judge.Pair{}}
	for _, want := range r.Spec.KPIs {
		if kpi, ok := p.queries.known(want); ok {
			look.KPIs[want.KPI] = judge.Pair{Canary: reading.measure(kpi, canary), Stable: reading.measure(kpi, stable)}
		}
	}
	m.Bank.Observe(look)
	return nil
}

// needs reports whether a spec has a KPI from PromQL counters, or one from
// allocation statistics.
func (p *Profiler) needs(spec api.JudgeSpec, counters bool) bool {
	for _, want := range spec.KPIs {
		kpi, ok := judge.Known(want.KPI)
		if !ok {
			continue
		}
		usage := want.KPI == api.KPICPU || want.KPI == api.KPIMemory || want.KPI == api.KPIRestarts || want.KPI == api.KPIOOMKills
		if counters && !usage || !counters && usage && !p.byQuery(kpi) {
			return true
		}
	}
	return false
}

// readGauges asks for the gauges of a spec that Oakum does not know by itself.
func (p *Profiler) readGauges(ctx context.Context, spec api.JudgeSpec, ids []string, at time.Time) (map[string]map[string]float64, error) {
	out := map[string]map[string]float64{}
	for _, want := range spec.KPIs {
		if _, ok := judge.Known(want.KPI); ok {
			continue
		}
		values, err := p.readGauge(ctx, p.queries.gauge(want).Query, ids, at)
		if err != nil {
			return nil, err
		}
		if values != nil {
			out[want.KPI] = values
		}
	}
	return out, nil
}

// readGauge asks for one value per instance, when there is a query for it.
func (p *Profiler) readGauge(ctx context.Context, query string, ids []string, at time.Time) (map[string]float64, error) {
	if query == "" || p.metrics == nil {
		return nil, nil
	}
	samples, err := p.ask(ctx, query, ids, at)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, s := range samples {
		out[s.Labels[p.queries.Label]] = s.Value
	}
	return out, nil
}

// some takes the first instances of an arm by ID, so that the choice stays the
// same from look to look.
func some(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), judgedInstances)]
}

// remember keeps what the next look must know, of these instances only.
func (m *memory) remember(now time.Time, ids []string, r *reading) {
	m.At = now
	m.Counters, m.Restarts, m.OOM, m.Upper = map[string]*counters{}, map[string]int{}, map[string]int64{}, nil
	for _, id := range ids {
		if c := r.after[id]; c != nil && c.Requests == c.Requests { // NaN means never seen
			if m.Upper == nil {
				m.Upper = c.Upper
			}
			kept := *c
			if !slices.Equal(m.Upper, c.Upper) {
				kept.Upper, kept.Buckets = nil, nil
			}
			m.Counters[id] = &kept
		}
		if u, ok := r.usage[id]; ok {
			m.Restarts[id] = u.Restarts
			_, m.OOM[id] = u.oomSince(r.oom[id])
		}
	}
}

// reading is what one look read, with what the last one left.
type reading struct {
	seconds  float64
	before   map[string]*counters
	after    map[string]*counters
	restarts map[string]int
	oom      map[string]int64
	usage    map[string]AllocStats
	cpu      map[string]float64
	memory   map[string]float64
	gauges   map[string]map[string]float64 // by KPI and instance
}

// measure is one arm's share of a KPI. Instances without data are named in
// Partial; an arm of which none has data is absent.
func (r *reading) measure(kpi judge.KPI, ids []string) judge.Measure {
	var sum increment
	var values []float64
	var restarts float64
	var silent []string
	have := 0
	for _, id := range ids {
		why := ""
		own, isOwn := r.gauges[kpi.Name]
		switch name := kpi.Name; {
		case isOwn:
			why = gauge(id, own, nil, nil, &values)
		case name == api.KPICPU:
			why = gauge(id, r.cpu, r.usage, func(u AllocStats) float64 { return u.CPUCores }, &values)
		case name == api.KPIMemory:
			why = gauge(id, r.memory, r.usage, func(u AllocStats) float64 { return u.MemoryBytes }, &values)
		case name == api.KPIRestarts:
			why = r.restarted(id, &restarts)
		case name == api.KPIOOMKills:
			why = r.killed(id, &restarts)
		default:
			why = r.counted(kpi, id, &sum)
		}
		if why != "" {
			silent = append(silent, noted(id, why))
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
		m = judge.Buckets(sum.Upper, sum.Counts)
	case kpi.Name == api.KPIErrorRate:
		m = judge.Count(sum.Errors, sum.Requests)
	case kpi.Name == api.KPIRestarts, kpi.Name == api.KPIOOMKills:
		m = judge.Count(restarts, float64(have)*r.seconds)
	case kpi.Name == api.KPIRequests:
		m = judge.Gauge(sum.Requests / r.seconds / float64(have))
	default:
		m = judge.Gauge(mean(values))
	}
	m.Partial = strings.Join(silent, ", ")
	return m
}

func gauge(id string, queried map[string]float64, usage map[string]AllocStats, of func(AllocStats) float64, values *[]float64) string {
	if queried != nil {
		v, ok := queried[id]
		if !ok {
			return "no series"
		}
		*values = append(*values, v)
		return ""
	}
	u, ok := usage[id]
	if !ok {
		return "no allocation statistics"
	}
	*values = append(*values, of(u))
	return ""
}

func (r *reading) restarted(id string, restarts *float64) string {
	u, ok := r.usage[id]
	if !ok {
		return "no allocation statistics"
	}
	before, ok := r.restarts[id]
	if !ok {
		return "first look"
	}
	if u.Restarts < before {
		return "restart counter was reset"
	}
	*restarts += float64(u.Restarts - before)
	return ""
}

func (r *reading) killed(id string, kills *float64) string {
	u, ok := r.usage[id]
	if !ok {
		return "no allocation statistics"
	}
	last, ok := r.oom[id]
	if !ok {
		return "first look"
	}
	n, _ := u.oomSince(last)
	*kills += n
	return ""
}

// counted adds one instance's increment.
func (r *reading) counted(kpi judge.KPI, id string, sum *increment) string {
	after, before := r.after[id], r.before[id]
	switch {
	case after == nil:
		return "no series"
	case before == nil:
		return "first look"
	}
	inc, why := after.since(before)
	if why != "" {
		return why
	}
	if kpi.Kind == api.KPILatency && len(inc.Counts) == 0 {
		return "no latency histogram"
	}
	if !sum.add(inc) && kpi.Kind == api.KPILatency {
		return "other histogram buckets"
	}
	return ""
}
