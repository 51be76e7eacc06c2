package planner

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Rollouts builds the pending rollouts of a plan, in its order. Mint gives
// each its identifier.
func Rollouts(plan api.Plan, patch api.Patch, mint func() string, now time.Time) []api.Rollout {
	var out []api.Rollout
	for _, w := range plan.Waves {
		for _, t := range w.Targets {
			out = append(out, api.Rollout{
				ID: mint(), Plan: plan.ID, Patch: patch.Name, PatchDigest: patch.Digest, Apply: patch.Apply,
				Target: t.Target.TargetRef, Wave: w.Number, Status: api.RolloutPending,
				Reason: fmt.Sprintf("planned in wave %d of %d", w.Number, len(plan.Waves)),
				Since:  now.UTC(), Decision: t.Decision, Quiet: t.Quiet, SubmittedBy: patch.SubmittedBy, Submitter: patch.Submitter, Created: now.UTC(),
			})
		}
	}
	return out
}
