package planner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
	greens "github.com/oakumhq/oakum/policies/green"
)

// choose returns the targets that the patch is for and may go to, in their order,
// and the refused ones, each with a code and a reason.
func choose(in Input, selector *policies.Selector) ([]api.Target, []api.Refusal) {
	open := map[api.TargetRef]api.Rollout{}
	for _, r := range in.Open {
		if !r.Status.Ended() {
			open[r.Target] = r
		}
	}
	quarantined := map[api.TargetRef]api.Quarantine{}
	for _, q := range in.Quarantines {
		if q.Patch == in.Patch.Name {
			quarantined[q.Target] = q
		}
	}
	all := slices.Clone(in.Targets)
	slices.SortFunc(all, func(a, b api.Target) int { return a.Compare(b.TargetRef) })
	all = slices.CompactFunc(all, func(a, b api.Target) bool { return a.TargetRef == b.TargetRef })
	var out []api.Target
	var refusals []api.Refusal
	matched := false
	for _, t := range all {
		ok, err := selector.Match(t)
		if err != nil {
			matched = true
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Code: api.CodeInvalid, Reason: api.AsError(err).Message})
			continue
		}
		if !ok {
			continue
		}
		matched = true
		reason := unfit(in.Patch, t)
		if r, busy := open[t.TargetRef]; busy {
			reason = fmt.Sprintf("rollout %s of patch %s is already under way on it (%s)", r.ID, r.Patch, r.Status)
		}
		if q, held := quarantined[t.TargetRef]; held {
			reason = fmt.Sprintf("the patch is quarantined on it since %s: %s; oakum patch lift-quarantine %s %s lets it be tried again",
				q.Since.UTC().Format("2006-01-02 15:04:05Z"), q.Reason, q.Patch, q.Target)
		}
		if reason != "" {
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Code: api.CodeConflict, Reason: reason})
			continue
		}
		out = append(out, t)
	}
	absent := absentees(all, in.Idle, selector)
	if !matched && len(absent) == 0 {
		absent = append(absent, unmatched(in.Patch)...)
	}
	return out, append(refusals, absent...)
}

// unfit says why the patch can't change the target at all.
func unfit(patch api.Patch, t api.Target) string {
	switch {
	case t.Unfit != "":
		return t.Unfit
	case t.Count == 0 && t.Launch == "":
		return "it has no instances: its count is 0"
	}
	if len(t.Tasks) == 0 {
		return ""
	}
	for _, a := range patch.Apply {
		at := slices.IndexFunc(t.Tasks, func(k api.Task) bool { return k.Name == a.Task })
		if at < 0 {
			known := make([]string, len(t.Tasks))
			for i, k := range t.Tasks {
				known[i] = k.Name
			}
			return fmt.Sprintf("it has no task %q that the patch could change; its tasks are %s", a.Task, strings.Join(known, ", "))
		}
		if driver := t.Tasks[at].Driver; a.Kind != api.ApplyJob && driver != "qemu" {
			return fmt.Sprintf("apply %q changes the disk of a virtual machine, and task %q runs under the %s driver", a.Kind, a.Task, driver)
		}
	}
	return ""
}

// misfit says why the strategy that the policies have chosen can't carry the patch out on the
// target; empty when it can.
func misfit(t api.Target, d api.Decision) string {
	if t.Type != "system" || d.Strategy.Name != greens.Strategy {
		return ""
	}
	return fmt.Sprintf("its job is of type system, and strategy %q starts a second instance beside each, for which a node has no place: let a strategy that replaces them, such as \"phased\", be chosen when target.type == \"system\"",
		d.Strategy.Name)
}

// absentees are the targets that the patch names and that it is not for.
func absentees(all, idle []api.Target, selector *policies.Selector) []api.Refusal {
	type job struct{ namespace, name string }
	groups := map[job][]api.Target{}
	for _, t := range all {
		key := job{t.Namespace, t.Job}
		groups[key] = append(groups[key], t)
	}
	var out []api.Refusal
	for _, ref := range selector.Named() {
		found := groups[job{ref.Namespace, ref.Job}]
		code, reason := api.CodeConflict, ""
		rests := slices.IndexFunc(idle, func(t api.Target) bool { return t.Namespace == ref.Namespace && t.Job == ref.Job })
		switch {
		case len(found) == 0 && rests >= 0:
			reason = idle[rests].Unfit
		case len(found) == 0:
			code, reason = api.CodeNotFound, fmt.Sprintf("there is no job %q in namespace %q", ref.Job, ref.Namespace)
		case ref.Group != "" && !slices.ContainsFunc(found, func(t api.Target) bool { return t.Group == ref.Group }):
			reason = fmt.Sprintf("job %q has no group %q", ref.Job, ref.Group)
		case !slices.ContainsFunc(found, func(t api.Target) bool { return matches(selector, t) }):
			reason = "the patch names it, but the where condition does not hold for it"
		}
		if reason != "" {
			out = append(out, api.Refusal{Target: ref, Code: code, Reason: reason})
		}
	}
	slices.SortFunc(out, func(a, b api.Refusal) int { return a.Target.Compare(b.Target) })
	return slices.CompactFunc(out, func(a, b api.Refusal) bool { return a == b })
}

// matches counts a target whose condition can't be evaluated as matched: it is
// refused by name already.
func matches(selector *policies.Selector, t api.Target) bool {
	ok, err := selector.Match(t)
	return ok || err != nil
}

// unmatched refuses the patterns of a patch when no target matches any of them.
func unmatched(patch api.Patch) []api.Refusal {
	var out []api.Refusal
	for _, s := range patch.Targets {
		out = append(out, api.Refusal{
			Target: api.TargetRef{Namespace: s.Namespace, Job: strings.Join(s.Jobs, ","), Group: strings.Join(s.Groups, ",")},
			Code:   api.CodeNotFound, Reason: "no target matches",
		})
	}
	return out
}

// Refused returns the error for a plan without a wave, with every reason, and nil
// for any other plan. The error has code not_found when every refusal has, else
// conflict.
func Refused(plan api.Plan) *api.Error {
	if len(plan.Waves) > 0 {
		return nil
	}
	code := api.CodeNotFound
	var details []string
	for _, n := range plan.NothingToDo {
		code = api.CodeConflict
		what := "nothing to do"
		if n.MayBeAffected() {
			what = "left out"
		}
		details = append(details, fmt.Sprintf("%s: %s: %s", n.Target, what, n.Reason))
	}
	for _, r := range plan.Refusals {
		if r.Code != api.CodeNotFound {
			code = api.CodeConflict
		}
		ref := strings.TrimSuffix(r.Target.String(), "/")
		details = append(details, ref+": "+r.Reason)
	}
	err := api.Errorf(code, "refuse patch %s: there is no target that it may go to", plan.Patch)
	err.Details = details
	return err
}
