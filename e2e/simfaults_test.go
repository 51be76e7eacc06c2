//go:build e2e

package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestSimulateFaults has patches that each break one thing. All of them change the same
// machine by a script; each must be rejected, and the reasons must name what it broke.
// TestSimulate has more of them: a disk that is written to, a machine that never becomes
// healthy.
func TestSimulateFaults(t *testing.T) {
	s := newSandbox(t)
	source := filepath.Join(t.TempDir(), "store-1.0.qcow2")
	copyFile(t, filepath.Join(s.images, "store-1.0.qcow2"), source)
	fault := func(spec string) string { return "echo 'SHOP_FAULTS=\"" + spec + "\"' >>/etc/shop.env" }
	// Init reads this file. The address belongs to nobody: a twin's network drops what it
	// is sent.
	reaching := `echo '(ip route add default via 10.0.2.2
while :; do busybox nc -w 1 10.9.8.7 443 </dev/null; busybox sleep 2; done) >/dev/null 2>&1 &' >>/etc/shop.env`
	for _, c := range []struct {
		name, script string
		reason       string // what the reasons name, a regular expression; a leak shows as what it breaks first
		pairs        int    // in a minute
	}{
		{"more latency", fault("latency=6ms"), "latency_", 1},
		{"a leak", fault("leak=128k"), "memory|died|error_rate", 1},
		{"more CPU", fault("cpu=40ms"), "cpu|latency", 1},
		{"errors", fault("errors=0.2"), "error_rate", 1},
		{"no boot", "rm /sbin/init", "does not serve", 1},
		{"a new outgoing connection", reaching, "^the patched machine tries to reach tcp 10\\.9\\.8\\.7:443, which the control never did", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.request("fault/1", "store-1.0", time.Minute)
			r.Spec.Pairs = c.pairs
			r.Apply = []api.Apply{
				{Kind: api.ApplyImage, Task: "vm", Image: source},
				{Kind: api.ApplyScript, Task: "vm", Script: c.script},
			}
			r.Judge.KPIs = []api.KPISpec{
				{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.01},
				{KPI: api.KPILatencyP50, AbortAbove: 1.1, PromoteBelow: 1.5, IgnoreBelow: 0.002},
				{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5, IgnoreBelow: 0.01},
				{KPI: api.KPIMemory, AbortAbove: 1.02, PromoteBelow: 1.2, IgnoreBelow: 1 << 20},
				{KPI: api.KPIIOBytes, AbortAbove: 1.5, PromoteBelow: 2, IgnoreBelow: 64 << 10},
			}
			impact, err := s.simulator.Run(t.Context(), r)
			must.NoError(t, err)
			tell(t, impact)
			must.Eq(t, api.SimulationReject, impact.Says(), must.Sprint(impact.Reason))
			must.SliceNotEmpty(t, impact.Reasons)
			must.RegexMatch(t, regexp.MustCompile(c.reason), strings.Join(impact.Reasons, "\n"))
			s.noTwins()
		})
	}
}
