package orchestrator

import (
	"context"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame/blametest"
	"github.com/oakumhq/oakum/internal/rollout"
)

// alone is a neighbourhood without neighbours.
type alone struct{}

func (alone) Adjacent(_, _ api.TargetRef) bool                        { return false }
func (alone) Chained(_, _ api.TargetRef) bool                         { return false }
func (alone) Targets(api.TargetRef) []api.Target                      { return nil }
func (alone) Services(api.TargetRef) []string                         { return nil }
func (alone) Attempts(api.TargetRef, time.Time) ([]api.Attempt, bool) { return nil, true }
func (alone) Gone(api.TargetRef) bool                                 { return false }
func (alone) LastMinute(api.TargetRef, time.Time, time.Time, []api.KPISpec) []api.NeighbourEffect {
	return nil
}

// street has some neighbours, which are as sick as it says, and remembers what it
// was asked.
type street struct {
	alone
	around  map[string][]api.Target // by job
	effects map[api.TargetRef][]api.NeighbourEffect
	gone    map[api.TargetRef]bool
	asked   []api.TargetRef
	margins []api.KPISpec
}

func (s *street) Targets(ref api.TargetRef) []api.Target { return s.around[ref.Job] }

func (s *street) Gone(ref api.TargetRef) bool { return s.gone[ref] }

func (s *street) LastMinute(ref api.TargetRef, _, _ time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	s.asked, s.margins = append(s.asked, ref), margins
	return s.effects[ref]
}

// openOnes is a store with some open rollouts.
type openOnes struct {
	Store
	open []api.Rollout
}

func (s openOnes) BegunRollouts() []api.Rollout { return s.open }

// says is a judge with one answer.
type says struct{ verdict api.Verdict }

func (s says) Look(context.Context, Question) (api.Verdict, api.JudgeState, error) {
	return s.verdict, api.JudgeState{Stage: 1}, nil
}

func TestKind_TellsWhenAnotherRolloutIsBlamed(t *testing.T) {
	from, to := blametest.Judged("shop", 1, 10), blametest.Judged("shop", 1, 10)
	to.Verdict = &api.Verdict{Kind: api.VerdictContinue, Blame: []api.Blame{{Rollout: "rollout-db"}}}
	must.Eq(t, kindBlame, kind(from, to))
	again := to
	again.Judge = &api.JudgeState{Looks: 2}
	must.Eq(t, "judge", kind(to, again))
}

func TestJudge_GivesTheRolloutAVerdictThatIsAttributed(t *testing.T) {
	shop, db := blametest.Judged("shop", 1, 10), blametest.Judged("db", 2, 5)
	shop.Decision.Judge.Enabled = true
	shop.Stages[0].Ready, shop.Stages[0].Instances = blametest.Noon().Add(11*time.Minute), 1
	shop.Effects = []api.Effect{{Kind: api.EffectStage, Status: api.EffectDone, Want: 1}}
	for i := range shop.Instances {
		shop.Instances[i].Health = api.Healthy
	}
	now := blametest.Noon().Add(12 * time.Minute)
	o := New(Options{
		Store: openOnes{open: []api.Rollout{shop, db}}, Neighbourhood: &street{around: map[string][]api.Target{"shop": {blametest.Target("db", 10)}, "db": {blametest.Target("shop", 10)}}}, Now: func() time.Time { return now },
		Judge: says{blametest.Verdict(api.VerdictPromote, 0.05, 0.05, 12)},
	})
	obs := rollout.Observation{Job: &rollout.JobView{Count: shop.Former.Count, Build: api.BuildPatched, Pace: rollout.PaceHeld, Instances: shop.Instances}}
	o.judge(t.Context(), shop, &obs)
	next, err := rollout.Step(shop, rollout.Tick{Observation: obs}, now)
	must.NoError(t, err)
	must.Eq(t, api.RolloutRunning, next.Status)
	must.True(t, next.Stages[0].Judged.IsZero())
	must.StrContains(t, next.Reason, "which rollout rollout-db of prod/db/db explains better; waits until that has ended")
	must.Eq(t, "rollout-db", next.Verdict.Blame[0].Rollout)
	must.Eq(t, kindBlame, kind(shop, next))

	o.Store = openOnes{open: []api.Rollout{shop}} // the other one has ended
	obs = rollout.Observation{Job: obs.Job}
	o.judge(t.Context(), shop, &obs)
	next, err = rollout.Step(shop, rollout.Tick{Observation: obs}, now)
	must.NoError(t, err)
	must.False(t, next.Stages[0].Judged.IsZero())
}

func TestAttribute_MeasuresNeighboursThatHaveNoRollout(t *testing.T) {
	shop, db := blametest.Judged("shop", 1, 10), blametest.Judged("db", 5, 10)
	front := blametest.Target("front", 2).TargetRef
	s := &street{around: map[string][]api.Target{"shop": {blametest.Target("front", 2), blametest.Target("db", 2)}}, effects: map[api.TargetRef][]api.NeighbourEffect{
		front: {{Target: front, KPI: api.KPIErrorRate, Unit: "share", Value: 0.5, Before: 0.01, Since: blametest.Noon().Add(14 * time.Minute)}},
	}}
	o := New(Options{Store: openOnes{open: []api.Rollout{shop, db}}, Neighbourhood: s, Margins: []api.KPISpec{
		{KPI: api.KPIErrorRate, PromoteBelow: 9}, {KPI: api.KPILatencyP99, PromoteBelow: 1.3}}})
	v := o.attribute(shop, blametest.Verdict(api.VerdictPromote, 0.01, 0.01, 15))
	must.Eq(t, api.VerdictContinue, v.Kind)
	must.Len(t, 1, v.Neighbours)
	must.Eq(t, []api.TargetRef{front}, s.asked)
	must.Len(t, 2, s.margins)
	must.Eq(t, 2, s.margins[0].PromoteBelow, must.Sprint("those of its own policy"))
	must.Eq(t, api.KPILatencyP99, s.margins[1].KPI, must.Sprint("and the library's for what that does not judge"))
}

// The neighbour is unknown to a graph that lacks a source, and to a new leader; the
// verdict in the record knows of it.
func TestAttribute_WaitsForANeighbourThatTheGraphLacks(t *testing.T) {
	shop := blametest.Judged("shop", 1, 10)
	front := blametest.Target("front", 2).TargetRef
	was := api.NeighbourEffect{Target: front, KPI: api.KPIErrorRate, Unit: "share", Value: 0.5, Before: 0.01, Exposure: 600,
		Since: blametest.Noon().Add(13 * time.Minute), Seen: blametest.Noon().Add(14 * time.Minute)}
	named := blametest.Verdict(api.VerdictContinue, 0.01, 0.01, 14)
	named.Neighbours = []api.NeighbourEffect{was}
	shop.Verdict = &named
	attribute := func(s *street) api.Verdict {
		o := New(Options{Store: openOnes{open: []api.Rollout{shop}}, Neighbourhood: s})
		return o.attribute(shop, blametest.Verdict(api.VerdictPromote, 0.01, 0.01, 15))
	}
	unknown := &street{}
	v := attribute(unknown)
	must.Eq(t, api.VerdictContinue, v.Kind)
	must.Eq(t, []api.NeighbourEffect{was}, v.Neighbours)
	must.Eq(t, []api.TargetRef{front}, unknown.asked, must.Sprint("it is still asked for"))

	healthy := was
	healthy.Value, healthy.Since, healthy.Seen = 0.01, time.Time{}, time.Time{}
	must.Eq(t, api.VerdictPromote, attribute(&street{effects: map[api.TargetRef][]api.NeighbourEffect{front: {healthy}}}).Kind)
	must.Eq(t, api.VerdictPromote, attribute(&street{gone: map[api.TargetRef]bool{front: true}}).Kind)
}
