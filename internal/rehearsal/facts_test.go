package rehearsal

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
	"github.com/oakumhq/oakum/policies"
)

// now is a Monday at noon.
func now() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

func ref(job string) api.TargetRef { return api.TargetRef{Namespace: "default", Job: job, Group: job} }

// someFacts are those of a fleet of targets in layers of ten, each calling two of the next layer,
// with a usual load.
func someFacts(t testing.TB, targets, count int) api.FleetFacts {
	t.Helper()
	f := api.FleetFacts{
		Format: api.FleetFactsFormat, At: now(), Metrics: true, Sampling: api.Duration(5 * time.Second), Tick: api.Duration(time.Second),
		Policies: policies.Builtin(),
	}
	name := func(i int) string { return fmt.Sprintf("app-%02d", i) }
	for i := range targets {
		at := ref(name(i))
		f.Targets = append(f.Targets, api.Target{
			TargetRef: at, Count: count, Driver: "docker", Services: []string{name(i)}, JobVersion: 3, JobModifyIndex: 100,
			Tasks: []api.Task{{Name: "main", Driver: "docker"}},
		})
		f.Graph.Services = append(f.Graph.Services, api.Service{Name: name(i), Targets: []api.TargetRef{at}, Instances: count, Healthy: count})
		for k := range 2 {
			if to := (i/10+1)*10 + (i+3*k)%10; to < targets {
				f.Graph.Edges = append(f.Graph.Edges, api.Edge{From: name(i), To: name(to), State: api.EdgeConfirmed})
			}
		}
		f.Profiles = append(f.Profiles, profile(t, at, 60))
		f.Healthy = append(f.Healthy, api.HealthTime{Target: at, Seen: []api.Duration{api.Duration(8 * time.Second), api.Duration(12 * time.Second)}})
	}
	f.Graph.Sources = []api.SourceStatus{{Name: "consul-intentions", OK: true}}
	return f
}

// profile is what a healthy target shows: so many requests a second and instance,
// one in five hundred fails, and a latency about 20 ms.
func profile(t testing.TB, at api.TargetRef, rate float64) api.Profile {
	t.Helper()
	upper := []float64{0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1}
	counts := []float64{200, 4000, 15000, 20000, 19000, 14000, 15000, 7000, 3000, 1700, 800, 180, 60, 40, 15, 4, 1, 0}
	p := api.Profile{Target: at, Since: now().Add(-7 * 24 * time.Hour), Updated: now()}
	p.KPIs = append(p.KPIs,
		baseline(t, api.KPICPU, 0.2, judge.Reference{N: 1000, Mean: 0.2, M2: 0.1}),
		baseline(t, api.KPIErrorRate, 0.002, judge.Reference{Events: 2000, Exposure: 1_000_000}),
		baseline(t, "latency_p99", 0.18, judge.Reference{Upper: upper, Counts: counts}),
		baseline(t, api.KPIRequests, rate, judge.Reference{N: 1000, Mean: rate, M2: 1000}),
	)
	return p
}

// baseline is a KPI as a server records it. A gauge's instances differ by a tenth.
func baseline(t testing.TB, name string, mean float64, r judge.Reference) api.Baseline {
	t.Helper()
	kpi, ok := judge.Known(name)
	must.True(t, ok)
	sketch := stats.NewSketch()
	var halves, minutes stats.Series
	for i := range 720 {
		must.NoError(t, sketch.Add(mean, 1))
		wave := math.Sin(float64(i) * 2.39996) // by the golden angle: no two neighbours alike
		halves.Observe(0.1 * mean * wave)
		if kpi.Kind == api.KPICount {
			minutes.Observe(mean * (1 + 0.03*wave))
		} else {
			minutes.Observe(math.Log(mean) + 0.03*wave)
		}
	}
	text, err := json.Marshal(map[string]any{
		"sketch": sketch.Bytes(), "mean": mean, "reference": r, "halves": halves, "levels": levels(halves, mean), "windows": minutes,
	})
	must.NoError(t, err)
	b := api.Baseline{KPI: name, Kind: kpi.Kind, Unit: kpi.Unit, Source: "test", Samples: 100_000, Mean: mean, Sketch: text}
	for range 168 {
		b.Hours = append(b.Hours, &mean)
	}
	return b
}

// levels are values whose differences are these.
func levels(differences stats.Series, mean float64) stats.Series {
	differences.First += mean
	return differences
}

func patch(t testing.TB, target string) api.Patch {
	t.Helper()
	text := "patch \"openssl\" {\n  severity = \"high\"\n  " + target + "\n  apply \"job\" {\n    task   = \"main\"\n    config = { image = \"app:2\" }\n  }\n}\n"
	p, diags := policies.ParsePatch(api.SourceFile{Name: "openssl.hcl", Text: text})
	must.False(t, diags.HasErrors(), must.Sprint(diags))
	return p
}
