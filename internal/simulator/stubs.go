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

// supplied says what the policy gave the twins in the place of production's own, and what
// of it they had no use for. It is "" where the policy gives nothing. A virtual machine
// takes variables by its arguments alone, and reaches no stub.
func (e *experiment) supplied() string {
	inside := e.asksInside(e.request)
	var given, idle []string
	for _, name := range slices.Sorted(maps.Keys(e.request.Spec.Env)) {
		if inside || slices.Contains(e.env, name) {
			given = append(given, "env."+name)
		} else {
			idle = append(idle, "env."+name)
		}
	}
	for _, s := range e.request.Stubs {
		if inside {
			given = append(given, "stub "+s.Name)
		} else {
			idle = append(idle, "stub "+s.Name)
		}
	}
	text := ""
	if len(given) > 0 {
		text += "; the policy supplied " + named(given)
	}
	if len(idle) > 0 {
		text += "; a virtual machine's twins go without what the policy supplies: " + named(idle)
	}
	return text
}
