// Package sandbox runs simulations on Nomad. It runs the jobs of twins, which are
// isolated copies of a target's virtual machine, and jobs that change images. The
// IDs of all these jobs begin with [twin.Prefix]; package nomad uses the prefix to
// leave them out of the fleet.
package sandbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// goneInterval is the pause between two questions whether a job has ended. QEMU
// takes about a second to end.
const goneInterval = 250 * time.Millisecond

// Sandbox runs the jobs of simulations. It is safe for concurrent use.
type Sandbox struct {
	nomad   *nomad.Client
	api     *nomadapi.Client
	options Options
}

// Options configure a sandbox.
type Options struct {
	// Appliance is what scripts run in. Without one, the sandbox refuses scripts.
	Appliance *appliance.Appliance
	// ImageRoots are the folders of the nodes that images of twins may come from,
	// with whatever those images are laid over. Without any, an image must come from
	// the folder of the image that the target runs.
	ImageRoots []string
	// DockerHost is where the clients' Docker listens, such as unix:///run/docker.sock; empty
	// for where its own program finds it.
	DockerHost string
}

// New returns a sandbox on the Nomad region of a client.
func New(client *nomad.Client, o Options) *Sandbox {
	return &Sandbox{nomad: client, api: client.API(), options: o}
}

// StartTwin registers a twin's job. With spec.Former it registers the job anew, so that
// Nomad replaces that allocation by one over its data. It returns an error if a job of
// this ID exists and none is to be replaced, if the target has changed since the request, or if the machine can't be
// isolated.
func (s *Sandbox) StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	job, err := s.nomad.Job(ctx, spec.Target.Namespace, spec.Target.Job)
	if err != nil {
		return twin.Machine{}, err
	}
	if spec.Expect != 0 && *job.JobModifyIndex != spec.Expect {
		return twin.Machine{}, api.Errorf(api.CodeConflict, "job %s was registered anew (modify index %d, want %d)",
			spec.Target.Job, *job.JobModifyIndex, spec.Expect)
	}
	next, err := nomad.Patched(job, spec.Target.Group, spec.Apply)
	if err != nil {
		return twin.Machine{}, err
	}
	var m twin.Machine
	if spec.Group != nil {
		next, m, err = groupJob(next, spec)
	} else {
		next, m, err = s.machineJob(job, next, spec)
	}
	if err != nil {
		return twin.Machine{}, err
	}
	opts := &nomadapi.RegisterOptions{EnforceIndex: true, ModifyIndex: 0} // create only
	if spec.Former != "" {
		former, err := s.nomad.Job(ctx, m.Namespace, m.Job)
		if err != nil {
			return twin.Machine{}, err
		}
		opts.ModifyIndex = *former.JobModifyIndex
	}
	if _, _, err := s.api.Jobs().RegisterOpts(next, opts, s.nomad.Write(ctx, m.Namespace)); err != nil {
		return twin.Machine{}, nomad.Explain("register twin "+m.Job, err)
	}
	return m, nil
}

// machineJob is twinJob with the folders that the target's images may come from: those
// of the agent's configuration, else the one of the target's image, before any patch.
func (s *Sandbox) machineJob(former, next *nomadapi.Job, spec twin.Spec) (*nomadapi.Job, twin.Machine, error) {
	vm, err := twinTask(former.LookupTaskGroup(spec.Target.Group), spec.Task)
	if err != nil {
		return nil, twin.Machine{}, err
	}
	return twinJob(next, spec, s.imageRoots(former, spec.Target.Group, vm))
}

// imageRoots are the folders that the images of a task may come from.
func (s *Sandbox) imageRoots(former *nomadapi.Job, group string, vm *nomadapi.Task) []string {
	if len(s.options.ImageRoots) > 0 {
		return s.options.ImageRoots
	}
	return defaultRoots(variablesOf(former, former.LookupTaskGroup(group), vm).writeOut(nomad.Image(vm)))
}

// StopTwin removes a twin's job and waits until its machine has ended. It is no
// error when the job does not exist.
//
// StopTwin stops the job first. It purges the job only when its evaluation and its
// allocations are over. A purge before that makes Nomad (1.11.3) lose its leader,
// and then the next leader: the plan that ends the job's deployment names no job,
// and the leader panics on that plan.
func (s *Sandbox) StopTwin(ctx context.Context, namespace, job string) error {
	if !strings.HasPrefix(job, twin.Prefix) {
		return api.Errorf(api.CodeInternal, "stop twin %s: it is no twin", job)
	}
	eval, err := s.deregister(ctx, namespace, job, false)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(goneInterval)
	defer ticker.Stop()
	for {
		left, allocs, err := s.unfinished(ctx, namespace, job, eval)
		if err != nil {
			return err
		}
		if left == "" {
			s.collect(ctx, namespace, allocs)
			_, err := s.deregister(ctx, namespace, job, true)
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("stop twin %s: %s: %w", job, left, context.Cause(ctx))
		}
	}
}

// deregister stops a job, and also purges it when forget is true. It returns the
// ID of the evaluation that carries it out; a job that does not exist has none.
func (s *Sandbox) deregister(ctx context.Context, namespace, job string, forget bool) (eval string, err error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	eval, _, err = s.api.Jobs().Deregister(job, forget, s.nomad.Write(ctx, namespace))
	if err == nil {
		return eval, nil
	}
	// Who purges a job that somebody else purges in the same moment is told so by the
	// text of an internal error (Nomad 1.11.3). A simulation that goes on after a change
	// of leader and the leader's sweep do that.
	if gone := strings.Contains(err.Error(), "job not found"); gone || api.IsCode(nomad.Explain("", err), api.CodeNotFound) {
		return "", nil
	}
	return "", nomad.Explain("stop twin "+job, err)
}

// unfinished says why a stopped twin is not over yet, or "" when it is over. It returns
// the allocations that the twin had.
func (s *Sandbox) unfinished(ctx context.Context, namespace, job, eval string) (string, []*nomadapi.AllocationListStub, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	if eval != "" {
		e, _, err := s.api.Evaluations().Info(eval, s.nomad.Query(ctx, namespace))
		err = nomad.Explain("read evaluation of twin "+job, err)
		switch {
		case api.IsCode(err, api.CodeNotFound): // collected as garbage: it is long over
		case err != nil:
			return "", nil, err
		case e.Status == nomadapi.EvalStatusPending:
			return "Nomad has not looked at it yet", nil, nil
		}
	}
	stubs, _, err := s.api.Jobs().Allocations(job, true, s.nomad.Query(ctx, namespace))
	if err != nil {
		return "", nil, nomad.Explain("list allocations of twin "+job, err)
	}
	left := 0
	for _, stub := range stubs {
		if !ended(stub) {
			left++
		}
	}
	if left > 0 {
		return fmt.Sprintf("%d machines still run", left), stubs, nil
	}
	return "", stubs, nil
}

// collect has the nodes remove the folders of allocations that have ended: overlays and
// payloads would lie there until Nomad's own collection, which is an hour later. That one
// removes what a node that does not answer now has left, so there is no error to tell.
func (s *Sandbox) collect(ctx context.Context, namespace string, allocs []*nomadapi.AllocationListStub) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	for _, a := range allocs {
		// The library's own call wants JSON of an answer that has none.
		if answer, err := s.api.Raw().Response("/v1/client/allocation/"+a.ID+"/gc", s.nomad.Query(ctx, namespace)); err == nil {
			_ = answer.Close()
		}
	}
}
