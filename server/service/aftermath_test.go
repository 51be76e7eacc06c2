package service

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
)

// minutes is what baselines say: which targets are known, and which KPIs of them are worse.
type minutes map[string][]string

// unknownTarget marks a target that nobody knows anything of.
const unknownTarget = "unknown"

func (m minutes) read(ref api.TargetRef, _, now time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	var out []api.NeighbourEffect
	for _, spec := range margins {
		e := api.NeighbourEffect{Target: ref, KPI: spec.KPI, Value: 0.01, Before: 0.01}
		for _, what := range m[ref.Job] {
			switch what {
			case unknownTarget:
				return nil
			case spec.KPI:
				e.Value, e.Since = 0.4, now
			}
		}
		out = append(out, e)
	}
	return out
}

// watching is a fixture with a complete rollout of web, which calls db and is called by edge.
func watching(t *testing.T, automatic bool) (f *fixture, id string) {
	t.Helper()
	f = newFixture(t, target("web"), target("db"), target("edge"), target("mail"), target("cron"))
	for _, edge := range [][2]string{{"web", "db"}, {"edge", "web"}} {
		f.put(t, &state.GraphChange{GraphChange: api.GraphChange{Edges: []api.Edge{{From: edge[0], To: edge[1], State: api.EdgeConfirmed}}}})
	}
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	id = receipt.Rollouts[0]
	f.finish(t, id, automatic)
	return f, id
}

// finish ends a rollout whose stages were judged by errors, as one that may be taken back.
func (f *fixture) finish(t *testing.T, id string, automatic bool) {
	t.Helper()
	r, _ := f.state.Rollout(id)
	r.Decision.Judge = api.JudgeSpec{Enabled: true, KPIs: []api.KPISpec{{KPI: api.KPIErrorRate, PromoteBelow: 2}}}
	r.Decision.Rollback.Automatic = automatic
	f.put(t, &state.RolloutTransition{Kind: "decide", Expect: r.ModifyIndex, Rollout: r})
	f.carryOut(t, id)
}

// look takes looks for a while, and returns the rollout as it is then.
func (f *fixture) look(t *testing.T, id string, rows map[string]row, m minutes, span time.Duration) (api.Rollout, map[string]row) {
	t.Helper()
	for range int(span / aftermathEvery) {
		f.log.after += aftermathEvery
		rows = f.lookForAftermaths(t.Context(), m.read, rows)
	}
	r, ok := f.state.Rollout(id)
	must.True(t, ok)
	return r, rows
}

func TestWatchAftermaths_TakesBackWhatGotWorse(t *testing.T) {
	t.Parallel()
	bad := minutes{"web": {api.KPIErrorRate}}
	for name, c := range map[string]struct {
		manual bool
		shows  minutes
		status api.RolloutStatus
		other  string // what else explains it
	}{
		"nothing else is worse":    {shows: bad, status: api.RolloutRollingBack},
		"its caller is worse too":  {shows: minutes{"web": {api.KPIErrorRate}, "edge": {api.KPIErrorRate}}, status: api.RolloutRollingBack},
		"one stranger is worse":    {shows: minutes{"web": {api.KPIErrorRate}, "mail": {api.KPIErrorRate}}, status: api.RolloutRollingBack},
		"a person decides":         {manual: true, shows: bad, status: api.RolloutComplete, other: "the policy leaves that to a person"},
		"what it calls is worse":   {shows: minutes{"web": {api.KPIErrorRate}, "db": {api.KPIErrorRate}}, status: api.RolloutComplete, other: "prod/db/db, which it depends on, is worse too"},
		"the fleet is worse":       {shows: minutes{"web": {api.KPIErrorRate}, "mail": {api.KPIErrorRate}, "cron": {api.KPIErrorRate}}, status: api.RolloutComplete, other: "targets that have nothing to do with it are worse too"},
		"it has too many requests": {shows: minutes{"web": {api.KPIErrorRate, api.KPIRequests}}, status: api.RolloutComplete, other: "it has clearly more requests than usual"},
		"nobody knows":             {shows: minutes{"web": {unknownTarget}}, status: api.RolloutComplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, id := watching(t, !c.manual)
			r, rows := f.look(t, id, nil, minutes{}, time.Minute)
			must.False(t, r.Aftermath.Well.IsZero())
			wrote := r.ModifyIndex
			r, rows = f.look(t, id, rows, c.shows, 3*time.Minute)
			must.EqOp(t, wrote, r.ModifyIndex, must.Sprint("three minutes are not over"))
			must.EqOp(t, name != "nobody knows", f.NearRollouts()[r.Target], must.Sprint("its baseline rests"))
			r, rows = f.look(t, id, rows, c.shows, 2*time.Minute)
			must.EqOp(t, c.status, r.Status)
			if c.other == "" {
				must.EqOp(t, "", r.Aftermath.Else)
				return
			}
			must.StrContains(t, r.Aftermath.Else, c.other)
			told := r.ModifyIndex
			r, rows = f.look(t, id, rows, c.shows, 10*time.Minute)
			must.EqOp(t, told, r.ModifyIndex, must.Sprint("it is told once"))
			r, _ = f.look(t, id, rows, minutes{}, time.Minute)
			must.True(t, r.Aftermath.Since.IsZero())
			var events []string
			for _, e := range f.state.Events(0, 0) {
				if e.Type == "aftermath_worse" || e.Type == "aftermath_well" {
					events = append(events, e.Type)
				}
			}
			must.Eq(t, []string{"aftermath_worse", "aftermath_well"}, events)
			must.False(t, f.NearRollouts()[r.Target])
		})
	}
}

// TestWatchAftermaths_BlamesNoPatchForAnothersRollout: a rollout at what the target calls
// ended after its own.
func TestWatchAftermaths_BlamesNoPatchForAnothersRollout(t *testing.T) {
	t.Parallel()
	f, id := watching(t, true)
	_, rows := f.look(t, id, nil, minutes{}, time.Minute)
	receipt, err := f.SubmitPatch(t.Context(), patch(`"db"`), ada())
	must.NoError(t, err)
	f.finish(t, receipt.Rollouts[0], true)
	r, _ := f.look(t, id, rows, minutes{"web": {api.KPIErrorRate}}, 5*time.Minute)
	must.EqOp(t, api.RolloutComplete, r.Status)
	must.StrContains(t, r.Aftermath.Else, "rollout "+receipt.Rollouts[0]+` of patch "openssl" has changed prod/db/db since`)
}

// TestWatchAftermaths_BeginsAnewWithALeader: rows are of one term, what was told is not.
func TestWatchAftermaths_BeginsAnewWithALeader(t *testing.T) {
	t.Parallel()
	f, id := watching(t, true)
	bad := minutes{"web": {api.KPIErrorRate}}
	f.look(t, id, nil, minutes{}, time.Minute)
	r, _ := f.look(t, id, nil, bad, 2*time.Minute)
	must.EqOp(t, api.RolloutComplete, r.Status)
	r, rows := f.look(t, id, nil, bad, 2*time.Minute)
	must.EqOp(t, api.RolloutComplete, r.Status)
	r, _ = f.look(t, id, rows, bad, 2*time.Minute)
	must.EqOp(t, api.RolloutRollingBack, r.Status)
	must.StrContains(t, r.Reason, "taken back by itself within rollback.window: error_rate is 0.4, and 0.01 is usual")
	must.False(t, rollout.Watches(r, f.log.now()))
}
