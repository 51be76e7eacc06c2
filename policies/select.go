package policies

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// selective is the strategy that selects whom the patch affects and what is critical,
// where no select block says affected or critical.
const selective = "selective"

// maxAge bounds what a policy may ask of the age of inventories.
const maxAge = 10 * 365 * 24 * time.Hour

// selectArguments are those of a select block.
func selectArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "affected", Doc: "those that have a fault of the patch", Since: 7, Want: cty.Bool},
		{Name: "critical", Doc: "those that are critical", Since: 7, Want: cty.Bool},
		{Name: "where", Doc: "of them, those for which this holds", Since: 7, Want: cty.Bool},
		{Name: "unknown", Doc: "what of those nobody knows to be affected", Since: 7, Want: cty.String, Check: lang.OneOf(api.UnknownInclude, api.UnknownHold, api.UnknownExclude)},
		{Name: "max_age", Doc: "of an inventory that says that a target is safe; without, the agent's", Since: 7, Want: cty.String, Check: lang.DurationBetween(time.Hour, maxAge)},
	}
}

func (p *policyParser) readSelect(b *hclsyntax.Block) *lang.Block {
	out := p.block(b, selectArguments())
	if len(b.Body.Attributes) == 0 {
		p.Problem(b.DefRange(), "Empty select", "A select says which targets a patch goes to: those that are affected, critical, or for which where holds.")
	}
	return out
}

func selectBlock(p *policy) *lang.Block { return p.selection }

// selects is what the select blocks of all matching policies say, argument by argument.
type selects struct {
	affected, critical, where bool
	unknown                   string
	whereNot                  string // why where does not hold
	by                        *policy
	at                        string        // of the argument that selects
	maxAge                    time.Duration // of inventories that say that something is safe; zero for any
	unknownBy                 *policy
	unknownAt                 string
}

// selection settles whether the patch goes to the target. It comes last, for what nobody
// knows makes the simulation or an approval necessary.
func (d *decider) selection() error {
	s, err := d.selects()
	if err != nil || s == nil {
		return err
	}
	status, why := d.installed.StatusWithin(s.maxAge, d.now)
	out := &api.Selection{}
	switch {
	case s.whereNot != "":
		out.Reason = "its policy leaves it out: " + s.whereNot
	case !s.affected && !s.critical:
		out.Chosen, out.Reason = true, "its policy takes it"
	case s.critical && d.decision.Critical:
		out.Chosen, out.Reason = true, "it is critical"
	case !s.affected:
		out.Reason = "it is not critical"
	case status == api.AssessmentAffected:
		out.Chosen, out.Reason = true, "it is affected: "+why
	case status == api.AssessmentUnknown:
		out.Chosen = s.unknown != api.UnknownExclude
		out.Reason = "nobody knows whether it is affected: " + why
	case status == api.AssessmentFixed:
		out.Reason = "it is fixed already: " + why
	default:
		out.Reason = "it is not affected: " + why
	}
	if s.affected {
		out.Status = status
	}
	d.decision.Selection = out
	d.because("selection", s.by, s.at, out.Reason)
	if out.Chosen && status == api.AssessmentUnknown && s.affected && (!s.critical || !d.decision.Critical) {
		d.doubtful(s)
	}
	return nil
}

// doubtful asks for what must precede a patch of which nobody knows whether the target
// needs it.
func (d *decider) doubtful(s *selects) {
	if s.unknown == api.UnknownHold {
		d.decision.Approval.Count = max(1, d.decision.Approval.Count)
		d.because("approval", s.unknownBy, s.unknownAt, `unknown = "hold", and nobody knows whether it is affected`)
		return
	}
	if !d.decision.Simulate.Required {
		d.decision.Simulate.Required = true
		d.because("simulate.required", s.unknownBy, s.unknownAt, "nobody knows whether it is affected, so the patch is tried first")
	}
}

// selects reads the select blocks; nil when no policy selects.
func (d *decider) selects() (*selects, error) {
	s := &selects{unknown: api.UnknownInclude}
	any, whom := false, false
	flags := map[string]*bool{"affected": &s.affected, "critical": &s.critical, "where": &s.where}
	for _, name := range []string{"where", "critical", "affected"} {
		f, p := d.pick(selectBlock, name)
		if f == nil {
			continue
		}
		holds, why, err := f.EvalBool(d.env.full)
		if err != nil {
			return nil, err
		}
		any, *flags[name] = true, holds
		if s.whereNot == "" { // else that is what the selection is by
			s.by, s.at = p, f.At
		}
		switch {
		case name != "where":
			whom = true
		case !holds:
			s.whereNot = why
		}
	}
	if d.decision.Strategy.Name == selective && !whom {
		for _, b := range d.decision.Because {
			if b.Field == "strategy" && s.whereNot == "" {
				s.by, s.at = &policy{name: b.Policy}, b.Range
			}
		}
		any, s.affected, s.critical = true, true, true
	}
	if !any {
		return nil, nil //nolint:nilnil // that no policy selects is an answer
	}
	s.unknownBy, s.unknownAt = s.by, s.at
	if f, p := d.pick(selectBlock, "unknown"); f != nil {
		value, err := f.Eval(d.env.full)
		if err != nil {
			return nil, fmt.Errorf("select: %w", err)
		}
		s.unknown, s.unknownBy, s.unknownAt = value.AsString(), p, f.At
	}
	var err error
	s.maxAge, err = d.oldest()
	return s, err
}

// aged lets the expressions that follow see nothing of what an inventory says that is older
// than the policies let it be.
func (d *decider) aged() error {
	most, err := d.oldest()
	if err != nil {
		return err
	}
	if seen := d.installed.Within(most, d.now); seen != d.installed {
		d.seen = seen
		d.env.setInstalled(seen, d.decision.Critical)
	}
	return nil
}

// MaxAges says how old the inventories of a target may be at most, by the select blocks of all
// policies that may match it, whatever the patch is; zero where none says it. It is nil where
// no policy has such a block. A policy of which that depends on the patch counts, since an
// inventory is never to be taken for newer than a policy lets it be.
func (l *Library) MaxAges(now time.Time) func(api.Target) (time.Duration, error) {
	var aging []*policy
	for _, p := range l.policies {
		if b := selectBlock(p); b != nil && b.Fields["max_age"] != nil {
			aging = append(aging, p)
		}
	}
	if len(aging) == 0 {
		return nil
	}
	s := l.Session(api.Patch{}, ClusterFacts{}, now)
	return func(t api.Target) (time.Duration, error) {
		d := s.decider(Facts{Target: t})
		for _, name := range []string{"patch", "impact", "graph", "cluster"} {
			d.env.base.Variables[name] = cty.DynamicVal
		}
		d.env.setCritical(false)
		d.env.target["critical"] = cty.UnknownVal(cty.Bool)
		d.env.full.Variables["target"] = cty.ObjectVal(d.env.target)
		for _, p := range aging {
			if f := p.own.Fields["applies"]; f != nil {
				if applies, _, err := f.EvalBool(d.env.base); err == nil && !applies {
					continue
				}
			}
			d.matches = append(d.matches, match{policy: p})
		}
		return d.oldest()
	}
}

// oldest finds the shortest age that a select block of any matching policy asks for; zero
// where none does.
func (d *decider) oldest() (time.Duration, error) {
	shortest := time.Duration(0)
	for _, m := range d.matches {
		b := selectBlock(m.policy)
		if b == nil || b.Fields["max_age"] == nil {
			continue
		}
		f := b.Fields["max_age"]
		value, err := f.Eval(d.env.full)
		if err != nil {
			return 0, fmt.Errorf("select: %w", err)
		}
		if most := durationOf(value).D(); shortest == 0 || most < shortest {
			shortest = most
		}
	}
	return shortest, nil
}
