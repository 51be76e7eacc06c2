package policies_test

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
)

// small is a policy that lets green have a quarter of the traffic.
const small = `policy "small" {
  applies = target.count > 0
  strategy "blue_green" {
    when   = target.green_share <= 0.25
    stages = [10, 100]
  }
  strategy "phased" {}
}`

func green(t *testing.T, count int, serving func(string, string) int, services ...string) api.Decision {
	t.Helper()
	d, err := load(t, small).Decide(policies.Facts{
		Target:  api.Target{TargetRef: api.TargetRef{Namespace: "shop", Job: "cart", Group: "cart"}, Count: count, Services: services},
		Cluster: policies.ClusterFacts{Serving: serving},
	})
	must.NoError(t, err)
	return d
}

func TestDecide_KnowsWhatGreenWouldGet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		count    int
		serving  map[string]int // nil: nobody knows of others
		services []string
		want     string
	}{
		"a service of its own":                 {4, map[string]int{"shop/cart": 4}, []string{"cart"}, "phased"},
		"nobody knows of others":               {4, nil, []string{"cart"}, "phased"},
		"among many":                           {4, map[string]int{"shop/cart": 12}, []string{"cart"}, "blue_green"},
		"among many elsewhere":                 {4, map[string]int{"other/cart": 12}, []string{"cart"}, "phased"},
		"the service where it gets most":       {4, map[string]int{"shop/cart": 12, "shop/admin": 4}, []string{"admin", "cart"}, "phased"},
		"fewer than its own are not to be had": {4, map[string]int{"shop/cart": 1}, []string{"cart"}, "phased"},
		"no service":                           {4, nil, nil, "blue_green"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var serving func(string, string) int
			if c.serving != nil {
				serving = func(namespace, service string) int { return c.serving[namespace+"/"+service] }
			}
			must.Eq(t, c.want, green(t, c.count, serving, c.services...).Strategy.Name)
		})
	}
}

// Targets that differ in nothing but what green would get are not decided alike.
func TestSession_TellsTargetsApartByWhatGreenWouldGet(t *testing.T) {
	t.Parallel()
	serving := func(_, service string) int { return map[string]int{"cart": 2, "web": 20}[service] }
	s := load(t, small).Session(api.Patch{}, policies.ClusterFacts{Serving: serving}, facts().Now)
	for job, want := range map[string]string{"cart": "phased", "web": "blue_green"} {
		d, err := s.Decide(api.Target{TargetRef: api.TargetRef{Namespace: "shop", Job: job}, Count: 2, Services: []string{job}}, api.Criticality{}, nil, nil)
		must.NoError(t, err)
		must.Eq(t, want, d.Strategy.Name, must.Sprint(job))
	}
}

func TestTests_SayHowManyServe(t *testing.T) {
	t.Parallel()
	files := append(policies.Builtin(), api.SourceFile{Name: "small.hcl", Text: small})
	tests := []api.SourceFile{{Name: "x.policytest.hcl", Text: fmt.Sprintf(example, "alone", "", "phased") + fmt.Sprintf(example, "among many", "serving = 40", "blue_green")}}
	results, diags := policytest.Run(tests, files, schemas)
	must.Nil(t, policies.DiagnosticsError(diags, append(tests, files...)))
	must.Len(t, 2, results)
	for _, r := range results {
		must.True(t, r.Passed, must.Sprint(r.Name, r.Failures))
	}
}

const example = `test %q {
  target {
    job      = "cart"
    count    = 4
    services = ["cart"]
    %s
  }
  expect {
    strategy = %q
  }
}
`

func TestParse_ChecksTheStagesOfGreen(t *testing.T) {
	t.Parallel()
	files := []api.SourceFile{{Name: "x.hcl", Text: `policy "x" {
  strategy "blue_green" { stages = [10, 50] }
}`}}
	_, diags := policies.Load(files, schemas)
	must.ErrorContains(t, policies.DiagnosticsError(diags, files), "x.hcl:2,36: Wrong value; stages = [10, 50]: want rising whole percentages that end at 100")
	patch := api.SourceFile{Name: "p.hcl", Text: `patch "p" {
  severity = "low"
  target {
    jobs  = ["web"]
    where = target.green_share < 0.5
  }
  apply "job" {
    task = "server"
    env  = { A = "b" }
  }
}`}
	_, diags = policies.ParsePatch(patch)
	must.ErrorContains(t, policies.DiagnosticsError(diags, []api.SourceFile{patch}), "What green would get is known to policies only")
}
