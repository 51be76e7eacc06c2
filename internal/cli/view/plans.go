package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// PlansOf are the plans that rollouts belong to, in the order of their submission.
func PlansOf(rollouts []api.Rollout) []api.PlanProgress {
	at := map[string]int{}
	out := []api.PlanProgress{}
	for _, r := range rollouts {
		if r.Plan == "" {
			continue
		}
		i, known := at[r.Plan]
		if !known {
			i, at[r.Plan] = len(out), len(out)
			out = append(out, api.PlanProgress{
				ID: r.Plan, Patch: r.Patch, PatchDigest: r.PatchDigest, Created: r.Created, Rollouts: map[api.RolloutStatus]int{},
			})
		}
		out[i].Rollouts[r.Status]++
		if !r.Status.Ended() {
			out[i].Open++
		}
	}
	slices.SortStableFunc(out, func(a, b api.PlanProgress) int { return a.Created.Compare(b.Created) })
	return out
}

// Plans lists plans, or says that there are none.
func Plans(w io.Writer, plans []api.PlanProgress, none string, now time.Time) {
	if len(plans) == 0 {
		fmt.Fprintln(w, none)
		return
	}
	t := NewTable("Plan", "Patch", "Age", "Open", "Rollouts")
	for _, p := range plans {
		t.Add(p.ID, p.Patch, Age(now, p.Created), fmt.Sprint(p.Open), byStatus(p))
	}
	t.Print(w, "")
}

// byStatus counts the rollouts of a plan, as 3 complete, 1 failed.
func byStatus(p api.PlanProgress) string {
	var said []string
	for _, s := range slices.Sorted(maps.Keys(p.Rollouts)) {
		said = append(said, fmt.Sprintf("%d %s", p.Rollouts[s], s))
	}
	return strings.Join(said, ", ")
}

// PlanState shows a plan as it was made, and where its rollouts are.
func PlanState(w io.Writer, s api.PlanState, width int, now time.Time) {
	Plan(w, api.PatchReceipt{Patch: api.Patch{Name: s.Plan.Patch}, Plan: s.Plan}, false, now)
	fmt.Fprintln(w, "\nNow:")
	if len(s.Rollouts) == 0 {
		fmt.Fprintln(w, "  No rollouts.")
		return
	}
	t := NewTable("Rollout", "Target", "Status", "For", "Reason")
	for _, r := range s.Rollouts {
		t.Add(r.ID, r.Target.String(), string(r.Status), Age(now, r.Since), r.Reason)
	}
	t.PrintWithin(w, "  ", width)
}
