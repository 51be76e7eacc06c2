package blame

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame/blametest"
)

// sick is the effect on a neighbour whose error rate got worse some minutes
// after noon.
func sick(job string, minutes int) api.NeighbourEffect {
	return api.NeighbourEffect{Target: blametest.Target(job, 0).TargetRef, KPI: api.KPIErrorRate, Unit: "share", Value: 0.5, Before: 0.01,
		Since: blametest.Noon().Add(time.Duration(minutes) * time.Minute), Exposure: 600}
}

// seen is an effect that was last seen some minutes after noon.
func seen(e api.NeighbourEffect, minutes int) api.NeighbourEffect {
	e.Seen = blametest.Noon().Add(time.Duration(minutes) * time.Minute)
	return e
}

func margins() []api.KPISpec { return blametest.Judged("any", 1, 0).Decision.Judge.KPIs }

// naming is a verdict that names neighbours.
func naming(kind api.VerdictKind, minutes int, neighbours ...api.NeighbourEffect) api.Verdict {
	v := blametest.Verdict(kind, 0.01, 0.01, minutes)
	for _, e := range neighbours {
		if e.Seen.IsZero() {
			e = seen(e, minutes)
		}
		v.Neighbours = append(v.Neighbours, e)
	}
	return v
}

// streets tells the neighbours of each job.
func streets(of map[string][]api.Target) func(api.Rollout) []api.Target {
	return func(r api.Rollout) []api.Target { return of[r.Target.Job] }
}

func TestAttribute_WaitsForANeighbourThatGotWorse(t *testing.T) {
	shop, cart := blametest.Judged("shop", 1, 10), blametest.Judged("cart", 5, 12)
	beside := streets(map[string][]api.Target{"shop": {blametest.Target("front", 2)}, "cart": {blametest.Target("front", 2)}})
	t.Run("with the neighbour, the KPI, both figures and since when", func(t *testing.T) {
		v := Attribute(shop, naming(api.VerdictPromote, 15, sick("front", 14)), []api.Rollout{shop}, beside)
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.Eq(t, "error_rate of its neighbour prod/front/front is worse than before (50 % against 1 %, since 12:14:00 UTC), "+
			"which this rollout explains best; waits until it is over; the figures say promote", v.Reason)
	})
	t.Run("what was bad before the stage began is not its doing", func(t *testing.T) {
		e := sick("front", 2)
		e.Earlier = true
		must.Eq(t, api.VerdictPromote, Attribute(shop, naming(api.VerdictPromote, 15, e), []api.Rollout{shop}, beside).Kind)
		must.Eq(t, api.VerdictPromote, Attribute(shop, naming(api.VerdictPromote, 15, sick("front", 2)), []api.Rollout{shop}, beside).Kind)
	})
	t.Run("no neighbour got worse", func(t *testing.T) {
		must.Eq(t, api.VerdictPromote, Attribute(shop, naming(api.VerdictPromote, 15), []api.Rollout{shop}, beside).Kind)
	})
	t.Run("for as long as a stage may take; then the policy says what becomes of it", func(t *testing.T) {
		late := shop
		late.Decision.Judge.MaxDuration = api.Duration(4 * time.Minute)
		late.Stages = []api.Stage{{Number: 1, Began: blametest.Noon().Add(10 * time.Minute), Ready: blametest.Noon().Add(11 * time.Minute)}}
		must.Eq(t, api.VerdictContinue, Attribute(late, naming(api.VerdictPromote, 16, sick("front", 13)), []api.Rollout{late}, beside).Kind,
			must.Sprint("the stage's time is over, the neighbour's is not"))
		v := Attribute(late, naming(api.VerdictPromote, 17, sick("front", 13)), []api.Rollout{late}, beside)
		must.Eq(t, api.VerdictInconclusive, v.Kind)
		must.StrContains(t, v.Reason, "which this rollout explains best, and that is not over within 4m0s")
	})
	t.Run("of two that began before, the one with the larger share of what it reached waits", func(t *testing.T) {
		// The cart has five instances that are well, the shop has one.
		both := []api.Rollout{shop, cart}
		must.Eq(t, api.VerdictContinue, Attribute(shop, naming(api.VerdictPromote, 15, sick("front", 14)), both, beside).Kind)
		must.Eq(t, api.VerdictPromote, Attribute(cart, naming(api.VerdictPromote, 15, sick("front", 14)), both, beside).Kind)
	})
	t.Run("one that began after it got worse goes on, also when only the other saw that in time", func(t *testing.T) {
		was, late := shop, blametest.Judged("cart", 1, 20)
		v := naming(api.VerdictContinue, 15, sick("front", 14))
		was.Verdict = &v
		both := []api.Rollout{was, late}
		must.Eq(t, api.VerdictPromote, Attribute(late, naming(api.VerdictPromote, 22, sick("front", 21)), both, beside).Kind)
		must.Eq(t, api.VerdictContinue, Attribute(was, naming(api.VerdictPromote, 22, sick("front", 14)), both, beside).Kind)
	})
	t.Run("one that does not reach the neighbour explains nothing of it", func(t *testing.T) {
		apart := streets(map[string][]api.Target{"shop": {blametest.Target("front", 2), blametest.Target("well", 20)}, "cart": {blametest.Target("other", 2)}})
		v := Attribute(shop, naming(api.VerdictPromote, 15, sick("front", 14)), []api.Rollout{shop, cart}, apart)
		must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
	})
}

// No neighbour may ever make a verdict more favourable, or end a rollout.
func TestAttribute_NeighboursOnlyTakePromotionsBack(t *testing.T) {
	shop := blametest.Judged("shop", 1, 10)
	beside := streets(map[string][]api.Target{"shop": {blametest.Target("front", 2)}})
	for _, kind := range []api.VerdictKind{api.VerdictAbort, api.VerdictContinue, api.VerdictInconclusive} {
		v := Attribute(shop, naming(kind, 15, sick("front", 14)), []api.Rollout{shop}, beside)
		must.Eq(t, kind, v.Kind)
		must.StrContains(t, v.Reason, "the figures say "+string(kind))
		must.Eq(t, kind != api.VerdictAbort, strings.Contains(v.Reason, "of its neighbour prod/front/front is worse"))
	}
}

func TestNeighbours_KnowsThoseWithARolloutByItsVerdict(t *testing.T) {
	shop, db := blametest.Judged("shop", 1, 10), blametest.Judged("db", 5, 10)
	worse := markWorse(db, blametest.Verdict(api.VerdictContinue, 0.05, 0.05, 14))
	db.Verdict = &worse
	around := []api.Target{blametest.Target("front", 2), blametest.Target("db", 2)}
	minutes := map[api.TargetRef][]api.NeighbourEffect{
		blametest.Target("front", 2).TargetRef: {sick("front", 14)},
		blametest.Target("db", 2).TargetRef:    {sick("db", 1)},
	}
	out := Neighbours(shop, blametest.Noon().Add(15*time.Minute), []api.Rollout{shop, db}, around, minutes, margins())
	must.Len(t, 2, out)
	must.Eq(t, seen(sick("front", 14), 15), out[0])
	must.Eq(t, db.Target, out[1].Target)
	must.Eq(t, blametest.Noon().Add(14*time.Minute), out[1].Since, must.Sprint("by the verdict, not by its baseline"))

	db.Status, db.Stages = api.RolloutWaiting, nil
	out = Neighbours(shop, blametest.Noon().Add(15*time.Minute), []api.Rollout{shop, db}, around, minutes, margins())
	must.Len(t, 2, out)
	must.Eq(t, seen(sick("db", 1), 15), out[1], must.Sprint("a rollout that waits for its turn changes nothing yet"))
}

func TestNeighbours_RemembersSinceWhen(t *testing.T) {
	shop := blametest.Judged("shop", 1, 10)
	old := naming(api.VerdictContinue, 15, sick("front", 14))
	old.Neighbours[0].Earlier = true
	shop.Stages[0].Verdict = &old // of the stage before
	front := blametest.Target("front", 2)
	out := Neighbours(shop, blametest.Noon().Add(31*time.Minute), []api.Rollout{shop}, []api.Target{front},
		map[api.TargetRef][]api.NeighbourEffect{front.TargetRef: {sick("front", 30)}}, margins())
	must.Len(t, 1, out)
	must.Eq(t, blametest.Noon().Add(14*time.Minute), out[0].Since)
	must.True(t, out[0].Earlier)
}

func TestMargins_TakesLatenciesForOneKPI(t *testing.T) {
	var r api.Rollout
	r.Decision.Judge.KPIs = []api.KPISpec{{KPI: "latency_p90"}}
	must.Eq(t, []api.KPISpec{{KPI: "latency_p90"}, {KPI: api.KPICPU}}, Margins(r, []api.KPISpec{{KPI: api.KPILatencyP99}, {KPI: api.KPICPU}}))
}
