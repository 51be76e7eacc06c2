package orchestrator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

// TestFinish_GivesAutoRevertBackOnlyToAStableVersion: an instance of another group fails the
// deployment that holds the patch. The job's own auto_revert would take the patch off at the
// next failure, so it stays away until Nomad calls the patched version stable.
func TestFinish_GivesAutoRevertBackOnlyToAStableVersion(t *testing.T) {
	for name, mends := range map[string]bool{"it is started again": true, "it fails once more": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := calmWorld(1, func(*api.Decision) {})
				defer w.term.cancel()
				ref := w.refs[0]
				job := *w.job(ref)
				other := w.besideGroup()
				other.Update.MinHealthyTime = 5 * time.Second
				job.Groups = append([]fleet.Group{job.Groups[0]}, other)
				_, err := w.fleet.Register(job, false, 0)
				must.NoError(t, err)
				w.fleet.Advance(w.now().Add(time.Minute))
				time.Sleep(time.Minute)

				patched, beside := patchOf(specFormer), ref
				beside.Group = "beside"
				early := func() bool { // an instance fails a deployment that has not found it healthy yet
					d := w.fleet.Latest(w.job(ref).JobID)
					g := d.Groups["beside"]
					return d.Active() && g != nil && g.Healthy < g.DesiredTotal
				}
				fails := func() {
					clear(w.performed) // the job may go back to a held version, and get its pace back once more
					must.NoError(t, w.fleet.Crash(w.fleet.Instances(beside)[0].ID, "Exceeded allowed attempts"))
					w.advance()
					must.EqOp(t, patched, buildOf(&w.job(ref).Groups[0]), must.Sprint("nothing takes the patch off"))
				}
				w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 2 && early() })
				fails()
				if !mends {
					w.until(t, "r0", func(api.Rollout) bool { return w.renewed == 1 && early() })
					fails()
					w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 })
					must.StrContains(t, w.rollout("r0").Holds[0].Reason, "of group beside are healthy")
					for range 30 {
						time.Sleep(time.Second)
						w.step()
					}
					must.EqOp(t, 1, w.renewed, must.Sprint("it is not registered at each look"))
				}
				failed := w.now()
				w.until(t, "r0", func(api.Rollout) bool { return mends || w.now().Sub(failed) > renewAfter/2 })
				w.until(t, "r0", func(api.Rollout) bool { return w.job(ref).Group("beside").Update.AutoRevert && early() })
				fails()
				w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutComplete })
				must.NoError(t, w.broken)
			})
		})
	}
}
