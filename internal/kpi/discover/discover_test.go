package discover_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclsimple"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/kpi/discover"
	"github.com/oakumhq/oakum/internal/kpi/promtest"
	"github.com/oakumhq/oakum/internal/promql"
)

// Allocations of the fleet.
const (
	store1 = "0e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e01"
	store2 = "1e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e02"
	web1   = "2e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e03"
	cart1  = "3e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e04"
	old1   = "4e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e05"
	pod1   = "5e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e06"
)

func ref(job string) api.TargetRef {
	return api.TargetRef{Namespace: "default", Job: job, Group: job}
}

func fleet() []convention.Instance {
	return []convention.Instance{
		{ID: store1, Target: ref("store")}, {ID: store2, Target: ref("store")}, {ID: web1, Target: ref("web"), Addresses: []string{"10.0.0.3:8080"}},
		{ID: cart1, Target: ref("cart"), Addresses: []string{"10.0.0.4:8080", "10.0.0.4:9090"}}, {ID: old1, Target: ref("old")},
		{ID: pod1, Target: ref("pod")},
	}
}

// shop is a store of metrics of which each service names its own in another way. store is
// measured by the default queries already, web is behind a sidecar that Consul found, cart
// is scraped by its address, pod by the name of its container, and old has a histogram
// without buckets.
func shop(t *testing.T) *promtest.Store {
	t.Helper()
	s := promtest.New()
	for _, id := range []string{store1, store2} {
		s.Load(t, strings.ReplaceAll(`
http_requests_total{alloc_id="ID",code="200"} 24
http_requests_total{alloc_id="ID",code="500"} 1
http_request_duration_seconds_count{alloc_id="ID"} 25
http_request_duration_seconds_bucket{alloc_id="ID",le="0.1"} 20
http_request_duration_seconds_bucket{alloc_id="ID",le="+Inf"} 25
go_goroutines{alloc_id="ID"} =9`, "ID", id))
	}
	s.Load(t, strings.ReplaceAll(`
envoy_http_downstream_rq_completed{consul_service_id="ID",envoy_http_conn_manager_prefix="public_listener"} 50
envoy_http_downstream_rq_xx{consul_service_id="ID",envoy_http_conn_manager_prefix="public_listener",envoy_response_code_class="5"} 2
envoy_http_downstream_rq_time_count{consul_service_id="ID",envoy_http_conn_manager_prefix="public_listener"} 50
envoy_http_downstream_rq_time_bucket{consul_service_id="ID",envoy_http_conn_manager_prefix="public_listener",le="25"} 40
envoy_http_downstream_rq_time_bucket{consul_service_id="ID",envoy_http_conn_manager_prefix="public_listener",le="+Inf"} 50`,
		"ID", "_nomad-task-"+web1+"-group-web-web-8080-sidecar-proxy"))
	s.Load(t, `
http_server_request_duration_seconds_count{instance="10.0.0.4:8080",http_response_status_code="200"} 25
http_server_request_duration_seconds_bucket{instance="10.0.0.4:8080",http_response_status_code="200",le="+Inf"} 25
http_server_request_duration_seconds_count{instance="10.0.0.4:9090",http_response_status_code="500"} 5
http_server_request_duration_seconds_bucket{instance="10.0.0.4:9090",http_response_status_code="500",le="+Inf"} 5
http_server_request_duration_seconds_count{pod="pod-`+pod1[:8]+`",http_response_status_code="200"} 25
http_server_request_duration_seconds_bucket{pod="pod-`+pod1[:8]+`",http_response_status_code="200",le="+Inf"} 25
http_server_requests_seconds_count{alloc_id="`+old1+`",status="200"} 25
traefik_entrypoint_requests_total{instance="10.0.0.99:80",code="200"} 25
traefik_entrypoint_requests_total{instance="10.0.0.98:80",code="200"} 25`)
	return s
}

func input(s discover.Store) discover.Input {
	return discover.Input{
		Store: s, Queries: kpi.NewReader(nil, nil, kpi.Queries{}).Catalogue().Queries, Instances: fleet(), Now: promtest.Last(),
	}
}

func TestRun_SaysWhatEachTargetHas(t *testing.T) {
	t.Parallel()
	got, err := discover.Run(t.Context(), input(shop(t)))
	must.NoError(t, err)
	must.SliceEmpty(t, got.Missing)
	must.Eq(t, 12, got.Metrics)

	type shown struct {
		convention, metric, label string
		instances                 int
		inForce                   bool
	}
	has, lacks := map[string]map[string]shown{}, map[string]map[string]string{}
	for _, target := range got.Targets {
		has[target.Target.Job], lacks[target.Target.Job] = map[string]shown{}, map[string]string{}
		for _, f := range target.Has {
			if f.Convention != "Nomad's statistics" {
				has[target.Target.Job][f.KPI] = shown{f.Convention, f.Metric, f.Label, f.Instances, f.InForce}
			}
		}
		for _, l := range target.Lacks {
			if l.KPI == api.KPIErrorRate || l.KPI == api.KPILatencyP99 {
				lacks[target.Target.Job][l.KPI] = l.Why
			}
		}
	}
	const library, sidecar, otel = "HTTP server of a client library", "Envoy in a Consul mesh", "OpenTelemetry HTTP server"
	must.Eq(t, map[string]map[string]shown{
		"store": {
			api.KPIErrorRate:  {library, "http_requests_total", "alloc_id", 2, true},
			api.KPILatencyP99: {library, "http_request_duration_seconds_bucket", "alloc_id", 2, true},
			"goroutines":      {"Go client library", "go_goroutines", "alloc_id", 2, false},
		},
		"web": {
			api.KPIErrorRate:  {sidecar, "envoy_http_downstream_rq_completed", "consul_service_id", 1, false},
			api.KPILatencyP99: {sidecar, "envoy_http_downstream_rq_time_bucket", "consul_service_id", 1, false},
		},
		"old": {api.KPIErrorRate: {"Micrometer HTTP server", "http_server_requests_seconds_count", "alloc_id", 1, false}},
		"cart": {
			api.KPIErrorRate:  {otel, "http_server_request_duration_seconds_count", "instance", 1, false},
			api.KPILatencyP99: {otel, "http_server_request_duration_seconds_bucket", "instance", 1, false},
		},
		"pod": {},
	}, has)
	const byShort = `names the instance in "pod" by the beginning of an allocation's ID, which no query can turn into an allocation: Prometheus must label it`
	must.Eq(t, map[string]map[string]string{
		"store": {}, "web": {}, "cart": {},
		"old": {api.KPILatencyP99: "http_server_requests_seconds has no buckets: switch them on (Micrometer HTTP server)"},
		"pod": {
			api.KPIErrorRate:  "http_server_request_duration_seconds_count (OpenTelemetry HTTP server) " + byShort,
			api.KPILatencyP99: "http_server_request_duration_seconds_bucket (OpenTelemetry HTTP server) " + byShort,
		},
	}, lacks)
	must.StrContains(t, got.Relabel, "target_label: alloc_id")
	must.Len(t, 1, got.Unnamed)
	must.Eq(t, "Traefik", got.Unnamed[0].Convention)
	must.Eq(t, 2, got.Unnamed[0].Series)
}

func TestRun_OneTarget(t *testing.T) {
	t.Parallel()
	in, web := input(shop(t)), ref("web")
	in.Target = &web
	got, err := discover.Run(t.Context(), in)
	must.NoError(t, err)
	must.Len(t, 1, got.Targets)
	must.StrContains(t, got.Block, "envoy_http_downstream_rq_completed")
	must.StrNotContains(t, got.Block, "http_server_requests_seconds", must.Sprint("it is another target's"))
	must.Eq(t, "", got.Relabel)

	pod := ref("pod")
	in.Target = &pod
	got, err = discover.Run(t.Context(), in)
	must.NoError(t, err)
	must.Eq(t, "", got.Block)
	must.StrContains(t, got.Relabel, "__meta_consul_service_id")
}

// TestRun_OwnKPIsAreAskedFor leaves what Oakum does not know by itself out of the block.
func TestRun_OwnKPIsAreAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kpis []string
		want bool
	}{"none": {nil, false}, "another": {[]string{"heap"}, false}, "by name": {[]string{"goroutines"}, true}, "all": {[]string{discover.All}, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(shop(t))
			in.KPIs = c.kpis
			got, err := discover.Run(t.Context(), in)
			must.NoError(t, err)
			must.Eq(t, c.want, strings.Contains(got.Block, `kpi "goroutines"`))
		})
	}
}

// failing is a store of which some answers are errors.
type failing struct {
	discover.Store
	names, labels, query error
}

func (f failing) Names(ctx context.Context, since time.Time, limit int) ([]string, bool, error) {
	if f.names != nil {
		return nil, false, f.names
	}
	return f.Store.Names(ctx, since, limit)
}

func (f failing) LabelNames(ctx context.Context, selector string, since time.Time) ([]string, error) {
	if f.labels != nil && strings.HasPrefix(selector, "envoy") {
		return nil, f.labels
	}
	return f.Store.LabelNames(ctx, selector, since)
}

func (f failing) Query(ctx context.Context, text string, at time.Time) ([]kpi.Series, error) {
	if f.query != nil && strings.Contains(text, "go_goroutines") {
		return nil, f.query
	}
	return f.Store.Query(ctx, text, at)
}

// TestRun_TellsWhatDidNotAnswer never takes a failed question for an absent metric.
func TestRun_TellsWhatDidNotAnswer(t *testing.T) {
	t.Parallel()
	heavy := errors.New("query too heavy")
	_, err := discover.Run(t.Context(), input(failing{Store: shop(t), names: heavy}))
	must.ErrorContains(t, err, "list metrics: query too heavy")
	got, err := discover.Run(t.Context(), input(failing{Store: shop(t), labels: heavy, query: heavy}))
	must.NoError(t, err)
	must.SliceContains(t, got.Missing, "labels of envoy_http_downstream_rq_completed: query too heavy")
	must.SliceContains(t, got.Missing, "instances that have go_goroutines: query too heavy")
}

// TestRun_ReadsNativeHistograms has a histogram that has no buckets by name.
func TestRun_ReadsNativeHistograms(t *testing.T) {
	t.Parallel()
	s := promtest.New()
	s.Load(t, `http_server_request_duration_seconds{alloc_id="`+web1+`",http_response_status_code="200"} 1`)
	in, web := input(s), ref("web")
	in.Target = &web
	got, err := discover.Run(t.Context(), in)
	must.NoError(t, err)
	must.Eq(t, "", got.Block, must.Sprint("nobody says that it is a histogram"))

	s.Metadata = map[string]string{"http_server_request_duration_seconds": "histogram"}
	got, err = discover.Run(t.Context(), in)
	must.NoError(t, err)
	q := pasted(t, got.Block, in.Queries)
	must.Eq(t, "sum by ($label) (http_server_request_duration_seconds{$instances})\n", q.Buckets)
	must.Eq(t, "sum by ($label) (histogram_count(http_server_request_duration_seconds{$instances}))\n", q.Requests)
	must.Eq(t, `sum by ($label) (histogram_count(http_server_request_duration_seconds{http_response_status_code=~"5..",$instances}))`+"\n", q.Errors)
}

// TestRun_TheBlockReadsMilliseconds has no other histogram than one in milliseconds.
func TestRun_TheBlockReadsMilliseconds(t *testing.T) {
	t.Parallel()
	s := promtest.New()
	s.Load(t, `
http_server_duration_milliseconds_count{alloc_id="`+web1+`",http_status_code="200"} 2
http_server_duration_milliseconds_bucket{alloc_id="`+web1+`",http_status_code="200",le="25"} 1
http_server_duration_milliseconds_bucket{alloc_id="`+web1+`",http_status_code="200",le="+Inf"} 2`)
	in := input(s)
	got, err := discover.Run(t.Context(), in)
	must.NoError(t, err)
	reader := kpi.NewReader(s, nil, pasted(t, got.Block, in.Queries))
	reading, err := reader.Read(t.Context(), []api.KPISpec{{KPI: api.KPILatencyP99}}, []string{web1}, time.Time{}, promtest.Last())
	must.NoError(t, err)
	must.Eq(t, []float64{0.025}, reading.Counters[web1].Upper)
}

// TestRun_TheBlockMeasuresEverybody puts the block's queries in force. Then every target
// that could be measured is, once, and nothing is left to add.
func TestRun_TheBlockMeasuresEverybody(t *testing.T) {
	t.Parallel()
	s := shop(t)
	in := input(s)
	first, err := discover.Run(t.Context(), in)
	must.NoError(t, err)
	in.Queries = pasted(t, first.Block, in.Queries)
	second, err := discover.Run(t.Context(), in)
	must.NoError(t, err)
	must.SliceEmpty(t, second.Missing)
	must.Eq(t, "", second.Block)
	reader := kpi.NewReader(s, nil, in.Queries).ByAddress(addresses{})
	got, err := reader.Read(t.Context(), []api.KPISpec{{KPI: api.KPIErrorRate}, {KPI: api.KPILatencyP99}}, []string{store1, web1, old1, cart1}, time.Time{}, promtest.Last())
	must.NoError(t, err)
	for id, want := range map[string][2]float64{store1: {1000, 40}, web1: {2000, 80}, old1: {1000, 0}, cart1: {1200, 200}} {
		must.NotNil(t, got.Counters[id], must.Sprint(id))
		must.Eq(t, want, [2]float64{got.Counters[id].Requests, got.Counters[id].Errors})
	}
	must.Eq(t, []float64{0.025}, got.Counters[web1].Upper)
	must.Eq(t, []float64{0.1}, got.Counters[store1].Upper)
}

// addresses are those of the fleet.
type addresses struct{}

func (addresses) Addresses(context.Context, []string) (map[string]string, error) {
	return convention.NewInstances(fleet()).Addresses(), nil
}

// pasted is a set of queries with a block of the agent's configuration over it. Each query
// passes the check that the configuration makes.
func pasted(t *testing.T, block string, q kpi.Queries) kpi.Queries {
	t.Helper()
	var file struct {
		Prometheus struct {
			KPIs []struct {
				Name  string `hcl:"name,label"`
				Kind  string `hcl:"kind,optional"`
				Unit  string `hcl:"unit,optional"`
				Query string `hcl:"query"`
				Total string `hcl:"total,optional"`
			} `hcl:"kpi,block"`
		} `hcl:"prometheus,block"`
	}
	must.NoError(t, hclsimple.Decode("pasted.hcl", []byte(block), nil, &file), must.Sprint(block))
	kinds := map[string]api.KPIKind{api.KPIErrorRate: api.KPICount, api.KPILatencyP99: api.KPILatency}
	for _, k := range file.Prometheus.KPIs {
		for _, text := range []string{k.Query, k.Total} {
			if text != "" {
				if fault := promql.Check(text, promql.KPI(kinds[k.Name], q.Label)); fault != nil {
					t.Errorf("%s: %v\n%s", k.Name, fault, text)
				}
			}
		}
		switch k.Name {
		case api.KPIErrorRate:
			q.Errors, q.Requests = k.Query, k.Total
		case api.KPILatencyP99:
			q.Buckets = k.Query
		default:
			t.Fatalf("unexpected KPI %s", k.Name)
		}
	}
	return q
}
