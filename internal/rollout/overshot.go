package rollout

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
)

// A former instance that Nomad moves by itself, off a node that drains for example, comes
// back patched, and so does what an autoscaler adds. Nobody has asked for those, and the
// stage is larger for them.

// surplusPatched is how many instances run the patch beyond what the present stage in place
// asks for; 0 when it is not ready, or has its verdict.
func surplusPatched(r api.Rollout, v JobView) int {
	last := lastStage(r)
	if last == nil || last.Mode != api.StageInPlace || last.Ready.IsZero() || !last.Judged.IsZero() || v.Build != api.BuildPatched {
		return 0
	}
	return max(0, staying(v.Instances)-last.Instances)
}

// Overshot is the hold of a stage that has more patched instances than it asks for, by more
// than may be away at once; nil when it has not. It lasts until the stage has its verdict,
// which is about those instances too. Without a judge a person gives it.
func Overshot(r api.Rollout, v JobView) *api.Hold {
	n, allowed := surplusPatched(r, v), mayBeAway(r, v)
	if allowed == 0 || n <= allowed {
		return nil
	}
	why := fmt.Sprintf("stage %d asks for %d patched instances, and %d more came back patched or were added; %d may be away at once",
		lastStage(r).Number, lastStage(r).Instances, n, allowed)
	if !r.Decision.Judge.Enabled {
		why += "; promote or roll back by hand"
	}
	return &api.Hold{Source: sourceBudget, Reason: why}
}

// overshotNote tells how many more instances run the patch than the stage asks for, as the
// end of a reason; empty when none does.
func overshotNote(r api.Rollout, v JobView) string {
	if n := surplusPatched(r, v); n > 0 {
		return fmt.Sprintf("; %d more run the patch than it asks for", n)
	}
	return ""
}
