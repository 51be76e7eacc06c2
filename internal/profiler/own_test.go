package profiler

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// ownQueries are a count and a latency that the model knows the counters of under
// other names.
func ownQueries() KPIQueries {
	return KPIQueries{Own: map[string]OwnQuery{
		"checkout_failures": {Kind: api.KPICount, Query: `checkouts{code=~"5..",$instances}`, Total: `checkouts{$instances}`},
		"checkout_p90":      {Kind: api.KPILatency, Query: `checkout_seconds_bucket{$instances}`},
	}}
}

func ownSpec() []api.KPISpec {
	return []api.KPISpec{
		{KPI: "checkout_failures", AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02},
		{KPI: "checkout_p90", AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.005},
	}
}

func TestCountsAndLatenciesOfOnesOwnAreJudged(t *testing.T) {
	byPolicy := ownSpec()
	for i := range byPolicy {
		own := ownQueries().Own[byPolicy[i].KPI]
		byPolicy[i].Kind, byPolicy[i].Query, byPolicy[i].Total = own.Kind, own.Query, own.Total
	}
	for name, c := range map[string]struct {
		change  func(*instance)
		queries KPIQueries
		kpis    []api.KPISpec
		want    api.VerdictKind
		says    string
	}{
		"healthy":             {func(*instance) {}, ownQueries(), ownSpec(), api.VerdictPromote, "within its margin"},
		"failing":             {func(i *instance) { i.errors = 0.3 }, ownQueries(), ownSpec(), api.VerdictAbort, "checkout_failures of the canary is"},
		"slow":                {func(i *instance) { i.slow = 2.5 }, ownQueries(), ownSpec(), api.VerdictAbort, "checkout_p90 of the canary is"},
		"healthy by a policy": {func(*instance) {}, KPIQueries{}, byPolicy, api.VerdictPromote, "within its margin"},
		"failing by a policy": {func(i *instance) { i.errors = 0.3 }, KPIQueries{}, byPolicy, api.VerdictAbort, "checkout_failures of the canary is"},
		"silent":              {func(i *instance) { i.silent = true }, ownQueries(), ownSpec(), api.VerdictInconclusive, "is missing (canary: no series of 00000000)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(10)
			c.change(m.instances[id(0)])
			r := request(0)
			r.Spec.KPIs = c.kpis
			var v api.Verdict
			for look := range 70 {
				r.Now = began().Add(time.Duration(look) * 5 * time.Second)
				p := New(Options{Metrics: m, Queries: c.queries}) // each look is another leader's
				verdict, state, err := p.Judge(t.Context(), r)
				must.NoError(t, err)
				if v, r.State = verdict, &state; v.Kind != api.VerdictContinue {
					break
				}
			}
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
			must.StrContains(t, v.Reason, c.says)
		})
	}
}

func TestCountsAndLatenciesOfOnesOwnAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(10)
		o := Options{Metrics: m, Fleet: m, Recorder: m, Profiles: m.profiles, Queries: ownQueries()}
		during(t, New(o), 5*time.Minute)
		during(t, New(o), 5*time.Minute+time.Second) // goes on from the record
		for kpi, want := range map[string][2]float64{"checkout_failures": {0.0005, 0.002}, "checkout_p90": {0.05, 0.065}} {
			b := find(t, m.profiles(), kpi)
			must.Between(t, want[0], b.Mean, want[1], must.Sprint(kpi))
			must.False(t, b.Cold)
			must.GreaterEq(t, 100, b.Samples)
		}
	})
}

// exporter answers the queries that name one of its metrics.
type exporter struct{ metrics []string }

func (e exporter) Query(_ context.Context, promql string, _ time.Time) ([]Sample, error) {
	for i, m := range e.metrics {
		if strings.Contains(promql, "irate("+m+`{`) && strings.Contains(promql, `alloc_id!=""}[1m])`) {
			return []Sample{{Labels: map[string]string{"alloc_id": id(0)}, Value: float64(i + 1)}}, nil
		}
	}
	return nil, nil
}

func TestUsualExportersAreReadWhereTheyAre(t *testing.T) {
	for name, metrics := range map[string][]string{
		"cadvisor": {"container_fs_reads_total", "container_fs_writes_bytes_total", "container_pressure_cpu_waiting_seconds_total",
			"container_pressure_memory_waiting_seconds_total", "container_pressure_io_waiting_seconds_total"},
		"node_exporter": {"node_disk_writes_completed_total", "node_disk_read_bytes_total", "node_pressure_cpu_waiting_seconds_total",
			"node_pressure_memory_waiting_seconds_total", "node_pressure_io_waiting_seconds_total"},
		"none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			p := New(Options{Metrics: exporter{metrics}})
			got := p.sampleGauges(t.Context(), nil, began())
			for i, kpi := range []string{api.KPIIOOperations, api.KPIIOBytes, api.KPIPressureCPU, api.KPIPressureMemory, api.KPIPressureIO} {
				value, ok := got[kpi][id(0)]
				must.Eq(t, metrics != nil, ok, must.Sprint(kpi))
				if ok {
					must.Eq(t, float64(i+1), value, must.Sprint(kpi))
				}
			}
		})
	}
}

func TestDefaultQueriesAddUpEachExporter(t *testing.T) {
	const disks = `{device!~"(dm-|md|loop|z?ram|sr|fd).*",alloc_id!=""}[1m]`
	must.Eq(t, `(sum by (alloc_id) (irate(container_fs_reads_total{alloc_id!=""}[1m])) + sum by (alloc_id) (irate(container_fs_writes_total{alloc_id!=""}[1m])))`+
		` or (sum by (alloc_id) (irate(node_disk_reads_completed_total`+disks+`)) + sum by (alloc_id) (irate(node_disk_writes_completed_total`+disks+`)))`,
		DefaultQueries().expand(DefaultQueries().Own[api.KPIIOOperations].Query, nil))
}

func TestTheConfigurationReplacesADefaultQueryAndKeepsItsUnit(t *testing.T) {
	q := KPIQueries{Own: map[string]OwnQuery{api.KPIIOBytes: {Query: "mine"}, "queue": {Query: "queue"}}}.or(DefaultQueries())
	must.Eq(t, OwnQuery{Query: "mine", Unit: "bytes/s"}, q.Own[api.KPIIOBytes])
	must.Eq(t, OwnQuery{Query: "queue"}, q.Own["queue"])
	must.NotEq(t, "", q.Own[api.KPIPressureIO].Query)
	must.NotEq(t, "mine", DefaultQueries().Own[api.KPIIOBytes].Query)
}

// counting fails, and counts how often it was asked.
type counting struct{ asked int }

func (c *counting) Query(context.Context, string, time.Time) ([]Sample, error) {
	c.asked++
	return nil, errors.New("connection refused")
}

func TestASourceThatIsAwayIsAskedOnceARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{}
		m := newModel(1)
		during(t, New(Options{Metrics: c, Fleet: m, Queries: ownQueries()}), 11*time.Second)
		must.Eq(t, 2, c.asked)
	})
}
