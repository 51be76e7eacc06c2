package view_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func judgedRollout() api.Rollout {
	began := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	return api.Rollout{
		ID: "r1", Patch: "openssl<3>", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "api"}, Status: api.RolloutRolledBack,
		Decision: api.Decision{Judge: api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
			KPIs: []api.KPISpec{{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5}}}},
		Stages: []api.Stage{{Number: 1, Percent: 10, Began: began, Ready: began.Add(time.Minute)}},
		Verdict: &api.Verdict{Kind: api.VerdictAbort, At: began.Add(3 * time.Minute), Looks: 24, Reason: "cpu of the canary is 2x stable",
			KPIs: []api.KPIEffect{
				{KPI: api.KPICPU, Kind: api.VerdictAbort, Stable: 0.2, Canary: 0.4, Unit: "cores", Ratio: 2, Low: 1.9, High: 2.1, Evidence: 2.6, Needed: 2.5},
				{KPI: api.KPIErrorRate, Kind: api.VerdictContinue, Unit: "share", Needed: 2.5, Promote: 0.4},
			}},
	}
}

func TestReport_ShowsEachKPI(t *testing.T) {
	r := judgedRollout()
	var out strings.Builder
	view.Report(&out, r, view.ReportsOf(r))
	for _, want := range []string{"Stage 1 (10 %): abort after 2m0s and 24 looks", "1.9 to 2.1", "2.6 of 2.5", "0.4 of 1.3"} {
		must.StrContains(t, out.String(), want)
	}
	r.Verdict = nil
	out.Reset()
	view.Report(&out, r, view.ReportsOf(r))
	must.StrContains(t, out.String(), "No stage was judged.")
}

// diskSimulation has a KPI that the policy does not judge by, and one without
// data.
func diskSimulation() api.Simulation {
	began := time.Date(2026, 3, 1, 11, 58, 0, 0, time.UTC)
	return api.Simulation{
		ID: "S1", Patch: "openssl", Target: api.TargetRef{Namespace: "default", Job: "store", Group: "vm"},
		Status: api.SimulationRejected, Started: began, Ended: began.Add(90 * time.Second),
		Impact: &api.Impact{
			Negative: true, Reason: "latency_p99 of the treatment is 3.1x the control", Requests: 300,
			KPIs: []api.KPIEffect{
				{KPI: "latency_p99", Unit: "seconds", Stable: 0.02, Canary: 0.062, Ratio: 3.1, Evidence: 5.2, Needed: 2.9, Kind: api.VerdictAbort},
				{KPI: api.KPIIOBytes, Kind: api.VerdictContinue, Unit: "bytes/s", Stable: 4096, Canary: 40960, Ratio: 10, Unjudged: true,
					Reason: "io_bytes is 40960 B/s against 4096 B/s; the policy does not judge by it"},
				{KPI: api.KPIIOOperations, Kind: api.VerdictContinue, Unit: "1/s", Unjudged: true, Missing: true},
			},
		},
	}
}

func TestReport_BeginsWithTheSimulation(t *testing.T) {
	r := judgedRollout()
	var out strings.Builder
	view.Report(&out, r, append([]view.StageReport{view.ReportOfSimulation(r, diskSimulation())}, view.ReportsOf(r)...))
	simulation, stages, ok := strings.Cut(out.String(), "Stage 1")
	must.True(t, ok)
	must.StrContains(t, simulation, "Simulation S1: rejected after 1m30s and 300 requests to each twin\nlatency_p99 of the treatment is 3.1x the control")
	must.RegexMatch(t, regexp.MustCompile(`io_bytes +not judged +4.* +40.* +10x +- +- +-`), simulation)
	must.RegexMatch(t, regexp.MustCompile(`io_operations +no data +- `), simulation)
	must.StrContains(t, stages, "2.6 of 2.5")

	out.Reset()
	view.Report(&out, r, []view.StageReport{view.ReportOfSimulation(r, diskSimulation())})
	must.StrContains(t, out.String(), "No stage was judged.")
}

func TestSimulation_ShowsTheKPIsThatAreNotJudged(t *testing.T) {
	var out strings.Builder
	view.Simulation(&out, diskSimulation())
	must.RegexMatch(t, regexp.MustCompile(`latency_p99 +20.* +62.* +3.10x +abort +5.2 of 2.9 +0.0`), out.String())
	must.RegexMatch(t, regexp.MustCompile(`io_bytes +4.* +40.* +10.00x +not judged +- +-`), out.String())
	must.RegexMatch(t, regexp.MustCompile(`io_operations +- +- +- +no data +- +-`), out.String())
}

func TestReportPage_IsOneSafeDocument(t *testing.T) {
	r := judgedRollout()
	var out strings.Builder
	must.NoError(t, view.ReportPage(&out, r, append([]view.StageReport{view.ReportOfSimulation(r, diskSimulation())}, view.ReportsOf(r)...)))
	must.StrContains(t, out.String(), "not judged")
	must.StrContains(t, out.String(), ">rejected</span>")
	must.StrNotContains(t, out.String(), "No stage was judged.")
	page := out.String()
	must.StrContains(t, page, "openssl&lt;3&gt;")
	must.StrContains(t, page, "<svg")
	for _, foreign := range []string{"<script", "http:", "https:", "ZgotmplZ"} {
		must.StrNotContains(t, page, foreign)
	}
	closed(t, page)
}

// closed checks that every element of a page is closed.
func closed(t *testing.T, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose = true, xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		must.NoError(t, err)
	}
}

// fullSimulation has all that a simulation may find out.
func fullSimulation() api.Simulation {
	s := diskSimulation()
	s.By, s.Status = "ada", api.SimulationRejected
	i := s.Impact
	i.Verdict, i.Pairs = api.SimulationReject, 2
	i.Reasons = []string{"the fix is not proved", "latency_p99 of the treatment is 3.1x the control"}
	i.Power = []api.Power{{KPI: "latency_p99", Ratio: 1.05}}
	i.Series = []api.Series{
		{KPI: "latency_p99", Unit: "seconds", Pair: 1, Every: api.Duration(2 * time.Second),
			Control: []float64{0.02, -1, 0.021}, Treatment: []float64{0.06, 0.07, 0.062}},
		{KPI: "cpu", Unit: "cores", Pair: 2, Every: api.Duration(2 * time.Second), Control: []float64{0}, Treatment: []float64{0}},
	}
	i.Proofs = []api.Proof{{Command: "dpkg -s openssl | grep <1>", Where: "image", Output: "one\nVersion: 3.0.15"}}
	i.Revert = &api.Revert{Outcome: api.RevertServes, Data: []string{"drive /data/<a>.raw"}, Requests: 40, Failures: 1}
	i.Packages = []api.PackageChange{{Name: "openssl", Before: "3.0.15-1", After: "3.0.15-1"}}
	i.Twins = []api.Twin{{Role: "control", Pair: 1, Image: "/images/a.qcow2", ImageDigest: strings.Repeat("a", 64), Console: "login: <root>"}}
	return s
}

func TestSimulationReport_ShowsAllThatWasFound(t *testing.T) {
	var out strings.Builder
	view.SimulationReport(&out, fullSimulation(), api.JudgeSpec{Miss: 0.05})
	for _, want := range []string{
		"Asked for by  ada", "1. the fix is not proved", "latency_p99  1.05x", "not proved  Version: 3.0.15", "openssl  3.0.15-1  3.0.15-1",
		"Revert: the former version serves on the data that the patched one left (drive /data/<a>.raw; 39 of 40 requests answered well)",
	} {
		must.StrContains(t, out.String(), want)
	}
}

func TestSimulationReport_OfARunThatMeasuredNothing(t *testing.T) {
	var out strings.Builder
	view.SimulationReport(&out, api.Simulation{ID: "S2", Status: api.SimulationFailed, Reason: "no room"}, api.JudgeSpec{})
	must.StrContains(t, out.String(), "Nothing was measured.")
}

func TestRevert_SaysWhatBecameOfIt(t *testing.T) {
	for want, r := range map[string]api.Revert{
		"not rehearsed: there was no time left":     {Outcome: api.RevertUntried, Reason: "there was no time left"},
		"there is nothing to carry over":            {Outcome: api.RevertNothing, Reason: "there is nothing to carry over"},
		"does not serve on the data":                {Outcome: api.RevertFails, Reason: "it died"},
		"(disk; 25 of 40 requests answered well): ": {Outcome: api.RevertUndecided, Reason: "so few", Data: []string{"disk"}, Requests: 40, Failures: 15},
	} {
		must.StrContains(t, view.Revert(&r), want)
	}
}

func TestSimulationPage_DrawsNoLimitsWhereThereAreNone(t *testing.T) {
	s := api.Simulation{ID: "S3", Impact: &api.Impact{KPIs: []api.KPIEffect{{KPI: "io_bytes", Unit: "bytes/s", Stable: 10, Canary: 20, Ratio: 2, Unjudged: true}}}}
	var out strings.Builder
	must.NoError(t, view.SimulationPage(&out, s, api.JudgeSpec{}))
	must.StrContains(t, out.String(), "\n2x<br/>")
	must.StrNotContains(t, out.String(), `stroke-width="5"`)

	out.Reset()
	s.Impact.KPIs[0].Low, s.Impact.KPIs[0].High = 1.5, 2.5
	must.NoError(t, view.SimulationPage(&out, s, api.JudgeSpec{}))
	must.StrContains(t, out.String(), "\n2x, 1.5 to 2.5<br/>")
	must.StrContains(t, out.String(), `stroke-width="5"`)
}

func TestSimulationPage_IsOneSafeDocument(t *testing.T) {
	var out strings.Builder
	must.NoError(t, view.SimulationPage(&out, fullSimulation(), api.JudgeSpec{Miss: 0.05}))
	page := out.String()
	for _, want := range []string{"<li>the fix is not proved</li>", "grep &lt;1&gt;", "login: &lt;root&gt;", "<polyline points=", "not proved", "1.05x", "(drive /data/&lt;a&gt;.raw; 39 of 40"} {
		must.StrContains(t, page, want)
	}
	for _, foreign := range []string{"<script", "http:", "https:", "ZgotmplZ"} {
		must.StrNotContains(t, page, foreign)
	}
	closed(t, page)
	// A missing measure parts the control's line of latency_p99 in two; that of cpu is whole.
	must.Eq(t, 3, strings.Count(page, `stroke="#888"`))
}

func TestSimulationProgress_SaysHowFarItIs(t *testing.T) {
	must.Eq(t, "", view.SimulationProgress(nil))
	must.Eq(t, "load, pair 2 of 4, 120 requests answered by each twin, cpu 10^0.4 of 10^2.5, about 1m30s left",
		view.SimulationProgress(&api.SimulationProgress{Phase: "load", Pair: 2, Pairs: 4, Requests: 120, Left: api.Duration(90 * time.Second),
			KPIs: []api.KPIEffect{{KPI: "cpu", Evidence: 0.4, Needed: 2.5}, {KPI: "io_bytes", Unjudged: true}}}))
}
