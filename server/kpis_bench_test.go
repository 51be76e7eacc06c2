package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/kpi/discover"
	"github.com/oakumhq/oakum/internal/kpi/promtest"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// BenchmarkDiscover asks a server of Prometheus' API for the KPIs of 2,000 instances with
// 200,000 series: four conventions of HTTP servers, two ways to name an instance, and
// metrics that nobody knows. It reports by how much the process grew, the server's query
// engine included, and the questions.
func BenchmarkDiscover(b *testing.B) {
	const instances = 2000
	store := promtest.New()
	var all []convention.Instance
	series := 0
	for i := range instances {
		id := fmt.Sprintf("%08x-4c1d-9f55-1f53-%012x", i, i)
		ref := api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("service-%03d", i/5), Group: "vm"}
		all = append(all, convention.Instance{ID: id, Target: ref})
		by := []string{"alloc_id", id}
		if i%2 == 1 {
			by = []string{"consul_service_id", "_nomad-task-" + id + "-group-vm-http-8080"}
		}
		add := func(name string, more ...string) {
			store.Add(labels.FromStrings(slices.Concat([]string{model.MetricNameLabel, name, "region", "eu", "job", ref.Job}, by, more)...), promtest.Samples(1))
			series++
		}
		name, status := [...]string{"http_server_request_duration_seconds", "http_server_requests_seconds", "http_request_duration_seconds", "http_server_duration_milliseconds"}[i/5%4],
			[...]string{"http_response_status_code", "status", "code", "http_status_code"}[i/5%4]
		for _, code := range []string{"200", "404", "500"} {
			add(name+"_count", status, code)
			for le := range 15 {
				add(name+"_bucket", status, code, "le", strconv.Itoa(le))
			}
		}
		add("go_goroutines")
		add("process_open_fds")
		for n := range 50 {
			add(fmt.Sprintf("app_%03d_total", (i*7+n)%997))
		}
	}
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r, store)
	}))
	b.Cleanup(web.Close)
	client, err := prometheus.New(prometheus.Config{Address: web.URL, Timeout: time.Minute})
	must.NoError(b, err)
	m := discover.Input{
		Store: metricStore{metrics{client}, client}, Queries: kpi.NewReader(nil, nil, kpi.Queries{}).Catalogue().Queries, Instances: all, Now: promtest.Last(),
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	asked.Store(0)
	for b.Loop() {
		got, err := discover.Run(b.Context(), m)
		must.NoError(b, err)
		must.SliceEmpty(b, got.Missing)
		must.Len(b, instances/5, got.Targets)
		for _, target := range got.Targets {
			must.True(b, slices.ContainsFunc(target.Has, func(f api.FoundKPI) bool { return f.KPI == api.KPIErrorRate && f.Instances >= 2 }), must.Sprint(target))
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(series), "series")
	b.ReportMetric(float64(asked.Load())/float64(b.N), "questions/op")
	b.ReportMetric(float64(after.Sys-before.Sys)/(1<<20), "MB-more")
}

// answer serves the part of Prometheus' API that a discovery asks.
func answer(w http.ResponseWriter, r *http.Request, store *promtest.Store) {
	reply := func(data any, err error) {
		out := map[string]any{"status": "success", "data": data}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			out = map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(out) // the client sees a cut answer
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/label/__name__/values"):
		names, _, err := store.Names(r.Context(), time.Time{}, 1<<20)
		reply(names, err)
	case strings.HasSuffix(r.URL.Path, "/labels"):
		found, err := store.LabelNames(r.Context(), r.FormValue("match[]"), time.Time{})
		reply(found, err)
	case strings.HasSuffix(r.URL.Path, "/metadata"):
		reply(map[string]any{}, nil)
	case strings.HasSuffix(r.URL.Path, "/query"):
		got, err := store.Vector(r.Context(), r.FormValue("query"), promtest.Last())
		reply(map[string]any{"resultType": "vector", "result": got}, err)
	default:
		http.NotFound(w, r)
	}
}
