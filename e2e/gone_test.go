//go:build e2e

package e2e

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// TestGone takes the target of a rollout away, and holds that the rollout ends and that
// nothing of the job is started again. Public report: kubereboot/kured#137, where
// whatever went away kept the slot that it had taken.
func TestGone(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)

	t.Run("stopped in a stage", func(t *testing.T) {
		o := o.in(t)
		id := o.inStage("stops", "stops-2")
		o.stop("stops", false)
		r := o.ended(id, api.RolloutCancelled)
		// The last look before may have read the job before the stop, and its instances after it.
		must.RegexMatch(t, regexp.MustCompile("job stops was stopped by somebody; stage 1 was under way, and [01] of 4 instances ran the patch"), r.Reason)
		must.StrContains(t, r.Reason, "nomad job revert -namespace=default stops 0")
		o.staysDown("stops", r)
		must.False(t, o.marked("stops"), must.Sprint("our mark is off the job"))
		// The way back that the reason names starts the job as it was.
		_, _, err := o.vendor.Jobs().Revert("stops", r.Former.Version, nil, nil, "", "")
		must.NoError(t, err)
		eventually(t, "four former instances run", time.Minute, func() bool { return o.count("stops", "v1") == 4 })
		job, _, err := o.vendor.Jobs().Info("stops", nil)
		must.NoError(t, err)
		must.Eq(t, "checks", *job.TaskGroups[0].Update.HealthCheck, must.Sprint("with its own update block"))
		// The slot and the patch are free: it may be submitted again.
		o.untilTargets("stops")
		again := o.submit(o.patchFile("stops-2", "stops", `VERSION = "v2"`))
		o.does(o.alice, "rollout", "abort", again)
		o.until(again, func(r api.Rollout) bool { return r.Status.Ended() })
	})

	t.Run("purged in a stage", func(t *testing.T) {
		o := o.in(t)
		id := o.inStage("purged", "purged-2")
		o.stop("purged", true)
		r := o.ended(id, api.RolloutCancelled)
		must.StrContains(t, r.Reason, "job purged is gone (purged)")
		o.staysDown("purged", r)
	})

	t.Run("purged, and aborted", func(t *testing.T) {
		o := o.in(t)
		id := o.inStage("called", "called-2")
		o.does(o.alice, "rollout", "pause", id)
		o.stop("called", true)
		o.Oakum(t.Context(), o.alice, "rollout", "abort", id) // refused if the rollout has ended before
		o.staysDown("called", o.ended(id, api.RolloutCancelled))
	})

	t.Run("stopped in a rollback", func(t *testing.T) {
		o := o.in(t)
		id := o.inStage("returns", "returns-2")
		o.stop("returns", false)
		res := o.Oakum(t.Context(), o.alice, "rollout", "rollback", id)
		r := o.until(id, func(r api.Rollout) bool { return r.Status.Ended() })
		if res.Code == 0 {
			must.Eq(t, api.RolloutFailed, r.Status, must.Sprint(r.Reason))
			must.StrContains(t, r.Reason, "job returns was stopped by somebody before the rollback was done")
		} else { // the two looks were faster than the person
			must.Eq(t, api.RolloutCancelled, r.Status, must.Sprint(r.Reason))
		}
		o.staysDown("returns", r)
	})

	t.Run("without its group, while it waits for an approval", func(t *testing.T) {
		o := o.in(t)
		o.jobOf("held", "regrouped", 2, true)
		o.does(o.pipeline, "policy", "apply", o.file("asked.hcl", `policy "asked" {
  applies = target.job == "regrouped"
  approval {
    from  = "release-managers"
    count = 1
  }
}
`))
		id := o.submit(o.patchFile("regrouped-2", "regrouped", `VERSION = "v2"`))
		o.until(id, func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		job, _, err := o.vendor.Jobs().Info("regrouped", nil)
		must.NoError(t, err)
		job.TaskGroups[0].Name = new("other")
		_, _, err = o.vendor.Jobs().Register(job, nil)
		must.NoError(t, err)
		r := o.ended(id, api.RolloutCancelled)
		must.Eq(t, "group g is no longer in job regrouped; no instance had been touched", r.Reason)
	})
}

// inStage begins a rollout that stands still in its first stage, of one instance of
// four, until a person promotes it.
func (o *oakum) inStage(job, patch string) string {
	o.t.Helper()
	o.jobOf("held", job, 4, true)
	id := o.submit(o.patchFile(patch, job, `VERSION = "v2"`))
	o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Ready.IsZero() && r.Effect == nil })
	return id
}

// stop is `nomad job stop`.
func (o *oakum) stop(job string, purge bool) {
	o.t.Helper()
	_, _, err := o.vendor.Jobs().Deregister(job, purge, nil)
	must.NoError(o.t, err)
}

// staysDown holds that nobody registered the job after it went away: its last version is
// the stopped one, or there is none.
func (o *oakum) staysDown(job string, r api.Rollout) {
	o.t.Helper()
	must.Nil(o.t, r.Effect)
	versions, _, _, err := o.vendor.Jobs().Versions(job, false, nil)
	if err != nil {
		must.StrContains(o.t, err.Error(), "404")
		return
	}
	must.True(o.t, *versions[0].Stop, must.Sprintf("job %s is at version %d", job, *versions[0].Version))
}

// marked reports whether a version of the job has a tag of Oakum's.
func (o *oakum) marked(job string) bool {
	o.t.Helper()
	versions, _, _, err := o.vendor.Jobs().Versions(job, false, nil)
	must.NoError(o.t, err)
	return slices.ContainsFunc(versions, func(j *nomadapi.Job) bool { return j.VersionTag != nil })
}

// untilTargets waits until the daemon sees a job among its targets.
func (o *oakum) untilTargets(job string) {
	o.t.Helper()
	eventually(o.t, "oakum sees "+job, time.Minute, func() bool {
		return o.Oakum(o.t.Context(), o.pipeline, "patch", "plan", o.patchFile("seen", job, `VERSION = "seen"`)).Code == 0
	})
}
