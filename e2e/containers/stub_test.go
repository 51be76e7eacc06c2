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
	"github.com/oakumhq/oakum/internal/workload"
)

// pricingAnswers are those of the service that the shop of this test calls. It calls the
// path that it is asked for.
const pricingAnswers = `{"path":"/item/1","headers":{"Content-Type":"application/json"},"body":"{\"cents\":100}","latency_ms":5}
{"path":"/stock/*","body":"{\"left\":7}"}
`

// TestSimulate_WithWhatTheTargetCalls tries patches on twins of a container that serves
// only what another service answers. That service listens where no twin reaches it, and
// production's environment, which says where that is, stays behind.
func TestSimulate_WithWhatTheTargetCalls(t *testing.T) {
	for name, faults := range map[string]string{"caller:1.0": "latency=10ms", "caller:1.1": "latency=10ms", "caller:1.2": "latency=10ms,errors=0.3"} {
		shopImage(t, name, faults)
	}
	job := shopJob("caller", "caller:1.0")
	job.TaskGroups[0].Tasks[0].Env["SHOP_UPSTREAMS"] = "pricing=http://127.0.0.1:9091"
	target := runProduction(t, job)
	v, _, box := vendor(t)
	oakum := filepath.Join(programs, "oakum")
	s := simulator.New(simulator.Options{
		Sandbox: box, RateMax: 20, HealthyWithin: 5 * time.Minute, Within: 15 * time.Minute,
		Inside: simulator.Inside{Loads: box, Network: stack.SandboxNetwork, Source: oakum, Checksum: digest(t, oakum)},
	})
	pricing := []twin.Stub{{Name: "pricing", Port: 9091, Answers: []byte(pricingAnswers)}}
	cases := map[string]struct {
		image, paths string
		stubs        []twin.Stub
		verdict      api.SimulationVerdict
		reason       string // part of it
	}{
		"good":         {"caller:1.1", "/item/1,/stock/2", pricing, api.SimulationPass, "nothing got worse beyond its margin"},
		"bad":          {"caller:1.2", "/item/1,/stock/2", pricing, api.SimulationReject, "error_rate of the patched twin is worse than the control's"},
		"without stub": {"caller:1.1", "/item/1", nil, api.SimulationUndecided, "the control answers none of the workload's requests well"},
		"no answer":    {"caller:1.1", "/item/1,/item/9", pricing, api.SimulationUndecided, "calls of the control that no stub answers: GET /item/9 x"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			impact, err := s.Run(t.Context(), simulator.Request{
				ID: "calls/" + c.image, Patch: c.image, Target: target, Stubs: c.stubs,
				Workload: workload.Replay(c.paths, ""),
				Apply:    []api.Apply{{Kind: api.ApplyJob, Task: "server", Config: map[string]any{"image": c.image}}},
				Spec:     api.SimulateSpec{Required: true, Duration: api.Duration(30 * time.Second), Workload: "replay", Env: map[string]string{"SHOP_UPSTREAMS": "pricing=http://127.0.0.1:9091"}},
				Judge: api.JudgeSpec{
					Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
					KPIs: []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001}},
				},
			})
			must.NoError(t, err)
			t.Logf("%s after %d requests: %s", impact.Verdict, impact.Requests, impact.Reason)
			must.Eq(t, c.verdict, impact.Verdict)
			must.StrContains(t, impact.Reason, c.reason)
			must.StrContains(t, impact.Reason, "the policy supplied env.SHOP_UPSTREAMS")
			jobs, _, err := v.Jobs().PrefixList(twin.Prefix)
			must.NoError(t, err)
			must.SliceEmpty(t, jobs)
		})
	}
}
