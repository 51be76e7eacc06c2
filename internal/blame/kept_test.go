package blame

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame/blametest"
)

// watched is a rollout at the shop whose newest verdict names the front, of which
// each look learns a little.
type watched struct {
	r      api.Rollout
	open   []api.Rollout // besides r
	around []api.Target
	minute int // after noon, of the newest verdict
}

func watch(open ...api.Rollout) *watched {
	w := &watched{r: blametest.Judged("shop", 1, 10), open: open, around: []api.Target{blametest.Target("front", 2)}, minute: 14}
	w.r.Decision.Judge.MaxDuration = api.Duration(30 * time.Minute)
	v := naming(api.VerdictContinue, 14, sick("front", 13))
	w.r.Verdict = &v
	return w
}

// look takes a look at which the figures of the shop say promote, and returns the
// verdict.
func (w *watched) look(fresh ...api.NeighbourEffect) api.Verdict {
	w.minute++
	v := blametest.Verdict(api.VerdictPromote, 0.01, 0.01, w.minute)
	open := append([]api.Rollout{w.r}, w.open...)
	front := blametest.Target("front", 2)
	v.Neighbours = Neighbours(w.r, v.At, open, w.around, map[api.TargetRef][]api.NeighbourEffect{front.TargetRef: fresh}, Margins(w.r, nil))
	v = Attribute(w.r, v, open, func(x api.Rollout) []api.Target {
		if x.ID == w.r.ID {
			return w.around
		}
		return nil
	})
	w.r.Verdict = &v
	return v
}

// figure is what a minute of the front shows that is not clearly worse.
func figure(value, requests float64) api.NeighbourEffect {
	e := sick("front", 0)
	e.Value, e.Exposure, e.Since = value, requests, time.Time{}
	return e
}

func TestNeighbours_KeepsOneUntilItIsSeenToBeWell(t *testing.T) {
	for name, c := range map[string]struct {
		fresh []api.NeighbourEffect
		well  bool
	}{
		"nothing is known":                        {nil, false},
		"another KPI is known":                    {[]api.NeighbourEffect{{Target: blametest.Target("front", 2).TargetRef, KPI: api.KPICPU, Value: 0.1, Exposure: 12}}, false},
		"beyond the limit, though not clearly so": {[]api.NeighbourEffect{figure(0.021, 600)}, false},
		"within the limit":                        {[]api.NeighbourEffect{figure(0.02, 600)}, true},
		"within it, of half the requests":         {[]api.NeighbourEffect{figure(0, 300)}, true},
		"within it, of fewer":                     {[]api.NeighbourEffect{figure(0, 299)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch()
			v := w.look(c.fresh...)
			if c.well {
				must.Eq(t, api.VerdictPromote, v.Kind)
				must.SliceEmpty(t, v.Neighbours)
				return
			}
			must.Eq(t, api.VerdictContinue, v.Kind)
			must.Eq(t, []api.NeighbourEffect{seen(sick("front", 13), 14)}, v.Neighbours)
			must.StrContains(t, v.Reason, "is worse than before (50 % against 1 %, since 12:13:00 UTC, last seen at 12:14:00 UTC), which this rollout explains best; waits until it is over")
		})
	}
}

func TestNeighbours_HoldsAgainstTheBaselineOfThen(t *testing.T) {
	w := watch()
	e := figure(0.4, 600)
	e.Before = 0.4 // the baseline of another hour
	must.Eq(t, api.VerdictContinue, w.look(e).Kind)
}

func TestNeighbours_KeepsWhatWasWorseEarlier(t *testing.T) {
	w := watch()
	w.r.Verdict.Neighbours[0].Earlier = true
	for range 3 {
		v := w.look()
		must.Eq(t, api.VerdictPromote, v.Kind)
		must.True(t, v.Neighbours[0].Earlier)
	}
	v := w.look(sick("front", 17))
	must.Eq(t, api.VerdictPromote, v.Kind)
	must.True(t, v.Neighbours[0].Earlier, must.Sprint("it was never well in between"))
}

func TestNeighbours_NamesNoneThatIsNotAround(t *testing.T) {
	w := watch()
	w.around = nil
	v := w.look()
	must.Eq(t, api.VerdictPromote, v.Kind)
	must.SliceEmpty(t, v.Neighbours)
}

func TestNeighbours_KeepsThoseOfTheStageBefore(t *testing.T) {
	w := watch()
	w.r.Stages[0].Verdict, w.r.Verdict = w.r.Verdict, nil
	w.r.Stages = append(w.r.Stages, api.Stage{Number: 2, Began: blametest.Noon().Add(14 * time.Minute)})
	must.Eq(t, api.VerdictContinue, w.look().Kind)
	w.r.Verdict.Neighbours[0].Seen = time.Time{} // as a former server writes it
	must.Eq(t, blametest.Noon().Add(15*time.Minute), w.look().Neighbours[0].Seen)
}

func TestAttribute_WaitsNoLongerThanAStageMayTakeForOneThatIsKept(t *testing.T) {
	w := watch()
	w.r.Decision.Judge.MaxDuration = api.Duration(4 * time.Minute)
	for w.minute < 16 {
		must.Eq(t, api.VerdictContinue, w.look().Kind)
	}
	v := w.look()
	must.Eq(t, api.VerdictInconclusive, v.Kind)
	must.StrContains(t, v.Reason, "last seen at 12:14:00 UTC), which this rollout explains best, and that is not over within 4m0s")
}

// The front has a rollout of its own, which is paused, looks at too little yet, or
// has nothing to say of the KPI.
func TestNeighbours_KeepsOneWithARolloutOfItsOwn(t *testing.T) {
	own := func(change func(*api.Rollout)) api.Rollout {
		x := blametest.Judged("front", 2, 12)
		x.Stages[0].Ready = blametest.Noon().Add(13 * time.Minute)
		v := blametest.Verdict(api.VerdictContinue, 0.01, 0.01, 15)
		x.Verdict = &v
		change(&x)
		return x
	}
	for name, c := range map[string]struct {
		change func(*api.Rollout)
		want   api.VerdictKind
	}{
		"without a verdict":             {func(x *api.Rollout) { x.Verdict = nil }, api.VerdictContinue},
		"with an old one":               {func(x *api.Rollout) { x.Verdict.At = blametest.Noon().Add(13 * time.Minute) }, api.VerdictContinue},
		"without data":                  {func(x *api.Rollout) { x.Verdict.KPIs[0].Missing = true }, api.VerdictContinue},
		"without requests":              {func(x *api.Rollout) { x.Verdict.KPIs[0].Exposure = 0 }, api.VerdictContinue},
		"judged for less than a minute": {func(x *api.Rollout) { x.Stages[0].Ready = x.Verdict.At.Add(-time.Minute + time.Second) }, api.VerdictContinue},
		"one of whose arms is bad":      {func(x *api.Rollout) { x.Verdict.KPIs[0].Canary = 0.5 }, api.VerdictContinue},
		"that is well":                  {func(*api.Rollout) {}, api.VerdictPromote},
	} {
		t.Run(name, func(t *testing.T) {
			v := watch(own(c.change)).look(figure(0, 600))
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
		})
	}
}

func TestMargins_KnowsTheKPIsThatAVerdictNames(t *testing.T) {
	w := watch()
	slow, queue := sick("front", 13), sick("front", 13)
	slow.KPI, queue.KPI = "latency_p50", "queue"
	w.r.Verdict.Neighbours = []api.NeighbourEffect{sick("front", 13), slow, queue}
	specs := Margins(w.r, []api.KPISpec{{KPI: api.KPILatencyP99, PromoteBelow: 1.3}})
	must.Eq(t, []api.KPISpec{w.r.Decision.Judge.KPIs[0], {KPI: api.KPILatencyP99, PromoteBelow: 1.3}, {KPI: "latency_p50", PromoteBelow: 1.3}, {KPI: "queue", PromoteBelow: 1}}, specs)
}

// Whatever is and is not known of a neighbour that got worse, no verdict promotes before
// it was seen to be well; then the next one does.
func TestAttribute_NeverPromotesBesideOneThatIsNotKnownToBeWell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var open []api.Rollout
		if rapid.Bool().Draw(t, "own") { // it began too late to explain anything
			open = append(open, blametest.Judged("front", rapid.IntRange(0, 10).Draw(t, "patched"), 14))
		}
		w := watch(open...)
		for range rapid.IntRange(0, 15).Draw(t, "looks") {
			var fresh []api.NeighbourEffect
			switch rapid.IntRange(0, 4).Draw(t, "minute") {
			case 0:
			case 1:
				fresh = append(fresh, figure(rapid.Float64Range(0.0201, 1).Draw(t, "beyond"), 600))
			case 2:
				fresh = append(fresh, figure(rapid.Float64Range(0, 1).Draw(t, "thin"), rapid.Float64Range(1, 299).Draw(t, "requests")))
			case 3:
				fresh = append(fresh, sick("front", rapid.IntRange(10, 20).Draw(t, "since")))
			case 4: // a stage that a person promoted, or a judgement begun afresh
				w.r.Stages[0].Verdict, w.r.Verdict = w.r.Verdict, nil
			}
			if v := w.look(fresh...); v.Kind != api.VerdictContinue {
				t.Fatalf("%s: %s", v.Kind, v.Reason)
			}
		}
		w.open = nil
		if v := w.look(figure(rapid.Float64Range(0, 0.02).Draw(t, "within"), 600)); v.Kind != api.VerdictPromote {
			t.Fatalf("%s: %s", v.Kind, v.Reason)
		}
	})
}
