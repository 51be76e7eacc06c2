package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Around says what the graph knows of two targets.
type Around interface {
	// Adjacent reports whether an edge joins them.
	Adjacent(a, b api.TargetRef) bool
	// Chained reports whether one depends on the other, directly or through others.
	Chained(a, b api.TargetRef) bool
}

// Turn says whether a waiting rollout may start beside all others: those of its plan, those
// of other plans that are open, and those that mended what failed in its plan.
func Turn(r api.Rollout, all []api.Rollout, around Around) Gate {
	if holds := blocked(r, all, around); len(holds) > 0 {
		return Gate{Reason: holds[0].Reason, Holds: holds}
	}
	for _, o := range all {
		if o.ID != r.ID && o.Plan == r.Plan && !o.Status.Ended() && o.Wave < r.Wave && !o.Blocked() {
			return closed("wave %d is not done: %s is %s", o.Wave, o.Target, o.Status)
		}
	}
	if pause := r.Decision.Pause; r.Wave > 1 && r.Spans.Pause < pause {
		why := fmt.Sprintf("a pause of %s follows wave %d", pause, r.Wave-1)
		return Gate{Reason: why, Holds: []api.Hold{{Source: api.HoldPause, Reason: why}}}
	}
	return room(r, all, around)
}

// room says whether the rollouts that are under way leave room for another one.
func room(r api.Rollout, all []api.Rollout, around Around) Gate {
	budget, running := r.Decision.Budget, 0
	for _, o := range all {
		if o.ID == r.ID || !o.UnderWay() {
			continue
		}
		running++
		if o.Target.Namespace == r.Target.Namespace && o.Target.Job == r.Target.Job {
			return closed("rollout %s moves another group of the same job", o.ID)
		}
		if budget.Neighbours == "exclusive" && around.Adjacent(r.Target, o.Target) {
			return closed("its neighbour %s is being patched by rollout %s", o.Target, o.ID)
		}
	}
	if budget.Targets > 0 && running >= budget.Targets {
		return closed("%d rollouts are under way and budget.targets is %d", running, budget.Targets)
	}
	return Gate{Open: true}
}

func closed(format string, args ...any) Gate { return Gate{Reason: fmt.Sprintf(format, args...)} }

// blocked are the holds of a rollout for what failed in its plan: first those that a person
// may go on in spite of.
func blocked(r api.Rollout, all []api.Rollout, around Around) []api.Hold {
	failed := failures(r, all)
	var out []api.Hold
	limit := exceeded(r.Decision.Budget, failed)
	chained := slices.DeleteFunc(slices.Clone(failed), func(f api.Rollout) bool {
		return f.ModifyIndex <= r.Despite || !around.Chained(r.Target, f.Target)
	})
	switch {
	case len(chained) > 0:
		out = append(out, api.Hold{Source: api.HoldDependency, Reason: fmt.Sprintf(
			"a chain of dependencies joins it to %s, where the patch is %s (rollout %s)", strings.Join(targets(chained), ", "), chained[0].Status, chained[0].ID)})
	case limit == nil: // beyond a limit nothing else need be looked for, in a plan of thousands
		if o := halted(r, all, around); o != nil {
			out = append(out, api.Hold{Source: api.HoldDependency, Reason: fmt.Sprintf(
				"a chain of dependencies joins it to %s of wave %d, which may not begin (rollout %s): %s", o.Target, o.Wave, o.ID, o.Holds[0].Reason)})
		}
	}
	if limit != nil {
		out = append(out, *limit)
	}
	return out
}

// halted is a rollout of an earlier wave that what failed keeps from starting, and that r is
// chained to; nil when there is none. Waves don't wait for such a rollout, but what depends
// on it must not come before it.
func halted(r api.Rollout, all []api.Rollout, around Around) *api.Rollout {
	for i := range all {
		o := &all[i]
		if o.Plan == r.Plan && o.ID != r.ID && o.Wave < r.Wave && !o.Status.Ended() && o.Blocked() &&
			o.ModifyIndex > r.Despite && around.Chained(r.Target, o.Target) {
			return o
		}
	}
	return nil
}

// failures are the other rollouts of a plan that failed, where no later rollout of the same
// patch has completed on their target.
func failures(r api.Rollout, all []api.Rollout) []api.Rollout {
	var out []api.Rollout
	for _, o := range all {
		if o.Plan != r.Plan || o.ID == r.ID || !o.Status.Failed() {
			continue
		}
		mended := slices.ContainsFunc(all, func(l api.Rollout) bool {
			return l.Target == o.Target && l.Status == api.RolloutComplete && l.PatchDigest == o.PatchDigest && l.ID > o.ID
		})
		if !mended {
			out = append(out, o)
		}
	}
	return out
}

// exceeded is the hold of a budget that lets no further target start; nil when one may. The
// limit of a policy counts the targets that it applies to.
func exceeded(b api.BudgetSpec, failed []api.Rollout) *api.Hold {
	if n := len(failed); b.Failures > 0 && n >= b.Failures {
		return &api.Hold{Source: api.HoldFailures, Reason: fmt.Sprintf(
			"%d targets of this patch failed and budget.failures is %d; abort it, or lift the budget", n, b.Failures)}
	}
	for _, limit := range b.PolicyFailures {
		own := slices.DeleteFunc(slices.Clone(failed), func(f api.Rollout) bool { return !f.Decision.Applied(limit.Policy) })
		if len(own) >= limit.Most {
			return &api.Hold{Source: api.HoldFailures, Reason: fmt.Sprintf(
				"%d targets of policy %q failed (%s) and its budget.policy_failures is %d; abort it, or lift the budget",
				len(own), limit.Policy, strings.Join(targets(own), ", "), limit.Most)}
		}
	}
	return nil
}

// mostNamed is how many targets a reason names.
const mostNamed = 3

// targets names those of rollouts.
func targets(list []api.Rollout) []string {
	var out []string
	for i, r := range list {
		if i == mostNamed {
			return append(out, fmt.Sprintf("and %d more", len(list)-i))
		}
		out = append(out, r.Target.String())
	}
	return out
}
