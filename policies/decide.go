package policies

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// What holds when no policy says otherwise. The error rates are those of the
// shipped policy; five minutes is twice what a virtual machine takes to boot
// and become healthy under software emulation.
const (
	defaultFalseAlarm  = 0.01
	defaultMiss        = 0.05
	defaultInterval    = 5 * time.Second
	defaultMaxDuration = 30 * time.Minute
	defaultSimulation  = time.Minute
	defaultDeadline    = 5 * time.Minute
	// defaultRollbackWindow has a night and a day's peak in it.
	defaultRollbackWindow = 24 * time.Hour
)

// becauseUsual is how many reasons the shipped policy gives, and a few more.
const becauseUsual = 24

// match is a policy that applies to the target, and why.
type match struct {
	*policy
	why string
}

// decider makes one decision.
type decider struct {
	env       *environment
	installed *Installed
	seen      *Installed // what expressions see of it
	now       time.Time
	matches   []match
	decision  api.Decision
}

// Decide says whether, how and when the patch goes to the target. An error
// means that a policy could not be evaluated for these facts; the target must
// then be refused, with the error as the reason.
func (l *Library) Decide(facts Facts) (api.Decision, error) {
	return l.Session(facts.Patch, facts.Cluster, facts.Now).Decide(facts.Target, facts.Criticality, facts.Impact, facts.Installed)
}

// Decide is Library.Decide for one target of the session's patch. What a decision
// refers to is shared with those about other targets, and must not be changed.
func (s *Session) Decide(target api.Target, criticality api.Criticality, impact *api.Impact, installed *Installed) (api.Decision, error) {
	decision, err := s.decide(target, criticality, impact, installed)
	if err != nil {
		code := api.CodeInvalid
		if api.IsCode(err, api.CodePermissionDenied) {
			code = api.CodePermissionDenied // a policy's answer, and no fault of it
		}
		return api.Decision{}, api.Errorf(code, "decide %s: %v", target.TargetRef, err)
	}
	decision.Target = target.TargetRef
	for _, m := range s.missing {
		decision.Weaknesses = append(decision.Weaknesses, "source "+m+" does not answer")
	}
	if criticality.Service == "" {
		decision.Weaknesses = append(decision.Weaknesses, "the graph knows no service of this target, so nothing is known of its dependants")
	}
	return decision, nil
}

func (d *decider) run(all []*policy) error {
	steps := []func() error{
		func() error { return d.match(all) },
		d.critical, d.aged, d.changed, d.simulate, d.strategy, d.judge, d.budget, d.windows, d.freezes, d.approval, d.rollback, d.own, d.selection,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// because records why a field is as it is.
func (d *decider) because(field string, p *policy, at, reason string) {
	d.decision.Because = append(d.decision.Because, api.Because{Field: field, Policy: p.name, Range: at, Reason: reason})
}

// place says where a field of the decision was set.
func (d *decider) place(field string) string {
	for _, b := range d.decision.Because {
		if b.Field == field {
			return b.Range
		}
	}
	return "the default"
}

// match keeps the policies that apply, in their order.
func (d *decider) match(all []*policy) error {
	for _, p := range all {
		f := p.own.Fields["applies"]
		if f == nil {
			d.matches = append(d.matches, match{policy: p, why: "applies to every target"})
			continue
		}
		applies, why, err := f.EvalBool(d.env.base)
		if err != nil {
			return err
		}
		if applies {
			d.matches = append(d.matches, match{policy: p, why: "applies: " + why})
		}
	}
	for _, m := range d.matches {
		d.because(api.FieldPolicy, m.policy, m.at, m.why)
	}
	return nil
}

// pick returns the field of the most specific policy that sets it.
func (d *decider) pick(section func(*policy) *lang.Block, name string) (*lang.Field, *policy) {
	for _, m := range d.matches {
		if b := section(m.policy); b != nil {
			if f := b.Fields[name]; f != nil {
				return f, m.policy
			}
		}
	}
	return nil, nil
}

// set evaluates the picked field, records why, and hands the value on. The
// value stays as it is when no policy sets it.
func (d *decider) set(field string, section func(*policy) *lang.Block, name string, use func(cty.Value)) error {
	f, p := d.pick(section, name)
	if f == nil {
		return nil
	}
	value, err := f.Eval(d.env.full)
	if err != nil {
		return err
	}
	use(value)
	d.because(field, p, f.At, f.Because(value, d.env.full))
	return nil
}

func ownBlock(p *policy) *lang.Block      { return p.own }
func simulateBlock(p *policy) *lang.Block { return p.simulate }
func judgeBlock(p *policy) *lang.Block    { return p.judge }
func rollbackBlock(p *policy) *lang.Block { return p.rollback }

func (d *decider) critical() error {
	f, p := d.pick(ownBlock, "critical")
	if f != nil {
		critical, why, err := f.EvalBool(d.env.base)
		if err != nil {
			return err
		}
		d.decision.Critical = critical
		d.because("critical", p, f.At, why)
	}
	d.env.setCritical(d.decision.Critical)
	return nil
}

func (d *decider) strategy() error {
	var passedOver strings.Builder
	for _, m := range d.matches {
		for _, s := range m.strategies {
			why := "without a condition"
			if s.when != nil {
				holds, reason, err := s.when.EvalBool(d.env.full)
				if err != nil {
					return err
				}
				if !holds {
					if s.byGreen { // who expects it finds out why it is another one
						passedOver.WriteString("; " + s.Label + " is passed over, for " + reason)
					}
					continue
				}
				why = "because " + reason
			}
			config, err := s.encode(d.env.full)
			if err != nil {
				return err
			}
			d.decision.Strategy = api.StrategySpec{Name: s.Label, Config: json.RawMessage(config)}
			d.because("strategy", m.policy, s.At, s.Label+" "+string(config)+", "+why+passedOver.String())
			return nil
		}
	}
	return fmt.Errorf("no policy gives it a strategy; %d policies apply", len(d.matches))
}

func (d *decider) judge() error {
	spec := &d.decision.Judge
	*spec = api.JudgeSpec{
		Enabled: true, FalseAlarm: defaultFalseAlarm, Miss: defaultMiss, OnInconclusive: "hold",
		Interval: api.Duration(defaultInterval), MaxDuration: api.Duration(defaultMaxDuration),
	}
	sets := []struct {
		name string
		use  func(cty.Value)
	}{
		{"enabled", func(v cty.Value) { spec.Enabled = v.True() }},
		{"method", func(v cty.Value) { spec.Method = v.AsString() }},
		{"false_alarm", func(v cty.Value) { spec.FalseAlarm = lang.NumberOf(v) }},
		{"miss", func(v cty.Value) { spec.Miss = lang.NumberOf(v) }},
		{"interval", func(v cty.Value) { spec.Interval = durationOf(v) }},
		{"min_duration", func(v cty.Value) { spec.MinDuration = durationOf(v) }},
		{"max_duration", func(v cty.Value) { spec.MaxDuration = durationOf(v) }},
		{"on_inconclusive", func(v cty.Value) { spec.OnInconclusive = v.AsString() }},
	}
	for _, s := range sets {
		if err := d.set("judge."+s.name, judgeBlock, s.name, s.use); err != nil {
			return err
		}
	}
	for _, m := range d.matches {
		if len(m.kpis) == 0 {
			continue
		}
		for _, k := range m.kpis {
			built, err := k.Get(d.env.full)
			if err != nil {
				return err
			}
			spec.KPIs = append(spec.KPIs, built)
			why := k.because
			if why == "" {
				why = marginsText(built)
			}
			d.because("judge.kpi."+built.KPI, m.policy, k.At, why)
		}
		break
	}
	for _, other := range []struct {
		name string
		is   api.Duration
	}{{"interval", spec.Interval}, {"min_duration", spec.MinDuration}} {
		if spec.Enabled && spec.MaxDuration < other.is {
			return fmt.Errorf("judge.max_duration (%s, %s) is shorter than judge.%s (%s, %s): a stage is judged for no longer than max_duration",
				spec.MaxDuration, d.place("judge.max_duration"), other.name, other.is, d.place("judge."+other.name))
		}
	}
	if len(spec.KPIs) == 0 {
		spec.Enabled = false
	}
	return nil
}

func marginsText(k api.KPISpec) string {
	return fmt.Sprintf("abort above %gx, promote below %gx", k.AbortAbove, k.PromoteBelow)
}

// durationOf converts a checked duration.
func durationOf(v cty.Value) api.Duration {
	d, err := time.ParseDuration(v.AsString())
	if err != nil {
		return 0 // can't be: the field's checker parsed it
	}
	return api.Duration(d)
}

func (d *decider) rollback() error {
	spec := &d.decision.Rollback
	*spec = api.RollbackSpec{OnVerdict: true, OnHealth: true, OnDeadline: true, OnDenied: true, Quarantine: true, Window: api.Duration(defaultRollbackWindow)}
	err := d.set("rollback.on", rollbackBlock, "on", func(v cty.Value) {
		*spec = api.RollbackSpec{Quarantine: true, Window: spec.Window}
		for _, on := range lang.TextsOf(v) {
			switch on {
			case rollbackVerdict:
				spec.OnVerdict = true
			case rollbackHealth:
				spec.OnHealth = true
			case rollbackDeadline:
				spec.OnDeadline = true
			case rollbackDenied:
				spec.OnDenied = true
			}
		}
	})
	if err != nil {
		return err
	}
	if err := d.set("rollback.quarantine", rollbackBlock, "quarantine", func(v cty.Value) { spec.Quarantine = v.True() }); err != nil {
		return err
	}
	if err := d.set("rollback.at_once", rollbackBlock, "at_once", func(v cty.Value) { spec.AtOnce = v.True() }); err != nil {
		return err
	}
	if err := d.set("rollback.window", rollbackBlock, "window", func(v cty.Value) { spec.Window = durationOf(v) }); err != nil {
		return err
	}
	return d.set("rollback.automatic", rollbackBlock, "automatic", func(v cty.Value) { spec.Automatic = v.True() })
}

// own settles the policy's own arguments.
func (d *decider) own() error {
	d.decision.Deadline, d.decision.JobDeadline = api.Duration(defaultDeadline), true
	err := d.set("deadline", ownBlock, "deadline", func(v cty.Value) {
		d.decision.Deadline, d.decision.JobDeadline = durationOf(v), false
	})
	if err != nil {
		return err
	}
	err = d.set("order", ownBlock, "order", func(v cty.Value) {
		if order := v.AsString(); order != api.OrderLeastCriticalFirst {
			d.decision.Order = order
		}
	})
	if err != nil {
		return err
	}
	if err := d.pause(); err != nil {
		return err
	}
	return d.set("prefer", ownBlock, "prefer", func(v cty.Value) { d.decision.PreferLow = v.AsString() == "lowest_load" })
}

// Critical says whether the policies call a target critical, and why. It needs
// no patch.
func (l *Library) Critical(facts Facts) (bool, string, error) {
	return l.Session(facts.Patch, facts.Cluster, facts.Now).Critical(facts.Target, facts.Criticality)
}

// Critical is Library.Critical for one target.
func (s *Session) Critical(target api.Target, criticality api.Criticality) (bool, string, error) {
	key := s.sameKey(target, criticality, nil)
	same, ok := s.rated[key]
	if !ok {
		d := &decider{env: s.environment(target, criticality, nil, nil)}
		err := d.match(s.library.policies)
		if err == nil {
			err = d.critical()
		}
		same = decided{d.decision, err}
		if key != "" {
			s.rated[key] = same
		}
	}
	if same.err != nil {
		return false, "", api.Errorf(api.CodeInvalid, "decide %s: %v", target.TargetRef, same.err)
	}
	for _, b := range same.decision.Because {
		if b.Field == "critical" {
			return same.decision.Critical, fmt.Sprintf("%s (policy %q, %s)", b.Reason, b.Policy, b.Range), nil
		}
	}
	return false, "no policy says what is critical", nil
}
