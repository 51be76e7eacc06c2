package planner_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// TestCriticalTargetsOnAPartialGraphNeedAnApproval takes sources away, and
// looks who may still be patched without a person's consent.
func TestCriticalTargetsOnAPartialGraphNeedAnApproval(t *testing.T) {
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
