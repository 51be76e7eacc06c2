package orchestrator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
)

// TestUnwell_OneBadLookDoesNotCount: what a rollback need not wait for was down at each look.
func TestUnwell_OneBadLookDoesNotCount(t *testing.T) {
	now := time.Unix(1000, 0)
	view := func(healthy int) *rollout.JobView {
		v := &rollout.JobView{Count: 3, JobPace: rollout.JobPace{MinHealthyTime: 10 * time.Second}}
		for range healthy {
			v.Instances = append(v.Instances, api.Instance{Health: api.Healthy})
		}
		return v
	}
	var u unwell
	must.False(t, u.look(view(0), now))
	must.False(t, u.look(view(2), now.Add(9*time.Second)))
	must.True(t, u.look(view(1), now.Add(10*time.Second)))
	must.EqOp(t, 1, u.least)
	must.True(t, u.look(view(3), now.Add(11*time.Second)))
	must.EqOp(t, 0, u.least)
}

// TestTag_WaitsForADeploymentUnderWay: somebody's own deployment goes on when the rollout is
// about to begin. It ends by itself, and then the version that it brought is captured.
func TestTag_WaitsForADeploymentUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Approval.Count = 1 })
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		must.NoError(t, w.registers(w.refs[0], "theirs"))
		w.command("r0", "approve", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 && r.Effect != nil && r.Effect.Kind == api.EffectTag })
		must.StrContains(t, w.rollout("r0").Reason, "a deployment of job version 1 is under way")
		w.until(t, "r0", func(r api.Rollout) bool { return r.Former != nil })
		must.EqOp(t, 1, w.rollout("r0").Former.Version)
		for _, d := range w.fleet.Deployments(fleet.JobID{Namespace: "default", ID: w.refs[0].Job}) {
			must.True(t, d.JobVersion != 1 || d.Status == fleet.DeploySuccessful, must.Sprint(d.Status))
		}
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutComplete })
		must.EqOp(t, 4, w.running(w.refs[0], patchOf("theirs")))
	})
}

// TestTag_WaitsWhileAFailedDeploymentHasLeftTwoVersions: nobody has seen the job run as it is
// registered. It is captured when it does.
func TestTag_WaitsWhileAFailedDeploymentHasLeftTwoVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Approval.Count = 1 })
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		must.NoError(t, w.registers(w.refs[0], "broken"))
		latest := func() *fleet.Deployment { return w.fleet.Latest(fleet.JobID{Namespace: "default", ID: w.refs[0].Job}) }
		w.until(t, "r0", func(api.Rollout) bool { return latest().JobVersion == 1 })
		must.NoError(t, w.fleet.FailDeployment(latest().ID))
		w.command("r0", "approve", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 && r.Effect != nil && r.Effect.Kind == api.EffectTag })
		must.StrContains(t, w.rollout("r0").Reason, "instances run another version than 1, whose deployment has failed")
		must.NoError(t, w.registers(w.refs[0], "mended"))
		w.until(t, "r0", func(r api.Rollout) bool { return r.Former != nil })
		must.EqOp(t, 2, w.rollout("r0").Former.Version)
		for _, d := range w.fleet.Deployments(fleet.JobID{Namespace: "default", ID: w.refs[0].Job}) {
			must.True(t, d.JobVersion != 2 || d.Status == fleet.DeploySuccessful, must.Sprint(d.Status))
		}
	})
}

// TestTag_HasNothingToDoWhereTheJobIsPatchedAlready: somebody registers what the patch asks
// for while the rollout waits. No version is marked, and nothing is registered.
func TestTag_HasNothingToDoWhereTheJobIsPatchedAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Approval.Count = 1 })
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		job := *w.job(w.refs[0])
		group := job.Groups[0]
		group.Tasks = []fleet.Task{{Name: "main", Driver: "qemu", Env: map[string]string{"BUILD": specFormer, "PATCH": "p"}}}
		job.Groups = []fleet.Group{group}
		w.foreign[job.ID] = true
		_, err := w.fleet.Register(job, false, 0)
		must.NoError(t, err)
		w.command("r0", "approve", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.EqOp(t, api.RolloutComplete, w.rollout("r0").Status)
		must.EqOp(t, "nothing to do: job version 1 is what the patch asks for already", w.rollout("r0").Reason)
		must.Nil(t, w.rollout("r0").Former)
		must.EqOp(t, 1, w.job(w.refs[0]).Version)
		must.EqOp(t, "", w.job(w.refs[0]).Tag.Name)
		must.EqOp(t, 4, w.running(w.refs[0], patchOf(specFormer)))
	})
}

// TestTag_EndsWhenNobodyPromotes: a deployment whose canary is never promoted keeps the
// rollout, and its place in the budget, for an hour and not for ever. Nothing was captured.
func TestTag_EndsWhenNobodyPromotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Approval.Count = 1 })
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		job := *w.job(w.refs[0])
		group := job.Groups[0]
		update := *w.ownPace()
		update.Canary, update.ProgressDeadline = 1, 0
		group.Update = &update
		group.Tasks = []fleet.Task{{Name: "main", Driver: "qemu", Env: map[string]string{"BUILD": "theirs"}}}
		job.Groups = []fleet.Group{group}
		_, err := w.fleet.Register(job, false, 0)
		must.NoError(t, err)
		w.command("r0", "approve", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 && r.Effect != nil && r.Effect.Kind == api.EffectTag })
		time.Sleep(unprovenMost - 5*time.Minute)
		w.step()
		must.EqOp(t, api.RolloutHolding, w.rollout("r0").Status)
		time.Sleep(5 * time.Minute)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.EqOp(t, api.RolloutFailed, w.rollout("r0").Status)
		must.StrContains(t, w.rollout("r0").Reason, "a deployment of job version 1 is under way")
		must.Nil(t, w.rollout("r0").Former)
	})
}

// TestUnproven_NamesWhatIsNoVersionToReturnTo: a deployment that failed says nothing where all
// instances have run its version well since.
func TestUnproven_NamesWhatIsNoVersionToReturnTo(t *testing.T) {
	former := api.Instance{Build: api.BuildFormer, Health: api.Healthy}
	down, other, otherDown := former, former, former
	down.Health, other.Build = api.Unhealthy, api.BuildForeign
	otherDown.Build, otherDown.Health = api.BuildForeign, api.Unhealthy
	for name, c := range map[string]struct {
		settled, failed bool
		is              []api.Instance
		want            string
	}{
		"all well":                      {true, false, []api.Instance{former, former}, ""},
		"under way":                     {false, false, []api.Instance{former, former}, "a deployment of job version 5 is under way"},
		"failed, and well since":        {true, true, []api.Instance{former, former}, ""},
		"failed, and one is down":       {true, true, []api.Instance{former, down}, "has failed, and 1 of 2 instances are not healthy"},
		"failed halfway":                {true, true, []api.Instance{former, other}, "instances run another version than 5, whose deployment has failed"},
		"not begun":                     {true, false, []api.Instance{other, other}, "instances run another version than 5;"},
		"one is down":                   {true, false, []api.Instance{former, down}, ""},
		"one failed in another version": {true, false, []api.Instance{former, otherDown}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			hold := unproven(&rollout.JobView{Version: 5, Count: 2, Settled: c.settled, Failed: c.failed, Instances: c.is})
			if c.want == "" {
				must.Nil(t, hold)
				return
			}
			must.NotNil(t, hold)
			must.StrContains(t, hold.Reason, c.want)
		})
	}
}

// TestTag_GoesWhenTheRolloutIsGivenUp: somebody else has changed the job for good.
func TestTag_GoesWhenTheRolloutIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		marked := func() int {
			versions, err := w.fleet.Versions(fleet.JobID{Namespace: w.refs[0].Namespace, ID: w.refs[0].Job})
			must.NoError(t, err)
			n := 0
			for _, v := range versions {
				if v.Tag.Name != "" {
					n++
				}
			}
			return n
		}
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
		must.EqOp(t, 1, marked())
		must.NoError(t, w.registers(w.refs[0], "theirs"))
		w.command("r0", "rollback", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 && r.Holds[0].Source == "job" })
		w.command("r0", "abort", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutFailed && marked() == 0 })
	})
}
