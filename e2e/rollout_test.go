//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
)

// TestRollouts carries patches out on jobs of cheap instances and asks Nomad
// what runs at each step.
func TestRollouts(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)

	t.Run("a critical target goes 10, 50, 100 %", func(t *testing.T) {
		o := o.in(t)
		o.job("phases", 10, true)
		id := o.submit(o.patchFile("phases-2", "phases", `VERSION = "v2"`))
		var r api.Rollout
		eventually(t, "the rollout ends", 2*time.Minute, func() bool {
			n := o.count("phases", "v2")
			now, ok := o.rollout(id) // read after counting: what runs was allowed by then
			if ok && len(now.Stages) > 0 {
				must.LessEq(t, now.Stages[len(now.Stages)-1].Instances, n)
			}
			r = now
			return ok && now.Status.Ended()
		})
		must.Eq(t, api.RolloutComplete, r.Status, must.Sprint(r.Reason))
		must.Len(t, 3, r.Stages)
		for i, want := range []int{1, 5, 10} {
			must.Eq(t, want, r.Stages[i].Instances)
		}
		versions, _, _, err := o.vendor.Jobs().Versions("phases", false, nil)
		must.NoError(t, err)
		moved := map[uint64]int{}
		for _, v := range versions {
			moved[*v.Version] = *v.TaskGroups[0].Update.MaxParallel
		}
		must.Eq(t, map[uint64]int{0: 10, 1: 1, 2: 4, 3: 5, 4: 10}, moved, must.Sprint("nomad was asked for one, four and five more"))
		must.Eq(t, 10, o.count("phases", "v2"))
		job, _, err := o.vendor.Jobs().Info("phases", nil)
		must.NoError(t, err)
		must.Eq(t, 10, *job.TaskGroups[0].Update.MaxParallel, must.Sprint("the job has its own update block again"))
		must.Eq(t, "checks", *job.TaskGroups[0].Update.HealthCheck)
	})

	t.Run("any other target goes blue/green", func(t *testing.T) {
		o := o.in(t)
		o.job("colours", 3, false)
		before := o.versions("colours")
		id := o.submit(o.patchFile("colours-2", "colours", `VERSION = "v2"`))
		r := o.ended(id, api.RolloutComplete)
		must.Eq(t, "blue_green", r.Decision.Strategy.Name)
		must.Eq(t, 3, o.count("colours", "v2"))
		for alloc := range o.versions("colours") {
			must.MapNotContainsKey(t, before, alloc)
		}
		started, ended := o.handover("colours", before)
		must.True(t, started.Before(ended), must.Sprintf("both colours ran in full: the last patched instance from %s, the first former one until %s", started, ended))
	})

	t.Run("an instance that crashes turns everything back to the exact former job", func(t *testing.T) {
		o := o.in(t)
		o.job("crashes", 4, true)
		former, before := o.spec("crashes"), o.versions("crashes")
		id := o.submit(o.patchFile("crashes-2", "crashes", `VERSION = "crash"`))
		r := o.ended(id, api.RolloutRolledBack)
		must.StrContains(t, r.Reason, "unhealthy")
		must.Eq(t, former, o.spec("crashes"))
		eventually(t, "four former instances run", time.Minute, func() bool { return o.count("crashes", "v1") == 4 })
		kept := 0
		for alloc := range o.versions("crashes") {
			if _, ok := before[alloc]; ok {
				kept++
			}
		}
		must.Eq(t, 3, kept, must.Sprint("only the instance of the first stage was replaced"))

		// Quarantined: the same patch is refused until somebody lifts it.
		path := o.patchFile("crashes-2", "crashes", `VERSION = "crash"`)
		res := o.Oakum(t.Context(), o.pipeline, "patch", "submit", path)
		must.NotEq(t, 0, res.Code)
		must.StrContains(t, res.Stdout+res.Stderr, "quarantine")
		o.does(o.alice, "patch", "lift-quarantine", "crashes-2", "default/crashes/g")
		o.does(o.pipeline, "patch", "plan", path)
	})

	t.Run("an instance that never becomes healthy turns back at the deadline", func(t *testing.T) {
		o := o.in(t)
		o.job("sickly", 3, true)
		o.checked("sickly")
		former := o.spec("sickly")
		o.does(o.pipeline, "policy", "apply", o.file("impatient.hcl", `policy "impatient" {
  applies  = target.job == "sickly"
  deadline = "10s"
}
`))
		id := o.submit(o.patchFile("sickly-2", "sickly", `VERSION = "sick"`))
		r := o.ended(id, api.RolloutRolledBack)
		must.StrContains(t, r.Reason, "deadline")
		must.Eq(t, former, o.spec("sickly"))
		eventually(t, "three former instances run", time.Minute, func() bool { return o.count("sickly", "v1") == 3 })
	})

	t.Run("a person takes it back in the middle", func(t *testing.T) {
		o := o.in(t)
		o.jobOf("held", "taken", 4, true)
		former := o.spec("taken")
		policy := o.file("slow.hcl", `policy "slow" {
  applies = target.job == "taken"
  strategy "phased" {
    stages = [50, 100]
  }
  approval {
    from  = "release-managers"
    count = 1
  }
}
`)
		o.does(o.pipeline, "policy", "apply", policy)
		id := o.submit(o.patchFile("taken-2", "taken", `VERSION = "v2"`))
		o.until(id, func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		res := o.Oakum(t.Context(), o.pipeline, "rollout", "approve", id)
		must.NotEq(t, 0, res.Code, must.Sprint("the pipeline may not approve"))
		must.Eq(t, 4, o.count("taken", "v1"))
		o.does(o.alice, "rollout", "approve", id)
		o.until(id, func(r api.Rollout) bool { return len(r.Stages) > 0 })
		eventually(t, "the middle", time.Minute, func() bool { return o.count("taken", "v2") == 2 })
		o.does(o.alice, "rollout", "rollback", id)
		o.ended(id, api.RolloutRolledBack)
		eventually(t, "four former instances run", time.Minute, func() bool { return o.count("taken", "v1") == 4 })
		must.Eq(t, former, o.spec("taken"))
	})

	t.Run("refused with the reason", func(t *testing.T) {
		o := o.in(t)
		o.job("busy", 2, true)
		res := o.Oakum(t.Context(), o.pipeline, "patch", "submit", o.patchFile("nowhere", "no-such-job", `VERSION = "v2"`))
		must.NotEq(t, 0, res.Code)
		must.StrContains(t, res.Stdout+res.Stderr, "no-such-job")

		hold := o.file("window.hcl", fmt.Sprintf(`policy "later" {
  applies = target.job == "busy"
  freeze "maintenance" {
    from   = "2020-01-01"
    to     = %q
    reason = "not today"
  }
}
`, time.Now().AddDate(1, 0, 0).Format(time.DateOnly)))
		o.does(o.pipeline, "policy", "apply", hold)
		id := o.submit(o.patchFile("busy-2", "busy", `VERSION = "v2"`))
		o.until(id, func(r api.Rollout) bool {
			return r.Status == api.RolloutWaiting && strings.Contains(r.Reason, "not today") // the gate is asked after it began to wait
		})
		res = o.Oakum(t.Context(), o.pipeline, "patch", "submit", o.patchFile("busy-3", "busy", `VERSION = "v3"`))
		must.NotEq(t, 0, res.Code)
		must.StrContains(t, res.Stdout+res.Stderr, id)
		must.Eq(t, 2, o.count("busy", "v1"))
		o.does(o.alice, "rollout", "abort", id)
		o.ended(id, api.RolloutCancelled)

		bad := o.file("bad.hcl", "policy \"bad\" {\n  applies = target.nothing == 1\n}\n")
		res = o.Oakum(t.Context(), o.pipeline, "policy", "apply", bad)
		must.Eq(t, 1, res.Code)
		must.StrContains(t, res.Stderr, "bad.hcl:2,")
		res = o.Oakum(t.Context(), o.pipeline, "policy", "read", "bad")
		must.Eq(t, 1, res.Code, must.Sprint("nothing of it is in force"))
	})
}

// TestBadDays takes the systems away that a rollout leans on, and the daemon
// itself, in the middle of a rollout that goes on when a person says so.
func TestBadDays(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)

	for component, source := range map[string]string{stack.NomadServer: "nomad", stack.Consul: "consul"} {
		t.Run(component+" is away", func(t *testing.T) {
			o := o.in(t)
			job := "away-" + component
			o.jobOf("held", job, 4, true)
			if component == stack.Consul {
				o.checked(job)
			}
			id := o.submit(o.patchFile(job+"-2", job, `VERSION = "v2"`))
			o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
			must.NoError(t, running.Stop(t.Context(), component))
			r := o.until(id, func(r api.Rollout) bool {
				return r.Status.Ended() || (len(r.Holds) > 0 && r.Holds[0].Source == source)
			})
			must.Eq(t, api.RolloutHolding, r.Status, must.Sprint(r.Reason))
			must.False(t, r.Holds[0].Since.IsZero())
			must.NoError(t, running.Start(t.Context(), component))
			for stage := range 3 {
				o.promote(id, stage+1)
			}
			o.ended(id, api.RolloutComplete)
			eventually(t, "every instance runs the patch", time.Minute, func() bool { return o.count(job, "v2") == 4 })
		})
	}

	t.Run("kill -9 of the daemon at every stage: nothing is done twice", func(t *testing.T) {
		o := o.in(t)
		o.jobOf("held", "killed", 10, true)
		id := o.submit(o.patchFile("killed-2", "killed", `VERSION = "v2"`))
		for stage := range 3 {
			o.until(id, func(r api.Rollout) bool { return len(r.Stages) > stage })
			o.Servers[0].Kill()
			must.NoError(t, o.Servers[0].Start())
			_, err := o.Leader(t.Context())
			must.NoError(t, err)
			o.promote(id, stage+1)
		}
		r := o.ended(id, api.RolloutComplete)
		must.Eq(t, 10, o.count("killed", "v2"))
		// The job as it was, three stages, and the update block restored: by one registration
		// more where the deployment of the last stage was ended while it waited.
		registered, kinds := 5, ""
		for _, e := range r.Effects {
			must.Eq(t, api.EffectDone, e.Status)
			switch {
			case e.Kind != api.EffectSettle:
				kinds += string(e.Kind) + " "
			case e.Stage == 3:
				registered++
			}
		}
		must.Eq(t, registered, o.registrations("killed"), must.Sprint("each intent was registered once"))
		must.Eq(t, "tag stage stage stage finish ", kinds)
	})

	t.Run("somebody else changes the job: hold", func(t *testing.T) {
		o := o.in(t)
		o.jobOf("held", "meddled", 4, true)
		id := o.submit(o.patchFile("meddled-2", "meddled", `VERSION = "v2"`))
		o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 1 })
		o.does(o.alice, "rollout", "pause", id)
		o.until(id, func(r api.Rollout) bool { return r.Status == api.RolloutPaused && r.Effect == nil })
		job, _, err := o.vendor.Jobs().Info("meddled", nil)
		must.NoError(t, err)
		job.TaskGroups[0].Tasks[0].Env["VERSION"] = "theirs"
		_, _, err = o.vendor.Jobs().Register(job, nil)
		must.NoError(t, err)
		o.does(o.alice, "rollout", "resume", id)
		r := o.until(id, func(r api.Rollout) bool { return r.Status != api.RolloutRunning })
		must.Eq(t, api.RolloutHolding, r.Status, must.Sprint(r.Reason))
		must.Eq(t, "job", r.Holds[0].Source)
		must.StrContains(t, o.spec("meddled"), "theirs", must.Sprint("oakum does not overwrite somebody else's change"))
	})
}

// handover is, by Nomad's record, when the last instance of a job that was not
// there before began to run, and when the first of those ended.
func (o *oakum) handover(id string, before map[string]string) (started, ended time.Time) {
	o.t.Helper()
	eventually(o.t, "all former instances have ended", time.Minute, func() bool {
		stubs, _, err := o.vendor.Jobs().Allocations(id, true, nil)
		must.NoError(o.t, err)
		started, ended = time.Time{}, time.Time{}
		for _, s := range stubs {
			main := s.TaskStates["main"]
			if main == nil {
				return false
			}
			if _, former := before[s.ID]; !former {
				if main.StartedAt.After(started) {
					started = main.StartedAt
				}
				continue
			}
			if main.FinishedAt.IsZero() {
				return false
			}
			if ended.IsZero() || main.FinishedAt.Before(ended) {
				ended = main.FinishedAt
			}
		}
		return true
	})
	return started, ended
}

// in is the cluster under another test's eyes.
func (o *oakum) in(t *testing.T) *oakum {
	t.Helper()
	c := *o
	c.t = t
	return &c
}

// checked gives a job's group a service with a check in Consul, so that its
// health is Consul's to tell: only VERSION sick is not well.
func (o *oakum) checked(id string) {
	o.t.Helper()
	job, _, err := o.vendor.Jobs().Info(id, nil)
	must.NoError(o.t, err)
	job.TaskGroups[0].Services = []*nomadapi.Service{{
		Name: id, Provider: "consul", Checks: []nomadapi.ServiceCheck{{
			Type: "script", TaskName: "main", Command: "/bin/sh", Args: []string{"-c", `test "$VERSION" != sick`},
			Interval: time.Second, Timeout: 5 * time.Second,
		}},
	}}
	_, _, err = o.vendor.Jobs().Register(job, nil)
	must.NoError(o.t, err)
	eventually(o.t, "the deployment with the service is over", 2*time.Minute, func() bool {
		d, _, err := o.vendor.Jobs().LatestDeployment(id, nil)
		return err == nil && d != nil && d.JobVersion == uint64(o.registrations(id)-1) && d.Status == "successful"
	})
}
