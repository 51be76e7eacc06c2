package simulator

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator/queue"
	"github.com/oakumhq/oakum/internal/twin"
)

// Ledger is the replicated record of what simulations have made and not removed.
type Ledger interface {
	// Own records objects of a simulation before they exist. After an error they must
	// not be made: the simulation has ended, or this server leads no more.
	Own(ctx context.Context, simulation string, objects ...api.SandboxObject) error
	// Disown records that objects are gone, or that the simulation owns them no more.
	Disown(ctx context.Context, simulation string, objects ...api.SandboxObject) error
	// Owned lists what the record says that a simulation owns.
	Owned(simulation string) []api.SandboxObject
}

// unrecorded is the ledger of a simulator that has none.
type unrecorded struct{}

func (unrecorded) Own(context.Context, string, ...api.SandboxObject) error    { return nil }
func (unrecorded) Disown(context.Context, string, ...api.SandboxObject) error { return nil }
func (unrecorded) Owned(string) []api.SandboxObject                           { return nil }

// jobObject is a job as the ledger has it.
func jobObject(namespace, id string) api.SandboxObject {
	return api.SandboxObject{Kind: api.ObjectJob, Role: twin.Role(id), Namespace: namespace, Name: id}
}

// owner is the sandbox and the baker of one run. Whatever is made through it is in the
// ledger before it exists, and leaves the ledger when it is gone. What could not be
// removed, or may still come to be, stays in the ledger for the leader to remove.
type owner struct {
	Sandbox
	Baker
	ledger     Ledger
	queue      *queue.Queue
	simulation string

	mu    sync.Mutex
	node  string          // ID of the one that its twins run on; empty before the first is placed
	doubt map[string]bool // jobs whose registration may still be on its way
}

// StartTwin starts a twin. The first one of a run finds a node for all of them.
func (o *owner) StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	o.mu.Lock()
	spec.Node = cmp.Or(spec.Node, o.node)
	o.mu.Unlock()
	if spec.Node != "" {
		return o.register(ctx, spec)
	}
	return o.place(ctx, spec)
}

// register records the job of a twin and starts it.
func (o *owner) register(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	if spec.Former == "" { // else the ledger has its job already
		job := jobObject(spec.Target.Namespace, spec.Job)
		job.Pair = spec.Pair
		if err := o.ledger.Own(ctx, o.simulation, job); err != nil {
			return twin.Machine{}, wrap(err, "record the job of a twin")
		}
	}
	m, err := o.Sandbox.StartTwin(ctx, spec)
	if err != nil && !refused(err) {
		o.mu.Lock()
		o.doubt[spec.Job] = true
		o.mu.Unlock()
	}
	return m, err
}

// refused reports whether an error says that a call changed nothing.
func refused(err error) bool {
	switch api.AsError(err).Code {
	case api.CodeInvalid, api.CodeNotFound, api.CodeConflict, api.CodePermissionDenied:
		return true
	default:
		return false
	}
}

// StopTwin removes a job, and takes it out of the ledger.
func (o *owner) StopTwin(ctx context.Context, namespace, job string) error {
	if err := o.Sandbox.StopTwin(ctx, namespace, job); err != nil {
		return err
	}
	o.mu.Lock()
	late := o.doubt[job]
	o.mu.Unlock()
	if late {
		return nil // the leader removes it once more, when nothing can be on its way
	}
	return o.disown(ctx, jobObject(namespace, job))
}

// BakeImage records the job and the image that it makes, and makes the image.
func (o *owner) BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error) {
	job := jobObject(spec.Target.Namespace, spec.Job)
	objects := []api.SandboxObject{job}
	if spec.Result != "" {
		objects = append(objects, api.SandboxObject{Kind: api.ObjectImage, Name: spec.Result, Node: spec.Node})
	}
	if err := o.ledger.Own(ctx, o.simulation, objects...); err != nil {
		return twin.Image{}, wrap(err, "record the image of a script")
	}
	baked, err := o.Baker.BakeImage(ctx, spec)
	switch {
	case err == nil:
		return baked, o.disown(ctx, job)
	case api.IsCode(err, api.CodeConflict): // the script failed, and left nothing
		return baked, cmp.Or(o.disown(ctx, objects...), err)
	}
	return baked, err
}

// DiscardImage records the job that removes an image, and removes the image.
func (o *owner) DiscardImage(ctx context.Context, target api.TargetRef, id string, baked twin.Image) error {
	job := jobObject(target.Namespace, id)
	if err := o.ledger.Own(ctx, o.simulation, job); err != nil {
		return wrap(err, "record the job that removes an image")
	}
	if err := o.Baker.DiscardImage(ctx, target, id, baked); err != nil {
		return err
	}
	return o.disown(ctx, job, api.SandboxObject{Kind: api.ObjectImage, Name: baked.Path, Node: baked.Node})
}

func (o *owner) disown(ctx context.Context, objects ...api.SandboxObject) error {
	if err := o.ledger.Disown(ctx, o.simulation, objects...); err != nil {
		return wrap(err, "record what was removed")
	}
	return nil
}

// owning returns a simulator that makes everything in the name of a simulation. The
// caller calls leave when nothing of it is left on its node.
func (s *Simulator) owning(simulation string) (_ *Simulator, leave func()) {
	o := &owner{
		Sandbox: s.o.Sandbox, Baker: s.o.Baker, ledger: s.o.Ledger, queue: s.queue, simulation: simulation, doubt: map[string]bool{},
	}
	own := *s
	own.o.Sandbox = o
	if s.o.Baker != nil {
		own.o.Baker = o
	}
	return &own, o.leave
}

// clear removes the jobs of a simulation's former attempts, of which the record says
// that they may exist. They stay in the record: a request of a former leader may still
// be on its way, and the present one removes them once more.
func (s *Simulator) clear(ctx context.Context, simulation string) error {
	for _, object := range s.o.Ledger.Owned(simulation) {
		if object.Kind != api.ObjectJob {
			continue
		}
		if err := s.o.Sandbox.StopTwin(ctx, object.Namespace, object.Name); err != nil {
			return wrap(err, "remove what an earlier attempt left")
		}
	}
	return nil
}

// Remove removes an object that a simulation left behind. The caller takes it out of
// the record.
func (s *Simulator) Remove(ctx context.Context, sim api.Simulation, object api.SandboxObject) error {
	switch object.Kind {
	case api.ObjectJob:
		return s.o.Sandbox.StopTwin(ctx, object.Namespace, object.Name)
	case api.ObjectImage:
		if s.o.Baker == nil {
			return api.Errorf(api.CodeUnavailable, "images can't be removed here")
		}
		run, err := nonce()
		if err != nil {
			return err
		}
		own, leave := s.owning(sim.ID)
		defer leave()
		return own.o.Baker.DiscardImage(ctx, sim.Target, twin.JobID(sim.ID, run, roleDiscard), twin.Image{Path: object.Name, Node: object.Node})
	}
	return fmt.Errorf("remove %s %s: this server does not know its kind", object.Kind, object.Name)
}
