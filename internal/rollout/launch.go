package rollout

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
)

// A periodic or parameterized job has runs and no instances. There is nothing to replace
// and nothing to judge: one registration gives the job its patched definition for the next
// run, and one takes it back. Runs under way end as they began.

// launches reports whether the target's job has runs and no instances.
func launches(r api.Rollout) bool { return r.Former != nil && r.Former.Launch != "" }

// define registers the patched definition, at the job's own pace.
func (m *machine) define(v JobView) {
	m.enter(api.RolloutRunning, "giving the %s job its patched definition", m.Former.Launch)
	m.intend(api.Effect{Kind: api.EffectFinish, Expect: v.ModifyIndex})
}

// defined says what the end of a rollout means for the runs of its job.
func defined(r api.Rollout) string {
	return fmt.Sprintf("the next run of the %s job has %s; no run under way was touched, and none was judged", r.Former.Launch, r.Patch)
}

// withdrawn checks that a job with runs has its former definition, and that no registration
// of the patched one can be on its way. A registration moves the modify index, and expects
// that of its effect, so an index beyond that keeps it out. Where nothing was ever sent,
// nothing is on its way.
func withdrawn(r api.Rollout, v JobView) (Progress, string) {
	shown := fmt.Sprintf("job version %d has the former definition", v.Version)
	for _, e := range r.Effects {
		if e.Kind == api.EffectFinish && v.ModifyIndex <= e.Expect {
			return Unneeded, shown
		}
	}
	return Complete, shown
}
