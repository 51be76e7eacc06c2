package simulator_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
)

func TestRun_SendsTheMixOfTheBusiestHour(t *testing.T) {
	m, r := newInsides(), containerRequest()
	hours := make([]*float64, 168)
	hours[9], hours[10] = new(12.0), new(3.0)
	r.Baseline = &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIRequests, Mean: 5, Hours: hours}}}
	r.Workload = workload.Workload{Requests: []workload.Request{
		{Kind: workload.HTTP, Method: "GET", Path: "/item/1", Weight: 900, Hours: map[int]int64{9: 300, 10: 600}},
		{Kind: workload.HTTP, Method: "GET", Path: "/item/2", Weight: 500, Hours: map[int]int64{10: 500}},
	}}
	runInside(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.StrContains(t, impact.Reason, "in its busiest hour of the week (Monday 9:00 UTC); the mix is the recording's of that hour")
	})
	must.SliceNotEmpty(t, m.specs)
	for _, s := range m.specs {
		sent, err := workload.Parse("sent", s.Group.Load.Requests)
		must.NoError(t, err)
		must.Eq(t, []workload.Request{{Kind: workload.HTTP, Method: "GET", Path: "/item/1", Weight: 300}}, sent.Requests)
	}
}
