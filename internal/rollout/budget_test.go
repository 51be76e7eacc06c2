package rollout

import (
	"fmt"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// group is a view of a job, a letter for each instance in the order of their numbers:
// F and P healthy ones of the former and of the patched build, f and p those that are not,
// e a former one that is healthy and not for long enough, . one that Nomad has not placed.
func group(letters string) JobView {
	v := JobView{Count: len(letters), Version: 7, Early: map[string]bool{}}
	for i, letter := range letters {
		in := api.Instance{ID: fmt.Sprint(i), Name: fmt.Sprintf("web.web[%d]", i), Health: api.Healthy, Build: api.BuildFormer, JobVersion: 6}
		switch letter {
		case '.':
			continue
		case 'f', 'p', 'e':
			in.Health, in.Because = api.Pending, "still starting"
		}
		if letter == 'P' || letter == 'p' {
			in.Build, in.JobVersion = api.BuildPatched, 7
		}
		v.Early[in.ID] = letter == 'e'
		v.Instances = append(v.Instances, in)
	}
	slices.Reverse(v.Instances) // the order of a list says nothing
	return v
}

// What a stage takes is what the budget has left of everything that is down
// (hashicorp/nomad#14200 is an outage by what was not counted).
func TestLoad_CountsEverythingThatIsDown(t *testing.T) {
	for name, c := range map[string]struct {
		view     string
		budget   int // 0: the job's own max_parallel
		parallel int
		before   int // not healthy when the rollout began
		asked    int
		takes    int
		full     string
	}{
		"nothing is down":                                {view: "FFFFF", budget: 2, takes: 2},
		"no limit":                                       {view: "FffFF", takes: 5},
		"patched ones are on their way":                  {view: "PpFFF", budget: 2, asked: 2, takes: 1},
		"asked for and not shown":                        {view: "PFFFF", budget: 2, asked: 2, takes: 1},
		"all are on their way":                           {view: "ppFFF", budget: 2, asked: 2, full: "2 patched instances are not healthy and the budget is 2"},
		"a former one is down":                           {view: "PFFfF", budget: 2, asked: 1, takes: 1},
		"one is not placed":                              {view: "PFF.F", budget: 1, asked: 1, full: "1 of 5 instances are not healthy and the budget is 1: nomad has not placed 1 of 5 instances"},
		"former ones are down":                           {view: "PFFff", budget: 2, asked: 1, full: "2 of 5 instances are not healthy and the budget is 2: web.web[4]: still starting"},
		"what is down goes for nothing":                  {view: "fFFFF", budget: 1, takes: 1},
		"and lets others go by":                          {view: "fFfFF", budget: 3, takes: 3},
		"not more than may be on their way":              {view: "fffFF", budget: 2, takes: 2},
		"not while those are on their way":               {view: "pfFFF", budget: 1, asked: 1, full: "1 patched instances are not healthy and the budget is 1"},
		"one that just began to serve":                   {view: "eFFFF", budget: 1, full: "1 of 5 instances are not healthy and the budget is 1: web.web[0]: still starting"},
		"the job's pace":                                 {view: "FFFfF", parallel: 1, full: "1 of 5 instances are not healthy and the job's max_parallel is 1: web.web[3]: still starting"},
		"the job's pace forgives what was down before":   {view: "FFFfF", parallel: 1, before: 1, takes: 1},
		"a budget does not":                              {view: "FFFfF", budget: 1, before: 1, full: "1 of 5 instances are not healthy and the budget is 1: web.web[3]: still starting"},
		"forgiven ones do not stand in for patched ones": {view: "pFFFF", parallel: 1, before: 1, asked: 1, full: "1 patched instances are not healthy and the job's max_parallel is 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{Former: &api.FormerJob{Count: len(c.view), Unhealthy: c.before}}
			r.Decision.Budget.Instances = c.budget
			if c.asked > 0 {
				r.Stages = []api.Stage{{Number: 1, Mode: api.StageInPlace, Instances: 5, Asked: c.asked}}
			}
			v := group(c.view)
			v.MaxParallel = c.parallel
			l := loadOf(r, v)
			must.EqOp(t, c.takes, l.takes())
			must.EqOp(t, c.full, l.full())
		})
	}
}

// What goes down between the intent and the effect keeps the effect back.
func TestCrowded_LooksBeforeTheEffect(t *testing.T) {
	for name, c := range map[string]struct {
		view   string
		mode   api.StageMode
		reason string
	}{
		"as it was intended":  {view: "PFFFFFFF", mode: api.StageInPlace},
		"one has gone down":   {view: "PFFFFFFf", mode: api.StageInPlace, reason: "stage 2 takes 2 more instances, 1 of 8 are not healthy and the budget is 2: web.web[7]: still starting"},
		"two have gone down":  {view: "PFFFFFff", mode: api.StageInPlace, reason: "2 of 8 instances are not healthy and the budget is 2: web.web[7]: still starting"},
		"it is down itself":   {view: "PfFFFFFF", mode: api.StageInPlace},
		"an older view":       {view: "FFFFFFFF", mode: api.StageInPlace, reason: "stage 2 takes 2 more instances, 1 of 8 are not healthy and the budget is 2"},
		"beside all that run": {view: "PFFFFFff", mode: api.StageBeside},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{
				Former:  &api.FormerJob{Count: 8},
				Stages:  []api.Stage{{Number: 1, Mode: api.StageInPlace}, {Number: 2, Mode: c.mode}},
				Effects: []api.Effect{{Kind: api.EffectStage, Status: api.EffectDone, Stage: 1, Want: 1}},
				Effect:  &api.Effect{Kind: api.EffectStage, Stage: 2, Want: 3},
			}
			r.Decision.Budget.Instances = 2
			hold := Crowded(r, group(c.view))
			if c.reason == "" {
				must.Nil(t, hold)
				return
			}
			must.Eq(t, &api.Hold{Source: sourceBudget, Reason: c.reason}, hold)
		})
	}
}
