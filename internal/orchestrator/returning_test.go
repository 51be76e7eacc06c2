package orchestrator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

// TestRollback_GoesOnWithoutRoomForAnInstanceThatIsMissing: Nomad places what is missing
// first, which takes from what a registration lets it replace; there is no node for it
// before the patched instances have made room.
func TestRollback_GoesOnWithoutRoomForAnInstanceThatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, inBatches)
		defer w.term.cancel()
		ref := w.refs[0]
		job := *w.job(ref)
		job.Groups = slices.Clone(job.Groups)
		job.Groups[0].Tasks = slices.Clone(job.Groups[0].Tasks)
		job.Groups[0].Tasks[0].CPU = 60_000 // a node has room for one
		_, err := w.fleet.Register(job, false, 0)
		must.NoError(t, err)
		w.fleet.Advance(w.now().Add(5 * time.Minute))
		time.Sleep(5 * time.Minute)
		w.advance()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 2 && !r.Stages[1].Ready.IsZero() })
		must.Eq(t, 4, w.running(ref, patchOf(specFormer)))

		used := map[string]bool{}
		for _, a := range w.fleet.Instances(ref) {
			used[a.Node.ID] = true
		}
		must.MapLen(t, 4, used)
		var lost *fleet.Node
		for _, n := range w.fleet.Nodes() {
			if used[n.ID] {
				lost = n
				continue
			}
			must.NoError(t, w.fleet.SetEligibility(n.ID, false))
		}
		must.NoError(t, w.fleet.LoseNode(lost.ID))
		w.command("r0", "rollback", "test")
		for began := w.now(); w.now().Sub(began) < time.Hour && w.running(ref, patchOf(specFormer)) > 0; {
			time.Sleep(time.Second)
			w.step()
		}
		must.Eq(t, 0, w.running(ref, patchOf(specFormer)), must.Sprint(w.rollout("r0").Effects))
		must.Eq(t, 3, w.running(ref, specFormer))
		must.NoError(t, w.broken)
	})
}
