package planner_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

const preferLow = `policy "low" {
  applies = true
  prefer  = "lowest_load"
}`

// daily is a profile of a target that has 40 requests a second and instance, but
// quiet ones at some hour of each day. Hours before known were seen.
func daily(name string, quietHour int, quiet float64, known int) api.Profile {
	hours := make([]*float64, 168)
	for i := range hours {
		v := 40.0
		if i%24 == quietHour {
			v = quiet
		}
		if i%24 < known {
			hours[i] = &v
		}
	}
	return api.Profile{Target: target(name).TargetRef, KPIs: []api.Baseline{{KPI: api.KPIRequests, Hours: hours}}}
}

// among finds a profile in a list.
func among(profiles ...api.Profile) func(api.TargetRef) (api.Profile, bool) {
	return func(ref api.TargetRef) (api.Profile, bool) {
		for _, p := range profiles {
			if p.Target == ref {
				return p, true
			}
		}
		return api.Profile{}, false
	}
}

// planned makes a plan at 14:20 on a Monday.
func planned(t *testing.T, profiles []api.Profile, policies ...string) api.Plan {
	t.Helper()
	in := planner.Input{
		ID: "1", Patch: patch(t, `target { jobs = ["*"] }`), Library: library(t, policies...), Graph: graphOf([]string{"shop"}),
		Targets: []api.Target{target("shop")}, Now: time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC), Profile: among(profiles...),
	}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Len(t, 1, plan.Waves)
	return plan
}

func TestPlan_WaitsForTheQuietestHour(t *testing.T) {
	plan := planned(t, []api.Profile{daily("shop", 3, 6, 24)}, preferLow)
	at := time.Date(2026, 3, 3, 3, 0, 0, 0, time.UTC)
	must.Eq(t, at, plan.Waves[0].Starts)
	must.Eq(t, &api.Quiet{At: at, Reason: "waits for the quietest hour: 2026-03-03T03:00:00Z, about 12 requests/s against 80 requests/s at 14:20"},
		plan.Waves[0].Targets[0].Quiet)
	rollouts := planner.Rollouts(plan, api.Patch{}, func() string { return "r" }, plan.At)
	must.Eq(t, at, rollouts[0].Quiet.At)
}

func TestPlan_CountsNoQuietHourOutsideOfTheWindow(t *testing.T) {
	window := `policy "evenings" {
  applies = true
  window "w" {
    start  = "0 18 * * *"
    length = "4h"
  }
}`
	p := daily("shop", 3, 6, 24)
	less := 20.0
	p.KPIs[0].Hours[20] = &less // Monday, within the window
	plan := planned(t, []api.Profile{p}, preferLow, window)
	must.Eq(t, time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC), plan.Waves[0].Opens)
	must.Eq(t, time.Date(2026, 3, 2, 20, 0, 0, 0, time.UTC), plan.Waves[0].Starts)
}

func TestPlan_StartsAtOnceAtLowLoad(t *testing.T) {
	for name, c := range map[string]struct {
		profiles []api.Profile
		says     string
	}{
		"without a profile":            {nil, "starts as soon as it may: nothing is known yet of its load"},
		"with half a day of history":   {[]api.Profile{daily("shop", 3, 6, 12)}, "starts as soon as it may: its load is known for 12 of the 24 hours of a day"},
		"when every hour is alike":     {[]api.Profile{daily("shop", 3, 40, 24)}, "starts as soon as it may: no hour until 2026-03-03T14:20:00Z is much quieter than about 80 requests/s"},
		"when it is quiet now":         {[]api.Profile{daily("shop", 14, 6, 24)}, "starts as soon as it may: no hour until 2026-03-03T14:20:00Z is much quieter than about 12 requests/s"},
		"when the gain is not a tenth": {[]api.Profile{daily("shop", 3, 37, 24)}, "starts as soon as it may: no hour"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := planned(t, c.profiles, preferLow)
			must.True(t, plan.Waves[0].Starts.IsZero())
			must.StrContains(t, plan.Waves[0].Targets[0].Quiet.Reason, c.says)
		})
	}
}

func TestPlan_WaitsForNoHourWithoutThePreference(t *testing.T) {
	plan := planned(t, []api.Profile{daily("shop", 3, 6, 24)})
	must.True(t, plan.Waves[0].Starts.IsZero())
	must.Nil(t, plan.Waves[0].Targets[0].Quiet)
}

func TestPlan_StartsLaterWavesWithinTheSameDay(t *testing.T) {
	in := planner.Input{
		ID: "1", Patch: patch(t, `target { jobs = ["*"] }`), Graph: graphOf([]string{"db", "shop"}),
		Library: library(t, preferLow, `policy "one" {
  applies = true
  budget { targets = 1 }
}`),
		Targets: []api.Target{target("shop"), target("db")},
		Now:     time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC),
		Profile: among(daily("shop", 3, 6, 24), daily("db", 2, 6, 24)),
	}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Len(t, 2, plan.Waves)
	first, second := plan.Waves[0], plan.Waves[1]
	must.Eq(t, "db", first.Targets[0].Target.Job)
	must.Eq(t, time.Date(2026, 3, 3, 2, 0, 0, 0, time.UTC), first.Starts)
	must.Eq(t, time.Date(2026, 3, 3, 3, 0, 0, 0, time.UTC), second.Starts)
}
