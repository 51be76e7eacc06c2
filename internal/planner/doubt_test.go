package planner_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// TestPlan_AsksApprovalForCriticalTargetsOnAPartialGraph takes sources away, and
// looks who may still be patched without a person's consent.
func TestPlan_AsksApprovalForCriticalTargetsOnAPartialGraph(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	plan := func(sources ...api.SourceStatus) map[bool]map[int]int {
		p, err := planner.Plan(planner.Input{Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now(), Sources: sources})
		must.NoError(t, err)
		out := map[bool]map[int]int{true: {}, false: {}} // critical → approvals → targets
		for _, w := range p.Waves {
			for _, target := range w.Targets {
				out[target.Decision.Critical][target.Decision.Approval.Count]++
			}
		}
		return out
	}
	whole := plan(api.SourceStatus{Name: "consul-intentions", OK: true})
	must.Positive(t, whole[true][0])
	must.Positive(t, whole[false][0])
	for name, s := range map[string]api.SourceStatus{
		"partial": {Name: "consul-intentions", OK: true, Partial: "consul hides some intentions from this token"},
		"away":    {Name: "prometheus", Error: "refused"},
	} {
		got := plan(s)
		must.Eq(t, whole[true][0], got[true][1], must.Sprint(name+": every critical target needs consent"))
		must.Eq(t, whole[false], got[false], must.Sprint(name+": others do not"))
	}
}

// TestPlan_DoubtsOnlyWhatIsMissing plans while a source is in each of its states.
func TestPlan_DoubtsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	since := now().Add(-time.Minute)
	for name, c := range map[string]struct {
		source api.SourceStatus
		doubt  *api.Doubt
		weak   []string
	}{
		"whole": {api.SourceStatus{Name: "consul-upstreams", OK: true}, nil, nil},
		"failed once": {
			api.SourceStatus{Name: "consul-upstreams", OK: true, Failures: 1, Failing: now(), Failed: now(), Error: "timeout"}, nil, nil,
		},
		"away": {
			api.SourceStatus{Name: "consul-upstreams", Since: since, Failures: 6, Failing: since, Failed: now(), Error: "timeout"},
			&api.Doubt{Sources: []api.DoubtedSource{{Name: "consul-upstreams", State: api.SourceAway, Since: since, Failures: 6}}},
			[]string{"consul-upstreams is away since 2026-10-07T11:59:00Z, 6 tries failed: timeout"},
		},
		"partial": {
			api.SourceStatus{Name: "consul-upstreams", OK: true, Partial: "some are hidden"},
			&api.Doubt{Sources: []api.DoubtedSource{{Name: "consul-upstreams", State: api.SourcePartial}}},
			[]string{"consul-upstreams is partial: some are hidden"},
		},
		"unread": {
			api.SourceStatus{Name: "consul-upstreams", OK: true, Unread: true},
			&api.Doubt{Sources: []api.DoubtedSource{{Name: "consul-upstreams", State: api.SourceUnread}}},
			[]string{"consul-upstreams has not answered this leader yet"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := planner.Plan(planner.Input{
				Patch: patch(t, `target { jobs = ["store"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now(),
				Sources: []api.SourceStatus{c.source, {Name: "nomad-placement", OK: true}},
			})
			must.NoError(t, err)
			d := plan.Waves[0].Targets[0].Decision
			must.True(t, d.Critical)
			must.Eq(t, c.doubt, d.Doubt)
			must.Eq(t, c.weak, plan.Weak)
			must.EqOp(t, c.doubt != nil, d.Approval.Count == 1)
			if name == "whole" {
				must.SliceEmpty(t, plan.Sources)
			} else {
				must.Eq(t, []api.SourceStatus{c.source}, plan.Sources)
			}
		})
	}
}

// doubtful is a rollout of the store that waits for an approval, as it was planned
// while Prometheus was away.
func doubtful(t *testing.T, in planner.Input) (api.Rollout, api.PlannedTarget) {
	t.Helper()
	in.Sources = []api.SourceStatus{{Name: "prometheus", Error: "refused"}}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	r := planner.Rollouts(plan, in.Patch, func() string { return "r1" }, now())[0]
	must.True(t, r.Decision.InDoubt())
	return r, plan.Waves[0].Targets[0]
}

func whole() []api.SourceStatus {
	return []api.SourceStatus{{Name: "prometheus", OK: true}, {Name: "nomad-placement", OK: true}}
}

// TestReconsider_EndsADoubtWithAWholeGraph decides anew under policies that say one thing
// or another by then.
func TestReconsider_EndsADoubtWithAWholeGraph(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	lonely := graphOf([]string{"front", "backoffice", "catalog", "cart", "pricing", "store"})
	for name, c := range map[string]struct {
		policy    string
		graph     api.Graph
		reason    string
		strategy  string
		approvals int
	}{
		"nothing else": {"", graph, "the graph is whole, the policies ask for no approval", "phased", 0},
		"it is not critical": {
			"", lonely, `the graph is whole, the target is not critical, its strategy is blue_green {}, the policies ask for no approval`, "blue_green", 0,
		},
		"stricter": {`policy "strict" {
  applies = target.job == "store"
  approval {
    count = 2
    from  = "owners"
  }
}`, graph, "the graph is whole, the policies ask for 2 approvals", "phased", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := planner.Input{Patch: patch(t, `target { jobs = ["store"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now()}
			r, planned := doubtful(t, in)
			in.Graph, in.Sources, in.Now = c.graph, whole(), now().Add(time.Minute)
			if c.policy != "" {
				in.Library = library(t, c.policy)
			}
			d, err := planner.Reconsider(in, r, nil)
			must.NoError(t, err)
			must.False(t, d.InDoubt())
			must.Eq(t, r.Decision.Doubt.Sources, d.Doubt.Sources, must.Sprint("why it was asked stays"))
			must.EqOp(t, in.Now, d.Doubt.Lapse.At)
			must.EqOp(t, c.reason, d.Doubt.Lapse.Reason)
			must.EqOp(t, c.strategy, d.Strategy.Name)
			must.EqOp(t, c.approvals, d.Approval.Count)
			must.Nil(t, r.Decision.Doubt.Lapse, must.Sprint("the former decision is left alone"))

			fresh, err := planner.Plan(in)
			must.NoError(t, err)
			want := fresh.Waves[0].Targets[0].Decision
			got := d
			got.Doubt = nil
			must.Eq(t, want, got, must.Sprint("it is what a plan of now would say"))

			t.Log("a simulation after it is judged with what the whole graph said")
			again, err := planner.Redecide(in, planned, d, api.Impact{})
			must.NoError(t, err)
			must.Eq(t, d.Doubt, again.Doubt)
			must.EqOp(t, d.Critical, again.Critical)
			must.EqOp(t, c.approvals, again.Approval.Count)
		})
	}
}

func TestReconsider_KeepsADoubtWhileAnythingIsUnclear(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	in := planner.Input{Patch: patch(t, `target { jobs = ["store"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now()}
	r, planned := doubtful(t, in)
	in.Sources = whole()
	unknown := graphOf([]string{"front"})
	for name, c := range map[string]struct {
		change func(*planner.Input, *api.Rollout)
		code   api.ErrorCode
	}{
		"away": {func(in *planner.Input, _ *api.Rollout) {
			in.Sources[0] = api.SourceStatus{Name: "prometheus", Error: "refused"}
		}, api.CodeUnavailable},
		"failing":     {func(in *planner.Input, _ *api.Rollout) { in.Sources[0].Failures = 1 }, api.CodeUnavailable},
		"partial":     {func(in *planner.Input, _ *api.Rollout) { in.Sources[0].Partial = "some are hidden" }, api.CodeUnavailable},
		"unread":      {func(in *planner.Input, _ *api.Rollout) { in.Sources[1].Unread = true }, api.CodeUnavailable},
		"no source":   {func(in *planner.Input, _ *api.Rollout) { in.Sources = nil }, api.CodeUnavailable},
		"no target":   {func(in *planner.Input, _ *api.Rollout) { in.Targets = targets[:1] }, api.CodeNotFound},
		"no service":  {func(in *planner.Input, _ *api.Rollout) { in.Graph = unknown }, api.CodeConflict},
		"no doubt":    {func(_ *planner.Input, r *api.Rollout) { r.Decision.Doubt = nil }, api.CodeConflict},
		"no policies": {func(in *planner.Input, _ *api.Rollout) { in.Library = nil }, api.CodeInternal},
		"an error": {func(in *planner.Input, _ *api.Rollout) {
			in.Library = library(t, "policy \"odd\" {\n  applies  = target.job == \"store\"\n  critical = target.meta.tier < 2\n}")
		}, api.CodeInvalid},
		"no window": {func(in *planner.Input, _ *api.Rollout) {
			in.Library = library(t, `policy "frozen" {
  freeze "forever" {
    from   = "2026-01-01"
    to     = "2036-01-01"
    reason = "out of service"
  }
}`)
		}, api.CodeConflict},
	} {
		t.Run(name, func(t *testing.T) {
			in, r := in, r
			in.Sources = slices.Clone(in.Sources)
			c.change(&in, &r)
			_, err := planner.Reconsider(in, r, nil)
			must.Error(t, err)
			must.EqOp(t, c.code, api.AsError(err).Code, must.Sprint(err))
		})
	}

	t.Log("a simulation does not end it, nor does the record of an older version")
	harmless := library(t, "policy \"calm\" {\n  applies = target.job == \"store\"\n  critical = !impact.simulated\n}")
	in.Library = harmless
	d, err := planner.Redecide(in, planned, r.Decision, api.Impact{})
	must.NoError(t, err)
	must.False(t, d.Critical)
	must.True(t, d.InDoubt())
	must.EqOp(t, 1, d.Approval.Count)
	old := r.Decision
	old.Doubt = nil
	d, err = planner.Redecide(in, planned, old, api.Impact{})
	must.NoError(t, err)
	must.Nil(t, d.Doubt)
	must.EqOp(t, 1, d.Approval.Count)
}
