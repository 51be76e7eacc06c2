// Package canary looks at a stage of a rollout: at the patched instances, the canary,
// and at the former ones, the stable arm.
//
// Judge.Look reads both arms (package kpi), gives what they showed since the last look
// to the judge's bank (package judge), and returns its verdict. All that the next look
// must know is in the state that Look returns, so that another leader goes on with it.
// What is usual for a target comes from a History (package profiler).
//
// Forecast says, without any reading, how long a stage will be judged.
package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
)

// JudgedInstances is how many instances of each arm a look reads. Beyond 32 the smaller
// arm decides how fast a verdict comes, while the counters of each instance travel with
// the replicated state.
const JudgedInstances = 32

// History gives the figures that were learned of a target before. Package profiler
// implements it.
type History interface {
	// Describe adds to a KPI the usual difference between equal instances, for looks
	// that are apart by interval, and the usual figures of the hour of the week. The
	// noise is the noise of one instance.
	Describe(ref api.TargetRef, k judge.KPI, interval time.Duration, at time.Time) judge.KPI
	// Recent is the histogram of a latency in the last minute, empty when nobody knows.
	Recent(ref api.TargetRef, k judge.KPI, at time.Time) judge.Reference
	// Distrust says why the noise of a KPI keeps it out of judgement, or is empty.
	Distrust(ref api.TargetRef, k judge.KPI) string
	// Usual is the usual figure of a KPI at a time. It is false when nobody knows the
	// figure.
	Usual(ref api.TargetRef, k judge.KPI, at time.Time) (float64, bool)
	// Rate is how many requests a second one instance has at a time, 0 when nobody knows.
	Rate(ref api.TargetRef, at time.Time) float64
}

// Judge looks at stages. It is safe for concurrent use.
type Judge struct {
	reader  *kpi.Reader
	history History
}

// New makes a judge.
func New(reader *kpi.Reader, history History) *Judge {
	return &Judge{reader: reader, history: history}
}

// Request asks for one look at a rollout's stage.
type Request struct {
	Target  api.TargetRef
	Spec    api.JudgeSpec
	Stage   int
	State   *api.JudgeState // of the last look; the state of an earlier stage gives the reference
	Canary  []string        // allocation IDs
	Stable  []string        // allocation IDs; empty when no former instance is left
	Started time.Time       // when the stage was ready to be judged
	Now     time.Time
}

// stage is the request without its instances.
func (r Request) stage() Stage {
	return Stage{Target: r.Target, Spec: r.Spec, Canary: len(r.Canary), Stable: len(r.Stable), At: r.Now}
}

// memory is what travels from look to look. It is part of the replicated state.
type memory struct {
	Bank       *judge.Bank                `json:"bank"`
	References map[string]judge.Reference `json:"references,omitempty"` // of the stages before
	kpi.Last
	Unjudged string `json:"unjudged,omitempty"` // KPIs without a source, or distrusted, with the reason
}

// Look takes one look at both arms and returns what all looks so far say.
//
// With no stable instance left, the canary is compared with what the stable ones showed
// in the stages before, if Request.State still is the state of one of them. Otherwise it
// is compared with the target's baseline, unless that is cold: of the hour of the week,
// or of all time where the hour has too few samples. Of either, the limit of the 99.5
// percent confidence interval counts that makes the conclusion harder. Without both
// there is no promotion.
//
// A source that does not answer is an error that names it. A KPI whose source was never
// configured is left out, and the verdict's reason says so.
func (j *Judge) Look(ctx context.Context, r Request) (api.Verdict, api.JudgeState, error) {
	if !r.Spec.Enabled {
		return api.Verdict{Kind: api.VerdictPromote, At: r.Now, Reason: "the policy asks for no judgement"},
			api.JudgeState{Stage: r.Stage, Started: r.Started}, nil
	}
	m, state, err := j.resume(r)
	if err != nil {
		return api.Verdict{}, api.JudgeState{}, fmt.Errorf("judge %s: %w", r.Target, err)
	}
	if m.Bank == nil {
		return api.Verdict{Kind: api.VerdictInconclusive, At: r.Now, Reason: "nothing can be judged: " + m.Unjudged}, state, nil
	}
	if r.Now.After(m.At) {
		if err := j.observe(ctx, r, m); err != nil {
			return api.Verdict{}, api.JudgeState{}, fmt.Errorf("judge %s: %w", r.Target, err)
		}
	}
	verdict := j.verdict(r, m, state.Started)
	raw, err := json.Marshal(m)
	if err != nil {
		return api.Verdict{}, api.JudgeState{}, fmt.Errorf("judge %s: write state: %w", r.Target, err)
	}
	state.Bank, state.Looks = raw, m.Bank.Looks()
	return verdict, state, nil
}

// resume reads the state of the last look, or opens a bank for a new stage.
func (j *Judge) resume(r Request) (*memory, api.JudgeState, error) {
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
			m.ShareBounds()
			return m, state, nil
		}
		former := m.References
		if m.Bank != nil {
			former = m.Bank.References()
		}
		m = &memory{References: former}
	}
	kpis, spec, unjudged := Judged(j.reader.Catalogue(), j.history, r.stage(), m.References)
	m.Unjudged = unjudged
	if len(spec.KPIs) == 0 && len(r.Spec.KPIs) > 0 {
		return m, state, nil
	}
	bank, err := judge.New(spec, kpis, judge.Stage{Started: state.Started, Alone: len(r.Stable) == 0})
	m.Bank = bank
	return m, state, err
}

// observe reads both arms and feeds the bank. The first reading of a stage only says
// where the counters begin.
func (j *Judge) observe(ctx context.Context, r Request, m *memory) error {
	canary, stable := some(r.Canary), some(r.Stable)
	ids := slices.Concat(canary, stable)
	if len(ids) == 0 {
		return api.Errorf(api.CodeUnavailable, "no healthy instance to look at")
	}
	reading, err := j.reader.Read(ctx, r.Spec.KPIs, ids, m.At, r.Now)
	if err != nil {
		return err
	}
	last := m.Last
	m.Last = last.Next(ids, reading)
	if last.At.IsZero() {
		return nil
	}
	look := judge.Look{At: r.Now, Seconds: r.Now.Sub(last.At).Seconds(), KPIs: map[string]judge.Pair{}}
	for _, want := range r.Spec.KPIs {
		if k, ok := j.reader.Catalogue().Known(want); ok {
			look.KPIs[want.KPI] = judge.Pair{Canary: last.Measure(k, canary, reading), Stable: last.Measure(k, stable, reading)}
		}
	}
	m.Bank.Observe(look)
	return nil
}

// some takes the first instances of an arm by ID, so that the choice stays the same from
// look to look.
func some(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), JudgedInstances)]
}

// verdict is the bank's verdict. It adds the KPIs that were not judged, the usual
// figures from before, and how much longer the judgement takes.
func (j *Judge) verdict(r Request, m *memory, started time.Time) api.Verdict {
	v := m.Bank.Verdict(r.Now)
	if m.Unjudged != "" {
		v.Reason += "; not judged: " + m.Unjudged
	}
	j.before(r.Target, v.KPIs, r.Now)
	if v.Kind == api.VerdictContinue {
		if text := j.left(r, started, v); text != "" {
			v.Reason += "; " + text
		}
	}
	return v
}

// before notes on each KPI the figure of the target's baseline at this hour, unless
// the baseline is cold. A KPI that only a policy has a query for has no baseline.
func (j *Judge) before(ref api.TargetRef, kpis []api.KPIEffect, at time.Time) {
	for i := range kpis {
		k, ok := j.reader.Catalogue().Known(api.KPISpec{KPI: kpis[i].KPI})
		if !ok {
			continue
		}
		if v, ok := j.history.Usual(ref, k, at); ok {
			kpis[i].Before = &v
		}
	}
}
