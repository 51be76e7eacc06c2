package policies

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// HasCalendar reports whether any policy has a window or a freeze.
func (l *Library) HasCalendar() bool {
	return slices.ContainsFunc(l.policies, func(p *policy) bool { return len(p.windows) > 0 || len(p.freezes) > 0 })
}

// Calendar returns a decision with nothing but the windows and freezes that the policies
// have for a target. It asks them for nothing else, so that what they can't decide
// otherwise does not matter. The error says which policy could not be evaluated.
func (l *Library) Calendar(facts Facts) (api.Decision, error) {
	s := l.Session(facts.Patch, facts.Cluster, facts.Now)
	d := s.decider(facts)
	for _, step := range []func() error{func() error { return d.match(l.policies) }, d.critical, d.aged, d.windows, d.freezes} {
		if err := step(); err != nil {
			return api.Decision{}, api.Errorf(api.CodeInvalid, "windows and freezes of %s: %v", facts.Target.TargetRef, explainUnknown(d.seen, err))
		}
	}
	d.decision.Target = facts.Target.TargetRef
	return d.decision, nil
}
