package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// perNode is a view of a job with an instance on each node, as group has it.
func perNode(letters string, lost int) JobView {
	v := group(letters)
	v.PerNode, v.Lost = true, lost
	return v
}

// Nobody knows which node goes next: a budget counts as if healthy ones went first, and those
// that are lost with their nodes are down too.
func TestLoad_OfAJobOnEachNode(t *testing.T) {
	for name, c := range map[string]struct {
		view   string
		lost   int
		budget int
		takes  int
		full   string
	}{
		"nothing is down":           {view: "FFFFF", budget: 2, takes: 2},
		"one that is down may stay": {view: "fFFFF", budget: 2, takes: 1},
		"and takes the room":        {view: "fFFFF", budget: 1, full: "1 of 5 instances are not healthy and the budget is 1: web.web[0]: still starting"},
		"one is lost with its node": {view: "FFFF", lost: 1, budget: 2, takes: 1},
		"and takes the room as well": {
			view: "FFFF", lost: 1, budget: 1, full: "1 of 5 instances are not healthy and the budget is 1: 1 of them are lost with their nodes",
		},
		"the job's own pace does not count those": {view: "FFFF", lost: 2, takes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{Former: &api.FormerJob{Count: len(c.view)}}
			r.Decision.Budget.Instances = c.budget
			v := perNode(c.view, c.lost)
			v.MaxParallel = 1
			l := loadOf(r, v)
			must.EqOp(t, c.takes, l.takes())
			must.EqOp(t, c.full, l.full())
		})
	}
}

// On the way back too, so that a step takes no healthy instance that it has no room for.
func TestReturning_OfAJobOnEachNode(t *testing.T) {
	for name, c := range map[string]struct {
		view string
		size int
	}{
		"all serve":            {"PPPF", 1},
		"one is down":          {"pPPF", 1}, // it may be one that serves
		"none serves":          {"pppF", 3},
		"one has yet to start": {"PPfF", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{Former: &api.FormerJob{Count: len(c.view)}}
			r.Decision.Budget.Instances, r.Decision.Deadline = 1, api.Duration(time.Minute)
			must.EqOp(t, c.size, returningOf(r, perNode(c.view, 0)).size(1))
		})
	}
}

func TestStep_HoldsAStageBesideOfAJobOnEachNode(t *testing.T) {
	r := api.Rollout{ID: "r1", Status: api.RolloutRunning, Former: &api.FormerJob{Count: 4}}
	v := perNode("FFFF", 0)
	v.Build, v.Pace, v.MaxParallel = api.BuildFormer, PaceOwn, 1
	advice := &api.Advice{Action: api.AdviceStage, Percent: 50, Mode: api.StageBeside}
	next, err := Step(r, Tick{Observation{Job: &v, Advice: advice}}, time.Unix(0, 0))
	must.NoError(t, err)
	must.EqOp(t, api.RolloutHolding, next.Status)
	must.StrContains(t, next.Reason, "no node has a place for a second instance of a system job")
	must.Nil(t, next.Effect)
	must.SliceEmpty(t, next.Stages)
	advice.Mode = api.StageInPlace
	next, err = Step(next, Tick{Observation{Job: &v, Advice: advice}}, time.Unix(1, 0))
	must.NoError(t, err)
	must.EqOp(t, api.EffectStage, next.Effect.Kind)
	must.EqOp(t, 1, next.Effect.Want)
}

// The one instance that a patch nobody could try begins with is drained with its node: the
// one in its place has the whole time of a stage.
func TestStep_BeginsAnewWhereTheFirstInstanceIsDrained(t *testing.T) {
	began := time.Unix(0, 0)
	r := api.Rollout{
		ID: "r1", Status: api.RolloutRunning, Former: &api.FormerJob{Count: 4},
		Stages:  []api.Stage{{Number: 1, Mode: api.StageInPlace, Instances: 1, Asked: 1, Began: began, Ready: began}},
		Effects: []api.Effect{{ID: "r1.1", Kind: api.EffectStage, Stage: 1, Want: 1, Status: api.EffectDone}},
	}
	r.Decision.Deadline = api.Duration(time.Minute)
	r.Decision.Judge = api.JudgeSpec{Enabled: true, OnInconclusive: "hold"}
	r.Decision.Rollback = api.RollbackSpec{OnHealth: true, OnDeadline: true}
	v := perNode("FFF", 0)
	v.Build, v.Pace, v.MaxParallel, v.MinHealthyTime = api.BuildPatched, PaceHeld, 1, time.Second
	r, err := Step(r, Tick{Observation{Job: &v}}, began.Add(time.Second))
	must.NoError(t, err)
	must.EqOp(t, api.EffectStage, r.Effect.Kind)
	must.EqOp(t, 1, r.Effect.Want)
	must.True(t, r.Stages[0].Ready.IsZero())
	must.False(t, Judging(r))

	r, err = Step(r, Finished{EffectResult{ID: r.Effect.ID, OK: true}}, began.Add(2*time.Second))
	must.NoError(t, err)
	v = perNode("pFF", 0)
	v.Build, v.Pace, v.MaxParallel, v.MinHealthyTime = api.BuildPatched, PaceHeld, 1, time.Second
	for i := range 30 {
		r, err = Step(Count(r, time.Second), Tick{Observation{Job: &v}}, began.Add(time.Duration(3+i)*time.Second))
		must.NoError(t, err)
	}
	must.EqOp(t, api.RolloutRunning, r.Status, must.Sprint(r.Reason))
}
