package orchestrator

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func target(job string, count int) api.Target {
	return api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: job, Group: job}, Count: count}
}

// sick is what is heard of a neighbour whose error rate got worse some minutes
// after noon.
func sick(job string, minutes int) api.NeighbourEffect {
	return api.NeighbourEffect{Target: target(job, 0).TargetRef, KPI: api.KPIErrorRate, Unit: "share", Value: 0.5, Before: 0.01,
		Since: noon().Add(time.Duration(minutes) * time.Minute)}
}

// heard is a verdict that heard something of neighbours.
func heard(kind api.VerdictKind, minutes int, neighbours ...api.NeighbourEffect) api.Verdict {
	v := looked(kind, 0.01, 0.01, minutes)
	v.Neighbours = neighbours
	return v
}

// streets tells the neighbours of each job.
func streets(of map[string][]api.Target) func(api.TargetRef) []api.Target {
	return func(ref api.TargetRef) []api.Target { return of[ref.Job] }
}

func TestAPromotionWaitsForANeighbourThatGotWorse(t *testing.T) {
	shop, cart := judged("shop", 1, 10), judged("cart", 5, 12)
	beside := streets(map[string][]api.Target{"shop": {target("front", 2)}, "cart": {target("front", 2)}})
	t.Run("with the neighbour, the KPI, both figures and since when", func(t *testing.T) {
		v := attribute(shop, heard(api.VerdictPromote, 15, sick("front", 14)), []api.Rollout{shop}, beside)
		must.Eq(t, api.VerdictContinue, v.Kind)
		must.Eq(t, "error_rate of its neighbour prod/front/front is worse than before (50 % against 1 %, since 12:14:00 UTC), "+
			"which this rollout explains best; waits until it is over; the figures say promote", v.Reason)
	})
	t.Run("what was bad before the stage began is not its doing", func(t *testing.T) {
		e := sick("front", 2)
		e.Earlier = true
		must.Eq(t, api.VerdictPromote, attribute(shop, heard(api.VerdictPromote, 15, e), []api.Rollout{shop}, beside).Kind)
		must.Eq(t, api.VerdictPromote, attribute(shop, heard(api.VerdictPromote, 15, sick("front", 2)), []api.Rollout{shop}, beside).Kind)
	})
	t.Run("no neighbour got worse", func(t *testing.T) {
		must.Eq(t, api.VerdictPromote, attribute(shop, heard(api.VerdictPromote, 15), []api.Rollout{shop}, beside).Kind)
	})
	t.Run("for as long as a stage may take; then the policy says what becomes of it", func(t *testing.T) {
		late := shop
		late.Decision.Judge.MaxDuration = api.Duration(4 * time.Minute)
		late.Stages = []api.Stage{{Number: 1, Began: noon().Add(10 * time.Minute), Ready: noon().Add(11 * time.Minute)}}
		must.Eq(t, api.VerdictContinue, attribute(late, heard(api.VerdictPromote, 16, sick("front", 13)), []api.Rollout{late}, beside).Kind,
			must.Sprint("the stage's time is over, the neighbour's is not"))
		v := attribute(late, heard(api.VerdictPromote, 17, sick("front", 13)), []api.Rollout{late}, beside)
		must.Eq(t, api.VerdictInconclusive, v.Kind)
		must.StrContains(t, v.Reason, "which this rollout explains best, and that is not over within 4m0s")
	})
	t.Run("of two that began before, the one with the larger share of what it reached waits", func(t *testing.T) {
		// The cart has five instances that are well, the shop has one.
		both := []api.Rollout{shop, cart}
		must.Eq(t, api.VerdictContinue, attribute(shop, heard(api.VerdictPromote, 15, sick("front", 14)), both, beside).Kind)
		must.Eq(t, api.VerdictPromote, attribute(cart, heard(api.VerdictPromote, 15, sick("front", 14)), both, beside).Kind)
	})
	t.Run("one that began after it got worse goes on, also when only the other heard that in time", func(t *testing.T) {
		was, late := shop, judged("cart", 1, 20)
		v := heard(api.VerdictContinue, 15, sick("front", 14))
		was.Verdict = &v
		both := []api.Rollout{was, late}
		must.Eq(t, api.VerdictPromote, attribute(late, heard(api.VerdictPromote, 22, sick("front", 21)), both, beside).Kind)
		must.Eq(t, api.VerdictContinue, attribute(was, heard(api.VerdictPromote, 22, sick("front", 14)), both, beside).Kind)
	})
	t.Run("one that does not reach the neighbour explains nothing of it", func(t *testing.T) {
		apart := streets(map[string][]api.Target{"shop": {target("front", 2), target("well", 20)}, "cart": {target("other", 2)}})
		v := attribute(shop, heard(api.VerdictPromote, 15, sick("front", 14)), []api.Rollout{shop, cart}, apart)
		must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
	})
}

// No neighbour may ever make a verdict more favourable, or end a rollout.
func TestNeighboursOnlyTakePromotionsBack(t *testing.T) {
	shop := judged("shop", 1, 10)
	beside := streets(map[string][]api.Target{"shop": {target("front", 2)}})
	for _, kind := range []api.VerdictKind{api.VerdictAbort, api.VerdictContinue, api.VerdictInconclusive} {
		v := attribute(shop, heard(kind, 15, sick("front", 14)), []api.Rollout{shop}, beside)
		must.Eq(t, kind, v.Kind)
		if kind != api.VerdictContinue {
			must.Eq(t, "the figures say "+string(kind), v.Reason)
		}
	}
}

// street has one neighbour, which is as sick as it says, and remembers what it
// was asked.
type street struct {
	of      func(api.TargetRef) []api.Target // nil: a front and a database
	effects []api.NeighbourEffect
	asked   []api.TargetRef
	margins []api.KPISpec
}

func (s *street) Around(ref api.TargetRef) []api.Target {
	if s.of != nil {
		return s.of(ref)
	}
	return []api.Target{target("front", 2), target("db", 2)}
}

func (s *street) Worse(ref api.TargetRef, _, _ time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	s.asked, s.margins = append(s.asked, ref), margins
	return s.effects
}

func TestNeighboursWithARolloutAreHeardByItsVerdicts(t *testing.T) {
	shop, db := judged("shop", 1, 10), judged("db", 5, 10)
	s := &street{effects: []api.NeighbourEffect{sick("front", 14)}}
	o := New(Options{Store: openOnes{open: []api.Rollout{shop, db}}, Surroundings: s, Margins: []api.KPISpec{
		{KPI: api.KPIErrorRate, PromoteBelow: 9}, {KPI: api.KPILatencyP99, PromoteBelow: 1.3}}})
	v := o.attribute(shop, heard(api.VerdictPromote, 15))
	must.Eq(t, api.VerdictContinue, v.Kind)
	must.Eq(t, []api.TargetRef{target("front", 0).TargetRef}, s.asked)
	must.Len(t, 2, s.margins)
	must.Eq(t, 2, s.margins[0].PromoteBelow, must.Sprint("those of its own policy"))
	must.Eq(t, api.KPILatencyP99, s.margins[1].KPI, must.Sprint("and the library's for what that does not judge"))

	ill := worsening(db, looked(api.VerdictContinue, 0.05, 0.05, 14))
	db.Verdict = &ill
	s.effects, o.Store = nil, openOnes{open: []api.Rollout{shop, db}}
	v = o.attribute(shop, heard(api.VerdictPromote, 15))
	must.Len(t, 1, v.Neighbours)
	must.Eq(t, db.Target, v.Neighbours[0].Target)
	must.Eq(t, noon().Add(14*time.Minute), v.Neighbours[0].Since)

	s.effects = []api.NeighbourEffect{sick("front", 14)}
	waiting := db
	waiting.Status, waiting.Stages = api.RolloutWaiting, nil
	o.Store, s.asked = openOnes{open: []api.Rollout{shop, waiting}}, nil
	o.attribute(shop, heard(api.VerdictPromote, 15))
	must.Len(t, 2, s.asked, must.Sprint("one that waits for its turn changes nothing yet"))
}

func TestTheNextLeaderRemembersSinceWhen(t *testing.T) {
	shop := judged("shop", 1, 10)
	old := heard(api.VerdictContinue, 15, sick("front", 14))
	old.Neighbours[0].Earlier = true
	shop.Stages[0].Verdict = &old // of the stage before
	s := &street{effects: []api.NeighbourEffect{sick("front", 30)}}
	v := New(Options{Store: openOnes{open: []api.Rollout{shop}}, Surroundings: s}).attribute(shop, heard(api.VerdictPromote, 31))
	must.Eq(t, api.VerdictPromote, v.Kind)
	must.Eq(t, noon().Add(14*time.Minute), v.Neighbours[0].Since)
	must.True(t, v.Neighbours[0].Earlier)
}

func TestLatenciesOfOneKindAreOneKPI(t *testing.T) {
	var r api.Rollout
	r.Decision.Judge.KPIs = []api.KPISpec{{KPI: "latency_p90"}}
	must.Eq(t, []api.KPISpec{{KPI: "latency_p90"}, {KPI: api.KPICPU}}, marginsOf(r, []api.KPISpec{{KPI: api.KPILatencyP99}, {KPI: api.KPICPU}}))
}
