package prometheus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/e2e/fleet/fixture"
	served "github.com/oakumhq/oakum/e2e/fleet/prometheus"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/prometheus"
)

func prometheusOf(t testing.TB, f *fleet.Fleet) (*door.Model, *served.Door, *httptest.Server, *prometheus.Client) {
	t.Helper()
	m := door.NewModel(f)
	p := served.New(m, 0)
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	c, err := prometheus.New(prometheus.Config{Address: s.URL, Window: time.Minute, Timeout: time.Minute})
	must.NoError(t, err)
	return m, p, s, c
}

// query asks for samples, by alloc_id when there is one.
func query(t testing.TB, c *prometheus.Client, promql string) map[string]float64 {
	t.Helper()
	list, err := c.Query(t.Context(), promql, time.Time{})
	must.NoError(t, err, must.Sprint(promql))
	out := map[string]float64{}
	for _, s := range list {
		key := s.Labels["alloc_id"]
		if le := s.Labels["le"]; le != "" {
			key += "<" + le
		}
		out[key] = s.Value
	}
	return out
}

// expanded is a query as a sampler asks it of the whole fleet.
func expanded(text string) string {
	return strings.NewReplacer("$label", "alloc_id", "$instances", `alloc_id!=""`).Replace(text)
}

// TestDefaultQueriesFindTheirSeries: each query that Oakum asks unless it is told
// otherwise gets a figure for each instance.
func TestDefaultQueriesFindTheirSeries(t *testing.T) {
	t.Parallel()
	_, _, _, c := prometheusOf(t, fixture.Shop(t))
	q := kpi.DefaultQueries()
	requests := query(t, c, expanded(q.Requests))
	must.MapLen(t, 9, requests)
	for id, failed := range query(t, c, expanded(q.Errors)) {
		must.Between(t, 0, failed, 0.03*requests[id])
	}
	buckets := query(t, c, expanded(q.Buckets))
	must.MapLen(t, 9*(len(load.Bounds())+1), buckets)
	for id, n := range requests {
		must.Eq(t, n, buckets[id+"<+Inf"])
	}
	for name, own := range q.Own {
		must.MapLen(t, 9, query(t, c, expanded(own.Query)), must.Sprint(name))
	}
	one := ""
	for id := range requests {
		one = id
	}
	must.MapLen(t, 1, query(t, c, `http_requests_total{alloc_id=~"`+one+`|nonesuch",code="200"}`))
	must.Eq(t, 9, query(t, c, `count(nomad_client_allocs_running)`)[""])
	must.Eq(t, 7, query(t, c, `7`)[""])
}

// TestRatesAreTheLoads: what PromQL makes of the counters is what the model was
// given.
func TestRatesAreTheLoads(t *testing.T) {
	t.Parallel()
	_, _, _, c := prometheusOf(t, fixture.Shop(t))
	for promql, want := range map[string]float64{
		`sum(rate(http_requests_total{service="front"}[30m]))`:                                                                                          30,
		`sum(rate(http_requests_total{service="catalog"}[30m]))`:                                                                                        60,
		`sum(rate(http_requests_total{service="catalog",code=~"5.."}[30m])) / sum(rate(http_requests_total{service="catalog"}[30m]))`:                   0.01,
		`histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket{service="catalog"}[30m])))`:                                     0.020,
		`sum(rate(http_request_duration_seconds_sum{service="catalog"}[30m])) / sum(rate(http_request_duration_seconds_count{service="catalog"}[30m]))`: 0.020 * math.Exp(0.125),
		`sum(rate(container_cpu_usage_seconds_total{job_name="front"}[30m]))`:                                                                           30*0.002 + 3*0.01,
		`sum(rate(container_fs_reads_total{job_name="store"}[30m]))`:                                                                                    60 * 3 * 2. / 3,
	} {
		must.Less(t, 0.15*want, math.Abs(query(t, c, promql)[""]-want), must.Sprint(promql))
	}
}

// TestTrafficIsSeen: both kinds of proxies tell who calls whom.
func TestTrafficIsSeen(t *testing.T) {
	t.Parallel()
	_, _, _, c := prometheusOf(t, fixture.Shop(t))
	builtIn := fixture.Job("front", 3, "1")
	builtIn.Groups[0].Meta = map[string]string{"proxy": "built-in"}
	old := fleet.New(2, time.Now().Add(-time.Hour))
	old.AddNode(fleet.Node{CPU: 100_000, MemoryMB: 100_000})
	must.NoError(t, old.Load(load.Topology{Services: []load.Service{{Name: "front", Rate: 30, Calls: []load.Call{{To: "catalog", Each: 2}}}, {Name: "catalog"}}}))
	_, err := old.Register(builtIn, false, 0)
	must.NoError(t, err)
	old.Advance(time.Now())
	_, _, _, other := prometheusOf(t, old)
	for name, tc := range map[string]struct {
		client   *prometheus.Client
		from, to string
		requests float64
	}{
		"envoy": {c, "catalog", "store", 60}, "consul_proxy": {other, "front", "catalog", 0},
	} {
		family, err := prometheus.Preset(name)
		must.NoError(t, err)
		flows, partial, silent, err := tc.client.Traffic(family).Flows(t.Context())
		must.NoError(t, err)
		must.False(t, silent)
		must.Eq(t, "", partial)
		found := false
		for _, flow := range flows {
			if flow.From != tc.from || flow.To != tc.to {
				continue
			}
			found = true
			must.Positive(t, flow.Evidence.BytesPerSecond)
			must.Less(t, 0.2*tc.requests+1e-9, math.Abs(flow.Evidence.RequestsPerSecond-tc.requests))
			must.Eq(t, api.EvidenceObserved, flow.Evidence.Class)
		}
		must.True(t, found, must.Sprintf("%s: %v", name, flows))
	}
}

// TestSeriesEndWithTheirInstances: at the first scrape after its end an instance
// has no series any more, and a replacement begins at zero.
func TestSeriesEndWithTheirInstances(t *testing.T) {
	t.Parallel()
	f := fixture.Shop(t)
	m, _, _, c := prometheusOf(t, f)
	ref := api.TargetRef{Namespace: "default", Job: "store", Group: "app"}
	var gone string
	now := time.Now()
	m.Update(func(f *fleet.Fleet) {
		gone = f.Instances(ref)[0].ID
		must.NoError(t, f.StopAlloc(gone))
	})
	later := func(promql string) []prometheus.Sample {
		var at time.Time
		m.Update(func(f *fleet.Fleet) {
			f.Advance(now.Add(time.Minute)) // the clock on the wall is behind from here on
			at = f.Now()
		})
		list, err := c.Query(t.Context(), promql, at)
		must.NoError(t, err)
		return list
	}
	must.Len(t, 3, later(`http_requests_total{service="store",code="200"}`))
	must.Len(t, 0, later(`http_requests_total{alloc_id="`+gone+`"}`))
	must.Len(t, 1, later(`count_over_time(http_requests_total{alloc_id="`+gone+`",code="200"}[5m])`))
	must.Len(t, 3, later(`rate(http_requests_total{service="store",code="200"}[30s])`))
	must.Len(t, 1, later(`irate(http_requests_total{alloc_id="`+gone+`",code="200"}[5m])`))
}

// TestInstantRates: the rate over the last two scrapes is that of the last two samples
// of the whole range, whatever the range is.
func TestInstantRates(t *testing.T) {
	t.Parallel()
	_, _, s, _ := prometheusOf(t, fixture.Shop(t))
	at := time.Now().Format(time.RFC3339Nano)
	ask := func(promql string) map[string][]any {
		status, out := get(t, s.URL+"/api/v1/query", url.Values{"query": {promql}, "time": {at}})
		must.Eq(t, 200, status)
		values := map[string][]any{}
		for _, r := range out["data"].(map[string]any)["result"].([]any) {
			one := r.(map[string]any)
			id := one["metric"].(map[string]any)["alloc_id"].(string)
			if list, ok := one["values"].([]any); ok {
				values[id] = list
			} else {
				values[id] = one["value"].([]any)
			}
		}
		return values
	}
	number := func(v any) float64 {
		n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		must.NoError(t, err)
		return n
	}
	const counter = `http_requests_total{code="200"}`
	whole := ask(counter + "[1m]")
	must.MapLen(t, 9, whole)
	for _, function := range []string{"irate", "idelta"} {
		for _, window := range []string{"[11s]", "[1m]"} {
			answers := ask(function + "(" + counter + window + ")")
			must.MapLen(t, 9, answers)
			for id, got := range answers {
				list := whole[id]
				must.Len(t, 12, list, must.Sprint("a scrape each five seconds"))
				last, before := list[11].([]any), list[10].([]any)
				want := number(last[1]) - number(before[1])
				if function == "irate" {
					want /= 5
				}
				must.InDelta(t, want, number(got[1]), 1e-9, must.Sprint(function, window))
			}
		}
	}
}

func TestPrometheusFails(t *testing.T) {
	t.Parallel()
	_, p, _, c := prometheusOf(t, fixture.Shop(t))
	_, err := c.Query(t.Context(), "sum(", time.Time{})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	_, err = c.Query(t.Context(), `http_requests_total * on(service) http_requests_total`, time.Time{})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))

	p.SetFault(door.Fault{Away: true})
	_, err = c.Query(t.Context(), "up", time.Time{})
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))

	p.SetFault(door.Fault{Stale: 2 * time.Minute})
	must.MapLen(t, 9, query(t, c, "up"))
	must.MapEmpty(t, query(t, c, "rate(http_requests_total[1m])"))
	p.SetFault(door.Fault{Stale: 10 * time.Minute})
	must.MapEmpty(t, query(t, c, "up"))

	p.SetFault(door.Fault{Hidden: []string{"catalog"}})
	_, err = c.Query(t.Context(), "up", time.Time{})
	must.ErrorContains(t, err, "the answer is partial: some targets could not be asked")
	family, err := prometheus.Preset("envoy")
	must.NoError(t, err)
	_, partial, _, err := c.Traffic(family).Flows(t.Context())
	must.NoError(t, err)
	must.StrContains(t, partial, "some targets could not be asked")
}

// get asks the API as any client does.
func get(t *testing.T, address string, form url.Values) (int, map[string]any) {
	t.Helper()
	resp, err := http.Get(address + "?" + form.Encode())
	must.NoError(t, err)
	defer func() { must.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	var out map[string]any
	must.NoError(t, json.Unmarshal(text, &out), must.Sprint(string(text)))
	return resp.StatusCode, out
}

func TestRangeQueries(t *testing.T) {
	t.Parallel()
	_, _, s, _ := prometheusOf(t, fixture.Shop(t))
	end := time.Now()
	form := url.Values{"query": {`sum by (service) (rate(http_requests_total[1m]))`}, "step": {"30s"},
		"start": {end.Add(-8 * time.Minute).Format(time.RFC3339)}, "end": {end.Format(time.RFC3339)}}
	status, out := get(t, s.URL+"/api/v1/query_range", form)
	must.Eq(t, 200, status)
	data := out["data"].(map[string]any)
	must.Eq(t, "matrix", data["resultType"].(string))
	must.Len(t, 3, data["result"].([]any))
	must.Len(t, 17, data["result"].([]any)[0].(map[string]any)["values"].([]any))

	for name, change := range map[string][2]string{
		"zero or negative query resolution": {"step", "0"}, "to a valid duration": {"step", "soon"}, "to a valid timestamp": {"start", "soon"},
		"end timestamp must not be": {"end", "1"}, "exceeded maximum resolution": {"step", "0.01"},
	} {
		bad := url.Values{}
		maps.Copy(bad, form)
		bad.Set(change[0], change[1])
		status, out := get(t, s.URL+"/api/v1/query_range", bad)
		must.Eq(t, 400, status)
		must.Eq(t, "bad_data", out["errorType"].(string))
		must.StrContains(t, out["error"].(string), name)
	}
}

// BenchmarkQuery asks a fleet of 20,000 services with five instances each: for
// one instance's requests, and for those of all.
func BenchmarkQuery(b *testing.B) {
	f := fleet.New(1, time.Now().Add(-time.Hour))
	for range 1000 {
		f.AddNode(fleet.Node{CPU: 100_000, MemoryMB: 200_000})
	}
	var topology load.Topology
	for i := range 20_000 {
		s := load.Service{Name: fmt.Sprintf("service-%05d", i), Rate: 20}
		if i >= 10 {
			s.Rate, s.Calls = 0, nil
			caller := &topology.Services[i/10-1]
			caller.Calls = append(caller.Calls, load.Call{To: s.Name, Each: 0.5})
		}
		topology.Services = append(topology.Services, s)
	}
	must.NoError(b, f.Load(topology))
	for _, s := range topology.Services {
		_, err := f.Register(fixture.Job(s.Name, 5, "1"), false, 0)
		must.NoError(b, err)
	}
	f.Advance(time.Now())
	one := f.Instances(api.TargetRef{Namespace: "default", Job: "service-00007", Group: "app"})[0].ID
	_, _, _, c := prometheusOf(b, f)
	for name, promql := range map[string]string{
		"one": `sum by (alloc_id) (http_requests_total{alloc_id=~"` + one + `"})`, "all": `sum by (alloc_id) (http_requests_total{alloc_id!=""})`,
		"edges": `sum by (consul_source_service, consul_destination_service) (rate(envoy_cluster_upstream_rq_total[1m]))`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				list, err := c.Query(b.Context(), promql, time.Time{})
				must.NoError(b, err)
				must.Positive(b, len(list))
			}
		})
	}
}
