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
			got := advisory.CompareNodes([]advisory.InstalledNode{{Node: c.node}}, []advisory.Advisory{a}, advisory.Options{MaxAge: time.Hour})
			must.Len(t, 1, got)
			must.EqOp(t, c.want, got[0].Status, must.Sprint(got[0].Reason))
			must.StrContains(t, got[0].Reason, c.reason)
			must.EqOp(t, "node n", got[0].Inventory)
			must.EqOp(t, "p", got[0].Advisory)
		})
	}
}

func TestCompareNodes_HoldsWhatIsInstalledBesideTheKernelThatRuns(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	debian := api.Node{Name: "n", OS: "debian", OSVersion: "12.5", Kernel: "6.1.0-18-amd64"}
	redhat := api.Node{Name: "n", OS: "redhat", OSVersion: "9.4", Kernel: "5.14.0-427.13.1.el9_4.x86_64"}
	old := redhat
	old.Kernel = "5.14.0-362.8.1.el9_3.x86_64"
	deb := func(name, source, version string) api.Package {
		return api.Package{Ecosystem: "deb", Release: "Debian:12", Name: name, Source: source, Version: version}
	}
	rpm := func(name, version string) api.Package {
		return api.Package{Ecosystem: "rpm", Release: "Red Hat:9.4", Name: name, Version: version}
	}
	bash := api.Affected{Ecosystem: "deb", Release: "Debian:12", Package: "bash", Below: "5.2.15-2"}
	linux := api.Affected{Ecosystem: "deb", Release: "Debian:12", Source: "linux", Below: "6.1.90-1"}
	lts := api.Affected{Ecosystem: "apk", Release: "Alpine:v3.20", Package: "linux-lts", Below: "6.6.32-r0"}
	core := api.Affected{Ecosystem: "rpm", Release: "Red Hat:9", Package: "kernel-core", Below: "5.14.0-427.13.1.el9_4"}
	perf := core
	perf.Package = "perf"
	for name, c := range map[string]struct {
		node     api.Node
		packages []api.Package
		missing  string
		age      time.Duration
		affects  []api.Affected
		want     api.AssessmentStatus
		reason   string
	}{
		"an old package":                    {node: debian, packages: []api.Package{deb("bash", "", "5.2.15-1")}, affects: []api.Affected{bash}, want: api.AssessmentAffected, reason: "bash is 5.2.15-1"},
		"a fixed one":                       {node: debian, packages: []api.Package{deb("bash", "", "5.2.15-2")}, affects: []api.Affected{bash}, want: api.AssessmentFixed},
		"none of it":                        {node: debian, packages: []api.Package{deb("dash", "", "1")}, affects: []api.Affected{bash}, want: api.AssessmentNotAffected},
		"a fixed one, long ago":             {node: debian, packages: []api.Package{deb("bash", "", "5.2.15-2")}, age: 100 * time.Hour, affects: []api.Affected{bash}, want: api.AssessmentUnknown, reason: "stale"},
		"nobody knows":                      {node: debian, missing: "no disk", affects: []api.Affected{bash}, want: api.AssessmentUnknown, reason: "nobody knows what is installed on the node: no disk"},
		"an old kernel is installed":        {node: debian, packages: []api.Package{deb("linux-image-6.1.0-18-amd64", "linux", "6.1.76-1")}, affects: []api.Affected{linux}, want: api.AssessmentAffected},
		"a fixed one, and which one runs?":  {node: debian, packages: []api.Package{deb("linux-image-6.1.0-18-amd64", "linux", "6.1.90-1")}, affects: []api.Affected{linux}, want: api.AssessmentUnknown, reason: "(6.1.0-18-amd64) is not known"},
		"another distribution's kernel":     {node: debian, packages: []api.Package{deb("bash", "", "5.2.15-2")}, affects: []api.Affected{lts}, want: api.AssessmentNotAffected},
		"a former kernel is there as well":  {node: redhat, packages: []api.Package{rpm("kernel-core", "5.14.0-362.8.1.el9_3"), rpm("kernel-core", "5.14.0-427.13.1.el9_4")}, affects: []api.Affected{core}, want: api.AssessmentFixed},
		"a new one is there, the old runs":  {node: old, packages: []api.Package{rpm("kernel-core", "5.14.0-427.13.1.el9_4")}, affects: []api.Affected{core}, want: api.AssessmentAffected, reason: "the kernel that runs has the fault"},
		"and a new one, and more":           {node: old, packages: []api.Package{rpm("kernel-core", "5.14.0-427.13.1.el9_4"), rpm("perf", "5.14.0-427.13.1.el9_4")}, affects: []api.Affected{core, perf}, want: api.AssessmentAffected},
		"a new one runs, and more is fixed": {node: redhat, packages: []api.Package{rpm("kernel-core", "5.14.0-427.13.1.el9_4"), rpm("perf", "5.14.0-427.13.1.el9_4")}, affects: []api.Affected{core, perf}, want: api.AssessmentFixed},
		"a new one runs, and more is old":   {node: redhat, packages: []api.Package{rpm("kernel-core", "5.14.0-427.13.1.el9_4"), rpm("perf", "5.14.0-362.8.1.el9_3")}, affects: []api.Affected{core, perf}, want: api.AssessmentAffected, reason: "perf is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := advisory.InstalledNode{Node: c.node}
			n.Missing = c.missing
			if c.packages != nil {
				n.Packages = &api.Inventory{Format: "dpkg, rpm", TakenAt: now.Add(-c.age), Releases: []string{c.packages[0].Release}, Packages: c.packages}
			}
			a := advisory.FromPatch(api.Patch{Name: "p", Affects: c.affects})
			got := advisory.CompareNodes([]advisory.InstalledNode{n}, []advisory.Advisory{a}, advisory.Options{Now: now, MaxAge: 48 * time.Hour})
			must.Len(t, 1, got)
			must.EqOp(t, c.want, got[0].Status, must.Sprint(got[0].Reason))
			must.StrContains(t, got[0].Reason, c.reason)
			must.EqOp(t, "node n", got[0].Inventory)
		})
	}
}
