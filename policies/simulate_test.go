package policies_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
)

func TestDecide_TakesEachArgumentOfASimulationFromTheMostSpecificPolicy(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "prod" {
  applies = target.namespace == "prod"
  simulate {
    minutes         = 5
    pairs           = 4
    on_inconclusive = "hold"
    pool            = "sandbox"
  }
}
policy "web" {
  applies = target.namespace == "prod" && target.job == "web"
  simulate {
    required        = true
    pairs           = patch.severity == "critical" ? 8 : 2
    on_inconclusive = "one_first"
    revert          = "required"
    data            = "empty"
  }
}`)
	decision, err := lib.Decide(facts())
	must.NoError(t, err)
	must.Eq(t, api.SimulateSpec{
		Required: true, Duration: api.Duration(5 * 60 * 1e9), Workload: "replay",
		Pairs: 2, OnInconclusive: "one_first", Pool: "sandbox", Revert: api.RevertRequired, Data: api.DataEmpty,
	}, decision.Simulate)
	must.EqOp(t, "web", because(t, decision, "simulate.pairs").Policy)
	must.EqOp(t, "prod", because(t, decision, "simulate.pool").Policy)
	must.EqOp(t, `on_inconclusive = "one_first"`, because(t, decision, "simulate.on_inconclusive").Reason)
}

func TestDecision_SaysWhatFollowsAnInconclusiveSimulation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		written, want string
		critical      bool
	}{
		{"", api.InconclusiveOneFirst, false},
		{"", api.InconclusiveApprove, true},
		{api.InconclusiveHold, api.InconclusiveHold, true},
		{api.InconclusiveOneFirst, api.InconclusiveOneFirst, true},
		{api.InconclusiveApprove, api.InconclusiveApprove, false},
	} {
		d := api.Decision{Critical: c.critical, Simulate: api.SimulateSpec{OnInconclusive: c.written}}
		must.EqOp(t, c.want, d.Inconclusive())
	}
}

// recorded is a policy with a recorded workload.
func recorded(contents string) api.SourceFile {
	file := api.SourceFile{Name: "a.hcl", Text: `policy "a" {
  specificity = 1
  simulate { workload = file("loads/web.har") }
}`}
	if contents != "" {
		file.Files = map[string]string{"loads/web.har": contents}
	}
	return file
}

func TestDecide_NamesARecordedWorkloadByItsDigest(t *testing.T) {
	t.Parallel()
	file := recorded(`{"log": {"entries": [{"request": {"method": "GET", "url": "http://shop/"}}]}}`)
	must.Eq(t, []string{"loads/web.har"}, policies.FilesWanted(file))
	lib, diags := policies.Load(append(policies.Builtin(), file), schemas)
	must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
	decision, err := lib.Decide(facts())
	must.NoError(t, err)
	must.EqOp(t, "loads/web.har", decision.Simulate.Workload)
	must.EqOp(t, "5f96cd5cec93ff9f90f235b31e5a07210616a64606e19a907f6574f3f6e37a81", decision.Simulate.Recorded)
	must.StrContains(t, because(t, decision, "simulate.workload").Reason, `workload = "loads/web.har@sha256:5f96`)
}

func TestParsePolicy_RefusesAWorkloadThatCannotBeKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ contents, want string }{
		"absent":    {"", `the contents of "loads/web.har" did not come along`},
		"too large": {strings.Repeat("x", 4<<20+1), `loads/web.har: larger than 4 MiB`},
		"garbage":   {"garbage", `loads/web.har:1: invalid character 'g' looking for beginning of value`},
		"a field":   {`{"log": {"entries": [{"request": {"method": "GET", "url": 7}}]}}`, `loads/web.har: log.entries[0].request.url: a JSON number where a string is wanted`},
		"no text":   {"\x1f\x8b\x08", `"loads/web.har" can't be sent along: it is no UTF-8 text: byte 0x8b at offset 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := recorded(c.contents)
			_, diags := policies.ParsePolicy(file, schemas)
			inFile(t, file, diags)
			must.StrContains(t, policies.DiagnosticsError(diags, []api.SourceFile{file}).Error(), c.want)
		})
	}
}

func TestTests_KnowWhatASimulationSaid(t *testing.T) {
	t.Parallel()
	files := append(policies.Builtin(), api.SourceFile{Name: "a.hcl", Text: `policy "a" {
  specificity = 1
  approval {
    when  = impact.verdict == "inconclusive"
    count = 2
  }
}
policy "curl-on-sundays" {
  applies = length([for a in patch.affects : a if a.package == "curl"]) > 0
  window "sunday" {
    start  = "0 15 * * 0"
    length = "2h"
  }
}`})
	test := func(name, facts, expect string) string {
		return "test \"" + name + "\" {\n  now = \"2026-06-03T12:00:00Z\"\n  target { job = \"web\" }\n  " + facts + "\n  expect { " + expect + " }\n}\n"
	}
	tests := []api.SourceFile{{Name: "a.policytest.hcl", Text: test("before", "", "approvals = 0") +
		test("undecided", `impact { verdict = "inconclusive" }`, "approvals = 2") +
		test("passed", `impact { verdict = "pass" }`, "approvals = 0") +
		test("rejected", `impact { negative = true }`, "approvals = 0") +
		test("follows", `graph { blast_radius = 3 }`, `on_inconclusive = "approve"`) +
		test("curl", `patch { affects = [{ ecosystem = "deb", package = "curl", below = "8.14.1-2+deb13u2" }] }`, `opens = "2026-06-07T15:00:00Z"`) +
		test("wrong", `impact { verdict = "inconclusive" }`, `on_inconclusive = "hold"`)}}
	results, diags := policytest.Run(tests, files, schemas)
	must.Nil(t, policies.DiagnosticsError(diags, append(tests, files...)))
	must.Len(t, 7, results)
	for _, r := range results[:6] {
		must.True(t, r.Passed, must.Sprint(r.Name, r.Failures, r.Refusal))
	}
	must.Eq(t, []string{`on_inconclusive: expected "hold", decided "one_first"`}, results[6].Failures)

	tests[0].Text = test("nothing", "impact {}", "simulate = true") + test("two", `impact {
    verdict  = "pass"
    negative = true
  }`, "simulate = true")
	_, diags = policytest.Run(tests, files, schemas)
	must.EqError(t, policies.DiagnosticsError(diags, tests), `2 errors in a.policytest.hcl
  a.policytest.hcl:1,1: Missing argument; The impact of a test has a verdict: "pass", "reject" or "inconclusive". | test "nothing" {
  a.policytest.hcl:7,1: Contradiction; An impact is negative exactly when its verdict is "reject". | test "two" {`)
}
