package judge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Bank judges one stage. Make it with New, or Load one that was stored.
type Bank struct {
	state bankState
}

type bankState struct {
	Spec    api.JudgeSpec `json:"spec"`
	Alone   bool          `json:"alone,omitempty"`
	Started time.Time     `json:"started"`
	Last    time.Time     `json:"last,omitzero"`
	Away    api.Duration  `json:"away,omitempty"` // time in which nobody could look
	Looks   int           `json:"looks"`
	KPIs    []*entry      `json:"kpis"`
}

// entry is one KPI with its margins, its evidence, and what a verdict says of it.
type entry struct {
	KPI      KPI           `json:"kpi"`
	Spec     api.KPISpec   `json:"spec"`
	Weight   float64       `json:"weight"`
	Looks    int           `json:"looks"`
	Missing  string        `json:"missing,omitempty"` // why the last look had no data
	Dropped  int           `json:"dropped,omitempty"` // looks with unusable values
	LastDrop string        `json:"last_drop,omitempty"`
	Aborted  bool          `json:"aborted,omitempty"`
	Promoted bool          `json:"promoted,omitempty"`
	Count    *countModel   `json:"count,omitempty"`
	Latency  *latencyModel `json:"latency,omitempty"`
	Gauge    *gaugeModel   `json:"gauge,omitempty"`
	Series   *seriesModel  `json:"series,omitempty"` // instead of the others, by Kayenta's rules
}

// model is the evidence about one KPI.
type model interface {
	observe(kpi KPI, pair Pair, seconds float64)
	// evidence is the natural logarithm of both e-values.
	evidence() (abort, promote float64)
	// most is an upper bound of the evidence, at a fraction of the cost.
	most() (abort, promote float64)
	// figures are the arms' values so far and the canary's exposure.
	figures(kpi KPI) (stable, canary, exposure float64)
	// interval holds the ratio of canary to stable.
	interval(kpi KPI) (low, high float64)
	// reference is the stable arm for a later stage.
	reference() Reference
}

// Stage says what a bank is for.
type Stage struct {
	Started time.Time
	// Alone: no stable instance is left. Every KPI is compared with its
	// Reference, at the end of the reference's 99.5 percent limits that makes
	// abort and promote harder to reach. A KPI without one never promotes.
	Alone bool
}

// New starts a judgement. The KPIs of the spec must be among kpis.
func New(spec api.JudgeSpec, kpis []KPI, stage Stage) (*Bank, error) {
	if err := Check(spec); err != nil {
		return nil, err
	}
	b := &Bank{state: bankState{Spec: spec, Alone: stage.Alone, Started: stage.Started}}
	weights := Weights(spec.KPIs)
	for i, want := range spec.KPIs {
		var kpi *KPI
		for j := range kpis {
			if kpis[j].Name == want.KPI {
				kpi = &kpis[j]
			}
		}
		if kpi == nil {
			return nil, api.Errorf(api.CodeInvalid, "judge.kpi.%s: not a known KPI", want.KPI)
		}
		e := &entry{KPI: *kpi, Spec: want, Weight: weights[i], Missing: "no data yet"}
		switch kind := kpi.Kind; {
		case spec.Method == api.JudgeKayenta:
			e.Series = &seriesModel{}
		case kind == api.KPICount:
			e.Count = newCount(*kpi, want, stage.Alone)
		case kind == api.KPILatency:
			e.Latency = newLatency(*kpi, want, stage.Alone)
		case kind == api.KPIGauge:
			e.Gauge = newGauge(*kpi, want, stage.Alone)
		default:
			return nil, api.Errorf(api.CodeInvalid, "judge.kpi.%s: unknown kind %q", want.KPI, kpi.Kind)
		}
		e.KPI.Reference = Reference{} // the model has taken what it needs
		b.state.KPIs = append(b.state.KPIs, e)
	}
	return b, nil
}

// Check returns what is wrong with a spec, by field path.
func Check(spec api.JudgeSpec) error {
	share := func(v float64) bool { return v > 0 && v < 1 }
	if !share(spec.FalseAlarm) {
		return api.Errorf(api.CodeInvalid, "judge.false_alarm: %g is not between 0 and 1", spec.FalseAlarm)
	}
	if !share(spec.Miss) {
		return api.Errorf(api.CodeInvalid, "judge.miss: %g is not between 0 and 1", spec.Miss)
	}
	if spec.Method != "" && spec.Method != api.JudgeEvidence && spec.Method != api.JudgeKayenta {
		return api.Errorf(api.CodeInvalid, "judge.method: %q is neither %q nor %q", spec.Method, api.JudgeEvidence, api.JudgeKayenta)
	}
	if len(spec.KPIs) == 0 {
		return api.Errorf(api.CodeInvalid, "judge: no kpi block, so nothing could be judged")
	}
	seen := map[string]bool{}
	for _, k := range spec.KPIs {
		path := "judge.kpi." + k.KPI
		switch {
		case seen[k.KPI]:
			return api.Errorf(api.CodeInvalid, "%s: named twice", path)
		case !(k.AbortAbove >= 1) || math.IsInf(k.AbortAbove, 0):
			return api.Errorf(api.CodeInvalid, "%s.abort_above: %g is below 1", path, k.AbortAbove)
		case !(k.PromoteBelow > k.AbortAbove) || math.IsInf(k.PromoteBelow, 0):
			return api.Errorf(api.CodeInvalid, "%s.promote_below: %g is not above abort_above (%g)", path, k.PromoteBelow, k.AbortAbove)
		case !(k.IgnoreBelow >= 0) || math.IsInf(k.IgnoreBelow, 0):
			return api.Errorf(api.CodeInvalid, "%s.ignore_below: %g is negative", path, k.IgnoreBelow)
		case !(k.Weight >= 0 && k.Weight <= 1):
			return api.Errorf(api.CodeInvalid, "%s.weight: %g is not between 0 and 1", path, k.Weight)
		}
		seen[k.KPI] = true
	}
	return nil
}

// Weights gives every KPI its share of the false alarms: named weights as they
// are, the rest in equal parts, all scaled down when they exceed one.
func Weights(specs []api.KPISpec) []float64 {
	var named, open float64
	for _, s := range specs {
		if s.Weight > 0 {
			named += s.Weight
		} else {
			open++
		}
	}
	rest := 0.0
	if open > 0 {
		rest = (1 - named) / open
		if rest <= 0 { // nothing is left: the others get an equal share each
			rest = 1 / float64(len(specs))
		}
	}
	total := named + rest*open
	out := make([]float64, len(specs))
	for i, s := range specs {
		out[i] = cmp.Or(s.Weight, rest) / max(total, 1)
	}
	return out
}

// Load reads a bank that MarshalJSON wrote.
func Load(raw []byte) (*Bank, error) {
	b := &Bank{}
	if err := json.Unmarshal(raw, b); err != nil {
		return nil, err
	}
	return b, nil
}

// MarshalJSON writes everything that the bank knows.
func (b *Bank) MarshalJSON() ([]byte, error) { return json.Marshal(b.state) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Bank) UnmarshalJSON(raw []byte) error {
	var s bankState
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("read judge state: %w", err)
	}
	if err := Check(s.Spec); err != nil {
		return fmt.Errorf("read judge state: %w", err)
	}
	for i, e := range s.KPIs {
		if e == nil || e.model() == nil || !(e.Weight > 0) {
			return fmt.Errorf("read judge state: KPI %d is damaged", i)
		}
	}
	b.state = s
	return nil
}

func (e *entry) model() model {
	switch {
	case e.Count != nil:
		return e.Count
	case e.Latency != nil:
		return e.Latency
	case e.Gauge != nil:
		return e.Gauge
	case e.Series != nil:
		return e.Series
	}
	return nil
}

// longGap is a pause that slow looks never reach. After a longer pause, a source or the
// leader was away, and the pause does not count against max_duration.
const longGap = 30 * time.Second

// Observe takes one look into account. Looks that are not later than the last
// one are ignored, so that a repeated look counts once.
func (b *Bank) Observe(look Look) {
	if !look.At.After(b.state.Last) && b.state.Looks > 0 {
		return
	}
	if gap := look.At.Sub(b.state.Last); b.state.Looks > 0 && gap > max(longGap, 4*b.state.Spec.Interval.D()) {
		b.state.Away += api.Duration(gap)
	}
	b.state.Last = look.At
	b.state.Looks++
	if !(look.Seconds >= 0 && look.Seconds <= measureMost) {
		look.Seconds = 0
	}
	for _, e := range b.state.KPIs {
		e.observe(look, b.state.Alone)
		if e.Series == nil {
			e.decide(b.state.Spec)
		}
	}
	if b.state.Spec.Method == api.JudgeKayenta {
		b.score()
	}
}

func (e *entry) observe(look Look, alone bool) {
	if e.Aborted {
		return // what it was aborted for stays as it was
	}
	pair, ok := look.KPIs[e.KPI.Name]
	if !ok {
		e.Missing = "no data"
		return
	}
	arms := []struct {
		name string
		m    Measure
	}{{"canary", pair.Canary}, {"stable", pair.Stable}}
	if alone {
		arms = arms[:1]
	}
	for _, arm := range arms {
		if why := arm.m.usable(e.KPI); why != "" {
			e.Missing = fmt.Sprintf("%s: %s", arm.name, why)
			if arm.m.Present || arm.m.Dropped != "" {
				e.Dropped++
				e.LastDrop = e.Missing
			}
			return
		}
	}
	e.Missing = pair.Canary.Partial
	e.Looks++
	e.model().observe(e.KPI, pair, look.Seconds)
}

// decide latches the two conclusions. An abort stays. A promotion stays only while
// nothing speaks for an abort, and while all looks together still speak for the
// promotion: a canary can get worse after it was good enough.
func (e *entry) decide(spec api.JudgeSpec) {
	needed := math.Log(1 / (e.Weight * spec.FalseAlarm))
	// Most looks change nothing, which is cheap to see.
	abort, promote := e.model().most()
	if promote <= 0 {
		e.Promoted = false
	}
	if e.Aborted || abort < needed/2 && (e.Promoted || promote < math.Log(1/spec.Miss)) {
		return
	}
	abort, promote = e.model().evidence()
	if abort >= needed {
		e.Aborted = true
	}
	if promote >= math.Log(1/spec.Miss) {
		e.Promoted = true
	}
	if abort > needed/2 {
		e.Promoted = false
	}
}

// References are the stable arms of all KPIs, by name, for the bank of a later stage. A
// bank without a stable arm hands on the references that it was given.
func (b *Bank) References() map[string]Reference {
	out := make(map[string]Reference, len(b.state.KPIs))
	for _, e := range b.state.KPIs {
		out[e.KPI.Name] = e.model().reference()
	}
	return out
}

// Looks is how many looks the bank has taken.
func (b *Bank) Looks() int { return b.state.Looks }

// Aborted reports whether any KPI is proven worse than its margin.
func (b *Bank) Aborted() bool {
	for _, e := range b.state.KPIs {
		if e.Aborted {
			return true
		}
	}
	return false
}

// Promoted reports whether every KPI is within its margin, with data at the last
// look.
func (b *Bank) Promoted() bool {
	for _, e := range b.state.KPIs {
		if !e.Promoted || e.Missing != "" || e.Aborted {
			return false
		}
	}
	return true
}
