package rollout

import (
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// meddled says what somebody else, such as a pipeline, has registered in place of what the
// rollout did; empty when nobody has. Nomad replaces patched instances by that, at the job's
// own pace, so that their number says nothing against the patch.
func meddled(r api.Rollout, v JobView) string {
	staged := slices.ContainsFunc(r.Effects, func(e api.Effect) bool {
		return e.Kind == api.EffectStage && e.Status == api.EffectDone
	})
	switch {
	case v.Build == api.BuildForeign:
		return foreignReason(v)
	case v.Build == api.BuildFormer && staged:
		return fmt.Sprintf("the former job was registered again by somebody else, as version %d (modify index %d), which takes the patch off; abort, and submit the patch again",
			v.Version, v.ModifyIndex)
	}
	return ""
}

func foreignReason(v JobView) string {
	return fmt.Sprintf("the job was changed by somebody else; version %d (modify index %d) is neither the former nor the patched one", v.Version, v.ModifyIndex)
}
