package rehearsal

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestForecast_SaysWhenByTheClock(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 12, 4)
	report := rehearse(t, facts, unjudged+`  pause = "45m"`, Options{Seeds: 4, Harmless: true})
	must.SliceEmpty(t, report.Bad)
	must.Len(t, 2, report.Waves)
	out := Forecast(report, ref("app-10"))
	must.EqOp(t, 2, out.Wave)
	must.EqOp(t, "", out.LeftOut)
	must.Eq(t, api.Moment{P50: now(), P90: now(), Seeds: 4}, out.Waves[0].Starts)
	for _, w := range out.Waves {
		must.True(t, w.Ends.P50.After(w.Starts.P50))
		must.False(t, w.Ends.P90.Before(w.Ends.P50))
	}
	must.False(t, out.Waves[1].Starts.P50.Before(out.Waves[0].Ends.P50.Add(45*time.Minute)))
	must.Eq(t, out.Waves[1].Ends, out.Ends)

	facts.Quarantines = []api.Quarantine{{Patch: "p", Digest: patch(t, `target { jobs = ["*"] }`).Digest, Target: ref("app-10"), Reason: "it was bad"}}
	facts.Quarantines[0].Patch = patch(t, `target { jobs = ["*"] }`).Name
	out = Forecast(rehearse(t, facts, unjudged, Options{Seeds: 1, Harmless: true}), ref("app-10"))
	must.EqOp(t, 0, out.Wave)
	must.StrContains(t, out.LeftOut, "it was bad")
}

func TestRun_PlaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	left := []api.TargetRef{ref("app-03"), ref("app-10")}
	report := rehearse(t, someFacts(t, 12, 4), unjudged, Options{Seeds: 2, Harmless: true, Only: left})
	var played []api.TargetRef
	for _, w := range report.Waves {
		played = append(played, w.Targets...)
	}
	must.SliceContainsAll(t, left, played)
	must.Len(t, 2, played)
}

// TestForecast_NeverHappens: a play that waits for a person for longer than a rehearsal lasts
// has no end.
func TestForecast_NeverHappens(t *testing.T) {
	t.Parallel()
	out := Forecast(api.Rehearsal{At: now(), Seeds: 3, Waves: []api.RehearsedWave{{Number: 1, Targets: []api.TargetRef{ref("a")}, Starts: seconds(60, 2)}}}, ref("a"))
	must.Eq(t, api.Moment{P50: now().Add(time.Minute), P90: now().Add(time.Minute), Seeds: 2}, out.Waves[0].Starts)
	must.Eq(t, api.Moment{}, out.Waves[0].Ends)
}
