package simulator

import (
	"context"
	"maps"
	"slices"
)

// observeStubs reads which calls of a pair no stub has answered, before the twins end.
func (e *experiment) observeStubs(ctx context.Context, p *pair) {
	for i, m := range p.arms {
		if m == nil || m.Stubs == "" || m.state.Alloc == "" {
			continue
		}
		list, err := e.o.Inside.Loads.Unanswered(ctx, m.Machine, m.state.Alloc)
		e.calls.Observe(list, i == 1 && !p.turn.alike, err)
	}
}

// supplied says what the policy gave the twins in the place of production's own, or that
// they had none of it, since they are virtual machines. It is "" where the policy gives
// nothing.
func (e *experiment) supplied() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(e.request.Spec.Env)) {
		names = append(names, "env."+name)
	}
	for _, s := range e.request.Stubs {
		names = append(names, "stub "+s.Name)
	}
	if len(names) == 0 {
		return ""
	}
	if e.asksInside(e.request) {
		return "; the policy supplied " + named(names)
	}
	return "; a virtual machine's twins go without what the policy supplies: " + named(names)
}
