//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
)

// systemNodes is how many clients the stack of TestSystemJobs has.
const systemNodes = 4

// systemPolicy has system jobs go by quarters, of which a person promotes none but by hand.
const systemPolicy = `
policy "system" {
  applies = target.meta.kind == "system"
  strategy "phased" {
    when   = target.type == "system"
    stages = [25, 75, 100]
  }
  judge {
    enabled = false
  }
  budget {
    instances = 1
  }
  rollback {
    quarantine = true
  }
}
`

// TestSystemJobs patches jobs that have an instance on each of several clients.
func TestSystemJobs(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	s, err := stack.Up(ctx, stack.Options{
		Dir: t.TempDir(), BinDir: filepath.Join(root(t), ".stack", "bin"), PortOffset: stack.AnyOffset, Clients: systemNodes, Bound: true, Log: t.Output(),
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, s.Down(ctx)) })
	env := s.Env()
	o := newOakumBeside(t, env, 1, "", systemPolicy)
	o.vendor, err = nomadapi.NewClient(&nomadapi.Config{Address: env.NomadAddr, SecretID: env.NomadToken})
	must.NoError(t, err)

	t.Run("a bad patch is turned back after the first node, and a good one goes everywhere", func(t *testing.T) {
		o := o.in(t)
		o.systemJob("agent")
		former, before := o.spec("agent"), o.versions("agent")
		id := o.submit(o.patchFile("agent-bad", "agent", `VERSION = "crash"`))
		r := o.ended(id, api.RolloutRolledBack)
		must.StrContains(t, r.Reason, "unhealthy")
		must.Len(t, 1, r.Stages)
		must.EqOp(t, 1, r.Stages[0].Instances)
		eventually(t, "every node runs the former build", time.Minute, func() bool { return o.count("agent", "v1") == systemNodes })
		must.Eq(t, former, o.spec("agent"))
		kept := 0
		for alloc := range o.versions("agent") {
			if before[alloc] == "v1" {
				kept++
			}
		}
		must.EqOp(t, systemNodes-1, kept, must.Sprint("the patch has reached one node alone"))

		// The deployment of the bad one has failed, and Nomad begins none for this job since.
		id = o.submit(o.patchFile("agent-2", "agent", `VERSION = "v2"`))
		most := o.most("agent", "v2", id)
		r = o.ended(id, api.RolloutComplete)
		must.EqOp(t, "phased", r.Decision.Strategy.Name)
		must.Eq(t, []int{1, 3, 4}, []int{r.Stages[0].Instances, r.Stages[1].Instances, r.Stages[2].Instances})
		must.LessEq(t, 0, most, must.Sprint("never more than the stage asks for"))
		must.EqOp(t, systemNodes, o.count("agent", "v2"))
		o.ownPace("agent")
	})

	t.Run("a person turns one back in its second stage", func(t *testing.T) {
		o := o.in(t)
		o.systemJob("exporter")
		former := o.spec("exporter")
		id := o.submit(o.patchFile("exporter-2", "exporter", `VERSION = "v2"`))
		o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 2 })
		o.does(o.alice, "rollout", "rollback", id)
		least := systemNodes
		o.until(id, func(r api.Rollout) bool {
			least = min(least, len(o.versions("exporter")))
			return r.Status.Ended()
		})
		r := o.ended(id, api.RolloutRolledBack)
		must.StrContains(t, r.Reason, "every instance runs the former version")
		must.EqOp(t, systemNodes, o.count("exporter", "v1"))
		must.GreaterEq(t, systemNodes-2, least, must.Sprint("one goes back at once, beside a patched one that may have been starting"))
		must.Eq(t, former, o.spec("exporter"))
		o.ownPace("exporter")
	})

	t.Run("a node that takes nothing new is waited for, and one whose stage came meanwhile gets the patch", func(t *testing.T) {
		o := o.in(t)
		o.systemJob("proxy")
		nodes, _, err := o.vendor.Nodes().List(nil)
		must.NoError(t, err)
		_, err = o.vendor.Nodes().ToggleEligibility(nodes[0].ID, false, nil)
		must.NoError(t, err)
		id := o.submit(o.patchFile("proxy-2", "proxy", `VERSION = "v2"`))
		r := o.until(id, func(r api.Rollout) bool { return len(r.Holds) > 0 })
		must.StrContains(t, r.Holds[0].Reason, "nomad would stop 1 instances whose nodes take nothing new")
		must.StrContains(t, r.Holds[0].Reason, nodes[0].Name+" (ineligible)")
		must.EqOp(t, systemNodes, o.count("proxy", "v1"))
		_, err = o.vendor.Nodes().ToggleEligibility(nodes[0].ID, true, nil)
		must.NoError(t, err)
		o.ended(id, api.RolloutComplete)
		must.EqOp(t, systemNodes, o.count("proxy", "v2"))
	})
}

// most is how many more instances of a version have run at once than the rollout's stages
// had asked for by then; at most 0 when all went well.
func (o *oakum) most(job, version, id string) int {
	o.t.Helper()
	most := -systemNodes
	o.until(id, func(api.Rollout) bool {
		n := o.count(job, version)
		r, ok := o.rollout(id) // read after counting: what runs was allowed by then
		if ok && len(r.Stages) > 0 {
			most = max(most, n-r.Stages[len(r.Stages)-1].Instances)
		}
		return ok && r.Status.Ended()
	})
	return most
}

// ownPace holds that a system job has its own update block again.
func (o *oakum) ownPace(id string) {
	o.t.Helper()
	job, _, err := o.vendor.Jobs().Info(id, nil)
	must.NoError(o.t, err)
	u := job.TaskGroups[0].Update
	must.EqOp(o.t, "task_states", *u.HealthCheck)
	must.EqOp(o.t, 0, *u.Canary)
	must.EqOp(o.t, 2, *u.MaxParallel)
}

// systemJob registers a system job of cheap instances and waits until each client runs one.
func (o *oakum) systemJob(id string) {
	o.t.Helper()
	job := nomadapi.NewSystemJob(id, id, "global", 50)
	job.Datacenters = []string{"*"}
	g := nomadapi.NewTaskGroup("g", 1)
	g.Meta = map[string]string{"kind": "system"}
	g.Update = &nomadapi.UpdateStrategy{
		MaxParallel: new(2), HealthCheck: new("task_states"), MinHealthyTime: new(time.Second),
		HealthyDeadline: new(time.Minute), ProgressDeadline: new(2 * time.Minute),
	}
	g.RestartPolicy = &nomadapi.RestartPolicy{Attempts: new(0), Interval: new(time.Minute), Delay: new(time.Second), Mode: new("fail")}
	task := nomadapi.NewTask("main", "raw_exec").SetConfig("command", "/bin/sh").
		SetConfig("args", []string{"-c", `test "$VERSION" != crash || exit 1; exec sleep 100000`})
	task.Env = map[string]string{"VERSION": "v1"}
	task.Resources = &nomadapi.Resources{CPU: new(10), MemoryMB: new(10)}
	task.LogConfig = &nomadapi.LogConfig{Disabled: new(true)}
	task.KillTimeout = new(time.Second)
	g.Tasks = []*nomadapi.Task{task}
	job.TaskGroups = []*nomadapi.TaskGroup{g}
	_, _, err := o.vendor.Jobs().Register(job, nil)
	must.NoError(o.t, err)
	endJob(o.t, o.vendor, id)
	eventually(o.t, "each client runs "+id, 2*time.Minute, func() bool { return o.count(id, "v1") == systemNodes })
	eventually(o.t, "the first deployment of "+id+" is over", 2*time.Minute, func() bool {
		d, _, err := o.vendor.Jobs().LatestDeployment(id, nil)
		return err == nil && d != nil && d.Status == "successful"
	})
}
