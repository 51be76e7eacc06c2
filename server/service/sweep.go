package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/server/state"
)

const (
	sweepEvery, latePasses, removeMax = twin.SweepEvery, twin.LatePasses, twin.RemoveMax
	// sweepsAtOnce is how many simulations are cleared up at a time.
	sweepsAtOnce = 4
)

// sweeper removes what simulations left behind, in one term of leadership. It removes
// only what the record says that a simulation of ours owns. What can't be removed stays
// in the record, which says why, and is tried again in the next pass.
type sweeper struct {
	*Service
	sandbox Sandbox
	// inherited are the objects that were owned when the term began: of those, none is
	// in use by a simulation of this term.
	inherited map[string][]api.SandboxObject

	mu   sync.Mutex
	seen map[string]int // passes since what has this key was first looked at
}

func newSweeper(s *Service, t Term) *sweeper {
	w := &sweeper{Service: s, sandbox: t.Sandbox, inherited: map[string][]api.SandboxObject{}, seen: map[string]int{}}
	for _, sim := range t.Inherited {
		w.inherited[sim.ID] = sim.Owned
	}
	return w
}

// run sweeps until ctx ends.
func (w *sweeper) run(ctx context.Context) {
	ticks, stop := w.opt.Ticker(sweepEvery)
	defer stop()
	for {
		w.pass(ctx)
		select {
		case <-ticks:
		case <-ctx.Done():
			return
		}
	}
}

// pass looks at every simulation once.
func (w *sweeper) pass(ctx context.Context) {
	var group sync.WaitGroup
	room := make(chan struct{}, sweepsAtOnce)
	present := map[string]bool{}
	for _, sim := range w.store.OpenSimulations() {
		present[sim.ID] = true
		for _, o := range sim.Owned {
			present[key(sim, o)] = true
		}
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			w.endAbandoned(ctx, sim)
			w.clear(ctx, sim)
		})
	}
	group.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.seen {
		if !present[k] {
			delete(w.seen, k)
		}
	}
}

// key tells an object of a simulation from all others.
func key(sim api.Simulation, o api.SandboxObject) string {
	return strings.Join([]string{sim.ID, o.Kind, o.Namespace, o.Name, o.Node}, "\x00")
}

// late counts a pass that looks at something. It returns true from the pass on after
// which nothing of a former leader can be on its way.
func (w *sweeper) late(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[key]++
	return w.seen[key] > latePasses
}

// endAbandoned records the end of a rollout's simulation that no effect is about: its
// rollout has moved on, and whoever ran it did not record its end.
func (w *sweeper) endAbandoned(ctx context.Context, sim api.Simulation) {
	if sim.Status == api.SimulationRunning && sim.Rollout != "" && !w.goesOn(sim) && w.late(sim.ID) {
		w.end(ctx, sim, api.Impact{}, api.Errorf(api.CodeNoLeader, "its rollout has moved on without it"))
	}
}

// goesOn reports whether the open effect of a rollout is this simulation. Its ID is
// that of the effect, or has a number behind it.
func (s *Service) goesOn(sim api.Simulation) bool {
	r, ok := s.store.Rollout(sim.Rollout)
	return ok && r.Effect != nil && r.Effect.Kind == api.EffectSimulate &&
		(sim.ID == r.Effect.ID || strings.HasPrefix(sim.ID, r.Effect.ID+"-"))
}

// clear removes what a simulation does not need any more. Images go when no job is
// left: a bake that still runs would make its image anew.
func (w *sweeper) clear(ctx context.Context, sim api.Simulation) {
	idle := sim.Owned
	if sim.Status == api.SimulationRunning {
		idle = slices.DeleteFunc(slices.Clone(sim.Owned), func(o api.SandboxObject) bool {
			return !slices.ContainsFunc(w.inherited[sim.ID], o.Is)
		})
	}
	jobs := 0
	for _, o := range idle {
		if o.Kind == api.ObjectJob {
			jobs++
			w.removeJob(ctx, sim, o)
		}
	}
	if jobs > 0 {
		return
	}
	for _, o := range idle {
		if o.Kind != api.ObjectImage {
			continue
		}
		switch w.custodyOf(sim, o.Name) {
		case keep:
		case release:
			w.disown(ctx, sim, o)
		case remove:
			if w.try(ctx, sim, o) {
				w.disown(ctx, sim, o)
			}
		}
	}
}

// removeJob removes a job, in every pass until nothing can bring it back.
func (w *sweeper) removeJob(ctx context.Context, sim api.Simulation, o api.SandboxObject) {
	over := w.late(key(sim, o))
	if w.try(ctx, sim, o) && over {
		w.disown(ctx, sim, o)
	}
}

// disown takes an object out of the record, unless its removal has done so.
func (w *sweeper) disown(ctx context.Context, sim api.Simulation, o api.SandboxObject) {
	if now, _ := w.store.Simulation(sim.ID); slices.ContainsFunc(now.Owned, o.Is) {
		w.note(ctx, state.SimulationNote{ID: sim.ID, Disown: []api.SandboxObject{o}})
	}
}

// try removes an object, or records why that did not work.
func (w *sweeper) try(ctx context.Context, sim api.Simulation, o api.SandboxObject) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, removeMax, fmt.Errorf("it is not gone after %s", removeMax))
	defer cancel()
	err := w.sandbox.Remove(ctx, sim, o)
	if err == nil {
		w.log.Info("removed what a simulation had left", "simulation_id", sim.ID, "kind", o.Kind, "name", o.Name)
		return true
	}
	w.log.Warn("remove what a simulation left", "simulation_id", sim.ID, "kind", o.Kind, "name", o.Name, "error", err)
	w.note(context.WithoutCancel(ctx), state.SimulationNote{ID: sim.ID, Unremoved: fmt.Sprintf("%s %s: %s", o.Kind, o.Name, api.AsError(err).Message)})
	return false
}

func (w *sweeper) note(ctx context.Context, n state.SimulationNote) {
	if _, err := w.opt.Log.Apply(ctx, &n, w.opt.Server); err != nil {
		w.log.Warn("record what is left of a simulation", "simulation_id", n.ID, "error", err)
	}
}

// custody is what becomes of an image that a simulation has made.
type custody int

const (
	remove  custody = iota // nobody needs it
	keep                   // a rollout may still need it
	release                // production may run it: it is nobody's to remove
)

// custodyOf decides about an image. That of a rollout's simulation is what the rollouts of
// the same submission give to production: it stays while one of them is open. An image
// that any of them has begun to give is never removed, unless it was taken back.
func (w *sweeper) custodyOf(sim api.Simulation, image string) custody {
	if sim.Rollout == "" || (sim.Status != api.SimulationPassed && sim.Status != api.SimulationInconclusive) {
		return remove
	}
	own, ok := w.store.Rollout(sim.Rollout)
	if !ok {
		return release // it is forgotten, and nobody knows what it did
	}
	out := remove
	for _, outline := range w.store.Outlines(own.Plan) {
		if outline.Plan != own.Plan {
			continue
		}
		if !outline.Status.Ended() {
			return keep
		}
		if outline.Former == nil || outline.Status == api.RolloutRolledBack {
			continue
		}
		r, _ := w.store.Rollout(outline.ID)
		if slices.ContainsFunc(r.Apply, func(a api.Apply) bool { return a.Image == image }) {
			out = release
		}
	}
	return out
}
