package simulator

import (
	"context"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// crowdedError says that no node has room besides those that other simulations use.
type crowdedError struct {
	why  string
	left <-chan struct{} // closed when one of them leaves its node
}

func (e *crowdedError) Error() string {
	return "other simulations use the nodes that it could run on: " + e.why
}

// place starts the first twin of a run, away from the nodes that other runs fill, and
// waits until Nomad has placed it. One run does so at a time.
func (o *owner) place(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	placed, err := o.queue.Place(ctx)
	if err != nil {
		return twin.Machine{}, err
	}
	defer placed()
	left := o.queue.Change()
	spec.Avoid = o.queue.Full()
	m, err := o.register(ctx, spec)
	if err != nil {
		return m, err
	}
	why := ""
	began := time.Now()
	err = poll(ctx, func() (bool, error) {
		state, err := o.InspectTwin(ctx, m)
		if err != nil {
			return false, wrap(err, "look where a twin was placed")
		}
		if state.Phase == twin.Unplaced && len(spec.Avoid) > 0 {
			why = state.Why
		}
		// Whoever asked for the twin finds out by itself what else keeps it.
		return why != "" || state.Node != "" || state.Phase == twin.Dead || state.Refused || time.Since(began) > roomTimeout, nil
	})
	if err != nil || why == "" {
		return m, err
	}
	if err := o.StopTwin(ctx, m.Namespace, m.Job); err != nil {
		return m, wrap(err, "remove a twin that found no room")
	}
	return m, &crowdedError{why, left}
}

// InspectTwin looks at a twin, and learns which node the run uses.
func (o *owner) InspectTwin(ctx context.Context, m twin.Machine) (twin.State, error) {
	state, err := o.Sandbox.InspectTwin(ctx, m)
	if err != nil || state.Node == "" {
		return state, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.node == "" {
		o.node = state.Node
		o.queue.Use(o.node)
	}
	return state, nil
}

// leave ends the run's use of its node.
func (o *owner) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.node != "" {
		o.queue.Leave(o.node)
		o.node = ""
	}
}

// rank orders simulations: a rollout's before a person's, since whoever may only simulate
// must not keep rollouts waiting, and then the graver patch. The older one comes first
// when both are alike.
func rank(r Request) int {
	order := []api.Severity{api.SeverityCritical, api.SeverityHigh, api.SeverityMedium, api.SeverityLow}
	out := slices.Index(order, r.Severity)
	if out < 0 {
		out = len(order)
	}
	if r.Rollout == "" {
		out += len(order) + 1
	}
	return out
}
