package ui_test

import (
	"net/http"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func withPolicies() *backend {
	b := newBackend()
	web := api.Policy{Name: "web", Blocks: []string{"web-tier"}, AppliedBy: "carol", AppliedAt: began,
		File: api.SourceFile{Name: "web.hcl", Text: "policy \"web-tier\" {\n  match = target.job == \"<web>\"\n}\n"}}
	b.answers["/v1/policies"] = []api.Policy{web, {Name: "defaults", Blocks: []string{"defaults"}, Builtin: true}}
	b.answers["/v1/policy/web"] = web
	return b
}

func TestPolicies_ShowsFilesAndWhoAppliedThem(t *testing.T) {
	text := in(t, withPolicies()).get("/ui/policies").text
	for _, want := range []string{`href="/ui/policy/web"`, "web-tier", "by carol", "shipped"} {
		must.StrContains(t, text, want)
	}
	b := withPolicies()
	b.answers["/v1/policies"] = []api.Policy{}
	must.StrContains(t, in(t, b).get("/ui/policies").text, "No policy is applied.")
}

func TestPolicy_ShowsItsLinesAndWhatItDecides(t *testing.T) {
	b := withPolicies()
	alice := in(t, b)
	text := alice.get("/ui/policy/web").text
	for _, want := range []string{
		`<li id="L2"><code>  match = target.job == &#34;&lt;web&gt;&#34;</code></li>`,
		`href="/ui/policy/web#L3"`, "target.critical is true", `href="/ui/rollout/r1"`,
	} {
		must.StrContains(t, text, want)
	}
	must.StrNotContains(t, text, `id="L4"`)
	must.StrContains(t, alice.get("/ui/rollout/r1").text, `<a href="/ui/policy/web#L3"><code>web.hcl:3,5</code></a>`)

	ended := open("r1")
	ended.Status = api.RolloutComplete
	b.answers["/v1/rollouts"] = []api.Rollout{ended}
	must.StrContains(t, alice.get("/ui/policy/web").text, "No open rollout is decided by it.")
	must.EqOp(t, http.StatusNotFound, alice.get("/ui/policy/nothing").status)
}

// A range that names no line of a policy file is text, and no link.
func TestRollout_LinksNoRangeThatNamesNoLine(t *testing.T) {
	b := newBackend()
	for _, at := range []string{"", "web.hcl", "web.hcl:x,1", "web.hcl:0,1", "-:3,5"} {
		r := open("r1")
		r.Decision.Because[0].Range = at
		b.answers["/v1/rollout/r1"] = r
		must.StrNotContains(t, in(t, b).get("/ui/rollout/r1").text, "/ui/policy/", must.Sprint(at))
	}
}
