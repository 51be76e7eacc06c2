package policies

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// budget keeps the least of every number that any matching policy sets.
func (d *decider) budget() error {
	for _, name := range []string{"instances", "targets", "failures", "neighbours"} {
		won := map[string]func(){} // by field: records the policy with the least
		for _, m := range d.matches {
			if m.budget == nil {
				continue
			}
			f := m.budget.Fields[name]
			if f == nil {
				continue
			}
			value, err := f.Eval(d.env.full)
			if err != nil {
				return err
			}
			if field := d.limit(name, value); field != "" {
				won[field] = func() { d.because("budget."+field, m.policy, f.At, name+" = "+lang.ValueText(value)) }
			}
		}
		for _, field := range lang.Names(won) {
			won[field]()
		}
	}
	return d.policyFailures()
}

// policyFailures collects the limits of single policies. Each counts its own targets, so that
// none is stricter than another.
func (d *decider) policyFailures() error {
	for _, m := range d.matches {
		if m.budget == nil {
			continue
		}
		f := m.budget.Fields["policy_failures"]
		if f == nil {
			continue
		}
		value, err := f.Eval(d.env.full)
		if err != nil {
			return err
		}
		most := int(lang.NumberOf(value))
		d.decision.Budget.PolicyFailures = append(d.decision.Budget.PolicyFailures, api.PolicyFailures{Policy: m.name, Most: most})
		d.because("budget.policy_failures", m.policy, f.At, fmt.Sprintf("policy_failures = %d, of the targets of policy %q", most, m.name))
	}
	return nil
}

// limit applies one argument of a budget. It returns the field that it made
// smaller, if any.
func (d *decider) limit(name string, value cty.Value) string {
	spec := &d.decision.Budget
	field, tighter := name, false
	switch name {
	case "instances":
		percent, count, err := parseShare(value)
		if err != nil {
			return "" // can't be: the argument's checker parsed it
		}
		tighter = least(&spec.Instances, count)
		if least(&spec.InstancesPercent, percent) {
			field, tighter = "instances_percent", true
		}
	case "targets":
		tighter = least(&spec.Targets, int(lang.NumberOf(value)))
	case "failures":
		tighter = least(&spec.Failures, int(lang.NumberOf(value)))
	case "neighbours":
		if value.AsString() == "exclusive" && spec.Neighbours == "" {
			spec.Neighbours, tighter = "exclusive", true
		}
	}
	if !tighter {
		return ""
	}
	return field
}

// least lowers a limit, where zero means that there is none.
func least(limit *int, to int) bool {
	if to == 0 || *limit != 0 && *limit <= to {
		return false
	}
	*limit = to
	return true
}

// pause keeps the longest of every matching policy.
func (d *decider) pause() error {
	won := func() {}
	for _, m := range d.matches {
		f := m.own.Fields["pause"]
		if f == nil {
			continue
		}
		value, err := f.Eval(d.env.full)
		if err != nil {
			return err
		}
		if pause := durationOf(value); pause > d.decision.Pause {
			d.decision.Pause = pause
			won = func() { d.because("pause", m.policy, f.At, "pause = "+lang.ValueText(value)) }
		}
	}
	won()
	return nil
}

// windows collects those of every matching policy; Opens asks for one open
// window of each.
func (d *decider) windows() error {
	for _, m := range d.matches {
		for _, w := range m.windows {
			built, err := w.Get(d.env.full)
			if err != nil {
				return err
			}
			d.because("window."+built.Name, m.policy, w.At,
				fmt.Sprintf("opens at %q in %s for %s", built.Start, built.Timezone, built.Length))
			built.Name = m.name + "/" + built.Name
			d.decision.Windows = append(d.decision.Windows, built)
		}
	}
	return nil
}

func (d *decider) freezes() error {
	for _, m := range d.matches {
		for _, f := range m.freezes {
			built, err := f.Get(d.env.full)
			if err != nil {
				return err
			}
			d.because("freeze."+built.Name, m.policy, f.At, fmt.Sprintf("nothing starts from %s to %s: %s",
				built.From.Format("2006-01-02 15:04Z"), built.To.Format("2006-01-02 15:04Z"), built.Reason))
			built.Name = m.name + "/" + built.Name
			d.decision.Freezes = append(d.decision.Freezes, built)
		}
	}
	return nil
}

// approval asks for the largest count, and for somebody else than whoever submitted the
// patch unless all policies that ask do without; a consent lapses at the earliest expiry. Policies that want the consent of
// different groups can't both be met by one recorded consent, so the target is
// refused rather than one of them overruled.
func (d *decider) approval() error {
	spec := &d.decision.Approval
	from := ""
	for _, m := range d.matches {
		b := m.approval
		if b == nil {
			continue
		}
		why := "always"
		if f := b.Fields["when"]; f != nil {
			holds, reason, err := f.EvalBool(d.env.full)
			if err != nil {
				return err
			}
			if !holds {
				continue
			}
			why = "because " + reason
		}
		v := b.Values(d.env.full)
		group, count := v.Text("from", ""), 1
		if value, ok := v.Get("count"); ok {
			count = int(lang.NumberOf(value))
		}
		if v.Err() != nil {
			return v.Err()
		}
		if group != "" && spec.From != "" && group != spec.From {
			return fmt.Errorf("policy %q asks for the consent of group %q, and policy %q for that of %q: make them agree",
				from, spec.From, m.name, group)
		}
		if group != "" {
			spec.From, from = group, m.name
		}
		spec.Self = v.Flag("self") && (spec.Self || spec.Count == 0)
		spec.Count = max(spec.Count, count)
		if e := api.Duration(v.Duration("expires")); e > 0 && (spec.Expires == 0 || e < spec.Expires) {
			spec.Expires = e
		}
		d.because("approval", m.policy, b.At, approvalText(count, group)+", "+why)
	}
	return nil
}

func approvalText(count int, group string) string {
	people := "anybody who may approve"
	if group != "" {
		people = "group " + group
	}
	return fmt.Sprintf("%d from %s", count, people)
}
