//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestPace_IsTheJobsOwn patches ten instances of a job with max_parallel = 2 and
// min_healthy_time = "1s", and no budget, after Nomad has updated them by itself. At each
// look Nomad is asked how many run, and at the end when each instance of a batch began.
// How long both took is logged.
func TestPace_IsTheJobsOwn(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)
	o.does(o.pipeline, "policy", "apply", o.file("plain.hcl", `policy "plain" {
  applies = target.job == "paced"
  strategy "phased" {
    stages = [100]
  }
  judge {
    enabled = false
  }
}
`))
	o.pacedJob("plain", "paced", 10, 2, false)

	began := time.Now()
	o.register("paced", "v2")
	eventually(t, "nomad has updated it", 2*time.Minute, func() bool {
		d, _, err := o.vendor.Jobs().LatestDeployment("paced", nil)
		return err == nil && d != nil && d.JobVersion == 1 && d.Status == "successful"
	})
	own := time.Since(began)

	began = time.Now()
	id := o.submit(o.patchFile("paced-3", "paced", `VERSION = "v3"`))
	eventually(t, "the rollout ends", 2*time.Minute, func() bool {
		must.GreaterEq(t, 8, len(o.versions("paced")))
		r, ok := o.rollout(id)
		return ok && r.Status.Ended()
	})
	took := time.Since(began)
	r := o.ended(id, api.RolloutComplete)
	t.Logf("nomad by itself %s, oakum %s: %.2f", own.Round(100*time.Millisecond), took.Round(100*time.Millisecond), took.Seconds()/own.Seconds())

	must.EqOp(t, 10, o.count("paced", "v3"))
	stubs, _, err := o.vendor.Jobs().Allocations("paced", false, nil)
	must.NoError(t, err)
	batches := 0
	for _, e := range r.Effects {
		if e.Kind != api.EffectStage {
			continue
		}
		batches++
		must.EqOp(t, 2*batches, e.Want)
		early := 0 // patched instances that had not run for min_healthy_time when the batch was asked for
		for _, s := range stubs {
			if ran := e.Intended.Sub(s.TaskStates["main"].StartedAt); s.DesiredStatus == "run" && s.CreateTime < e.Intended.UnixNano() && ran < time.Second {
				early++
			}
		}
		must.EqOp(t, 0, early)
	}
	must.EqOp(t, 5, batches)
}

// TestBlame_NoRoomHolds has no node take new instances while a stage begins: the rollout
// waits and says why, and goes on when there is room.
func TestBlame_NoRoomHolds(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)
	o.does(o.pipeline, "policy", "apply", o.file("roomless.hcl", `policy "roomless" {
  applies = target.job == "roomless"
  strategy "phased" {
    stages = [100]
  }
  judge {
    enabled = false
  }
}
`))
	o.jobOf("plain", "roomless", 2, false)
	nodes, _, err := o.vendor.Nodes().List(nil)
	must.NoError(t, err)
	eligible := func(yes bool) {
		for _, n := range nodes {
			_, err := o.vendor.Nodes().ToggleEligibility(n.ID, yes, nil)
			must.NoError(t, err)
		}
	}
	eligible(false)
	t.Cleanup(func() { eligible(true) })
	id := o.submit(o.patchFile("roomless-2", "roomless", `VERSION = "v2"`))
	r := o.until(id, func(r api.Rollout) bool {
		return r.Status.Ended() || r.Status == api.RolloutHolding && len(r.Holds) > 0 && r.Holds[0].Source == "room"
	})
	must.EqOp(t, api.RolloutHolding, r.Status, must.Sprint(r.Reason))
	must.StrContains(t, r.Holds[0].Reason, "no room for default/roomless/")
	job, _, err := o.vendor.Jobs().Info("roomless", nil)
	must.NoError(t, err)
	must.EqOp(t, "v1", job.TaskGroups[0].Tasks[0].Env["VERSION"], must.Sprint("nothing is registered that finds no place"))
	eligible(true)
	r = o.ended(id, api.RolloutComplete)
	must.EqOp(t, 2, o.count("roomless", "v2"))
	t.Log(r.Reason)
}

// register gives the instances of a job another VERSION, at the job's own pace, as a
// pipeline does.
func (o *oakum) register(id, version string) {
	o.t.Helper()
	job, _, err := o.vendor.Jobs().Info(id, nil)
	must.NoError(o.t, err)
	job.TaskGroups[0].Tasks[0].Env["VERSION"] = version
	_, _, err = o.vendor.Jobs().Register(job, nil)
	must.NoError(o.t, err)
}
