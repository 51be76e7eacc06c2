package advisory_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

func TestCompareNodes_NeverTakesTheUnknownForSafe(t *testing.T) {
	t.Parallel()
	node := func(os, version, kernel string) api.Node {
		return api.Node{Name: "n", OS: os, OSVersion: version, Kernel: kernel}
	}
	linux := api.Affected{Ecosystem: "deb", Release: "Debian:12", Source: "linux", Below: "6.1.90-1"}
	core := api.Affected{Ecosystem: "rpm", Release: "Red Hat:9", Package: "kernel-core", Below: "5.14.0-427.13.1.el9_4"}
	source := core
	source.Package, source.Source = "", "kernel"
	perf, every := core, core
	perf.Package = "perf"
	every.Release = ""
	older := core
	older.Release = "Red Hat:8"
	bash := api.Affected{Ecosystem: "deb", Release: "Debian:12", Package: "bash", Below: "5.2.15-2"}
	lts := api.Affected{Ecosystem: "apk", Release: "Alpine:v3.20", Package: "linux-lts", Below: "6.6.32-r0"}
	debian, old, fixed := node("debian", "12.5", "6.1.0-18-amd64"), node("redhat", "9.3", "5.14.0-362.8.1.el9_3.x86_64"), node("redhat", "9.4", "5.14.0-427.13.1.el9_4.x86_64")
	const nobody = "nobody knows what is installed"
	for name, c := range map[string]struct {
		node    api.Node
		affects []api.Affected
		want    api.AssessmentStatus
		reason  string
	}{
		"about no kernel":               {debian, []api.Affected{bash}, api.AssessmentUnknown, nobody},
		"a release is no version":       {debian, []api.Affected{linux}, api.AssessmentUnknown, "(6.1.0-18-amd64) is not known"},
		"another system's kernel":       {old, []api.Affected{linux}, api.AssessmentUnknown, nobody},
		"another release's kernel":      {old, []api.Affected{older}, api.AssessmentUnknown, nobody},
		"an old kernel runs":            {old, []api.Affected{core}, api.AssessmentAffected, "the kernel that runs has the fault"},
		"an old one, by its source":     {old, []api.Affected{source}, api.AssessmentAffected, "the kernel that runs has the fault"},
		"an old one, and more":          {old, []api.Affected{perf, core}, api.AssessmentAffected, "the kernel that runs has the fault"},
		"an old one, of every release":  {old, []api.Affected{every}, api.AssessmentAffected, "the kernel that runs has the fault"},
		"a fixed kernel runs":           {fixed, []api.Affected{core}, api.AssessmentFixed, ""},
		"a fixed one, by its source":    {fixed, []api.Affected{source}, api.AssessmentUnknown, nobody},
		"a fixed one, and more":         {fixed, []api.Affected{core, perf}, api.AssessmentUnknown, nobody},
		"a fixed one, another's more":   {fixed, []api.Affected{core, bash}, api.AssessmentFixed, ""},
		"no packages":                   {fixed, nil, api.AssessmentUnknown, "names no packages"},
		"another kernel of that system": {node("redhat", "9.3", "5.14.0-362.8.1.el9_3.x86_64+rt"), []api.Affected{core}, api.AssessmentUnknown, "is not known"},
		"Alpine, old":                   {node("alpine", "3.20.1", "6.6.31-0-lts"), []api.Affected{lts}, api.AssessmentAffected, "6.6.31-r0"},
		"Alpine, fixed":                 {node("alpine", "3.20.1", "6.6.32-0-lts"), []api.Affected{lts}, api.AssessmentFixed, ""},
		"the agent says nothing":        {api.Node{Name: "n"}, []api.Affected{core}, api.AssessmentUnknown, "is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := advisory.FromPatch(api.Patch{Name: "p", Affects: c.affects})
			got := advisory.CompareNodes([]api.Node{c.node}, []advisory.Advisory{a}, advisory.Options{MaxAge: time.Hour})
			must.Len(t, 1, got)
			must.EqOp(t, c.want, got[0].Status, must.Sprint(got[0].Reason))
			must.StrContains(t, got[0].Reason, c.reason)
			must.EqOp(t, "node n", got[0].Inventory)
			must.EqOp(t, "p", got[0].Advisory)
		})
	}
}
