package view_test

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func TestPlan_ShowsTheExposureThatIsLeft(t *testing.T) {
	t.Parallel()
	one := func(job string, status api.AssessmentStatus, value float64) api.Wave {
		return api.Wave{Number: 1, Targets: []api.PlannedTarget{{
			Target:     api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: job, Group: "vm"}, Count: 2},
			Assessment: &api.TargetAssessment{Status: status, Reason: "openssl is 3.0.14"},
			Exposure:   &api.TargetExposure{Value: value, Reason: "called from outside, CVSS 8.0, 0 dependants"},
		}}}
	}
	plan := api.Plan{
		Waves:    []api.Wave{one("web", api.AssessmentAffected, 0.8), one("db", api.AssessmentUnknown, 0.4)},
		Exposure: &api.Exposure{Before: 1.6, Left: []float64{0.8, 0.4}},
		NothingToDo: []api.NothingToDo{
			{Target: api.TargetRef{Namespace: "prod", Job: "idle", Group: "vm"}, Status: api.AssessmentFixed, Reason: "it is fixed already: openssl is 3.0.16"},
			{Target: api.TargetRef{Namespace: "prod", Job: "lab", Group: "vm"}, Status: api.AssessmentAffected, Reason: "its policy leaves it out"},
		},
	}
	half := one("half", api.AssessmentAffected, 0.2)
	half.Targets[0].Assessment.Hit, half.Targets[0].Assessment.Instances = 3, 5
	half.Targets[0].Assessment.Versions = []api.VersionAssessment{
		{JobVersion: 7, Instances: 3, Status: api.AssessmentAffected, Reason: "openssl is 3.0.14"},
		{JobVersion: 8, Instances: 2, Status: api.AssessmentFixed, Reason: "openssl is 3.0.16"},
	}
	plan.Waves, plan.Exposure.Left = append(plan.Waves, half), append(plan.Exposure.Left, 0.2)
	var out strings.Builder
	view.Plan(&out, api.PatchReceipt{Plan: plan}, false, time.Time{})
	for _, want := range []string{
		"  prod/half/vm  3 of 5 instances  0.20 ",
		"  prod/half/vm  3          7            yes       openssl is 3.0.14\n",
		"  prod/half/vm  2          8            fixed     openssl is 3.0.16\n",
		"  prod/web/vm   yes               0.80      called from outside, CVSS 8.0, 0       openssl is 3.0.14\n",
		"  prod/db/vm    unknown           0.40 ",
		"  now     1.60      ##############################\n",
		"  wave 1  0.80      ###############\n",
		"  wave 2  0.40      ########\n",
		"\nNothing to do:\n  Target        Reason\n  prod/idle/vm  it is fixed already: openssl is 3.0.16\n",
		"\nLeft out:\n  Target       Reason\n  prod/lab/vm  its policy leaves it out\n",
	} {
		must.StrContains(t, out.String(), want)
	}
}

// TestExposureCurve_IsOneDrawing: a step down for each wave, from the exposure now.
func TestExposureCurve_IsOneDrawing(t *testing.T) {
	t.Parallel()
	plan := api.Plan{Patch: "<b>", Waves: make([]api.Wave, 2), Exposure: &api.Exposure{Before: 1.6, Left: []float64{0.8, 0}}}
	var out strings.Builder
	must.NoError(t, view.ExposureCurve(&out, plan))
	for _, want := range []string{
		"<title>Exposure left by patch &lt;b&gt;: 1.60 now, 0.00 after 2 waves</title>",
		`<polyline points="70.0,98.0 283.3,98.0 283.3,202.0 496.7,202.0 496.7,306.0 710.0,306.0"`, // 1.6, 0.8 and 0 of 2
		`>2.00</text>`, `>0.50</text>`, `>now</text>`, `>1</text>`, `>2</text>`,
	} {
		must.StrContains(t, out.String(), want)
	}
	must.StrNotContains(t, out.String(), "ZgotmplZ")
	must.NoError(t, xml.Unmarshal([]byte(out.String()), new(any)))

	t.Log("no wave is too many")
	plan.Waves, plan.Exposure.Left = make([]api.Wave, 400), make([]float64, 400)
	out.Reset()
	must.NoError(t, view.ExposureCurve(&out, plan))
	must.EqOp(t, 16, strings.Count(out.String(), `dy="18"`))
	plan.Exposure.Before = 0
	must.NoError(t, view.ExposureCurve(&strings.Builder{}, plan))

	plan.Exposure = nil
	must.ErrorContains(t, view.ExposureCurve(&strings.Builder{}, plan), "does not say whom it affects")
}
