package ui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// tried is a simulation that a person asked for and that rejected its patch.
func tried() api.Simulation {
	return api.Simulation{
		ID: "s1", Patch: "web-2", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}, By: "alice",
		Status: api.SimulationRejected, Reason: "latency_p90 got worse", Started: began, Ended: began.Add(3 * time.Minute),
		Decision: &api.Decision{Judge: api.JudgeSpec{Enabled: true, Miss: 0.05, KPIs: []api.KPISpec{{KPI: "latency_p90", AbortAbove: 1.1, PromoteBelow: 1.25}}}},
		Impact: &api.Impact{
			Verdict: api.SimulationReject, Reasons: []string{"latency_p90 got worse", "cpu got worse"}, Requests: 180, Pairs: 2,
			KPIs:     []api.KPIEffect{{KPI: "latency_p90", Kind: api.VerdictAbort, Stable: 0.01, Canary: 0.02, Unit: "s", Ratio: 2, Evidence: 4, Needed: 2.5}},
			Series:   []api.Series{{KPI: "latency_p90", Unit: "s", Pair: 1, Every: api.Duration(2 * time.Second), Control: []float64{0.01, -1}, Treatment: []float64{0.02, 0.03, 0.04}}},
			Twins:    []api.Twin{{Role: "treatment", Pair: 1, Image: "web:2", Kernel: "6.1.0-37-amd64", HealthyAfter: api.Duration(16 * time.Second)}},
			Proofs:   []api.Proof{{Command: "openssl version", Where: "image", Output: "OpenSSL <3.0.17>\x1b[31m"}},
			Packages: []api.PackageChange{{Name: "libssl3", Before: "3.0.16-1", After: "3.0.17-1"}},
			Power:    []api.Power{{KPI: "cpu", Ratio: 1.08}},
			Revert:   &api.Revert{Outcome: api.RevertServes, Data: []string{"volume db"}, Requests: 20},
		},
	}
}

func withSimulations(list ...api.Simulation) *backend {
	b := newBackend()
	b.answers["/v1/simulations"] = list
	for _, s := range list {
		b.answers["/v1/simulation/"+s.ID] = s
	}
	return b
}

func TestSimulations_NewestFirstAndFiltered(t *testing.T) {
	running := api.Simulation{ID: "s2", Patch: "db-3", Target: api.TargetRef{Namespace: "prod", Job: "db", Group: "db"}, Status: api.SimulationRunning, Started: began.Add(time.Hour),
		Progress: &api.SimulationProgress{Phase: api.PhaseLoad, Pair: 1, Pairs: 2, Requests: 40, Left: api.Duration(90 * time.Second)}}
	alice := in(t, withSimulations(tried(), running))
	p := alice.get("/ui/simulations")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrContains(t, p.text, "load, pair 1 of 2, 40 requests answered by each twin, about 1m30s left")
	must.Less(t, strings.Index(p.text, `id="s-s1"`), strings.Index(p.text, `id="s-s2"`))

	rejected := alice.get("/ui/simulations?show=rejected").text
	must.StrContains(t, rejected, `id="s-s1"`)
	must.StrNotContains(t, rejected, `id="s-s2"`)
	must.StrNotContains(t, alice.get("/ui/simulations?q=db-3").text, `id="s-s1"`)
	must.StrContains(t, in(t, withSimulations()).get("/ui/simulations").text, "There is no simulation here.")
}

func TestSimulation_ShowsWhatTheTwinsShowed(t *testing.T) {
	text := in(t, withSimulations(tried())).get("/ui/simulation/s1").text
	for _, want := range []string{
		`class="pill bad">rejected`, "cpu got worse", "3m0s", "180 to each twin", "2 pairs",
		`<th scope="col" class="n">Control</th><th scope="col" class="n">Treatment</th>`, "above 1.1×",
		`data-points="[[0,2],[0.01,null],[0.02,0.03]]"`, "6.1.0-37-amd64", "16s",
		`href="/ui/simulation/s1/console?role=treatment&amp;pair=1"`,
		"libssl3", "3.0.16-1", "not proved", "OpenSSL &lt;3.0.17&gt;[31m", "cpu × 1.08", `class="pill good">serves`, "volume db",
	} {
		must.StrContains(t, text, want)
	}
	must.StrNotContains(t, text, "/cancel")

	reader := withSimulations(tried())
	reader.caps = []api.Capability{api.CapRead}
	must.StrNotContains(t, in(t, reader).get("/ui/simulation/s1").text, "/console")
}

// The margins of a simulation of a rollout stand in the rollout.
func TestSimulation_OfARolloutIsJudgedByTheRolloutsMargins(t *testing.T) {
	s := tried()
	s.Decision, s.Rollout, s.By = nil, "r1", ""
	s.Impact.KPIs[0].KPI = "error_rate"
	text := in(t, withSimulations(s)).get("/ui/simulation/s1").text
	must.StrContains(t, text, `href="/ui/rollout/r1"`)
	must.StrContains(t, text, "above 1.1×")

	s.Rollout = "r9"
	p := in(t, withSimulations(s)).get("/ui/simulation/s1")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrNotContains(t, p.text, "above 1.1×")
}

func TestSimulation_IsCancelledByAForm(t *testing.T) {
	s := tried()
	s.Status, s.Ended, s.Impact = api.SimulationRunning, time.Time{}, nil
	b := withSimulations(s)
	alice := in(t, b)
	must.StrContains(t, alice.get("/ui/simulation/s1").text, `href="/ui/simulation/s1/cancel"`)
	must.StrContains(t, alice.get("/ui/simulation/s1/cancel").text, "Its twins end")
	p := alice.post("/ui/simulation/s1/cancel", nil)
	must.EqOp(t, http.StatusSeeOther, p.status)
	must.Eq(t, []string{"/v1/simulation/s1/cancel {}"}, b.posted)

	b.errs["/v1/simulation/s1/cancel"] = api.Errorf(api.CodePermissionDenied, "identity alice lacks the capability simulate")
	p = alice.post("/ui/simulation/s1/cancel", nil)
	must.EqOp(t, http.StatusForbidden, p.status)
	must.StrContains(t, p.text, "lacks the capability simulate")

	b.answers["/v1/simulation/s1"] = tried()
	must.EqOp(t, http.StatusConflict, alice.get("/ui/simulation/s1/cancel").status)
}

func TestSimulation_ShowsAConsoleAsText(t *testing.T) {
	b := withSimulations(tried())
	b.answers["/v1/simulation/s1/console"] = api.Console{Role: "treatment", Pair: 1, Text: "boot\x00ed <b>\x1b[0m\n"}
	p := in(t, b).get("/ui/simulation/s1/console?role=treatment&pair=1")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrContains(t, p.text, "booted &lt;b&gt;[0m")
	must.StrContains(t, p.text, "From the record")

	b.errs["/v1/simulation/s1/console"] = api.Errorf(api.CodePermissionDenied, "identity alice lacks the capability simulate")
	must.EqOp(t, http.StatusForbidden, in(t, b).get("/ui/simulation/s1/console").status)
}
