package blame

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

// judged is a rollout of ten instances, patched of which run the patch, whose first
// stage began some minutes after noon.
func judged(job string, patched, minutes int) api.Rollout {
	r := api.Rollout{
		ID: "rollout-" + job, Status: api.RolloutRunning, Former: &api.FormerJob{Count: 10},
		Target: api.TargetRef{Namespace: "prod", Job: job, Group: job},
		Stages: []api.Stage{{Number: 1, Began: noon().Add(time.Duration(minutes) * time.Minute)}},
	}
	r.Decision.Judge.KPIs = []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.001}}
	for i := range 10 {
		in := api.Instance{ID: fmt.Sprint(job, i), Build: api.BuildFormer}
		if i < patched {
			in.Build = api.BuildPatched
		}
		r.Instances = append(r.Instances, in)
	}
	return r
}

// looked is a verdict on the error rate of both arms, where one percent failed before.
func looked(kind api.VerdictKind, canary, stable float64, minutes int) api.Verdict {
	before := 0.01
	return api.Verdict{Kind: kind, At: noon().Add(time.Duration(minutes) * time.Minute), Reason: "the figures say " + string(kind),
		KPIs: []api.KPIEffect{{KPI: api.KPIErrorRate, Unit: "share", Canary: canary, Stable: stable, Before: &before}}}
}

// joined has an edge between the shop and the database.
func joined() func(api.TargetRef) []api.Target {
	return streets(map[string][]api.Target{"shop": {target("db", 10)}, "db": {target("shop", 10)}})
}

func apart(api.TargetRef) []api.Target { return nil }

func TestAttribute_BlamesTheRolloutThatExplainsIt(t *testing.T) {
	shop, db := judged("shop", 1, 10), judged("db", 2, 5)
	t.Run("both arms worse beside a neighbour's rollout wait for that", func(t *testing.T) {
		v := Attribute(shop, looked(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, db}, joined())
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.StrContains(t, v.Reason, "error_rate of patched and former instances alike is worse than before (5 % and 5 % against 1 %), which rollout rollout-db of prod/db/db explains better")
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
		must.Eq(t, 10, v.Blame[0].Faults)
	})
	t.Run("an abort stays one and names the neighbour only with its reason", func(t *testing.T) {
		v := Attribute(shop, looked(api.VerdictAbort, 0.5, 0.05, 12), []api.Rollout{shop, db}, joined())
		must.Eq(t, api.VerdictAbort, v.Kind)
		must.StrContains(t, v.Reason, "rollout-db of prod/db/db explains what got worse around it better, but the patched instances are worse")
	})
	t.Run("an abort whose former instances are well is its own fault", func(t *testing.T) {
		v := Attribute(shop, looked(api.VerdictAbort, 0.5, 0.01, 12), []api.Rollout{shop, db}, joined())
		must.Eq(t, "the figures say abort", v.Reason)
		must.Eq(t, "rollout-shop", v.Blame[0].Rollout)
	})
	t.Run("the rollout that explains its neighbour's trouble is not promoted", func(t *testing.T) {
		sick := shop
		seen := markWorse(shop, looked(api.VerdictContinue, 0.05, 0.05, 12))
		sick.Verdict = &seen
		open := []api.Rollout{sick, db}
		v := looked(api.VerdictPromote, 0.01, 0.01, 13)
		v.Neighbours = bothWorse(sick, db.Stages[0].Began, v.At)
		must.Len(t, 1, v.Neighbours)
		v = Attribute(db, v, open, joined())
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.StrContains(t, v.Reason, "error_rate of its neighbour prod/shop/shop is worse than before (5 % against 1 %, since 12:12:00 UTC), which this rollout explains best; waits until it is over")
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
		must.SliceEmpty(t, bothWorse(sick, db.Stages[0].Began, noon().Add(14*time.Minute)), must.Sprint("a verdict of two minutes ago says nothing of now"))
	})
	t.Run("of two rollouts in stages, the one whose stage began just before is blamed", func(t *testing.T) {
		// The database's first stage was long ago, its second two minutes before it got worse.
		staged, third := judged("db", 2, -200), judged("third", 2, -60)
		staged.Stages = append(staged.Stages, api.Stage{Number: 2, Began: noon().Add(10 * time.Minute)})
		near := streets(map[string][]api.Target{"shop": {target("db", 10), target("third", 10)}, "db": {target("shop", 10)}, "third": {target("shop", 10)}})
		v := Attribute(shop, looked(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, staged, third}, near)
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
		staged.Stages = staged.Stages[:1]
		v = Attribute(shop, looked(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, staged, third}, near)
		must.Eq(t, "rollout-third", v.Blame[0].Rollout)
	})
	t.Run("targets that no edge joins are not blamed", func(t *testing.T) {
		v := Attribute(shop, looked(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, db}, apart)
		must.Eq(t, api.VerdictPromote, v.Kind)
		must.SliceEmpty(t, v.Blame)
	})
	t.Run("a neighbour's rollout that began later explains nothing", func(t *testing.T) {
		was := shop
		seen := markWorse(shop, looked(api.VerdictContinue, 0.05, 0.05, 12))
		was.Verdict = &seen
		later := judged("db", 2, 20)
		v := Attribute(was, looked(api.VerdictPromote, 0.05, 0.05, 22), []api.Rollout{was, later}, joined())
		must.Eq(t, api.VerdictPromote, v.Kind)
		must.Eq(t, noon().Add(12*time.Minute), v.KPIs[0].Worse)
	})
	t.Run("what was worse before its own first stage is another's doing", func(t *testing.T) {
		late := judged("shop", 1, 11)
		seen := markWorse(late, looked(api.VerdictContinue, 0.05, 0.05, 10))
		late.Verdict = &seen
		v := Attribute(late, looked(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{late, db}, joined())
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.Len(t, 1, v.Blame)
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
	})
	t.Run("a neighbour that waits for its turn explains nothing", func(t *testing.T) {
		waiting := db
		waiting.Status, waiting.Former, waiting.Stages = api.RolloutWaiting, nil, nil
		v := Attribute(shop, looked(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, waiting}, joined())
		must.Eq(t, api.VerdictPromote, v.Kind)
	})
	t.Run("without a baseline nothing is said to be worse", func(t *testing.T) {
		v := looked(api.VerdictPromote, 0.05, 0.05, 12)
		v.KPIs[0].Before = nil
		must.Eq(t, api.VerdictPromote, Attribute(shop, v, []api.Rollout{shop, db}, joined()).Kind)
	})
}

// No vote may ever make a verdict more favourable.
func TestAttribute_OnlyTakesPromotionsBack(t *testing.T) {
	for _, kind := range []api.VerdictKind{api.VerdictAbort, api.VerdictContinue, api.VerdictInconclusive} {
		for _, figures := range [][2]float64{{0.01, 0.01}, {0.5, 0.01}, {0.05, 0.05}} {
			shop, db := judged("shop", 1, 10), judged("db", 2, 5)
			v := Attribute(shop, looked(kind, figures[0], figures[1], 12), []api.Rollout{shop, db}, joined())
			must.Eq(t, kind, v.Kind)
		}
	}
}
