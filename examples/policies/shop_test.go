package policies_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/plugins/builtin/bluegreen"
	"github.com/oakumhq/oakum/plugins/builtin/phased"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
	"github.com/shoenig/test/must"
)

func source(t *testing.T, path string) api.SourceFile {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	return api.SourceFile{Name: filepath.Base(path), Text: string(text)}
}

func clean(t *testing.T, diags hcl.Diagnostics) {
	t.Helper()
	must.False(t, diags.HasErrors(), must.Sprint(diags))
}

func TestPolicyTests(t *testing.T) {
	shop := append(policies.Builtin(), source(t, "shop.hcl"))
	for tests, tc := range map[string]struct {
		files []api.SourceFile
		count int
	}{
		"shop.policytest.hcl":          {shop, 3},
		"narrow/narrow.policytest.hcl": {append(slices.Clone(shop), source(t, "narrow/narrow.hcl")), 2},
	} {
		results, diags := policytest.Run([]api.SourceFile{source(t, tests)}, tc.files, schemas)
		clean(t, diags)
		must.Len(t, tc.count, results)
		for _, r := range results {
			must.True(t, r.Passed, must.Sprint(r.Name, r.Failures))
		}
	}
}

func TestPatchesParse(t *testing.T) {
	paths, err := filepath.Glob("../patches/*.hcl")
	must.NoError(t, err)
	must.GreaterEq(t, 7, len(paths))
	for _, path := range paths {
		patch, diags := policies.ParsePatch(source(t, path))
		clean(t, diags)
		must.Eq(t, filepath.Base(path), patch.Name+".hcl")
		formatted, diags := policies.Format(source(t, path))
		clean(t, diags)
		must.Eq(t, source(t, path).Text, formatted)
	}
}

// decide returns what the policies say of the catalog.
func decide(t *testing.T) api.Decision {
	t.Helper()
	library, diags := policies.Load(append(policies.Builtin(), source(t, "shop.hcl")), schemas)
	clean(t, diags)
	decision, err := library.Decide(policies.Facts{
		Target:      api.Target{TargetRef: api.TargetRef{Namespace: "default", Job: "catalog", Group: "catalog"}, Count: 10, Driver: "raw_exec"},
		Patch:       api.Patch{Name: "catalog-2.0", Severity: api.SeverityHigh},
		Criticality: api.Criticality{Service: "catalog", BlastRadius: 2},
		Now:         time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC),
	})
	must.NoError(t, err)
	return decision
}

// arm is what one side of a stage looks like.
type arm struct {
	rps     float64
	errors  float64
	latency float64 // median in seconds
	cpu     float64
}

// look draws one interval of an arm: exponential latencies around the median,
// a noisy gauge.
func (a arm) look(r *rand.Rand, seconds float64) map[string]judge.Measure {
	requests := int(a.rps*seconds*(0.7+0.6*r.Float64()) + 0.5)
	failed := 0.0
	latencies := make([]float64, requests)
	for i := range latencies {
		if r.Float64() < a.errors {
			failed++
		}
		latencies[i] = a.latency * (0.7 + 0.43*r.ExpFloat64())
	}
	return map[string]judge.Measure{
		"error_rate":  judge.Count(failed, float64(requests)),
		"latency_p90": judge.Samples(latencies),
		"cpu":         judge.Gauge(a.cpu * (0.6 + 0.8*r.Float64())),
	}
}

// run judges until there is a verdict and returns it with the time it took.
func run(t *testing.T, canary, stable arm, seed uint64) (api.Verdict, time.Duration) {
	t.Helper()
	spec := decide(t).Judge
	var kpis []judge.KPI
	for _, k := range spec.KPIs {
		kpi, ok := judge.Known(k.KPI)
		must.True(t, ok)
		kpis = append(kpis, kpi)
	}
	started := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	bank, err := judge.New(spec, kpis, judge.Stage{Started: started})
	must.NoError(t, err)
	r := rand.New(rand.NewPCG(seed, 1))
	now := started
	for {
		now = now.Add(spec.Interval.D())
		seconds := spec.Interval.D().Seconds()
		left, right := canary.look(r, seconds), stable.look(r, seconds)
		look := judge.Look{At: now, Seconds: seconds, KPIs: map[string]judge.Pair{}}
		for _, name := range slices.Sorted(maps.Keys(left)) {
			look.KPIs[name] = judge.Pair{Canary: left[name], Stable: right[name]}
		}
		bank.Observe(look)
		if verdict := bank.Verdict(now); verdict.Kind != api.VerdictContinue {
			return verdict, now.Sub(started)
		}
	}
}

// TestJudgedInTime holds the promise of shop.hcl's comments at the traffic of
// the shop's smallest stages.
func TestJudgedInTime(t *testing.T) {
	catalog := arm{rps: 2.4, latency: 0.015, cpu: 0.02}
	nineCatalogs := arm{rps: 21.6, latency: 0.015, cpu: 0.02}
	store := arm{rps: 3.2, latency: 0.01, cpu: 0.1}
	twoStores := arm{rps: 6.4, latency: 0.01, cpu: 0.1}
	twin := arm{rps: 2, latency: 0.01, cpu: 0.08}
	slow := arm{rps: 2, latency: 0.135, cpu: 0.2}
	broken := catalog
	broken.errors = 0.35
	overloaded := store
	overloaded.errors, overloaded.latency = 0.3, 0.07
	for _, tc := range []struct {
		name           string
		canary, stable arm
		want           api.VerdictKind
		within         time.Duration
	}{
		{"a good catalog", catalog, nineCatalogs, api.VerdictPromote, 40 * time.Second},
		{"a good store", store, twoStores, api.VerdictPromote, 40 * time.Second},
		{"a good twin", twin, twin, api.VerdictPromote, time.Minute},
		{"a slow twin", slow, twin, api.VerdictAbort, 40 * time.Second},
		{"a broken catalog", broken, nineCatalogs, api.VerdictAbort, 20 * time.Second},
		{"an overloaded store", overloaded, twoStores, api.VerdictAbort, 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var took []time.Duration
			for seed := range uint64(20) {
				verdict, d := run(t, tc.canary, tc.stable, seed)
				must.Eq(t, tc.want, verdict.Kind, must.Sprint(verdict.Reason))
				took = append(took, d)
			}
			slices.Sort(took)
			t.Logf("half within %s, all within %s", took[10], took[19])
			must.LessEq(t, tc.within, took[10])
		})
	}
}

// schemas knows the built-in strategies.
func schemas(name string) (api.ConfigSchema, bool) {
	switch name {
	case phased.Name:
		return phased.Strategy{}.Describe().Schema, true
	case bluegreen.Name:
		return bluegreen.Strategy{}.Describe().Schema, true
	}
	return api.ConfigSchema{}, false
}
