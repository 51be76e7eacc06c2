package rollout

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// running are some patched instances of job version 7, and some canaries.
func running(patched, canaries int) []api.Instance {
	var out []api.Instance
	for i := range patched + canaries {
		out = append(out, api.Instance{ID: fmt.Sprint(i), Build: api.BuildPatched, Canary: i >= patched, JobVersion: 7})
	}
	return out
}

// secondStage is a rollout of ten instances whose second stage wants five. The
// first stage has reached two.
func secondStage(first api.StageMode) api.Rollout {
	return api.Rollout{
		Former:  &api.FormerJob{Count: 10},
		Stages:  []api.Stage{{Number: 1, Mode: first}, {Number: 2, Mode: api.StageInPlace}},
		Effects: []api.Effect{{Kind: api.EffectStage, Status: api.EffectDone, Stage: 1, Want: 2}},
		Effect:  &api.Effect{Kind: api.EffectStage, Stage: 2, Want: 5, Expect: 100},
	}
}

// The next stage adds what is missing: by the record when the list of instances is
// older than the job, and without canaries, which Nomad stops at the next
// registration.
func TestStageSize_AddsWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		before   api.StageMode
		seen     []api.Instance
		recorded []api.Instance // with the intent
		budget   int
		want     int
	}{
		"in place":                                {api.StageInPlace, running(2, 0), nil, 0, 3},
		"a former instance came back":             {api.StageInPlace, running(3, 0), nil, 0, 2},
		"an older list":                           {api.StageInPlace, nil, nil, 0, 3},
		"a list older than the intent":            {api.StageInPlace, running(2, 0), running(4, 0), 0, 1},
		"an older list, with a budget":            {api.StageInPlace, nil, nil, 1, 1},
		"never more than the budget":              {api.StageInPlace, running(1, 0), nil, 2, 2},
		"after canaries":                          {api.StageBeside, running(0, 2), nil, 0, 5},
		"after canaries the budget does not bind": {api.StageBeside, running(0, 2), nil, 2, 5},
		"more than enough came back":              {api.StageInPlace, running(6, 0), nil, 0, 1},
		"canaries beside patched ones":            {api.StageBeside, running(1, 1), nil, 0, 4},
		"an older list, after canaries":           {api.StageBeside, nil, nil, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := secondStage(c.before)
			r.Instances, r.Decision.Budget.Instances = c.recorded, c.budget
			must.Eq(t, c.want, StageSize(r, JobView{Instances: c.seen}))
		})
	}
}

func TestVerify_Stage(t *testing.T) {
	patchedJob := func(index uint64, patched, canaries int) JobView {
		return JobView{ModifyIndex: index, Version: 7, Count: 10, Build: api.BuildPatched, Pace: PaceHeld, Instances: running(patched, canaries)}
	}
	old := patchedJob(101, 5, 0)
	old.Version = 8
	foreign := patchedJob(101, 5, 0)
	foreign.Build = api.BuildForeign
	ownPace := patchedJob(100, 5, 0)
	ownPace.Pace = PaceOwn
	scaled := func(expected uint64, count, patched int) JobView {
		v := patchedJob(101, patched, 0)
		v.Expected, v.Count = expected, count
		return v
	}
	for name, c := range map[string]struct {
		first api.StageMode
		want  int
		view  JobView
		is    Progress
	}{
		"scaled before it was registered":          {api.StageInPlace, 5, scaled(90, 12, 4), Blocked},
		"scaled, and enough new ones came":         {api.StageInPlace, 5, scaled(90, 12, 5), Blocked},
		"another group was scaled before it":       {api.StageInPlace, 5, scaled(90, 10, 2), Blocked},
		"scaled after it was registered":           {api.StageInPlace, 5, scaled(100, 12, 4), Pending},
		"scaled below what it asks for":            {api.StageInPlace, 5, scaled(100, 3, 3), Blocked},
		"nothing was registered yet":               {api.StageInPlace, 5, patchedJob(100, 2, 0), Absent},
		"enough came back without it":              {api.StageInPlace, 5, patchedJob(100, 5, 0), Unneeded},
		"canaries that end do not count":           {api.StageBeside, 5, patchedJob(100, 1, 4), Absent},
		"an earlier stage has reached it already":  {api.StageInPlace, 2, patchedJob(100, 0, 0), Complete},
		"it is registered, instances are missing":  {api.StageInPlace, 5, patchedJob(101, 4, 0), Pending},
		"it is registered, instances are there":    {api.StageInPlace, 5, patchedJob(101, 5, 0), Complete},
		"they run an earlier version of the job":   {api.StageInPlace, 5, old, Pending},
		"somebody else registered another version": {api.StageInPlace, 5, foreign, Blocked},
		"the job has its own pace still":           {api.StageInPlace, 5, ownPace, Absent},
	} {
		t.Run(name, func(t *testing.T) {
			r := secondStage(c.first)
			r.Effect.Want = c.want
			is, shown := Verify(r, c.view)
			must.Eq(t, c.is, is, must.Sprint(shown))
			must.StrContains(t, shown, "job")
		})
	}
}

func TestVerify_OtherEffects(t *testing.T) {
	former := []api.Instance{{Build: api.BuildFormer}}
	for name, c := range map[string]struct {
		kind   api.EffectKind
		stages int
		view   JobView
		is     Progress
	}{
		"promote: blue is still there":                {api.EffectPromote, 1, JobView{Build: api.BuildPatched, Instances: former}, Absent},
		"promote: blue is on its way out":             {api.EffectPromote, 1, JobView{Build: api.BuildPatched, Promoted: true, Instances: former}, Pending},
		"promote: blue is gone":                       {api.EffectPromote, 1, JobView{Build: api.BuildPatched, Promoted: true}, Complete},
		"promote: somebody else's":                    {api.EffectPromote, 1, JobView{Build: api.BuildForeign}, Blocked},
		"finish: our update block":                    {api.EffectFinish, 1, JobView{Build: api.BuildPatched, Pace: PaceHeld}, Absent},
		"finish: its own update block":                {api.EffectFinish, 1, JobView{Build: api.BuildPatched, Pace: PaceOwn}, Complete},
		"finish: the former one":                      {api.EffectFinish, 1, JobView{Build: api.BuildFormer, Pace: PaceOwn}, Blocked},
		"rollback: the patched one":                   {api.EffectRollback, 1, JobView{Build: api.BuildPatched, Pace: PaceHeld}, Absent},
		"rollback: looks untouched, a stage may come": {api.EffectRollback, 1, JobView{Build: api.BuildFormer, Pace: PaceOwn}, Absent},
		"rollback: untouched":                         {api.EffectRollback, 0, JobView{Build: api.BuildFormer, Pace: PaceOwn}, Complete},
		"rollback: somebody else's":                   {api.EffectRollback, 1, JobView{Build: api.BuildForeign}, Blocked},
		"unpace: our update block":                    {api.EffectUnpace, 1, JobView{Build: api.BuildFormer, Pace: PaceHeld}, Absent},
		"unpace: its own update block":                {api.EffectUnpace, 1, JobView{Build: api.BuildFormer, Pace: PaceOwn}, Complete},
		"unpace: the patched one":                     {api.EffectUnpace, 1, JobView{Build: api.BuildPatched, Pace: PaceOwn}, Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{Stages: make([]api.Stage, c.stages), Effect: &api.Effect{Kind: c.kind}}
			is, shown := Verify(r, c.view)
			must.Eq(t, c.is, is, must.Sprint(shown))
			must.StrNotContains(t, shown, "%!")
			must.NotEq(t, "", shown)
		})
	}
}

// A step of a rollback is done when the job is the former one by a registration of its
// own, and as many instances as it asks for have followed.
func TestVerify_StepOfARollback(t *testing.T) {
	at := func(index uint64, now, before int) JobView {
		v := JobView{ModifyIndex: index, Version: 9, Count: 10, Build: api.BuildFormer, Pace: PaceHeld, Instances: running(2, 0)}
		for i := range now + before {
			in := api.Instance{Build: api.BuildFormer, JobVersion: 9}
			if i >= now {
				in.JobVersion = 8
			}
			v.Instances = append(v.Instances, in)
		}
		return v
	}
	failed := at(101, 3, 0)
	failed.Failed = true
	own := at(101, 4, 0)
	own.Pace = PaceOwn
	for name, c := range map[string]struct {
		view JobView
		is   Progress
	}{
		"the step before it is registered":              {at(100, 4, 0), Absent},
		"it is registered, and Nomad has done nothing":  {at(101, 0, 4), Pending},
		"one is missing":                                {at(101, 3, 0), Pending},
		"all have followed":                             {at(101, 4, 0), Complete},
		"one is missing, and the deployment has failed": {failed, Complete},
		"somebody else registered the former job":       {own, Absent},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{Stages: make([]api.Stage, 1), Effect: &api.Effect{Kind: api.EffectRollback, Want: 4, Expect: 100}}
			is, shown := Verify(r, c.view)
			must.EqOp(t, c.is, is, must.Sprint(shown))
			must.StrContains(t, shown, "job version 9")
		})
	}
}
