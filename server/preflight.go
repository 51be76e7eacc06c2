package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
)

const (
	// preflightWidth is how many dry runs are under way at once: Nomad's servers
	// plan on every core that they have, and have other callers.
	preflightWidth = 16
	// preflightFor is how long all dry runs of a plan may take: half of the time
	// that a plan of 20,000 targets may.
	preflightFor = 10 * time.Second
	// preflightNamed is how many refused targets the error names at most.
	preflightNamed = 20
)

// Preflight asks Nomad by dry runs whether it would take the patched jobs. A job
// that Nomad would not take is an error of the patch, which names the targets.
// said is what the scheduler has to say of the others, sorted. untried is how many targets
// there was no time for.
func (p preflight) Preflight(ctx context.Context, in *planner.Input) (said []api.DryRun, untried int, err error) {
	selector, err := policies.NewSelector(in.Patch)
	if err != nil {
		return nil, 0, err
	}
	open := make(map[api.TargetRef]bool, len(in.Open))
	for i := range in.Open {
		open[in.Open[i].Target] = true // it is between two builds, and the planner refuses it
	}
	var targets []api.TargetRef
	for _, t := range in.Targets {
		if ok, err := selector.Match(t); err == nil && ok && !open[t.TargetRef] && t.Unfit == "" { // the planner says why it refuses the others
			targets = append(targets, t.TargetRef)
		}
	}
	found, err := dryRuns(ctx, targets, func(ctx context.Context, ref api.TargetRef) (api.DryRun, error) {
		return p.nomad.Check(ctx, ref, in.Patch.Apply)
	})
	if err == nil && len(found.refused) > 0 {
		err = refusal(in.Patch.Name, found.refused, found.untried)
	}
	return found.said, found.untried, err
}

// tried is what dry runs have found.
type tried struct {
	untried int             // targets that there was no time for
	refused []refusedTarget // sorted
	said    []api.DryRun    // of those that have something to say; sorted
}

// refusedTarget is a target whose patched job a dry run refused.
type refusedTarget struct {
	target api.TargetRef
	why    *api.Error
}

// dryRuns tries targets, preflightWidth at a time, for preflightFor at most. It
// tries every target of a small patch, and of a large one a sample from all parts
// of the fleet. It ends as soon as preflightNamed targets were refused. When none could be
// tried, that is an error.
func dryRuns(ctx context.Context, targets []api.TargetRef, try func(context.Context, api.TargetRef) (api.DryRun, error)) (tried, error) {
	limited, cancel := context.WithTimeout(ctx, preflightFor)
	defer cancel()
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(preflightWidth)
	var out tried
	done := 0
	sample := rand.New(rand.NewPCG(1, 2)).Perm(len(targets)) // the same for the same targets
	for _, i := range sample {
		if limited.Err() != nil {
			break
		}
		group.Go(func() error {
			said, err := try(limited, targets[i])
			why := api.AsError(err)
			mu.Lock()
			defer mu.Unlock()
			if why != nil && limited.Err() != nil {
				return nil // cut off
			}
			done++
			if why == nil {
				if said.NoRoom != "" || len(said.Warnings) > 0 || said.Unchanged {
					out.said = append(out.said, said)
				}
				return nil
			}
			if out.refused = append(out.refused, refusedTarget{targets[i], why}); len(out.refused) == preflightNamed {
				cancel()
			}
			return nil
		})
	}
	_ = group.Wait() // the functions keep their errors
	switch {
	case ctx.Err() != nil:
		return tried{}, api.Errorf(api.CodeTimeout, "try the patched jobs: %v", context.Cause(ctx))
	case done == 0 && len(targets) > 0:
		return tried{}, api.Errorf(api.CodeTimeout, "try the patched jobs: nomad answered no dry run within %s", preflightFor)
	}
	slices.SortFunc(out.refused, func(a, b refusedTarget) int { return a.target.Compare(b.target) })
	slices.SortFunc(out.said, func(a, b api.DryRun) int { return a.Target.Compare(b.Target) })
	out.untried = len(targets) - done
	return out, nil
}

// refusal is the error of a patch that Nomad would not take for every target.
func refusal(patch string, refused []refusedTarget, untried int) error {
	out := &api.Error{Code: refused[0].why.Code, Message: fmt.Sprintf("patch %q cannot be applied", patch)}
	for _, r := range refused {
		out.Details = append(out.Details, fmt.Sprintf("%s: %s", r.target, r.why.Message))
	}
	if untried > 0 {
		out.Details = append(out.Details, fmt.Sprintf("%d more targets were not tried", untried))
	}
	return out
}
