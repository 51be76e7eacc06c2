package view_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func TestKPIFaults_AreWhatKeepsAJudgeFromJudging(t *testing.T) {
	t.Parallel()
	of := func(policies []string, q api.CheckedQuery) api.KPICheck {
		q.Of = "events"
		return api.KPICheck{Running: 4, KPIs: []api.CheckedKPI{{KPI: "errors", Source: "prometheus", Policies: policies, Queries: []api.CheckedQuery{q}}}}
	}
	judged := []string{"default"}
	for name, tt := range map[string]struct {
		check api.KPICheck
		want  []string
	}{
		"in order":                       {of(judged, api.CheckedQuery{Series: 4, Instances: 4}), nil},
		"some ended a moment ago":        {of(judged, api.CheckedQuery{Series: 5, Instances: 4, Strangers: 1}), nil},
		"the label names something else": {of(nil, api.CheckedQuery{Series: 5, Strangers: 5}), []string{"errors, events: none of the 5 rows of the answer names an instance that runs"}},
		"nothing there":                  {of(judged, api.CheckedQuery{}), []string{"errors, events: there is no answer"}},
		"nothing there, nobody judges":   {of(nil, api.CheckedQuery{}), nil},
		"gaps": {of(judged, api.CheckedQuery{Series: 4, Instances: 4, Metrics: []api.CheckedMetric{{Metric: "m", By: "alloc_id", Gaps: []string{"a", "b"}, GapCount: 20}}}),
			[]string{"errors, events: samples of m are missing, by alloc_id: a, b and 18 more"}},
		"no query": {api.KPICheck{KPIs: []api.CheckedKPI{{KPI: "heap", Policies: judged}}}, []string{"heap: nobody has a query for it, and policies judge by it: default"}},
	} {
		must.Eq(t, tt.want, view.KPIFaults(tt.check), must.Sprint(name))
	}
}
