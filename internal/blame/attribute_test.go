package blame

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame/blametest"
)

// joined has an edge between the shop and the database.
func joined() func(api.Rollout) []api.Target {
	return streets(map[string][]api.Target{"shop": {blametest.Target("db", 10)}, "db": {blametest.Target("shop", 10)}})
}

func apart(api.Rollout) []api.Target { return nil }

func TestAttribute_BlamesTheRolloutThatExplainsIt(t *testing.T) {
	shop, db := blametest.Judged("shop", 1, 10), blametest.Judged("db", 2, 5)
	t.Run("both arms worse beside a neighbour's rollout wait for that", func(t *testing.T) {
		v := Attribute(shop, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, db}, joined())
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.StrContains(t, v.Reason, "error_rate of patched and former instances alike is worse than before (5 % and 5 % against 1 %), which rollout rollout-db of prod/db/db explains better")
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
		must.Eq(t, 10, v.Blame[0].Faults)
	})
	t.Run("an abort stays one and names the neighbour only with its reason", func(t *testing.T) {
		v := Attribute(shop, blametest.Verdict(api.VerdictAbort, 0.5, 0.05, 12), []api.Rollout{shop, db}, joined())
		must.Eq(t, api.VerdictAbort, v.Kind)
		must.StrContains(t, v.Reason, "rollout-db of prod/db/db explains what got worse around it better, but the patched instances are worse")
	})
	t.Run("an abort whose former instances are well is its own fault", func(t *testing.T) {
		v := Attribute(shop, blametest.Verdict(api.VerdictAbort, 0.5, 0.01, 12), []api.Rollout{shop, db}, joined())
		must.Eq(t, "the figures say abort", v.Reason)
		must.Eq(t, "rollout-shop", v.Blame[0].Rollout)
	})
	t.Run("the rollout that explains its neighbour's trouble is not promoted", func(t *testing.T) {
		sick := shop
		seen := markWorse(shop, blametest.Verdict(api.VerdictContinue, 0.05, 0.05, 12))
		sick.Verdict = &seen
		open := []api.Rollout{sick, db}
		v := blametest.Verdict(api.VerdictPromote, 0.01, 0.01, 13)
		v.Neighbours = Neighbours(db, v.At, open, []api.Target{blametest.Target("shop", 10)}, nil, margins())
		must.Len(t, 1, v.Neighbours)
		v = Attribute(db, v, open, joined())
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.StrContains(t, v.Reason, "error_rate of its neighbour prod/shop/shop is worse than before (5 % against 1 %, since 12:12:00 UTC), which this rollout explains best; waits until it is over")
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
		must.SliceEmpty(t, byVerdict(sick, db.Stages[0].Began, blametest.Noon().Add(14*time.Minute)), must.Sprint("a verdict of two minutes ago says nothing of now"))
	})
	t.Run("of two rollouts in stages, the one whose stage began just before is blamed", func(t *testing.T) {
		// The database's first stage was long ago, its second two minutes before it got worse.
		staged, third := blametest.Judged("db", 2, -200), blametest.Judged("third", 2, -60)
		staged.Stages = append(staged.Stages, api.Stage{Number: 2, Began: blametest.Noon().Add(10 * time.Minute)})
		near := streets(map[string][]api.Target{"shop": {blametest.Target("db", 10), blametest.Target("third", 10)}, "db": {blametest.Target("shop", 10)}, "third": {blametest.Target("shop", 10)}})
		v := Attribute(shop, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, staged, third}, near)
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
		staged.Stages = staged.Stages[:1]
		v = Attribute(shop, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, staged, third}, near)
		must.Eq(t, "rollout-third", v.Blame[0].Rollout)
	})
	t.Run("targets that no edge joins are not blamed", func(t *testing.T) {
		v := Attribute(shop, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, db}, apart)
		must.Eq(t, api.VerdictPromote, v.Kind)
		must.SliceEmpty(t, v.Blame)
	})
	t.Run("a neighbour's rollout that began later explains nothing", func(t *testing.T) {
		was := shop
		seen := markWorse(shop, blametest.Verdict(api.VerdictContinue, 0.05, 0.05, 12))
		was.Verdict = &seen
		later := blametest.Judged("db", 2, 20)
		v := Attribute(was, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 22), []api.Rollout{was, later}, joined())
		must.Eq(t, api.VerdictPromote, v.Kind)
		must.Eq(t, blametest.Noon().Add(12*time.Minute), v.KPIs[0].Worse)
	})
	t.Run("what was worse before its own first stage is another's doing", func(t *testing.T) {
		late := blametest.Judged("shop", 1, 11)
		seen := markWorse(late, blametest.Verdict(api.VerdictContinue, 0.05, 0.05, 10))
		late.Verdict = &seen
		v := Attribute(late, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{late, db}, joined())
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.Len(t, 1, v.Blame)
		must.Eq(t, "rollout-db", v.Blame[0].Rollout)
	})
	t.Run("a neighbour that waits for its turn explains nothing", func(t *testing.T) {
		waiting := db
		waiting.Status, waiting.Former, waiting.Stages = api.RolloutWaiting, nil, nil
		v := Attribute(shop, blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12), []api.Rollout{shop, waiting}, joined())
		must.Eq(t, api.VerdictPromote, v.Kind)
	})
	t.Run("without a baseline nothing is said to be worse", func(t *testing.T) {
		v := blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12)
		v.KPIs[0].Before = nil
		must.Eq(t, api.VerdictPromote, Attribute(shop, v, []api.Rollout{shop, db}, joined()).Kind)
	})
}

// No vote may ever make a verdict more favourable.
func TestAttribute_OnlyTakesPromotionsBack(t *testing.T) {
	for _, kind := range []api.VerdictKind{api.VerdictAbort, api.VerdictContinue, api.VerdictInconclusive} {
		for _, figures := range [][2]float64{{0.01, 0.01}, {0.5, 0.01}, {0.05, 0.05}} {
			shop, db := blametest.Judged("shop", 1, 10), blametest.Judged("db", 2, 5)
			v := Attribute(shop, blametest.Verdict(kind, figures[0], figures[1], 12), []api.Rollout{shop, db}, joined())
			must.Eq(t, kind, v.Kind)
		}
	}
}

func TestAttribute_KeepsWhatBothArmsShowedUntilTheyShowOtherwise(t *testing.T) {
	shop, db := blametest.Judged("shop", 1, 10), blametest.Judged("db", 2, 5)
	was := markWorse(shop, blametest.Verdict(api.VerdictContinue, 0.05, 0.05, 12))
	shop.Verdict = &was
	for name, c := range map[string]struct {
		change func(*api.KPIEffect)
		want   api.VerdictKind
	}{
		"no data":                       {func(k *api.KPIEffect) { k.Missing, k.Canary, k.Stable = true, 0, 0 }, api.VerdictContinue},
		"no baseline":                   {func(k *api.KPIEffect) { k.Before = nil }, api.VerdictContinue},
		"well, by the baseline of then": {func(k *api.KPIEffect) { k.Before, k.Canary, k.Stable = nil, 0.01, 0.01 }, api.VerdictPromote},
		"well":                          {func(k *api.KPIEffect) { k.Canary, k.Stable = 0.01, 0.01 }, api.VerdictPromote},
	} {
		t.Run(name, func(t *testing.T) {
			next := blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 13)
			c.change(&next.KPIs[0])
			v := Attribute(shop, next, []api.Rollout{shop, db}, joined())
			must.Eq(t, c.want, v.Kind)
			if c.want == api.VerdictContinue {
				must.Eq(t, was.KPIs[0].Worse, v.KPIs[0].Worse)
				must.Eq(t, 0.01, *v.KPIs[0].Before)
				must.StrContains(t, v.Reason, "which rollout rollout-db of prod/db/db explains better")
			}
		})
	}
}
