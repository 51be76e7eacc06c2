package simulator_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestTry_ProvesTheFix(t *testing.T) {
	verify := &api.Verify{Command: "openssl version", Expect: "3.0.16"}
	version := func(v string) map[string]string { return map[string]string{"openssl": v} }
	for name, c := range map[string]struct {
		baked   twin.Image
		below   string
		reboot  bool
		kernel  string // on the patched machine's console
		agent   []twin.Exit
		verdict api.SimulationVerdict
		reason  string
	}{
		"the package is up to date": {
			baked: twin.Image{Before: version("3.0.15-1"), After: version("3.0.16-1")}, verdict: api.SimulationPass,
		},
		"the package is as it was": {
			baked: twin.Image{Before: version("3.0.15-1"), After: version("3.0.15-1")}, verdict: api.SimulationReject,
			reason: "package openssl is still 3.0.15-1 after the patch; the fault ends with 3.0.16-1",
		},
		"a version that is none": {
			baked: twin.Image{After: version("not a version")}, verdict: api.SimulationUndecided, reason: `"not a version" is no version of deb`,
		},
		"the new kernel runs": {
			baked:  twin.Image{After: version("3.0.16-1"), Kernel: "6.1.0-41-cloud-amd64"},
			reboot: true, kernel: "6.1.0-41-cloud-amd64", verdict: api.SimulationPass,
		},
		"the old kernel still boots": {
			baked:  twin.Image{After: version("3.0.16-1"), Kernel: "6.1.0-41-cloud-amd64"},
			reboot: true, kernel: "6.1.0-37-cloud-amd64", verdict: api.SimulationReject,
			reason: "the patched machine runs kernel 6.1.0-37-cloud-amd64, and the newest in its image is 6.1.0-41-cloud-amd64",
		},
		"the agent says that the new kernel runs": {
			baked:  twin.Image{After: version("3.0.16-1"), Kernel: "6.1.0-41-cloud-amd64"},
			reboot: true, agent: []twin.Exit{{Output: "3.0.16"}, {Output: "6.1.0-41-cloud-amd64\n"}}, verdict: api.SimulationPass,
		},
		"the agent says that the old kernel still runs": {
			baked:  twin.Image{After: version("3.0.16-1"), Kernel: "6.1.0-41-cloud-amd64"},
			reboot: true, agent: []twin.Exit{{Output: "3.0.16"}, {Output: "6.1.0-37-cloud-amd64\n"}}, verdict: api.SimulationReject,
			reason: "the patched machine runs kernel 6.1.0-37-cloud-amd64, and the newest in its image is 6.1.0-41-cloud-amd64",
		},
		"the agent does not know which kernel runs": {
			baked:  twin.Image{After: version("3.0.16-1"), Kernel: "6.1.0-41-cloud-amd64"},
			reboot: true, agent: []twin.Exit{{Output: "3.0.16"}, {Status: 127, Output: "uname: not found"}}, verdict: api.SimulationUndecided,
			reason: "does not say which kernel runs",
		},
		"nobody says which kernel runs": {
			baked:  twin.Image{After: version("3.0.16-1"), Kernel: "6.1.0-41-cloud-amd64"},
			reboot: true, verdict: api.SimulationUndecided, reason: "does not say which kernel runs, neither on its console nor by a guest agent",
		},
		"there is no kernel": {
			baked: twin.Image{After: version("3.0.16-1")}, reboot: true, verdict: api.SimulationUndecided, reason: "has none in /boot",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, o := newModel(), &oven{baked: c.baked}
				m.patched.kernel, m.patched.agent = c.kernel, c.agent
				s := simulator.New(simulator.Options{Sandbox: m, Baker: o, Transport: m})
				r := request()
				r.Affects = []api.Affected{{Ecosystem: "deb", Package: "openssl", Below: "3.0.16-1"}}
				r.Apply = []api.Apply{
					{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"},
					{Kind: api.ApplyScript, Task: "vm", Script: "dpkg -i *.deb", Verify: verify, Reboot: c.reboot},
				}
				impact, apply, err := s.Try(t.Context(), r)
				must.NoError(t, err)
				must.EqOp(t, c.verdict, impact.Verdict, must.Sprint(impact.Reason))
				must.StrContains(t, impact.Reason, c.reason)
				must.Eq(t, []string{"openssl"}, o.spec.Packages)
				must.SliceLen(t, 1, impact.Packages)
				if c.verdict == api.SimulationPass {
					must.Eq(t, verify, apply[0].Verify, must.Sprint("production proves it again"))
					must.StrContains(t, impact.Twins[1].Console, "login: ")
				} else {
					must.StrContains(t, impact.Reasons[0], c.reason)
				}
			})
		})
	}
}

func TestTry_LooksIntoTheImageOfThePatch(t *testing.T) {
	verify := &api.Verify{Command: "openssl version"}
	for name, c := range map[string]struct {
		image   string
		source  string
		after   string
		verify  *api.Verify
		verdict api.SimulationVerdict
		reason  string
	}{
		"it has the fix":      {image: "/images/store-1.1.qcow2", after: "3.0.16-1", verify: verify, verdict: api.SimulationPass},
		"it has the fault":    {image: "/images/store-1.1.qcow2", after: "3.0.15-1", verdict: api.SimulationReject, reason: "openssl is 3.0.15-1 after the patch"},
		"Nomad fetches it":    {image: "local/store.qcow2", source: "https://images.example/store.qcow2", after: "3.0.15-1", verdict: api.SimulationReject, reason: "openssl is 3.0.15-1 after the patch"},
		"nobody can open it":  {image: "local/store.qcow2", verify: verify, verdict: api.SimulationUndecided, reason: "verify can't run in the patched machine"},
		"nothing is asked of": {image: "local/store.qcow2", verdict: api.SimulationPass},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, o := newModel(), &oven{baked: twin.Image{After: map[string]string{"openssl": c.after}}}
				s := simulator.New(simulator.Options{Sandbox: m, Baker: o, Transport: m})
				r := request()
				r.Affects = []api.Affected{{Ecosystem: "deb", Package: "openssl", Below: "3.0.16-1"}}
				r.Apply = []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: c.image, Verify: c.verify}}
				if c.source != "" {
					r.Apply[0].Source, r.Apply[0].Digest = c.source, strings.Repeat("0a", 32)
				}
				impact, apply, err := s.Try(t.Context(), r)
				must.NoError(t, err)
				must.EqOp(t, c.verdict, impact.Verdict, must.Sprint(impact.Reason))
				must.StrContains(t, impact.Reason, c.reason)
				must.Eq(t, r.Apply, apply)
				must.EqOp(t, "", o.spec.Result, must.Sprint("nothing is kept"))
				must.EqOp(t, c.source, o.spec.Source)
				must.SliceEmpty(t, o.discarded)
			})
		})
	}
}
