package policies_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// selecting is a policy with a body, beside the shipped one.
func selecting(body string) string {
	return "policy \"s\" {\n  specificity = 5\n" + body + "\n}\n"
}

// installed is one Debian inventory, and what an assessment says of it.
func installed(status api.AssessmentStatus, reason string) *policies.Installed {
	return &policies.Installed{
		Inventories: []*api.Inventory{{
			Packages: []api.Package{
				{Ecosystem: "deb", Name: "openssl", Version: "3.0.9-1"}, {Ecosystem: "deb", Name: "linux", Version: "6.1.1"},
				{Ecosystem: "deb", Name: "linux", Version: "6.1.2"}, {Ecosystem: "pypi", Name: "six", Version: "1.0"},
			},
			Aside: []api.Aside{{Name: "vendored", Reason: "it has no package URL"}},
		}},
		Assessment: &api.TargetAssessment{Status: status, Reason: reason, Fixed: map[string]string{"openssl": "3.0.16-1"}},
	}
}

func TestDecide_SelectsWhomThePatchIsFor(t *testing.T) {
	t.Parallel()
	affected, fixed := installed(api.AssessmentAffected, "openssl is 3.0.9"), installed(api.AssessmentFixed, "openssl is 3.0.16")
	unknown := &policies.Installed{Missing: "there is no inventory of it", Assessment: &api.TargetAssessment{Status: api.AssessmentUnknown, Reason: "there is no inventory of it"}}
	cases := map[string]struct {
		body      string
		installed *policies.Installed
		want      *api.Selection
		simulate  bool
		approvals int
	}{
		"no select":              {body: "", installed: affected},
		"affected":               {body: "select { affected = true }", installed: affected, want: &api.Selection{Chosen: true, Status: "affected", Reason: "it is affected: openssl is 3.0.9"}},
		"fixed":                  {body: "select { affected = true }", installed: fixed, want: &api.Selection{Status: "fixed", Reason: "it is fixed already: openssl is 3.0.16"}},
		"unknown":                {body: "select { affected = true }", installed: unknown, simulate: true, want: &api.Selection{Chosen: true, Status: "unknown", Reason: "nobody knows whether it is affected: there is no inventory of it"}},
		"unknown, hold":          {body: "select {\n affected = true\n unknown = \"hold\"\n}", installed: unknown, approvals: 1, want: &api.Selection{Chosen: true, Status: "unknown", Reason: "nobody knows whether it is affected: there is no inventory of it"}},
		"unknown, exclude":       {body: "select {\n affected = true\n unknown = \"exclude\"\n}", installed: unknown, want: &api.Selection{Status: "unknown", Reason: "nobody knows whether it is affected: there is no inventory of it"}},
		"nobody asked":           {body: "select { affected = true }", simulate: true, want: &api.Selection{Chosen: true, Status: "unknown", Reason: "nobody knows whether it is affected: nobody has asked what is installed"}},
		"critical all the same":  {body: "critical = true\nselect {\n affected = true\n critical = true\n}", installed: fixed, want: &api.Selection{Chosen: true, Status: "fixed", Reason: "it is critical"}},
		"critical only":          {body: "critical = false\nselect { critical = true }", installed: affected, want: &api.Selection{Reason: "it is not critical"}},
		"where":                  {body: "select { where = target.packages[\"openssl\"] != \"3.0.9-1\" }", installed: affected, want: &api.Selection{Reason: `its policy leaves it out: target.packages["openssl"] = "3.0.9-1", not != "3.0.9-1"`}},
		"where alone":            {body: "select { where = version_below(\"deb\", target.packages[\"deb:openssl\"], target.fixed_in[\"openssl\"]) }", installed: affected, want: &api.Selection{Chosen: true, Reason: "its policy takes it"}},
		"selective, and where":   {body: "strategy \"selective\" {}\nselect { where = target.critical == false }", installed: fixed, want: &api.Selection{Status: "fixed", Reason: "it is fixed already: openssl is 3.0.16"}},
		"selective, where not":   {body: "strategy \"selective\" {}\nselect { where = target.critical }", installed: affected, want: &api.Selection{Status: "affected", Reason: "its policy leaves it out: target.critical = false"}},
		"selective, all of them": {body: "strategy \"selective\" {}\nselect { affected = false }", installed: fixed, want: &api.Selection{Chosen: true, Reason: "its policy takes it"}},
		"the selective strategy": {body: "strategy \"selective\" {}", installed: fixed, want: &api.Selection{Status: "fixed", Reason: "it is fixed already: openssl is 3.0.16"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			f.Installed = c.installed
			d, err := load(t, selecting("simulate { required = false }\n"+c.body)).Decide(f)
			must.NoError(t, err)
			must.Eq(t, c.want, d.Selection)
			must.EqOp(t, c.simulate, d.Simulate.Required)
			must.EqOp(t, c.approvals, d.Approval.Count)
		})
	}
}

// TestDecide_TakesNoOldInventoryForSafe holds that the shortest age of all matching
// policies counts, and that an old inventory still says that a target is affected.
func TestDecide_TakesNoOldInventoryForSafe(t *testing.T) {
	t.Parallel()
	const week = `policy "week" { 
  select { max_age = "168h" }
}
`
	for name, c := range map[string]struct {
		body   string
		status api.AssessmentStatus
		age    time.Duration
		want   api.AssessmentStatus
		reason string
	}{
		"any age":          {"", api.AssessmentFixed, 9000 * time.Hour, api.AssessmentFixed, "it is fixed already: because (by inventories of 2025-09-27 or later)"},
		"young enough":     {week, api.AssessmentFixed, 168 * time.Hour, api.AssessmentFixed, "it is fixed already: because (by inventories of 2026-09-30 or later)"},
		"a second too old": {week, api.AssessmentFixed, 168*time.Hour + time.Second, api.AssessmentUnknown, "nobody knows whether it is affected: the inventory is stale: it was taken on "},
		"not affected":     {week, api.AssessmentNotAffected, 169 * time.Hour, api.AssessmentUnknown, "it would be not affected"},
		"affected":         {week, api.AssessmentAffected, 169 * time.Hour, api.AssessmentAffected, "it is affected: because (by inventories of 2026-09-30 or later)"},
		"from the future":  {week, api.AssessmentFixed, -time.Hour, api.AssessmentUnknown, "it was taken in the future"},
		"the shortest": {week + `policy "day" { 
  select { max_age = "24h" }
}
`, api.AssessmentFixed, 25 * time.Hour, api.AssessmentUnknown, "the inventory is stale"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			f.Installed = installed(c.status, "because")
			f.Installed.Inventories[0].TakenAt = f.Now.Add(-c.age)
			d, err := load(t, selecting("select { affected = true }")+c.body).Decide(f)
			must.NoError(t, err)
			must.EqOp(t, c.want, d.Selection.Status)
			must.StrContains(t, d.Selection.Reason, c.reason)
			must.EqOp(t, c.want == api.AssessmentAffected || c.want == api.AssessmentUnknown, d.Selection.Chosen)
		})
	}
}

func TestDecide_NeverTakesWhatNobodyKnowsForAVersion(t *testing.T) {
	t.Parallel()
	blind := &policies.Installed{Missing: "there is no inventory of it", Assessment: &api.TargetAssessment{Status: api.AssessmentUnknown, Reason: "there is no inventory of it"}}
	image := installed(api.AssessmentFixed, "")
	image.Inventories = []*api.Inventory{{Format: "dpkg", Packages: []api.Package{{Ecosystem: "deb", Name: "bash", Version: "5.2"}}}}
	languages := installed(api.AssessmentFixed, "")
	languages.Inventories = []*api.Inventory{{Format: "dpkg, npm, pypi (in part)", Packages: []api.Package{
		{Ecosystem: "npm", Name: "lodash", Version: "4.17.21"}, {Ecosystem: "pypi", Name: "six", Version: "1.0"},
	}}}
	nothing := installed(api.AssessmentFixed, "")
	nothing.Inventories = []*api.Inventory{{Format: "CycloneDX 1.6"}}
	partly := installed(api.AssessmentAffected, "")
	partly.Missing = "there is no inventory of its sidecar"
	epoch := installed(api.AssessmentFixed, "")
	epoch.Inventories = []*api.Inventory{{Packages: []api.Package{{Ecosystem: "rpm", Name: "openssl", Version: "1:3.0.1-1.el9"}}}}
	cases := map[string]struct {
		when      string
		installed *policies.Installed
		want      string // of the error; "true" or "false" for an answer
	}{
		"a version":               {`version_below("deb", target.packages["openssl"], "3.0.16")`, installed(api.AssessmentAffected, ""), "true"},
		"of its ecosystem":        {`target.packages["pypi:six"] == "1.0" && target.packages["deb:six"] == null`, installed(api.AssessmentAffected, ""), "true"},
		"not installed":           {`target.packages["curl"] == null`, installed(api.AssessmentAffected, ""), "true"},
		"below what is not there": {`version_below("deb", target.packages["curl"], "3")`, installed(api.AssessmentAffected, ""), "argument must not be null"},
		"two versions":            {`version_below("deb", target.packages["linux"], "7")`, installed(api.AssessmentAffected, ""), "depends on what nobody knows"},
		"kept aside":              {`target.packages["vendored"] == null`, installed(api.AssessmentAffected, ""), "depends on what nobody knows"},
		"kept aside, qualified":   {`target.packages["deb:vendored"] == null`, installed(api.AssessmentAffected, ""), "depends on what nobody knows"},
		"not read by Oakum":       {`target.packages["pypi:six"] == null`, image, "depends on what nobody knows"},
		"of a manifest":           {`target.packages["npm:lodash"] == "4.17.21"`, languages, "true"},
		"of no manifest":          {`target.packages["npm:six"] == null`, languages, "depends on what nobody knows"},
		"of some manifests":       {`target.packages["pypi:six"] == "1.0"`, languages, "depends on what nobody knows"},
		"read and not there":      {`target.packages["deb:six"] == null`, image, "true"},
		"a document of nothing":   {`target.packages["openssl"] == null`, nothing, "depends on what nobody knows"},
		"fixes of a part":         {`target.affected && target.fixed_in["curl"] == null`, partly, "depends on what nobody knows: there is no inventory of its sidecar"},
		"an epoch that got lost":  {`version_at_least("rpm", target.packages["openssl"], "3.0.7-24.el9")`, epoch, "one has an epoch and the other has none"},
		"an epoch that is said":   {`version_at_least("rpm", target.packages["openssl"], "1:3.0.7-24.el9")`, epoch, "false"},
		"all of them":             {`length(target.packages) > 2`, installed(api.AssessmentAffected, ""), "true"},
		"affected":                {`target.affected && target.assessment == "affected"`, installed(api.AssessmentAffected, ""), "true"},
		"not affected":            {`target.affected`, installed(api.AssessmentFixed, ""), "false"},
		"no inventory":            {`target.packages["openssl"] == null`, blind, "depends on what nobody knows: there is no inventory of it"},
		"nor whether affected":    {`!target.affected`, blind, "depends on what nobody knows: there is no inventory of it"},
		"nor the fix":             {`target.fixed_in["openssl"] == null`, blind, "depends on what nobody knows"},
		"asked first":             {`target.assessment == "unknown" || target.affected`, blind, "true"},
		"nobody asked":            {`target.affected`, nil, "depends on what nobody knows: nobody has asked what is installed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			f.Installed = c.installed
			d, err := load(t, selecting("simulate { required = "+c.when+" }")).Decide(f)
			if c.want != "true" && c.want != "false" {
				must.ErrorContains(t, err, c.want)
				must.ErrorContains(t, err, "a.hcl:3,")
				return
			}
			must.NoError(t, err)
			must.EqOp(t, c.want == "true", d.Simulate.Required)
		})
	}
}

func TestSession_TellsTargetsApartByWhatIsInstalled(t *testing.T) {
	t.Parallel()
	f := facts()
	session := load(t, selecting("select { affected = true }")).Session(f.Patch, f.Cluster, f.Now)
	one, other := installed(api.AssessmentAffected, "a"), installed(api.AssessmentFixed, "b")
	for _, c := range []*policies.Installed{one, other, one, nil} {
		d, err := session.Decide(f.Target, f.Criticality, nil, c)
		must.NoError(t, err)
		must.EqOp(t, c != other, d.Selection.Chosen)
	}
}

func TestSession_TellsTargetsApartByTheirAssessment(t *testing.T) {
	t.Parallel()
	f := facts()
	session := load(t, selecting("select { affected = true }")).Session(f.Patch, f.Cluster, f.Now)
	same := installed(api.AssessmentAffected, "a").Inventories
	for _, status := range []api.AssessmentStatus{api.AssessmentFixed, api.AssessmentAffected} {
		d, err := session.Decide(f.Target, f.Criticality, nil, &policies.Installed{Inventories: same, Assessment: &api.TargetAssessment{Status: status}})
		must.NoError(t, err)
		must.EqOp(t, status, d.Selection.Status)
	}
}

func TestLoad_RefusesASelectThatSelectsNothing(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"select {}": "Empty select",
		"select {\n affected = true\n unknown = \"maybe\"\n}":                 `want "include", "hold" or "exclude"`,
		"select { where = target.packages[\"openssl\"] < \"3.0.16\" }":        "a.hcl:3,18-55: Texts compared by size",
		"select { where = target.packages[\"openssl\"] < 3.9 }":               "a.hcl:3,18-50: Texts compared by size",
		"select { where = try(target.packages[\"openssl\"], \"0\") < \"3\" }": "a.hcl:3,18-60: Texts compared by size",
		"select { where = target.assessment == \"afected\" }":                 `There is no assessment "afected". Did you mean "affected"?`,
		"order = \"exposed_last\"":                                            `want "least_critical_first", "exposed_first", "callees_first" or "callers_first"`,
	} {
		file := api.SourceFile{Name: "a.hcl", Text: selecting(body)}
		_, diags := policies.Load([]api.SourceFile{file}, schemas)
		must.StrContains(t, diags.Error(), want)
	}
	_, diags := policies.ParsePatch(api.SourceFile{Name: "p.hcl", Text: strings.Replace(goodPatch, "target.meta.os == \"debian-12\"", "target.affected", 1)})
	must.StrContains(t, diags.Error(), "What is installed is known to policies only")
}

// TestDecide_KnowsNothingByOldInventories: what an old inventory says is unknown in expressions as
// well, but for what is affected by it. Neither is a rollout stopped whose inventory has aged since.
func TestDecide_KnowsNothingByOldInventories(t *testing.T) {
	t.Parallel()
	const week = `select {
    max_age = "168h"
    %s
  }`
	for name, c := range map[string]struct {
		body    string
		status  api.AssessmentStatus
		age     time.Duration
		planned bool
		fault   string // empty when the target is chosen
		left    bool   // out
	}{
		"a version, young":       {`where = version_below("deb", target.packages["openssl"], "3.1")`, api.AssessmentFixed, time.Hour, false, "", false},
		"another version, young": {`where = version_below("deb", target.packages["openssl"], "3.0")`, api.AssessmentFixed, time.Hour, false, "", true},
		"a version, old":         {`where = version_below("deb", target.packages["openssl"], "3.1")`, api.AssessmentFixed, 169 * time.Hour, false, "the inventory is stale", false},
		"no such package, old":   {`where = target.packages["gone"] == null`, api.AssessmentFixed, 169 * time.Hour, false, "the inventory is stale", false},
		"not affected, old":      {`where = !target.affected`, api.AssessmentNotAffected, 169 * time.Hour, false, "the inventory is stale", false},
		"not affected, young":    {`where = !target.affected`, api.AssessmentNotAffected, time.Hour, false, "", false},
		"affected, old":          {`where = target.affected`, api.AssessmentAffected, 169 * time.Hour, false, "", false},
		"assessment, old":        {`where = target.assessment == "unknown"`, api.AssessmentFixed, 169 * time.Hour, false, "", false},
		"planned before":         {`where = !target.affected`, api.AssessmentFixed, 169 * time.Hour, true, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			f.Installed = installed(c.status, "because")
			f.Installed.Inventories[0].TakenAt, f.Installed.Planned = f.Now.Add(-c.age), c.planned
			before := *f.Installed.Assessment
			d, err := load(t, selecting(fmt.Sprintf(week, c.body))).Decide(f)
			must.Eq(t, before, *f.Installed.Assessment, must.Sprint("what is known of the target is not changed"))
			if c.fault != "" {
				must.ErrorContains(t, err, c.fault)
				return
			}
			must.NoError(t, err)
			must.EqOp(t, !c.left, d.Selection.Chosen)
		})
	}
}

// TestMaxAges_AreTheStrictestOfWhateverMayMatch: nobody knows of which patch a report is, so
// that a policy for some patches counts for all.
func TestMaxAges_AreTheStrictestOfWhateverMayMatch(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	policy := func(name, applies, age string) string {
		return fmt.Sprintf("policy %q {\n  applies = %s\n  select {\n    affected = true\n    max_age = %s\n  }\n}\n", name, applies, age)
	}
	prod, test := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}}, api.Target{TargetRef: api.TargetRef{Namespace: "test", Job: "web", Group: "vm"}}
	must.True(t, load(t, selecting("  select {\n    affected = true\n  }")).MaxAges(now) == nil, must.Sprint("no policy asks"))
	for name, c := range map[string]struct {
		texts      []string
		prod, test time.Duration
		fails      bool
	}{
		"of one namespace":         {[]string{policy("a", `target.namespace == "prod"`, `"48h"`)}, 48 * time.Hour, 0, false},
		"the strictest of two":     {[]string{policy("a", `target.namespace == "prod"`, `"48h"`), policy("b", "true", `"24h"`)}, 24 * time.Hour, 24 * time.Hour, false},
		"another one is longer":    {[]string{policy("a", `target.namespace == "prod"`, `"48h"`), policy("b", "true", `"100h"`)}, 48 * time.Hour, 100 * time.Hour, false},
		"of some patches":          {[]string{policy("a", `patch.severity == "critical"`, `"48h"`)}, 48 * time.Hour, 48 * time.Hour, false},
		"of what the graph says":   {[]string{policy("a", `graph.blast_radius > 3`, `"48h"`)}, 48 * time.Hour, 48 * time.Hour, false},
		"by the target":            {[]string{policy("a", "true", `target.namespace == "prod" ? "2h" : "3h"`)}, 2 * time.Hour, 3 * time.Hour, false},
		"which the patch decides":  {[]string{policy("a", "true", `patch.severity == "critical" ? "2h" : "3h"`)}, 0, 0, true},
		"of what is critical only": {[]string{policy("a", "true", `target.critical ? "2h" : "3h"`)}, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ages := load(t, c.texts...).MaxAges(now)
			for target, want := range map[*api.Target]time.Duration{&prod: c.prod, &test: c.test} {
				got, err := ages(*target)
				must.EqOp(t, c.fails, err != nil, must.Sprint(err))
				must.EqOp(t, want, got)
			}
		})
	}
}
