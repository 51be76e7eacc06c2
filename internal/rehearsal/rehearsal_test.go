package rehearsal

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/host"
)

// rehearse runs with the policies given on top of those that ship with Oakum.
func rehearse(t *testing.T, facts api.FleetFacts, policy string, o Options) api.Rehearsal {
	t.Helper()
	if policy != "" {
		o.Policies = append(o.Policies, api.SourceFile{Name: "ours.hcl", Text: "policy \"ours\" {\n  applies = target.namespace == \"default\"\n" + policy + "\n}\n"})
	}
	out, err := Run(t.Context(), facts, patch(t, `target { jobs = ["*"] }`), o)
	must.NoError(t, err)
	return out
}

const unjudged = "  judge { enabled = false }\n  strategy \"phased\" { stages = [50, 100] }\n"

// seconds is a spread that all plays have in common.
func seconds(n float64, seeds int) api.Spread {
	d := api.Duration(n * float64(time.Second))
	return api.Spread{Median: d, P90: d, Seeds: seeds}
}

// TestRun_AgreesWithOneTargetByHand holds the clock against one worked out by hand, at the
// pace of Nomad's default update block: four times one instance, which Nomad takes a
// fraction of a second to place and which takes ten seconds to become healthy. The eleventh
// tick sees that, and the tenth after it the end of the min_healthy_time. The end settles
// on that tick, restores the update block on the next, and sees that on the one after.
func TestRun_AgreesWithOneTargetByHand(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 1, 4)
	facts.Healthy = []api.HealthTime{{Target: ref("app-00"), Seen: []api.Duration{api.Duration(10 * time.Second)}}}
	out := rehearse(t, facts, unjudged, Options{Seeds: 3})
	must.Eq(t, seconds(0, 3), out.Waves[0].Starts)
	must.Eq(t, seconds(86, 3), out.Waves[0].Ends)
	must.Eq(t, seconds(86, 3), out.Ends)
	must.EqOp(t, 3, out.Harmless.Complete.Count)
	must.SliceEmpty(t, out.People)
}

// TestRun_MakesBatchesOfABudgetOfInstances: two of four at a time are twice the time of one
// instance.
func TestRun_MakesBatchesOfABudgetOfInstances(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 1, 4)
	facts.Healthy = []api.HealthTime{{Target: ref("app-00"), Seen: []api.Duration{api.Duration(10 * time.Second)}}}
	out := rehearse(t, facts, unjudged+"  budget { instances = 2 }", Options{Seeds: 2})
	must.Eq(t, seconds(44, 2), out.Ends)
}

func TestRun_GivesPeopleTheirTime(t *testing.T) {
	t.Parallel()
	out := rehearse(t, someFacts(t, 2, 4), unjudged+`  approval {
    from  = "release-managers"
    count = 2
  }`, Options{Seeds: 2, People: 2 * time.Hour})
	must.Eq(t, seconds(2*3600, 2), out.Waves[0].Starts)
	must.Eq(t, []api.Wait{{Text: "consent of 2 from release-managers: default/app-00/app-00, default/app-01/app-01", Plays: 2}}, out.People)
	must.EqOp(t, 2, out.Harmless.Complete.Count, must.Sprint("consent is no hold"))
}

func TestRun_JumpsToWindows(t *testing.T) {
	t.Parallel()
	out := rehearse(t, someFacts(t, 1, 4), unjudged+`  window "nights" {
    start  = "0 22 * * 1-5"
    length = "6h"
  }`, Options{Seeds: 2})
	must.Eq(t, seconds(10*3600, 2), out.Waves[0].Starts, must.Sprint("from noon until 22:00"))
	must.StrContains(t, out.Waves[0].Waits, "nights")
}

func TestRun_PausesBetweenWaves(t *testing.T) {
	t.Parallel()
	out := rehearse(t, someFacts(t, 12, 4), unjudged+`  pause = "45m"`, Options{Seeds: 3})
	must.Len(t, 2, out.Waves)
	must.EqOp(t, 0, out.Waves[0].Starts.Median)
	must.EqOp(t, out.Waves[0].Ends.Median+api.Duration(45*time.Minute), out.Waves[1].Starts.Median)
	must.EqOp(t, 3, out.Harmless.Complete.Count, must.Sprint("a pause waits for nobody"))
}

// TestRun_SimulatesFirst: machines are tried on twins, for as long as that took
// before; where it was never seen, for two minutes of load and two boots of twelve
// seconds.
func TestRun_SimulatesFirst(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 1, 4)
	facts.Targets[0].Driver, facts.Targets[0].Tasks[0].Driver = "qemu", "qemu"
	tried := unjudged + "  changes { allow = [\"qemu.image\"] }\n"
	out := rehearse(t, facts, tried, Options{Seeds: 2})
	must.Eq(t, seconds(120+2*12, 2), out.Waves[0].Starts)
	must.StrContains(t, fmt.Sprint(out.Assumptions), "No simulation was seen; one takes its load and two boots: default/app-00/app-00.")

	facts.Trials = []api.Trial{{Target: ref("app-00"), Seen: []api.Duration{api.Duration(90 * time.Second)}}}
	out = rehearse(t, facts, tried, Options{Seeds: 2})
	must.Eq(t, seconds(90, 2), out.Waves[0].Starts)
	must.StrContains(t, fmt.Sprint(out.Assumptions), "Simulations pass")
	must.EqOp(t, 2, out.Harmless.Complete.Count)

	// Each play draws its own.
	quick, slow := api.Duration(90*time.Second), api.Duration(150*time.Second)
	facts.Trials[0].Seen = []api.Duration{quick, quick, quick, slow}
	out = rehearse(t, facts, tried, Options{Seeds: 40})
	must.Eq(t, api.Spread{Median: quick, P90: slow, Seeds: 40}, out.Waves[0].Starts)
}

// TestRun_TurnsBackWhatNeverBecomesHealthy: the stage's deadline ends
// before any instance has run the patch.
func TestRun_TurnsBackWhatNeverBecomesHealthy(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 1, 4)
	facts.Healthy[0].Seen = []api.Duration{api.Duration(time.Hour)}
	out := rehearse(t, facts, unjudged+"  deadline = \"5m\"\n", Options{Seeds: 3})
	must.EqOp(t, 3, out.Harmless.TurnedBack.Count)
	for _, bad := range out.Bad {
		must.EqOp(t, 3, bad.TurnedBack.Count, must.Sprint(bad.Name))
		must.Eq(t, api.Spread{}, bad.After)
		must.Zero(t, bad.Instances.Most)
	}
}

// TestRun_CountsWhatCrashesHadTimeFor: one of ten instances runs the patch, has a
// tenth of 600 requests a second for ten minutes, and crashes. Nomad would start it
// again after 15 seconds; ten seconds of too few instances turn the rollout back.
func TestRun_CountsWhatCrashesHadTimeFor(t *testing.T) {
	t.Parallel()
	out := rehearse(t, someFacts(t, 1, 10), `  judge { min_duration = "15m" }
  strategy "phased" { stages = [10, 100] }`, Options{Seeds: 20})
	crash := out.Bad[len(out.Bad)-1]
	must.EqOp(t, "crash after 10 min", crash.Name)
	must.EqOp(t, 20, crash.TurnedBack.Count)
	must.Eq(t, seconds(610, 20), crash.After)
	must.Eq(t, api.CountSpread{Median: 1, P90: 1, Most: 1}, crash.Instances)
	must.InDelta(t, 600*60, crash.Requests.Median, 60)
	must.EqOp(t, "too few patched instances are healthy", crash.Reasons[0].Text)
}

// TestRun_StopsThePlanAtOneFailure: the policy that ships with Oakum lets no further
// wave start once a target was turned back.
func TestRun_StopsThePlanAtOneFailure(t *testing.T) {
	t.Parallel()
	out := rehearse(t, someFacts(t, 12, 10), "", Options{Seeds: 10})
	must.Len(t, 2, out.Waves)
	for _, bad := range out.Bad[:4] {
		must.EqOp(t, 10, bad.TurnedBack.Count, must.Sprint(bad.Name))
		must.EqOp(t, 0, bad.Unnoticed.Count)
		must.Eq(t, api.CountSpread{Median: 10, P90: 10, Most: 10}, bad.Targets, must.Sprint("the first wave"))
		must.Eq(t, api.CountSpread{Median: 100, P90: 100, Most: 100}, bad.Instances, must.Sprint("all of them beside the former ones"))
	}
	must.Less(t, out.Bad[0].Requests.Median, out.Bad[1].Requests.Median, must.Sprint("ten times the errors are seen sooner than twice"))
}

// TestRun_CountsRequestsByTheTimeToTurnBack: patched and former instances side by
// side share a target's load, until the tick after the verdict.
func TestRun_CountsRequestsByTheTimeToTurnBack(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 1, 10)
	facts.Healthy = []api.HealthTime{{Target: ref("app-00"), Seen: []api.Duration{api.Duration(10 * time.Second)}}}
	out := rehearse(t, facts, "", Options{Seeds: 20})
	for _, bad := range out.Bad[:4] {
		must.InDelta(t, 300*bad.After.Median.D().Seconds(), bad.Requests.Median, 300, must.Sprint(bad.Name))
	}
}

func TestRun_GivesTheSameReportOfTheSameSeed(t *testing.T) {
	t.Parallel()
	text := func(o Options) string {
		raw, err := json.Marshal(rehearse(t, someFacts(t, 12, 10), "", o))
		must.NoError(t, err)
		return string(raw)
	}
	first := text(Options{Seeds: 5, Seed: 7})
	must.EqOp(t, first, text(Options{Seeds: 5, Seed: 7}))
	must.NotEqOp(t, first, text(Options{Seeds: 5, Seed: 12}))
}

// TestRun_GivesTheSameReportOffline: what went through a file gives the same report.
func TestRun_GivesTheSameReportOffline(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 3, 10)
	raw, err := json.Marshal(facts)
	must.NoError(t, err)
	var read api.FleetFacts
	must.NoError(t, json.Unmarshal(raw, &read))
	must.Eq(t, rehearse(t, facts, "", Options{Seeds: 5}), rehearse(t, read, "", Options{Seeds: 5}))
}

func TestRun_SaysThatNobodyKnowsWhatIsInstalled(t *testing.T) {
	t.Parallel()
	const sentence = "What is installed is no part of the facts"
	out := rehearse(t, someFacts(t, 1, 4), unjudged, Options{Seeds: 1})
	must.StrNotContains(t, fmt.Sprint(out.Assumptions), sentence)
	out = rehearse(t, someFacts(t, 1, 4), unjudged+"\nselect { affected = true }\n", Options{Seeds: 1})
	must.StrContains(t, fmt.Sprint(out.Assumptions), sentence)
}

// TestRun_DoubtsWithoutData: what nobody measured is never promoted, so a
// person is waited for in every play.
func TestRun_DoubtsWithoutData(t *testing.T) {
	t.Parallel()
	facts := someFacts(t, 1, 4)
	facts.Profiles, facts.Healthy = nil, nil
	out := rehearse(t, facts, "", Options{Seeds: 4})
	must.EqOp(t, 4, out.Harmless.Held.Count)
	must.EqOp(t, 0, out.Harmless.Complete.Count)
	must.Len(t, 1, out.People)
	must.StrContains(t, out.People[0].Text, "undecided after 30m0s: error_rate (no data)")
	assumed := fmt.Sprint(out.Assumptions)
	must.StrContains(t, assumed, "No requests are known of, so there are none: default/app-00/app-00.")
	must.StrContains(t, assumed, "Too little was measured, so the judge has no data: error_rate, latency_p99, cpu of default/app-00/app-00.")
	must.StrContains(t, assumed, "each takes 30s: default/app-00/app-00.")
}

func TestRun_ReportsTheRefusalsOfAPlanForNothing(t *testing.T) {
	t.Parallel()
	out, err := Run(t.Context(), someFacts(t, 1, 4), patch(t, `target { jobs = ["nope"] }`), Options{})
	must.NoError(t, err)
	must.SliceEmpty(t, out.Waves)
	must.Len(t, 1, out.Refusals)
	must.StrContains(t, out.Refusals[0].Reason, `there is no job "nope"`)
}

func TestRun_RefusesBadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		facts func(*api.FleetFacts)
		o     Options
		want  string
	}{
		"another format":   {facts: func(f *api.FleetFacts) { f.Format = 7 }, want: "their format is 7, and this version reads 1"},
		"too many seeds":   {o: Options{Seeds: 1e6}, want: "1000000 seeds, want 1 to 10000"},
		"a broken policy":  {o: Options{Policies: []api.SourceFile{{Name: "p.hcl", Text: `policy "p" { nope = 1 }`}}}, want: "p.hcl:1"},
		"unknown strategy": {o: Options{Policies: []api.SourceFile{{Name: "p.hcl", Text: "policy \"p\" {\n  applies = target.job != \"\"\n  strategy \"ring\" {}\n}"}}}, want: "ring"},
		"a plugin that is not here": {
			facts: func(f *api.FleetFacts) { f.Plugins = []api.PluginInfo{{Name: "ring"}} },
			o:     Options{Policies: []api.SourceFile{{Name: "p.hcl", Text: "policy \"p\" {\n  applies = target.job != \"\"\n  strategy \"ring\" {}\n}"}}},
			want:  `default/app-00/app-00: its strategy "ring" is a plugin that is not here; name it with -plugin`,
		},
	} {
		facts := someFacts(t, 1, 4)
		if c.facts != nil {
			c.facts(&facts)
		}
		_, err := Run(t.Context(), facts, patch(t, `target { jobs = ["*"] }`), c.o)
		must.Error(t, err, must.Sprint(name))
		must.StrContains(t, err.Error(), c.want, must.Sprint(name))
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(name))
	}
}

// TestRun_MissesNothingByJumps holds the jumps of virtual time against a play that takes
// a turn of every rollout at every tick, as production does.
func TestRun_MissesNothingByJumps(t *testing.T) {
	t.Parallel()
	o := Options{At: now(), People: time.Hour, Healthy: time.Second, inline: host.NewInline()}
	o.Policies = []api.SourceFile{{Name: "ours.hcl", Text: `
policy "ours" {
  applies = target.job != ""
  pause   = "7m"
  judge { max_duration = "5m" }
  budget { instances = 3 }
  window "soon" {
    start  = "10 12 * * *"
    length = "1h"
  }
}
`}}
	s, err := newScene(someFacts(t, 12, 10), patch(t, `target { jobs = ["app-0*", "app-10"] }`), o)
	must.NoError(t, err)
	for which, b := range s.behaviours {
		jumped := newPlay(t.Context(), s, 3, which)
		must.NoError(t, jumped.run())
		ticked := newPlay(t.Context(), s, 3, which)
		for range int((3 * time.Hour).Seconds()) {
			for _, at := range ticked.parts {
				at.wake = ticked.now
			}
			for ticked.round() {
			}
			ticked.pass(ticked.now.Add(s.facts.Tick.D()))
		}
		must.NoError(t, ticked.err)
		want, got := ticked.result(), jumped.result()
		must.InDelta(t, want.requests, got.requests, 1+want.requests/1000, must.Sprint(b.name))
		want.requests = got.requests
		must.Eq(t, want, got, must.Sprint(b.name), must.Cmp(cmp.AllowUnexported(result{})))
	}
}
