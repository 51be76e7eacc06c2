package simulator

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestFloor(t *testing.T) {
	t.Parallel()
	baseline := func(b api.Baseline) *api.Profile {
		b.KPI = api.KPIErrorRate
		return &api.Profile{KPIs: []api.Baseline{b}}
	}
	covers := func(share float64, missing ...string) *load {
		return &load{covered: func() (float64, []string) { return share, missing }}
	}
	cases := map[string]struct {
		requests, failures int
		baseline           *api.Profile
		workload           *load
		want               []string
	}{
		"nothing fails":         {100, 0, nil, nil, nil},
		"a tenth fails":         {100, 10, nil, nil, nil},
		"more fails":            {100, 11, nil, nil, []string{"the control answered only 89 % of its requests well, of which 90 % is the least"}},
		"nothing was sent":      {0, 0, nil, nil, []string{"the control answered only 0 % of its requests well, of which 90 % is the least"}},
		"as in production":      {100, 50, baseline(api.Baseline{Mean: 0.5}), nil, nil},
		"worse than production": {100, 60, baseline(api.Baseline{Mean: 0.5}), nil, []string{"the control answered only 40 % of its requests well, of which 45 % is the least"}},
		"production is down":    {100, 100, baseline(api.Baseline{Mean: 1}), nil, []string{"the control answered only 0 % of its requests well, of which 5 % is the least"}},
		"a cold baseline":       {100, 50, baseline(api.Baseline{Mean: 0.5, Cold: true}), nil, []string{"the control answered only 50 % of its requests well, of which 90 % is the least"}},
		"traffic is covered":    {100, 0, nil, covers(0.8), nil},
		"a part is missing": {100, 0, nil, covers(0.93, "/buy (7 % of the traffic)"),
			[]string{"the workload covers 93 % of the target's traffic, of which 80 % is the least; it lacks /buy (7 % of the traffic)"}},
		"traffic is not covered": {100, 0, nil, covers(0.1, "/buy", "/search"),
			[]string{"the workload covers 10 % of the target's traffic, of which 80 % is the least; it lacks /buy, /search"}},
		"both": {100, 50, nil, covers(0), []string{
			"the control answered only 50 % of its requests well, of which 90 % is the least",
			"the workload covers 0 % of the target's traffic, of which 80 % is the least",
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &experiment{request: Request{Baseline: c.baseline}, workload: c.workload, panel: answered(t, c.requests, c.failures)}
			must.Eq(t, c.want, e.floor())
		})
	}
}

func TestShared_ForgetsWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	over := make(chan struct{})
	close(over)
	s := &shared{flights: map[string]*flight{
		"long ago":  {done: over, ended: now.Add(-flightKept - time.Second)},
		"just now":  {done: over, ended: now.Add(-time.Second)},
		"under way": {done: make(chan struct{})},
	}}
	s.forget(now)
	must.Eq(t, []string{"just now", "under way"}, slices.Sorted(maps.Keys(s.flights)))
}

func TestTurns_SwapPlaces(t *testing.T) {
	t.Parallel()
	for pairs, want := range map[int]string{1: "CT", 2: "CT TC", 3: "CT CC TC TC", 4: "CT CC TC TC CT", 5: "CT CC TC TC CT CT"} {
		got, names := "", map[string]bool{}
		for i, r := range turns(pairs) {
			if i > 0 {
				got += " "
			}
			switch {
			case r.alike:
				got += "CC"
			case r.swapped:
				got += "TC"
			default:
				got += "CT"
			}
			must.False(t, names[r.name])
			names[r.name] = true
		}
		must.Eq(t, want, got)
	}
}
