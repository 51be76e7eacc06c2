package convention_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/kpi/promtest"
)

// alloc is the allocation that every fixture is of.
const alloc = "0e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e42"

// fixture is what an instance exposes, in the names that the convention documents. Each
// line is a series and its growth per sample of 15 s, of which the last is the 40th; ID
// stands for the labels that name the instance. want has the value of each KPI at the
// last sample.
type fixture struct {
	series string
	want   map[string]string
}

func fixtures() map[string]fixture {
	const buckets = "0.005=400 0.1=990 +Inf=1000"
	histogram := func(name, labels, unit string) string {
		low, high := "0.005", "0.1"
		if unit == "ms" {
			low, high = "5.0", "100.0" // as Prometheus 3 writes whole numbers
		}
		return fmt.Sprintf(`
%[1]s_bucket{ID,%[2]s,le="%[3]s"} 10
%[1]s_bucket{ID,%[2]s,le="%[4]s"} 24.75
%[1]s_bucket{ID,%[2]s,le="+Inf"} 25`, name, labels, low, high)
	}
	// served is a histogram with a status; of 1,000 requests 40 failed, 100 were refused.
	served := func(name, status, ok, refused, failed, unit string) string {
		return fmt.Sprintf(`
%[1]s_count{ID,%[2]s="%[3]s"} 21.5
%[1]s_count{ID,%[2]s="%[4]s"} 2.5
%[1]s_count{ID,%[2]s="%[5]s"} 1`, name, status, ok, refused, failed) + histogram(name, status+`="`+ok+`"`, unit)
	}
	counted := func(counter, name, status, ok, refused, failed string) string {
		return fmt.Sprintf(`
%[1]s{ID,%[2]s="%[3]s"} 21.5
%[1]s{ID,%[2]s="%[4]s"} 2.5
%[1]s{ID,%[2]s="%[5]s"} 1
%[6]s_count{ID} 25`, counter, status, ok, refused, failed, name) + histogram(name, `path="/"`, "s")
	}
	rates := map[string]string{"error_rate": "40/1000", "latency_p99": buckets}
	only := func(kpi, value string) map[string]string { return map[string]string{kpi: value} }
	called := func(name, prefix string) fixture {
		return fixture{fmt.Sprintf(`
%[1]s_count{ID,db_system_name="postgresql"} 24
%[1]s_count{ID,db_system_name="postgresql",error_type="timeout"} 1`, name) + histogram(name, `db_system_name="postgresql"`, "s"),
			map[string]string{prefix + "_error_rate": "40/1000", prefix + "_latency_p99": buckets}}
	}
	both := func(fs ...fixture) fixture {
		out := fixture{want: map[string]string{}}
		for _, f := range fs {
			out.series += f.series
			maps.Copy(out.want, f.want)
		}
		return out
	}
	return map[string]fixture{
		"OpenTelemetry HTTP server":                             {served("http_server_request_duration_seconds", "http_response_status_code", "200", "404", "503", "s"), rates},
		"OpenTelemetry HTTP server (no suffixes)":               {served("http_server_request_duration", "http_response_status_code", "200", "404", "503", "s"), rates},
		"OpenTelemetry HTTP server (milliseconds)":              {served("http_server_duration_milliseconds", "http_status_code", "200", "404", "503", "ms"), rates},
		"OpenTelemetry HTTP server (milliseconds, no suffixes)": {served("http_server_duration", "http_status_code", "200", "404", "503", "ms"), rates},
		"Micrometer HTTP server":                                {served("http_server_requests_seconds", "status", "200", "404", "503", "s"), rates},
		"Flask exporter":                                        {counted("flask_http_request_total", "flask_http_request_duration_seconds", "status", "200", "404", "503"), rates},
		"django-prometheus": {counted("django_http_responses_total_by_status_total", "django_http_requests_latency_seconds_by_view_method",
			"status", "200", "404", "503"), rates},
		// Python's FastAPI instrumentator groups the codes.
		"HTTP server of a client library": {counted("http_requests_total", "http_request_duration_seconds", "status", "2xx", "4xx", "5xx"), rates},
		// Node's express-prom-bundle.
		"HTTP histogram of a client library": {served("http_request_duration_seconds", "status_code", "200", "404", "503", "s"), only("error_rate", "40/1000")},

		"OpenTelemetry RPC server":                             {served("rpc_server_call_duration_seconds", "rpc_response_status_code", "OK", "NOT_FOUND", "UNAVAILABLE", "s"), rates},
		"OpenTelemetry RPC server (milliseconds)":              {served("rpc_server_duration_milliseconds", "rpc_grpc_status_code", "0", "5", "14", "ms"), rates},
		"OpenTelemetry RPC server (milliseconds, no suffixes)": {served("rpc_server_duration", "rpc_grpc_status_code", "0", "5", "14", "ms"), rates},
		"gRPC's OpenTelemetry plugin":                          {served("grpc_server_call_duration_seconds", "grpc_status", "OK", "NOT_FOUND", "DEADLINE_EXCEEDED", "s"), rates},
		"gRPC middleware":                                      {counted("grpc_server_handled_total", "grpc_server_handling_seconds", "grpc_code", "OK", "NotFound", "DeadlineExceeded"), rates},

		// What the sidecar sends upstream, and its admin port, are not the service's answers.
		"Envoy in a Consul mesh": {`
envoy_http_downstream_rq_completed{ID,local_cluster="web",envoy_http_conn_manager_prefix="public_listener"} 25
envoy_http_downstream_rq_completed{ID,local_cluster="web",envoy_http_conn_manager_prefix="upstream"} 700
envoy_http_downstream_rq_xx{ID,envoy_response_code_class="2",envoy_http_conn_manager_prefix="public_listener"} 24
envoy_http_downstream_rq_xx{ID,envoy_response_code_class="5",envoy_http_conn_manager_prefix="public_listener"} 1
envoy_http_downstream_rq_xx{ID,envoy_response_code_class="5",envoy_http_conn_manager_prefix="upstream"} 500
envoy_http_downstream_rq_time_count{ID,envoy_http_conn_manager_prefix="public_listener"} 25` +
			histogram("envoy_http_downstream_rq_time", `envoy_http_conn_manager_prefix="public_listener"`, "ms"), rates},
		"Envoy": {`
envoy_http_downstream_rq_completed{ID,envoy_http_conn_manager_prefix="ingress_http"} 25
envoy_http_downstream_rq_completed{ID,envoy_http_conn_manager_prefix="admin"} 700
envoy_http_downstream_rq_xx{ID,envoy_response_code_class="5",envoy_http_conn_manager_prefix="ingress_http"} 1
envoy_http_downstream_rq_time_count{ID,envoy_http_conn_manager_prefix="ingress_http"} 25` +
			histogram("envoy_http_downstream_rq_time", `envoy_http_conn_manager_prefix="ingress_http"`, "ms"), rates},
		"Traefik": {counted("traefik_entrypoint_requests_total", "traefik_entrypoint_request_duration_seconds", "code", "200", "404", "502"), rates},
		"HAProxy": {`
haproxy_frontend_http_responses_total{ID,proxy="web",code="2xx"} 24
haproxy_frontend_http_responses_total{ID,proxy="web",code="5xx"} 1
haproxy_frontend_http_responses_total{ID,proxy="haproxy_Stats",code="2xx"} 100
haproxy_backend_response_time_average_seconds{ID,proxy="web"} =0.03
haproxy_backend_response_time_average_seconds{ID,proxy="api"} =0.05
haproxy_frontend_current_sessions{ID,proxy="web"} =7`,
			map[string]string{"error_rate": "40/1000", "backend_response_time": "0.05", "sessions": "7"}},
		"ingress-nginx": {counted("nginx_ingress_controller_requests", "nginx_ingress_controller_request_duration_seconds", "status", "200", "404", "502"), rates},
		"NGINX with VTS": {`
nginx_vts_server_requests_total{ID,host="web",code="2xx"} 24
nginx_vts_server_requests_total{ID,host="web",code="5xx"} 1
nginx_vts_server_requests_total{ID,host="*",code="2xx"} 24
nginx_vts_server_requests_total{ID,host="*",code="5xx"} 1
nginx_vts_server_request_duration_seconds_count{ID,host="web"} 25` + histogram("nginx_vts_server_request_duration_seconds", `host="web"`, "s"), rates},
		"NGINX Plus": {`
nginxplus_server_zone_responses{ID,server_zone="web",code="2xx"} 24
nginxplus_server_zone_responses{ID,server_zone="web",code="5xx"} 1`, only("error_rate", "40/1000")},
		"NGINX exporter": {`
nginx_http_requests_total{ID} 30
nginx_connections_active{ID} =12`, map[string]string{"request_rate": "2", "connections": "12"}},

		"OpenTelemetry database client": both(called("db_client_operation_duration_seconds", "db"),
			fixture{`
db_client_connection_count{ID,db_client_connection_state="used"} =3
db_client_connection_count{ID,db_client_connection_state="idle"} =9`, only("db_connections", "3")}),
		"OpenTelemetry database client (no suffixes)": called("db_client_operation_duration", "db"),
		"OpenTelemetry database client (before 1.26)": {`
db_client_connections_usage{ID,state="used"} =3
db_client_connections_usage{ID,state="idle"} =9`, only("db_connections", "3")},
		"OpenTelemetry messaging":               both(called("messaging_process_duration_seconds", "process"), called("messaging_client_operation_duration_seconds", "messaging")),
		"OpenTelemetry messaging (no suffixes)": called("messaging_process_duration", "process"),
		"OpenTelemetry HTTP client":             called("http_client_request_duration_seconds", "upstream"),
		"Micrometer HikariCP":                   {"\nhikaricp_connections_active{ID,pool=\"a\"} =3\nhikaricp_connections_active{ID,pool=\"b\"} =4", only("db_connections", "7")},
		"Go database/sql":                       {"\ngo_sql_in_use_connections{ID,db_name=\"shop\"} =3", only("db_connections", "3")},

		"cAdvisor": {`
container_fs_reads_total{ID,device="/dev/sda"} 30
container_fs_writes_total{ID,device="/dev/sda"} 15
container_fs_reads_bytes_total{ID,device="/dev/sda"} 3000
container_fs_writes_bytes_total{ID,device="/dev/sda"} 1500
container_pressure_cpu_waiting_seconds_total{ID} 3
container_pressure_memory_waiting_seconds_total{ID} 1.5
container_pressure_io_waiting_seconds_total{ID} 0.75
container_cpu_cfs_throttled_periods_total{ID} 15
container_network_receive_bytes_total{ID,interface="eth0"} 150
container_network_transmit_bytes_total{ID,interface="eth0"} 75`, map[string]string{"io_operations": "3", "io_bytes": "300", "pressure_cpu": "0.2",
			"pressure_memory": "0.1", "pressure_io": "0.05", "cpu_throttled": "1", "network_bytes": "15"}},
		"node_exporter": {`
node_disk_reads_completed_total{ID,device="vda"} 30
node_disk_reads_completed_total{ID,device="dm-0"} 30
node_disk_writes_completed_total{ID,device="vda"} 15
node_disk_read_bytes_total{ID,device="vda"} 3000
node_disk_written_bytes_total{ID,device="vda"} 1500
node_pressure_cpu_waiting_seconds_total{ID} 3
node_pressure_memory_waiting_seconds_total{ID} 1.5
node_pressure_io_waiting_seconds_total{ID} 0.75`, map[string]string{"io_operations": "3", "io_bytes": "300", "pressure_cpu": "0.2",
			"pressure_memory": "0.1", "pressure_io": "0.05"}},
		"Nomad": {"\nnomad_client_allocs_memory_swap{ID,task=\"a\"} =4096\nnomad_client_allocs_memory_swap{ID,task=\"b\"} =1024", only("memory_swap", "5120")},

		"process of a client library": {"\nprocess_open_fds{ID} =17\nprocess_resident_memory_bytes{ID} =1048576", map[string]string{"open_files": "17", "resident_memory": "1048576"}},
		"OpenTelemetry process":       {"\nprocess_memory_usage_bytes{ID} =1048576", only("resident_memory", "1048576")},
		"Go client library": {"\ngo_goroutines{ID} =9\ngo_memstats_heap_inuse_bytes{ID} =2048\ngo_gc_duration_seconds_sum{ID} 0.15",
			map[string]string{"goroutines": "9", "heap": "2048", "gc_time": "0.01"}},
		"OpenTelemetry Go runtime": {"\ngo_goroutine_count{ID} =9\ngo_memory_used_bytes{ID,go_memory_type=\"other\"} =2048", map[string]string{"goroutines": "9", "heap": "2048"}},
		"Micrometer JVM": {`
jvm_memory_used_bytes{ID,area="heap",id="G1 Eden Space"} =1000
jvm_memory_used_bytes{ID,area="heap",id="G1 Old Gen"} =2000
jvm_memory_used_bytes{ID,area="nonheap",id="Metaspace"} =7000
jvm_threads_live_threads{ID} =21
jvm_gc_pause_seconds_sum{ID,action="end of minor GC"} 0.15
process_files_open_files{ID} =17`, map[string]string{"heap": "3000", "threads": "21", "gc_time": "0.01", "open_files": "17"}},
		"OpenTelemetry JVM": {`
jvm_memory_used_bytes{ID,jvm_memory_type="heap",jvm_memory_pool_name="G1 Eden Space"} =1000
jvm_memory_used_bytes{ID,jvm_memory_type="non_heap",jvm_memory_pool_name="Metaspace"} =7000
jvm_thread_count{ID,jvm_thread_state="runnable"} =21
jvm_gc_duration_seconds_sum{ID,jvm_gc_name="G1"} 0.15`, map[string]string{"heap": "1000", "threads": "21", "gc_time": "0.01"}},
		"Micrometer Tomcat":          {"\ntomcat_threads_busy_threads{ID} =5", only("busy_threads", "5")},
		"Node client library":        {"\nnodejs_eventloop_lag_p99_seconds{ID} =0.012\nnodejs_heap_size_used_bytes{ID} =2048", map[string]string{"event_loop_lag": "0.012", "heap": "2048"}},
		"OpenTelemetry Node runtime": {"\nnodejs_eventloop_delay_p99_seconds{ID} =0.012\nv8js_memory_heap_used_bytes{ID} =2048", map[string]string{"event_loop_lag": "0.012", "heap": "2048"}},
		"Python client library":      {"\npython_gc_collections_total{ID,generation=\"0\"} 15\npython_gc_collections_total{ID,generation=\"1\"} 15", only("gc_rate", "2")},
	}
}

// world is a store that holds a fixture.
type world struct {
	*promtest.Store
	t      *testing.T
	names  map[string]bool
	labels map[string]map[string]bool // by metric
}

// open reads a fixture, with the labels that name its instance.
func open(t *testing.T, fixture, instance string) *world {
	t.Helper()
	w := &world{Store: promtest.New(), t: t, names: map[string]bool{}, labels: map[string]map[string]bool{}}
	w.Load(t, strings.ReplaceAll(fixture, "{ID", "{"+instance))
	names, _, err := w.Names(t.Context(), time.Time{}, 1000)
	must.NoError(t, err)
	for _, n := range names {
		w.names[n], w.labels[n] = true, map[string]bool{}
		found, err := w.LabelNames(t.Context(), n, time.Time{})
		must.NoError(t, err)
		for _, l := range found {
			w.labels[n][l] = true
		}
	}
	return w
}

// query asks at the last scrape.
func (w *world) query(text string) promql.Vector {
	w.t.Helper()
	got, err := w.Vector(w.t.Context(), text, promtest.Last())
	must.NoError(w.t, err, must.Sprint(text))
	return got
}

// value is what the queries of a rule show of the allocation: failed/all, bound=count ..., or
// a number.
func (w *world) value(f convention.Found, label string) string {
	expand := kpi.Queries{Label: label}.Text
	q := f.Queries(label)
	one := func(text string) string {
		got := w.query(expand(text))
		must.Len(w.t, 1, got, must.Sprint(text))
		must.Eq(w.t, alloc, got[0].Metric.Get(label))
		return number(got[0].F)
	}
	switch f.Kind {
	case api.KPICount:
		return one(q.Query) + "/" + one(q.Total)
	case api.KPILatency:
		var counts []string
		got := w.query(expand(q.Query))
		slices.SortFunc(got, func(a, b promql.Sample) int { return int(a.F - b.F) })
		for _, s := range got {
			must.Eq(w.t, alloc, s.Metric.Get(label))
			bound, err := strconv.ParseFloat(s.Metric.Get("le"), 64)
			must.NoError(w.t, err)
			counts = append(counts, number(bound)+"="+number(s.F))
		}
		return strings.Join(counts, " ")
	}
	return one(q.Query)
}

func number(x float64) string {
	if math.IsInf(x, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(math.Round(x*1e9)/1e9, 'f', -1, 64)
}

// TestRules_ReadWhatTheConventionDocuments has every convention of the table.
func TestRules_ReadWhatTheConventionDocuments(t *testing.T) {
	t.Parallel()
	byConvention := map[string][]convention.Rule{}
	for _, r := range convention.Rules() {
		byConvention[r.Convention] = append(byConvention[r.Convention], r)
	}
	all := fixtures()
	must.Eq(t, slices.Sorted(maps.Keys(byConvention)), slices.Sorted(maps.Keys(all)))
	for name, f := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, f.series, `alloc_id="`+alloc+`"`)
			got := map[string]string{}
			for _, r := range byConvention[name] {
				must.True(t, r.Applies(w.names), must.Sprintf("%s by %s", r.KPI, r.Probe))
				must.SliceNotEmpty(t, w.query("count by (alloc_id) ("+r.Selector()+")"), must.Sprint(r.Selector()))
				status, ok := r.Pick(w.labels[r.Probe])
				must.True(t, ok, must.Sprintf("status of %s", r.Probe))
				got[r.KPI] = w.value(convention.Found{Rule: r, Status: status, Naming: convention.Naming{Label: "alloc_id", Way: convention.ByID}}, "alloc_id")
			}
			must.Eq(t, f.want, got)
		})
	}
}

// TestQueries_TakeTheAllocationOutOfLabels reads one rule by each label that names the
// instance, under the name that the configuration has.
func TestQueries_TakeTheAllocationOutOfLabels(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		value string
		way   convention.Way
	}{
		"alloc_id":          {alloc, convention.ByID},
		"nomad_alloc_id":    {alloc, convention.ByID},
		"exported_alloc_id": {alloc, convention.ByID},
		"consul_service_id": {"_nomad-task-" + alloc + "-group-web-web-http-sidecar-proxy", convention.Inside},
		"name":              {"server-" + alloc, convention.Inside},                                     // a container of Nomad's Docker driver
		"id":                {"/nomad.slice/share.slice/" + alloc + ".server.scope", convention.Inside}, // the control group of another driver
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"OpenTelemetry HTTP server", "Envoy in a Consul mesh", "cAdvisor"} {
				f := fixtures()[name]
				// A series of nobody must not count.
				series := f.series + strings.ReplaceAll(f.series, "{ID", `{other="1"`)
				w := open(t, series, label+`="`+c.value+`"`)
				known := convention.NewInstances([]convention.Instance{{ID: alloc, Target: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}}})
				instance, naming := known.Of(map[string]string{label: c.value}, convention.Labels("alloc_id"))
				must.NotNil(t, instance)
				must.Eq(t, convention.Naming{Label: label, Way: c.way}, naming)
				for _, r := range convention.Rules() {
					if r.Convention == name {
						status, _ := r.Pick(w.labels[r.Probe])
						must.Eq(t, f.want[r.KPI], w.value(convention.Found{Rule: r, Status: status, Naming: naming}, "alloc_id"))
					}
				}
			}
		})
	}
}

// TestInstances_Of finds an instance by the best label, and never by what two share.
func TestInstances_Of(t *testing.T) {
	t.Parallel()
	const other = "0e2c1b7a-ffff-9f55-1f53-2a0c5c1d7e42" // begins as alloc does
	const third = "77aa88bb-4c1d-9f55-1f53-2a0c5c1d7e42"
	web := api.TargetRef{Namespace: "default", Job: "web", Group: "web"}
	known := convention.NewInstances([]convention.Instance{
		{ID: alloc, Target: web, Addresses: []string{"10.0.0.1:8080", "10.0.0.1:9100"}},
		{ID: other, Target: web, Addresses: []string{"10.0.0.2:8080", "10.0.0.1:9100"}},
		{ID: third, Target: web},
	})
	for name, c := range map[string]struct {
		labels map[string]string
		id     string
		by     convention.Naming
	}{
		"id before address":   {map[string]string{"instance": "10.0.0.1:8080", "nomad_alloc_id": third}, third, convention.Naming{Label: "nomad_alloc_id", Way: convention.ByID}},
		"address":             {map[string]string{"instance": "10.0.0.1:8080"}, alloc, convention.Naming{Label: "instance", Way: convention.ByAddress}},
		"address of two":      {map[string]string{"instance": "10.0.0.1:9100"}, "", convention.Naming{}},
		"address of none":     {map[string]string{"instance": "10.0.0.9:9100"}, "", convention.Naming{}},
		"beginning of an ID":  {map[string]string{"pod": "web-77aa88bb"}, third, convention.Naming{Label: "pod", Way: convention.ByShort}},
		"beginning of two":    {map[string]string{"pod": "web-0e2c1b7a"}, "", convention.Naming{}},
		"an ID that is over":  {map[string]string{"alloc_id": "11111111-4c1d-9f55-1f53-2a0c5c1d7e42"}, "", convention.Naming{}},
		"another label":       {map[string]string{"user": alloc}, "", convention.Naming{}},
		"no label":            {nil, "", convention.Naming{}},
		"ID in a longer text": {map[string]string{"container": "server-" + third}, third, convention.Naming{Label: "container", Way: convention.Inside}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, by := known.Of(c.labels, convention.Labels("alloc_id"))
			id := ""
			if got != nil {
				id = got.ID
			}
			must.Eq(t, c.id, id)
			must.Eq(t, c.by, by)
		})
	}
	must.Eq(t, 3, known.Count(web))
}

// TestEither_CountsNobodyTwice joins two conventions. One instance has both, and one has
// the second only.
func TestEither_CountsNobodyTwice(t *testing.T) {
	t.Parallel()
	const second = "77aa88bb-4c1d-9f55-1f53-2a0c5c1d7e42"
	all := fixtures()
	w := open(t, all["OpenTelemetry HTTP server"].series+all["Micrometer HTTP server"].series+
		strings.ReplaceAll(all["Micrometer HTTP server"].series, "{ID", `{alloc_id="`+second+`"`), `alloc_id="`+alloc+`"`)
	var query, total []string
	for _, r := range convention.Rules() {
		if r.KPI != api.KPIErrorRate || !r.Applies(w.names) {
			continue
		}
		status, ok := r.Pick(w.labels[r.Probe])
		must.True(t, ok)
		q := convention.Found{Rule: r, Status: status, Naming: convention.Naming{Label: "alloc_id", Way: convention.ByID}}.Queries("alloc_id")
		query, total = append(query, q.Query), append(total, q.Total)
	}
	must.Len(t, 2, query)
	expand := kpi.Queries{Label: "alloc_id"}.Text
	for text, want := range map[string]float64{convention.Either(query, total): 40, convention.Either(total, total): 1000} {
		got := w.query(expand(text))
		must.Len(t, 2, got)
		for _, s := range got {
			must.Eq(t, want, s.F)
		}
	}
}
