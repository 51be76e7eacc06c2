//go:build e2e

package containers

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestSimulate tries patches on twins of a real container, which takes 20 ms for each
// request.
func TestSimulate(t *testing.T) {
	for name, faults := range map[string]string{
		"store:1.0": "latency=20ms", "store:1.1": "latency=20ms",
		"store:1.2": "latency=20ms,errors=0.3", "store:1.3": "latency=60ms", "store:1.4": "crash=1s", "store:1.5": "unhealthy",
	} {
		shopImage(t, name, faults)
	}
	target := runProduction(t, shopJob("store", "store:1.0"))
	v, _, box := vendor(t)
	oakum := filepath.Join(programs, "oakum")
	s := simulator.New(simulator.Options{
		Sandbox: box, RateMax: 20, HealthyWithin: 5 * time.Minute, Within: 15 * time.Minute,
		Inside: simulator.Inside{Loads: box, Network: stack.SandboxNetwork, Source: oakum, Checksum: digest(t, oakum)},
	})
	cases := []struct {
		image   string
		verdict api.SimulationVerdict
		reason  string // part of it
	}{
		{image: "store:1.1", verdict: api.SimulationPass, reason: "nothing got worse beyond its margin"},
		{image: "store:1.2", verdict: api.SimulationReject, reason: "error_rate of the patched twin is worse than the control's"},
		{image: "store:1.3", verdict: api.SimulationReject, reason: "latency_p99 of the patched twin is"},
		// It lives for a second, and may be found healthy in it: it does not become healthy, or died.
		{image: "store:1.4", verdict: api.SimulationReject, reason: "the patched twin d"},
		{image: "store:1.5", verdict: api.SimulationReject, reason: "/health answers 503"},
	}
	for _, c := range cases {
		t.Run(c.image, func(t *testing.T) {
			impact, err := s.Run(t.Context(), simulator.Request{
				ID: "containers/" + c.image, Patch: c.image, Target: target,
				Apply: []api.Apply{{Kind: api.ApplyJob, Task: "server", Config: map[string]any{"image": c.image}}},
				Spec:  api.SimulateSpec{Required: true, Duration: api.Duration(45 * time.Second), Workload: "replay"},
				Judge: api.JudgeSpec{
					Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
					KPIs: []api.KPISpec{
						{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001},
						{KPI: api.KPILatencyP99, AbortAbove: 1.1, PromoteBelow: 1.5, IgnoreBelow: 0.001},
						{KPI: api.KPICPU, AbortAbove: 1.5, PromoteBelow: 2, IgnoreBelow: 0.05},
					},
				},
			})
			must.NoError(t, err)
			t.Logf("%s after %d requests: %s", impact.Verdict, impact.Requests, impact.Reason)
			must.Eq(t, c.verdict, impact.Verdict)
			must.StrContains(t, impact.Reason, c.reason)
			must.StrContains(t, impact.Reason, "the twins went without docker.network_mode of task server, env.SECRET of task server")
			jobs, _, err := v.Jobs().PrefixList(twin.Prefix)
			must.NoError(t, err)
			must.SliceEmpty(t, jobs)
		})
	}
}
