package simulator_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// world is what outlives a process: the sandbox, the images on its nodes, and the record.
type world struct {
	*model
	*ledger
	images map[string]bool
	calls  int // that change something
}

// process is one leader's view of the world. It dies around its call number last: before
// the call has an effect or, with late, just after it. A dead process changes nothing.
type process struct {
	*world
	last int
	late bool
	dead bool
}

// call counts a call that changes something, and carries it out while the process lives.
func (p *process) call(do func() error) error {
	p.calls++
	killed := p.calls == p.last
	if p.dead || killed && !p.late {
		p.dead = true
		return context.Canceled
	}
	err := do()
	if killed {
		p.dead = true
		return context.Canceled
	}
	return err
}

func (p *process) Own(ctx context.Context, id string, objects ...api.SandboxObject) error {
	return p.call(func() error { return p.ledger.Own(ctx, id, objects...) })
}

func (p *process) Disown(ctx context.Context, id string, objects ...api.SandboxObject) error {
	return p.call(func() error { return p.ledger.Disown(ctx, id, objects...) })
}

func (p *process) StartTwin(ctx context.Context, spec twin.Spec) (m twin.Machine, err error) {
	err = p.call(func() (err error) { m, err = p.model.StartTwin(ctx, spec); return err })
	return m, err
}

func (p *process) StopTwin(ctx context.Context, namespace, job string) error {
	return p.call(func() error { return p.model.StopTwin(ctx, namespace, job) })
}

func (p *process) Bakes() bool { return true }

func (p *process) BakeNode(context.Context, api.TargetRef, string) (string, error) { return "n1", nil }

func (p *process) BakeImage(_ context.Context, spec twin.BakeSpec) (twin.Image, error) {
	p.machines[spec.Job] = &machine{} // its job, which a process that dies leaves
	err := p.call(func() error { p.images[spec.Result] = true; return nil })
	if err == nil {
		delete(p.machines, spec.Job)
	}
	return twin.Image{Path: spec.Result, Digest: "d", Node: spec.Node}, err
}

func (p *process) DiscardImage(_ context.Context, _ api.TargetRef, job string, baked twin.Image) error {
	p.machines[job] = &machine{}
	err := p.call(func() error { delete(p.images, baked.Path); return nil })
	if err == nil {
		delete(p.machines, job)
	}
	return err
}

// simulator is the one of the process.
func (p *process) simulator() *simulator.Simulator {
	return simulator.New(simulator.Options{Sandbox: p, Baker: p, Ledger: p, Transport: p.model})
}

// TestRun_LeavesNothingWhereverItsProcessDies kills the process around every call of a
// run that changes something. The next process goes on with the simulation, and removes
// what the record says that is left.
func TestRun_LeavesNothingWhereverItsProcessDies(t *testing.T) {
	t.Parallel()
	died := 0
	for call := 1; ; call++ {
		survived := false
		for _, late := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := &world{model: newModel(), ledger: &ledger{}, images: map[string]bool{}}
				first := &process{world: w, last: call, late: late}
				_, err := first.simulator().Run(t.Context(), scripted())
				survived = !first.dead
				if survived {
					must.NoError(t, err)
				}
				died++

				next := &process{world: w}
				_, err = next.simulator().Run(t.Context(), scripted())
				must.NoError(t, err)
				sim := api.Simulation{ID: "r1/2", Target: request().Target.TargetRef}
				for _, o := range w.Owned(sim.ID) {
					must.NoError(t, next.simulator().Remove(t.Context(), sim, o))
					must.NoError(t, w.Disown(t.Context(), sim.ID, o))
				}
				where := must.Sprint(fmt.Sprintf("killed at call %d, late %v", call, late))
				must.MapEmpty(t, w.machines, where)
				must.Eq(t, map[string]bool{}, maps.Clone(w.images), where)
				must.SliceEmpty(t, w.Owned(sim.ID), where)
			})
		}
		if survived {
			break
		}
	}
	must.Greater(t, 15, died)
}
