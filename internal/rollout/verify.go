package rollout

import (
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// Progress is how far an effect has come, as a view of the job shows it.
type Progress int

// Progress of an effect. Absent: it was not performed, or not by us. Pending: it was
// performed, and its result is on the way. Complete: its result is there. Unneeded: its
// result is there although it was not performed. Blocked: somebody else changed the
// job.
const (
	Absent Progress = iota
	Pending
	Complete
	Unneeded
	Blocked
)

// Verify says how far the open effect of a rollout has come, and describes what the
// view shows. The effect must be one that changes the job: stage, settle, promote, finish,
// rollback or unpace.
func Verify(r api.Rollout, v JobView) (Progress, string) {
	switch r.Effect.Kind {
	case api.EffectStage:
		return staged(r, v)
	case api.EffectSettle:
		return ended(r, v)
	case api.EffectPromote:
		return promoted(v)
	case api.EffectFinish:
		return released(r, v, api.BuildPatched)
	case api.EffectRollback:
		return returned(r, v)
	case api.EffectUnpace:
		return released(r, v, api.BuildFormer)
	case api.EffectSimulate, api.EffectTag:
	}
	return Absent, "the job does not show it"
}

// staged checks a stage: enough instances run the patch in the job version that is
// registered. Canaries of an earlier version don't count, since Nomad is about to
// stop them. A registration that is there is never repeated. None is made for a
// result that is there already: a former instance that died comes back patched. Whoever
// scales a group of the job leaves the update block of the stage before, which tells that
// registration from the one of this effect.
func staged(r api.Rollout, v JobView) (Progress, string) {
	n := 0
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched && in.JobVersion == v.Version {
			n++
		}
	}
	shown := fmt.Sprintf("job version %d: %d of %d instances run the patch", v.Version, n, v.Count)
	ours := v.Build == api.BuildPatched && v.Pace == PaceHeld
	switch {
	case v.ModifyIndex == r.Effect.Expect:
		switch {
		case !ours || r.Stages[r.Effect.Stage-1].Mode != api.StageInPlace:
			return Absent, shown
		case kept(r) >= r.Effect.Want:
			return Complete, shown
		case staying(v.Instances) >= r.Effect.Want:
			return Unneeded, shown
		}
		return Absent, shown
	case ours && v.Expected != 0 && v.Expected != r.Effect.Expect:
		return Blocked, fmt.Sprintf("the job was scaled, and not registered by this stage: its modify index is %d, not %d", v.ModifyIndex, r.Effect.Expect)
	case ours && n >= r.Effect.Want:
		return Complete, shown
	case ours && v.Count < r.Effect.Want:
		return Blocked, fmt.Sprintf("the job was scaled: its group has %d instances, and stage %d asks for %d", v.Count, r.Effect.Stage, r.Effect.Want)
	case ours:
		return Pending, shown
	}
	return Blocked, fmt.Sprintf("the job was changed by somebody else: its modify index is %d, not %d", v.ModifyIndex, r.Effect.Expect)
}

// promoted checks that the former instances are gone.
func promoted(v JobView) (Progress, string) {
	t := v.Tally()
	shown := fmt.Sprintf("%d instances run the patch, %d the former version", t.Patched, t.Former)
	switch {
	case v.Build != api.BuildPatched:
		return Blocked, "the job was changed by somebody else"
	case v.Promoted && t.Former == 0:
		return Complete, shown
	case v.Promoted:
		return Pending, shown
	}
	return Absent, shown
}

// returned checks a step of a rollback: the former build is registered, by us, and as
// many instances as it asks for run that version of the job. Once a stage was
// begun, a job that looks untouched proves nothing: the stage's registration may
// still be on its way. Only a registration of our own keeps it out, since that moves
// the modify index. When its deployment has failed, the next tick decides anew.
func returned(r api.Rollout, v JobView) (Progress, string) {
	switch v.Build {
	case api.BuildFormer:
		if launches(r) {
			return withdrawn(r, v)
		}
		if len(r.Stages) == 0 {
			return Complete, fmt.Sprintf("job version %d is the former one still", v.Version)
		}
		if v.Pace != PaceHeld || v.ModifyIndex == r.Effect.Expect {
			return Absent, fmt.Sprintf("job version %d is a former one, and not registered by this step of the rollback", v.Version)
		}
		n := 0
		for _, in := range v.Instances {
			if in.Build == api.BuildFormer && in.JobVersion == v.Version {
				n++
			}
		}
		shown := fmt.Sprintf("job version %d is the former one again: %d of %d instances run it", v.Version, n, v.Count)
		if n < r.Effect.Want && !v.Failed {
			return Pending, shown
		}
		return Complete, shown
	case api.BuildPatched:
		return Absent, fmt.Sprintf("job version %d is the patched one", v.Version)
	case api.BuildForeign:
	}
	return Blocked, fmt.Sprintf("the job was changed by somebody else: version %d is neither the former nor the patched one", v.Version)
}

// released checks that the job has its own update block again, under the build that
// the rollout ends with.
func released(r api.Rollout, v JobView, build api.Build) (Progress, string) {
	switch {
	case launches(r) && v.Build == api.BuildFormer && build == api.BuildPatched:
		if v.ModifyIndex != r.Effect.Expect { // else nobody knew which index a registration on its way expects
			return Blocked, fmt.Sprintf("the job was registered anew by somebody else: its modify index is %d, not %d", v.ModifyIndex, r.Effect.Expect)
		}
		return Absent, fmt.Sprintf("job version %d has the former definition", v.Version)
	case v.Build != build:
		return Blocked, fmt.Sprintf("the job was changed by somebody else: version %d", v.Version)
	case v.Pace == PaceOwn:
		return Complete, fmt.Sprintf("job version %d runs everywhere at its own pace", v.Version)
	}
	return Absent, fmt.Sprintf("job version %d has the rollout's update block", v.Version)
}

// StageSize is how many more instances the open stage effect moves, at least 1. It
// counts from the patched instances that are there, by whichever of three is most: the
// view, which may be older than the intent; the instances that were recorded with the
// intent; and what earlier stages have reached. In place the budget, or the job's own
// max_parallel, bounds it.
func StageSize(r api.Rollout, v JobView) int {
	size := r.Effect.Want - max(staying(v.Instances), staying(r.Instances), kept(r))
	allowed := mayBeAway(r, v)
	if r.Stages[r.Effect.Stage-1].Mode == api.StageInPlace && allowed > 0 && !endsCanaries(r) {
		size = min(size, allowed)
	}
	return max(1, size)
}

// staying counts the patched instances that outlive the next registration: Nomad
// stops canaries that nobody promoted.
func staying(instances []api.Instance) int {
	n := 0
	for _, in := range instances {
		if in.Build == api.BuildPatched && !in.Canary {
			n++
		}
	}
	return n
}

// kept is the least that staying must be, by the rollout's own record: the instances
// of a view may be older than its job.
func kept(r api.Rollout) int {
	n := 0
	for _, e := range r.Effects {
		if e.Kind != api.EffectStage || e.Status != api.EffectDone {
			continue
		}
		if s := r.Stages[e.Stage-1]; s.Mode == api.StageInPlace || s.Promoted {
			n = max(n, e.Want)
		}
	}
	return n
}

// endsCanaries reports whether an earlier stage left patched instances beside the
// former ones, which the next registration ends.
func endsCanaries(r api.Rollout) bool {
	return slices.ContainsFunc(r.Stages[:r.Effect.Stage-1], func(s api.Stage) bool { return s.Mode == api.StageBeside && !s.Promoted })
}
