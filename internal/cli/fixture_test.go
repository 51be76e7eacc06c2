package cli

import (
	"encoding/json"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

func decision() api.Decision {
	return api.Decision{
		Critical: true,
		Strategy: api.StrategySpec{Name: "phased", Config: json.RawMessage(`{"stages":[10,50,100]}`)},
		Because: []api.Because{
			{Field: "critical", Policy: "default", Range: "default.hcl:9,3", Reason: "graph.blast_radius = 4 >= 2"},
			{Field: "strategy", Policy: "default", Range: "default.hcl:14,3", Reason: "target.critical"},
		},
		Weaknesses: []string{"prometheus does not answer"},
	}
}

func runningRollout() api.Rollout {
	now := testNow()
	r := api.Rollout{
		ID: "01JD3M0001", Patch: "openssl", PatchDigest: "0123456789abcdef", Status: api.RolloutRunning,
		Target: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}, Decision: decision(),
		Reason: "the judge needs more requests", Since: now.Add(-95 * time.Second), Created: now.Add(-5 * time.Minute),
		SubmittedBy: "pipeline", Former: &api.FormerJob{Version: 3, Count: 10},
		Stages: []api.Stage{
			{Number: 1, Percent: 10, Mode: api.StageInPlace, Instances: 1, Began: now.Add(-4 * time.Minute),
				Ready: now.Add(-230 * time.Second), Judged: now.Add(-100 * time.Second), Verdict: &api.Verdict{Kind: api.VerdictPromote}},
			{Number: 2, Percent: 50, Mode: api.StageInPlace, Instances: 5, Began: now.Add(-95 * time.Second)},
		},
		Holds: []api.Hold{{Source: "prometheus", Since: now.Add(-20 * time.Second), Reason: "connection refused"}},
		Verdict: &api.Verdict{
			Kind: api.VerdictContinue, At: now.Add(-5 * time.Second), Looks: 4, Reason: "latency_p99 is 1.1x stable",
			KPIs: []api.KPIEffect{
				{KPI: "error_rate", Unit: "ratio", Stable: 0.001, Canary: 0.001, Ratio: 1, Evidence: -1.2, Needed: 2.9, Promote: 1.9, Kind: api.VerdictPromote},
				{KPI: "latency_p99", Unit: "seconds", Stable: 0.088, Canary: 0.097, Ratio: 1.1, Evidence: 0.4, Needed: 2.9, Kind: api.VerdictContinue},
				{KPI: "memory", Missing: true},
			},
		},
		Effect: &api.Effect{Kind: api.EffectStage, Stage: 2, Intended: now.Add(-3 * time.Second)},
	}
	for i := range 10 {
		inst := api.Instance{ID: "alloc-" + string(rune('0'+i)), Build: api.BuildFormer, Health: api.Healthy}
		if i < 3 {
			inst.Build = api.BuildPatched
		}
		if i == 2 {
			inst.Health, inst.Because = api.Unhealthy, "check http fails: 503"
		}
		r.Instances = append(r.Instances, inst)
	}
	return r
}

func rolledBackRollout() api.Rollout {
	now := testNow()
	return api.Rollout{
		ID: "01JD3N0002", Patch: "glibc", PatchDigest: "fedcba9876543210", Status: api.RolloutRolledBack,
		Target: api.TargetRef{Namespace: "default", Job: "cart", Group: "cart"},
		Reason: "error_rate of the canary is 9x stable", Since: now.Add(-time.Hour), Ended: now.Add(-time.Hour), Created: now.Add(-2 * time.Hour),
		Decision: api.Decision{Strategy: api.StrategySpec{Name: "blue_green"}},
	}
}

func fixtureGraph() api.Graph {
	return api.Graph{
		Services: []api.Service{
			{Name: "cart", Instances: 2, Healthy: 2}, {Name: "front", Instances: 1, Healthy: 1},
			{Name: "store", Instances: 3, Healthy: 2, Targets: []api.TargetRef{{Namespace: "default", Job: "store", Group: "vm"}}},
		},
		Edges: []api.Edge{
			{From: "cart", To: "store", State: api.EdgeConfirmed, Evidence: []api.Evidence{
				{Source: "consul-upstreams", Class: api.EvidenceDeclared, Exact: true},
				{Source: "prometheus", Class: api.EvidenceObserved, BytesPerSecond: 2048, LastSeen: testNow().Add(-3 * time.Second)},
			}},
			{From: "front", To: "cart", State: api.EdgeObservedDenied, Evidence: []api.Evidence{{Source: "prometheus", Class: api.EvidenceObserved}}},
			{From: "front", To: "store", State: api.EdgeDeclaredOnly, Evidence: []api.Evidence{{Source: "consul-upstreams", Class: api.EvidenceDeclared}}},
		},
		Criticality: []api.Criticality{
			{Service: "cart", BlastRadius: 1, BlastRadiusMax: 1, Dependants: []string{"front"}, Score: 0.3},
			{Service: "front"},
			{Service: "store", BlastRadius: 2, BlastRadiusMax: 3, Dependants: []string{"cart", "front"}, SinglePoint: true, Score: 0.75,
				Parts: []api.Part{{Name: "blast_radius", Value: 0.5, Reason: "2 of 2 others"}, {Name: "single_point", Value: 0.25, Reason: "front needs it"}}},
		},
		Targets: []api.TargetView{{
			Target:   api.Target{TargetRef: api.TargetRef{Namespace: "default", Job: "store", Group: "vm"}, Driver: "qemu", Count: 3, Services: []string{"store"}},
			Critical: true, Why: "default (default.hcl:9,3): graph.blast_radius = 2 >= 2",
		}},
		Sources: []api.SourceStatus{
			{Name: "consul", OK: true, Since: testNow().Add(-time.Hour)},
			{Name: "prometheus", Error: "connection refused", Since: testNow().Add(-time.Minute), LastOK: testNow().Add(-time.Minute)},
		},
	}
}

func fixtureProfile() api.Profile {
	hours := make([]*float64, 168)
	for i := range 48 {
		v := 0.01 * float64(i%24)
		hours[i] = &v
	}
	return api.Profile{
		Target: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}, Since: testNow().Add(-48 * time.Hour), Updated: testNow().Add(-4 * time.Second),
		KPIs: []api.Baseline{
			{KPI: "cpu", Unit: "cores", Source: "nomad", Samples: 12, Cold: true, Last: 0.2, Mean: 0.21, P50: 0.2, P90: 0.3, P99: 0.35},
			{KPI: "latency_p99", Unit: "seconds", Source: "prometheus", Samples: 900, Last: 0.09, Mean: 0.088, P50: 0.08, P90: 0.1, P99: 0.2, Hours: hours,
				Usual: &api.Usual{Hour: 38, Samples: 1080, Mean: 0.07, P50: 0.068, P90: 0.09, P99: 0.15, Unusual: 0.15}},
			{KPI: "memory", Unit: "bytes", Source: "nomad", Samples: 120, Last: 1 << 27, Mean: 1 << 27, P50: 1 << 27, P90: 1 << 27, P99: 1 << 28,
				Usual: &api.Usual{Hour: 38, Whole: true, Samples: 120, Mean: 1 << 27, P50: 1 << 27, P90: 1 << 27, P99: 1 << 28, Unusual: 1 << 28}},
		},
	}
}

func rejectedSimulation() api.Simulation {
	now := testNow()
	return api.Simulation{
		ID: "S1", Patch: "openssl", Target: api.TargetRef{Namespace: "default", Job: "store", Group: "vm"},
		Status: api.SimulationRejected, Started: now.Add(-2 * time.Minute), Ended: now.Add(-30 * time.Second),
		Impact: &api.Impact{
			Negative: true, Reason: "latency_p99 of the treatment is 3.1x the control", Requests: 300,
			KPIs: []api.KPIEffect{
				{KPI: "latency_p99", Unit: "seconds", Stable: 0.02, Canary: 0.062, Ratio: 3.1, Evidence: 5.2, Needed: 2.9, Kind: api.VerdictAbort},
			},
			Twins: []api.Twin{
				{Role: "control", Job: "oakum-twin-S1-control", Image: "/images/store.qcow2", ImageDigest: "aaaaaaaaaaaaaaaa", HealthyAfter: api.Duration(9 * time.Second)},
				{Role: "treatment", Job: "oakum-twin-S1-treatment", Image: "/images/store-2.qcow2", ImageDigest: "bbbbbbbbbbbbbbbb", HealthyAfter: api.Duration(9500 * time.Millisecond)},
			},
		},
	}
}

// fixtureFacts are those of two targets whose KPIs nobody has measured yet.
func fixtureFacts() api.FleetFacts {
	f := api.FleetFacts{
		Format: api.FleetFactsFormat, Oakum: "0.0-test", At: testNow(), Policies: policies.Builtin(), Plugins: []api.PluginInfo{},
		Sampling: api.Duration(5 * time.Second), Tick: api.Duration(time.Second),
	}
	for _, job := range []string{"cart", "web"} {
		ref := api.TargetRef{Namespace: "default", Job: job, Group: job}
		f.Targets = append(f.Targets, api.Target{
			TargetRef: ref, Count: 4, Driver: "docker", Services: []string{job}, JobModifyIndex: 10, Tasks: []api.Task{{Name: "main", Driver: "docker"}},
		})
		f.Graph.Services = append(f.Graph.Services, api.Service{Name: job, Targets: []api.TargetRef{ref}, Instances: 4, Healthy: 4})
		f.Healthy = append(f.Healthy, api.HealthTime{Target: ref, Seen: []api.Duration{api.Duration(10 * time.Second)}})
	}
	f.Graph.Edges = []api.Edge{{From: "web", To: "cart", State: api.EdgeConfirmed}}
	return f
}
