//go:build e2e

package containers

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// asking is a load program of four callers, each of which sends fifty requests. What
// wget itself says of them is thrown away.
const asking = `
for item in 1 2 3 4; do
  (i=0; while [ $i -lt 50 ]; do wget -q -O /dev/null $OAKUM_TARGET/item/$item; i=$((i+1)); done; true) &
done
wait`

// TestSimulate_WithALoadProgram tries patches on twins that busybox asks, in a container
// beside each of them.
func TestSimulate_WithALoadProgram(t *testing.T) {
	for name, faults := range map[string]string{"asked:1.0": "latency=20ms", "asked:1.1": "latency=20ms", "asked:1.2": "latency=20ms,errors=0.3"} {
		shopImage(t, name, faults)
	}
	busyboxImage(t, "loader:1", "sh", "wget")
	target := runProduction(t, shopJob("asked", "asked:1.0"))
	v, _, box := vendor(t)
	oakum := filepath.Join(programs, "oakum")
	s := simulator.New(simulator.Options{
		Sandbox: box, RateMax: 20, HealthyWithin: 5 * time.Minute, Within: 15 * time.Minute,
		Inside: simulator.Inside{Loads: box, Network: stack.SandboxNetwork, Source: oakum, Checksum: digest(t, oakum)},
	})
	cases := map[string]struct {
		image, script string
		verdict       api.SimulationVerdict
		reason        string // part of it
	}{
		"good":  {"asked:1.1", asking, api.SimulationPass, "each twin was sent what the load program sh asks, at most the 20 requests/s that an instance has on average"},
		"bad":   {"asked:1.2", asking, api.SimulationReject, "error_rate of the patched twin is worse than the control's"},
		"fails": {"asked:1.1", "exit 3", api.SimulationUndecided, "ended with exit code 3"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			impact, err := s.Run(t.Context(), simulator.Request{
				ID: "program/" + name, Patch: c.image, Target: target,
				Baseline: &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIRequests, Mean: 20}}},
				Apply:    []api.Apply{{Kind: api.ApplyJob, Task: "server", Config: map[string]any{"image": c.image}}},
				Spec: api.SimulateSpec{
					Required: true, Duration: api.Duration(30 * time.Second), Workload: "program",
					Program: &api.LoadProgram{Image: "loader:1", Command: "sh", Args: []string{"-c", c.script}, Memory: 64},
				},
				Judge: api.JudgeSpec{
					Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
					KPIs: []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001}},
				},
			})
			must.NoError(t, err)
			t.Logf("%s after %d requests: %s", impact.Verdict, impact.Requests, impact.Reason)
			must.Eq(t, c.verdict, impact.Verdict)
			must.StrContains(t, impact.Reason, c.reason)
			must.Eq(t, name != "fails", impact.Requests > 0)
			jobs, _, err := v.Jobs().PrefixList(twin.Prefix)
			must.NoError(t, err)
			must.SliceEmpty(t, jobs)
		})
	}
}

// busyboxImage makes an image of busybox with these commands.
func busyboxImage(t *testing.T, image string, commands ...string) {
	t.Helper()
	root := t.TempDir()
	text, err := os.ReadFile("/bin/busybox")
	must.NoError(t, err)
	must.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	for _, name := range append(commands, "sleep") {
		must.NoError(t, os.WriteFile(filepath.Join(root, "bin", name), text, 0o755))
	}
	must.NoError(t, running.ImportImage(t.Context(), image, root))
}
