package simulator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// roleBake and roleDiscard stand in job names where twins have their role.
const (
	roleBake    = "bake"
	roleDiscard = api.RoleDiscard
)

// imageOf is the path of the image that a task of the target has now.
func imageOf(t api.Target, task string) string {
	for _, have := range t.Tasks {
		if have.Driver == "qemu" && (task == "" || have.Name == task) {
			return have.Image
		}
	}
	return ""
}

// bake runs the patch's scripts, in their order, in one copy of the machine's
// image. In the request it replaces the scripts by that image. When a script
// fails, fault says why the patch is to blame. An image that the patch itself brings is
// only looked into.
func (s *Simulator) bake(ctx context.Context, r *Request, task, run string) (baked twin.Image, fault string, err error) {
	brought, steps := api.Apply{}, []twin.Step{} // the image that the patch itself brings
	var verify *api.Verify
	rest := make([]api.Apply, 0, len(r.Apply))
	for _, a := range r.Apply {
		switch {
		case a.Task == task && a.Kind == api.ApplyScript:
			step := twin.Step{Script: a.Script, Payloads: a.Payloads}
			if a.Verify != nil {
				step.Verify, verify = []api.Verify{*a.Verify}, a.Verify
			}
			steps = append(steps, step)
		case a.Task == task && a.Kind == api.ApplyImage:
			brought = a
			rest = append(rest, a)
		default:
			rest = append(rest, a)
		}
	}
	image, result := brought.Image, ""
	switch {
	case len(steps) > 0:
		image = cmp.Or(image, imageOf(r.Target, task))
		result = twin.BakedPath(image, run)
	case !s.looksInto(*r, task, brought):
		return twin.Image{}, "", nil
	default:
		steps = []twin.Step{{Script: ":\n", Verify: verifiesOf(*r, task)}}
	}
	if !isPlain(image) && brought.Source == "" {
		return twin.Image{}, "", api.Errorf(api.CodeInvalid, "task %q: a script needs an image_path that is a plain path, not %q", task, image)
	}
	node, err := s.o.Baker.BakeNode(ctx, r.Target.TargetRef, r.Spec.Pool)
	if err != nil {
		return twin.Image{}, "", wrap(err, "choose a node for the patch's script")
	}
	phase := api.PhaseBake
	if result == "" {
		phase = api.PhaseVerify
	}
	s.progress(ctx, *r, api.SimulationProgress{Phase: phase})
	baked, err = s.o.Baker.BakeImage(ctx, twin.BakeSpec{
		Job: twin.JobID(r.ID, run, roleBake), Target: r.Target.TargetRef, Task: task, Node: node, Pool: r.Spec.Pool, Image: image,
		Source: brought.Source, Digest: brought.Digest, Steps: steps,
		Packages: inventory.Names(r.Affects), RPMFormat: inventory.RPMFormat, Result: result,
	})
	if api.IsCode(err, api.CodeConflict) {
		return twin.Image{}, fmt.Sprintf("the patch fails in a copy of the machine: %s", api.AsError(err).Message), nil
	}
	if err != nil {
		return twin.Image{}, "", wrap(err, "run the patch's script")
	}
	if result == "" {
		return baked, "", nil
	}
	rest = slices.DeleteFunc(rest, func(a api.Apply) bool { return a.Task == task && a.Kind == api.ApplyImage })
	r.Apply = append([]api.Apply{{Kind: api.ApplyImage, Task: task, Image: baked.Path, Digest: baked.Digest, Verify: verify}}, rest...)
	return baked, "", nil
}

// isPlain reports whether an image's path is the same on every node.
func isPlain(image string) bool {
	return strings.HasPrefix(image, "/") && !strings.Contains(image, "$")
}

// looksInto reports whether a patch's own image is opened in the appliance: it is a file
// of the clients, or one that they can fetch, and the patch says what is to be found in it.
func (s *Simulator) looksInto(r Request, task string, brought api.Apply) bool {
	found := isPlain(brought.Image) || brought.Source != ""
	return found && s.o.Baker != nil && s.o.Baker.Bakes() && (len(r.Affects) > 0 || len(verifiesOf(r, task)) > 0)
}

// verifiesOf are the commands that prove the fix of the patch in the machine of a task.
func verifiesOf(r Request, task string) []api.Verify {
	var out []api.Verify
	for _, a := range r.Apply {
		if a.Task == task && a.Verify != nil {
			out = append(out, *a.Verify)
		}
	}
	return out
}

// discard removes an image that production will not get. It works after ctx has
// ended.
func (s *Simulator) discard(ctx context.Context, r Request, run string, baked twin.Image) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownMax)
	defer cancel()
	if err := s.o.Baker.DiscardImage(ctx, r.Target.TargetRef, twin.JobID(r.ID, run, roleDiscard), baked); err != nil {
		s.o.Logger.Error("baked image is left behind", "simulation_id", r.ID, "image", baked.Path, "error", err)
	}
}
