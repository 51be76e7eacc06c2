package authtest_test

import (
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access/authtest"
	"github.com/oakumhq/oakum/policies"
)

// rules give read to everybody, submission to the shop's team on its namespaces, and deny
// contractors its payments.
type rules struct{}

func (rules) Evaluate(claims map[string]any) ([]api.Grant, error) {
	grants := []api.Grant{{Rule: "all", Capabilities: []api.Capability{api.CapRead}}}
	groups, _ := claims["groups"].([]any)
	if slices.Contains(groups, any("shop")) {
		grants = append(grants, api.Grant{Rule: "shop team", Capabilities: []api.Capability{api.CapPatchSubmit}, Namespaces: []string{"shop*"}})
	}
	if claims["kind"] == "contractor" {
		grants = append(grants, api.Grant{Rule: "no contractor", Deny: true, Capabilities: []api.Capability{api.CapPatchSubmit}, Jobs: []string{"payments*"}})
	}
	return grants, nil
}

func run(text string) ([]authtest.Result, string) {
	files := []api.SourceFile{{Name: "a.authtest.hcl", Text: text}}
	results, diags := authtest.Run(files, rules{})
	if err := policies.DiagnosticsError(diags, files); err != nil {
		return nil, err.Error()
	}
	return results, ""
}

func TestRun_HoldsTheRulesToEachExample(t *testing.T) {
	t.Parallel()
	results, wrong := run(`
test "as it is" {
  claims = { groups = ["shop"], kind = "contractor" }
  may     "read" {}
  may     "patch-submit" { on = "shop-eu/web" }
  may_not "patch-submit" { on = "shop/payments/api" }
  may_not "patch-submit" {}
  may_not "operator" { on = "shop/web" }
}
test "as it is not" {
  claims = { groups = ["shop"], kind = "contractor" }
  may     "patch-submit" { on = "shop/payments" }
  may     "approve" {}
  may_not "patch-submit" { on = "shop/web" }
}`)
	must.Eq(t, "", wrong)
	must.Len(t, 2, results)
	must.True(t, results[0].Passed, must.Sprint(results[0].Failures))
	must.Len(t, 3, results[0].Grants)
	must.False(t, results[1].Passed)
	must.Eq(t, "a.authtest.hcl:10,1", results[1].Range)
	must.Eq(t, []string{
		`line 12: expected that the caller may patch-submit on shop/payments: rule "no contractor" denies patch-submit on jobs payments* of every namespace`,
		`line 13: expected that the caller may approve everywhere: no rule gives approve everywhere`,
		`line 14: expected that the caller may not patch-submit on shop/web: rule "shop team" gives patch-submit on every job of namespaces shop*`,
	}, results[1].Failures)
}

func TestRun_RefusesExamplesThatSayNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`test "a" { claims = { a = 1 } }`:                                       "a.authtest.hcl:1,1: No expectation",
		"test \"a\" {\n  claims = \"x\"\n  may \"read\" {}\n}":                  `Wrong claims`,
		"test \"a\" {\n  claims = null\n  may \"read\" {}\n}":                   `Wrong claims`,
		"test \"a\" {\n  claims = {}\n  may \"reed\" {}\n}":                     `a.authtest.hcl:3,3: Unknown capability; There is no capability "reed"`,
		"test \"a\" {\n  claims = {}\n  may \"read\" {\n    on = \"x\"\n  }\n}": `want a namespace and a job, such as shop/web-1, have "x"`,
		"test \"a\" {\n  claims = {}\n  might \"read\" {}\n}":                   `Unsupported block type`,
		"test \"a\" {\n  may \"read\" {}\n}":                                    `Missing required argument`,
		`test "a" {`:                                                            `Unclosed configuration block`,
	} {
		_, wrong := run(text)
		must.StrContains(t, wrong, want)
	}
}
