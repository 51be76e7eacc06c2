package fleet

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// What was measured on a real Nomad 1.11.3 with ten instances.

func TestDeployment_PromotesItsCanary(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	u := rolling(10)
	u.Canary = 1
	r.register(web(10, "v2", u))
	r.pass(time.Hour)
	must.Eq(t, map[string]int{"v1": 10, "v2": 1}, r.images(), must.Sprint("it holds, and no deadline ends that"))
	must.Eq(t, DeployRunning, r.latest().Status)
	must.NoError(t, r.PromoteDeployment(r.latest().ID))
	r.pass(time.Second)
	must.Eq(t, map[string]int{"v2": 10}, r.images())
	r.pass(time.Minute)
	must.Eq(t, DeploySuccessful, r.latest().Status)
}

func TestPauseDeployment_KeepsTheProgressDeadline(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	u := rolling(1)
	u.ProgressDeadline = 30 * time.Second
	r.register(web(10, "v2", u))
	r.pass(15 * time.Second)
	must.NoError(t, r.PauseDeployment(r.latest().ID, true))
	have := r.images()["v2"]
	r.pass(14 * time.Second)
	must.Eq(t, have, r.images()["v2"])
	r.pass(time.Minute)
	must.Eq(t, DeployFailed, r.latest().Status)
	must.Eq(t, "Failed due to progress deadline", r.latest().Description)
}

func TestRegister_TouchesNoInstanceForAnotherUpdateBlock(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	before, old := r.ids(), r.latest()
	r.register(web(10, "v1", rolling(3)))
	r.pass(time.Second)
	must.Eq(t, before, r.ids())
	must.NotEq(t, old.ID, r.latest().ID)
	for _, a := range r.Instances(ref()) {
		must.Eq(t, 1, a.Job.Version)
		must.Eq(t, HealthUnknown, a.Health, must.Sprint("health is asked anew"))
	}
	r.pass(time.Minute)
	must.Eq(t, DeploySuccessful, r.latest().Status)
}

func TestRegister_CancelsTheDeploymentOfTheVersionBefore(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	r.register(web(10, "v2", held(4, 0)))
	r.pass(time.Second)
	first := r.latest()
	r.register(web(10, "v2", held(5, 0)))
	r.pass(time.Second)
	must.Eq(t, DeployCancelled, first.Status)
	must.Eq(t, 9, r.images()["v2"])
}

func TestDeployment_ReplacesTheFirstCanariesByMore(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	before := r.ids()
	r.register(web(10, "v2", held(1, 1)))
	r.pass(time.Second)
	first := r.latest().Groups["g"].PlacedCanaries[0]
	r.register(web(10, "v2", held(5, 5)))
	r.pass(time.Second)
	must.Eq(t, map[string]int{"v1": 10, "v2": 5}, r.images())
	must.MapNotContainsKey(t, r.ids(), first)
	must.Eq(t, 10, shared(before, r.ids()))
}

func TestScale_IsBlockedByADeployment(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	r.register(web(10, "v2", held(1, 0)))
	r.pass(time.Second)
	_, err := r.Scale(ref(), 12)
	must.ErrorContains(t, err, "job scaling blocked due to active deployment")
	must.True(t, api.IsCode(err, api.CodeInvalid))
	must.NoError(t, r.FailDeployment(r.latest().ID))
	_, err = r.Scale(ref(), 12)
	must.NoError(t, err)
	r.pass(time.Second)
	must.Len(t, 12, r.Instances(ref()))
}

func TestDeployment_GivesBlueGreenUp(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	before := r.ids()
	r.register(web(10, "v2", held(10, 10)))
	r.pass(time.Second)
	must.Eq(t, map[string]int{"v1": 10, "v2": 10}, r.images())
	must.NoError(t, r.FailDeployment(r.latest().ID))
	r.pass(time.Second)
	must.Eq(t, before, r.ids())
}

func TestDeployment_StaysMixedWhenItFailsWithoutRevert(t *testing.T) {
	for name, revert := range map[string]bool{"stays": false, "reverts": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			r.settled(10, rolling(10))
			u := held(4, 0)
			u.AutoRevert = revert
			r.register(web(10, "v2", u))
			r.pass(time.Second)
			d := r.latest()
			must.NoError(t, r.SetAllocHealth(d.ID, nil, []string{r.Instances(ref())[0].ID}))
			r.pass(time.Minute)
			must.Eq(t, DeployFailed, d.Status)
			if revert {
				must.Eq(t, "Failed due to unhealthy allocations - rolling back to job version 0", d.Description)
				must.Eq(t, map[string]int{"v1": 10}, r.images())
				return
			}
			must.Eq(t, map[string]int{"v1": 6, "v2": 4}, r.images())
		})
	}
}

func TestDeployment_MovesACountBetweenTwoGroups(t *testing.T) {
	r := newRig(t, 3)
	job := func(old, young int) Job {
		j := web(old, "v1", rolling(10))
		next := web(young, "v2", rolling(10)).Groups[0]
		next.Name = "next"
		j.Groups = append(j.Groups, next)
		return j
	}
	count := func(group string) int {
		return len(r.Instances(api.TargetRef{Namespace: "default", Job: "web", Group: group}))
	}
	r.register(job(10, 0))
	r.pass(time.Minute)
	for _, young := range []int{1, 5, 10} {
		before := r.ids()
		r.register(job(10-young, young))
		r.pass(time.Minute)
		must.Eq(t, 10-young, count("g"))
		must.Eq(t, young, count("next"))
		must.Eq(t, 10-young, shared(before, r.ids()), must.Sprint("those that stay are not touched"))
		must.Eq(t, DeploySuccessful, r.latest().Status)
	}
}

func TestRollback_ReturnsEverythingAtOnce(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(1))
	before := r.ids()
	r.register(web(10, "v2", held(5, 0)))
	r.pass(time.Second)
	r.register(web(10, "v1", held(10, 0)))
	r.pass(time.Second)
	must.Eq(t, map[string]int{"v1": 10}, r.images())
	must.Eq(t, 5, shared(before, r.ids()))
}

func TestRevert_BringsItsUpdateBlockBack(t *testing.T) {
	r := newRig(t, 3)
	r.settled(5, rolling(1))
	r.register(web(5, "v2", held(5, 0)))
	r.pass(time.Second)
	must.Eq(t, 5, r.images()["v2"])
	done, err := r.Revert(JobID{"default", "web"}, 0, true, 1)
	must.NoError(t, err)
	must.Eq(t, *rolling(1), *done.Job.Groups[0].Update)
	r.pass(13 * time.Second)
	must.Eq(t, 2, r.images()["v1"], must.Sprint("one after the other"))
	_, err = r.Revert(JobID{"default", "web"}, 0, true, 1)
	must.ErrorContains(t, err, "Current job has version 2")
}

func TestDeployment_FailsAtItsDeadlineWhenACanaryNeverAnswers(t *testing.T) {
	r := newRig(t, 3)
	job := func(image string, u *Update) Job {
		j := web(5, image, u)
		j.Groups[0].Services = []Service{{Name: "web", Checked: true}}
		return j
	}
	r.Behave(func(b Build) Behaviour {
		if b.Group.Tasks[0].Image() == "v2" {
			return Behaviour{NeverBoots: 1}
		}
		return Behaviour{}
	})
	r.register(job("v1", rolling(5)))
	r.pass(time.Minute)
	before := r.ids()
	u := rolling(5)
	u.Canary, u.HealthyDeadline, u.ProgressDeadline = 1, 6*time.Second, 0
	r.register(job("v2", u))
	r.pass(5 * time.Second)
	must.Eq(t, 1, r.images()["v2"])
	r.pass(2 * time.Second)
	must.Eq(t, DeployFailed, r.latest().Status)
	must.Eq(t, before, r.ids())
}

func TestDeployment_StandsInstancesThatDieInAHeldStage(t *testing.T) {
	crash := func(r *rig, image string) {
		for _, a := range r.Instances(ref()) {
			if a.Group.Tasks[0].Image() == image {
				must.NoError(r.t, r.Crash(a.ID, "Exceeded allowed attempts"))
				return
			}
		}
		r.t.Fatalf("no instance runs %s", image)
	}
	cases := map[string]struct {
		canary int
		dies   string
		want   map[string]int
	}{
		"in place, a former one comes back patched":    {0, "v1", map[string]int{"v1": 6, "v2": 4}},
		"beside, a former one comes back as it was":    {3, "v1", map[string]int{"v1": 10, "v2": 3}},
		"in place, a patched one ends the deployment":  {0, "v2", map[string]int{"v1": 7, "v2": 3}},
		"beside, a canary takes the others along":      {3, "v2", map[string]int{"v1": 10}},
		"beside, and nothing dies but the time passes": {3, "", map[string]int{"v1": 10, "v2": 3}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			r.settled(10, rolling(10))
			r.register(web(10, "v2", held(3, c.canary)))
			r.pass(time.Second)
			if c.dies != "" {
				crash(r, c.dies)
			}
			r.pass(time.Hour)
			must.Eq(t, c.want, r.images())
			must.Eq(t, c.dies == "v2", r.latest().Status == DeployFailed)
		})
	}
}

// The groups of a job share the deployment of each version, and one of them that fails
// reverts all of them where its update block says so.
func TestDeployment_IsRevertedByAnotherGroup(t *testing.T) {
	for name, c := range map[string]struct {
		reverts bool
		want    map[string]int
	}{
		"its auto_revert takes the job back": {true, map[string]int{"v1": 10}},
		"without it the stage stands":        {false, map[string]int{"v1": 7, "v2": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			both := func(image string, u *Update) Job {
				j := web(10, image, u)
				side := web(2, "side", rolling(1)).Groups[0]
				side.Name, side.Update.ProgressDeadline, side.Update.AutoRevert = "beside", 0, c.reverts
				j.Groups = append(j.Groups, side)
				return j
			}
			r.register(both("v1", rolling(10)))
			r.pass(5 * time.Minute)
			must.EqOp(t, DeploySuccessful, r.latest().Status)
			r.register(both("v2", held(3, 0)))
			r.pass(time.Second)
			must.EqOp(t, "0 of 2 instances of group beside are healthy", r.latest().Others("g"))
			at := ref()
			at.Group = "beside"
			must.NoError(t, r.Crash(r.Instances(at)[0].ID, "Exceeded allowed attempts"))
			r.pass(10 * time.Minute)
			must.Eq(t, c.want, r.images())
		})
	}
}
