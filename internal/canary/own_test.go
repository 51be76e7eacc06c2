package canary

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

func ownSpec() []api.KPISpec {
	return []api.KPISpec{
		{KPI: "checkout_failures", AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02},
		{KPI: "checkout_p90", AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.005},
	}
}

func TestJudge_TakesCountsAndLatenciesOfOnesOwn(t *testing.T) {
	byPolicy := ownSpec()
	for i := range byPolicy {
		own := kpitest.OwnQueries().Own[byPolicy[i].KPI]
		byPolicy[i].Kind, byPolicy[i].Query, byPolicy[i].Total = own.Kind, own.Query, own.Total
	}
	for name, c := range map[string]struct {
		change  func(*kpitest.Instance)
		queries kpi.Queries
		kpis    []api.KPISpec
		want    api.VerdictKind
		says    string
	}{
		"healthy":             {func(*kpitest.Instance) {}, kpitest.OwnQueries(), ownSpec(), api.VerdictPromote, "within its margin"},
		"failing":             {func(i *kpitest.Instance) { i.Errors = 0.3 }, kpitest.OwnQueries(), ownSpec(), api.VerdictAbort, "checkout_failures of the canary is"},
		"slow":                {func(i *kpitest.Instance) { i.Slow = 2.5 }, kpitest.OwnQueries(), ownSpec(), api.VerdictAbort, "checkout_p90 of the canary is"},
		"healthy by a policy": {func(*kpitest.Instance) {}, kpi.Queries{}, byPolicy, api.VerdictPromote, "within its margin"},
		"failing by a policy": {func(i *kpitest.Instance) { i.Errors = 0.3 }, kpi.Queries{}, byPolicy, api.VerdictAbort, "checkout_failures of the canary is"},
		"silent":              {func(i *kpitest.Instance) { i.Silent = true }, kpitest.OwnQueries(), ownSpec(), api.VerdictInconclusive, "is missing (canary: no series of 00000000)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := kpitest.New(10)
			c.change(m.Instances[kpitest.ID(0)])
			r := request(0)
			r.Spec.KPIs = c.kpis
			var v api.Verdict
			for look := range 70 {
				r.Now = began().Add(time.Duration(look) * 5 * time.Second)
				p := reading(m, nil, c.queries) // each look is another leader's
				verdict, state, err := p.Look(t.Context(), r)
				must.NoError(t, err)
				if v, r.State = verdict, &state; v.Kind != api.VerdictContinue {
					break
				}
			}
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
			must.StrContains(t, v.Reason, c.says)
		})
	}
}
