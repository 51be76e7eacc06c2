package convention

import (
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// Matchers of failed requests.
const (
	http5xx = `$status=~"5.."`
	// grpcNames are the codes that gRPC and OpenTelemetry count as the server's doing, as
	// Go and others write them; grpcCodes are their numbers.
	grpcNames = `$status=~"(?i:unknown|deadline_?exceeded|unimplemented|internal|unavailable|data_?loss)"`
	grpcCodes = `$status=~"2|4|12|13|14|15"`
)

// served is the rate of errors and the latency of the requests that an instance
// answers, by one histogram with a status.
func served(convention, histogram string, millis bool, fails string, status ...string) []Rule {
	return []Rule{
		{Convention: convention, KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: histogram + "_count", Status: status, Fails: fails, Total: histogram + "_count{}"},
		{Convention: convention, KPI: api.KPILatencyP99, Kind: api.KPILatency, Probe: histogram + "_count", Buckets: histogram + "_bucket{}", Millis: millis},
	}
}

// counted is the rate of errors by a counter with a status, and the latency by a
// histogram beside it.
func counted(convention, counter, histogram string, fails string, status ...string) []Rule {
	return []Rule{
		{Convention: convention, KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: counter, Status: status, Fails: fails, Total: counter + "{}"},
		{Convention: convention, KPI: api.KPILatencyP99, Kind: api.KPILatency, Probe: histogram + "_count", Buckets: histogram + "_bucket{}"},
	}
}

// httpRules are those of libraries in HTTP servers.
func httpRules() []Rule {
	const otel = "OpenTelemetry HTTP server"
	customary := []string{"code", "status", "status_code", "http_status_code", "http_status", "response_code"}
	var out []Rule
	for _, more := range [][]Rule{
		served(otel, "http_server_request_duration_seconds", false, http5xx, "http_response_status_code"),
		served(otel+" (no suffixes)", "http_server_request_duration", false, http5xx, "http_response_status_code"),
		served(otel+" (milliseconds)", "http_server_duration_milliseconds", true, http5xx, "http_status_code"),
		served(otel+" (milliseconds, no suffixes)", "http_server_duration", true, http5xx, "http_status_code"),
		served("Micrometer HTTP server", "http_server_requests_seconds", false, http5xx, "status"),
		counted("Flask exporter", "flask_http_request_total", "flask_http_request_duration_seconds", http5xx, "status"),
		counted("django-prometheus", "django_http_responses_total_by_status_total", "django_http_requests_latency_seconds_by_view_method", http5xx, "status"),
		counted("HTTP server of a client library", "http_requests_total", "http_request_duration_seconds", http5xx, customary...),
		// Node's express-prom-bundle and Python's instrumentators have no counter beside the histogram.
		served("HTTP histogram of a client library", "http_request_duration_seconds", false, http5xx, customary...)[:1],
	} {
		out = append(out, more...)
	}
	return out
}

// rpcRules are those of libraries in RPC servers.
func rpcRules() []Rule {
	const otel = "OpenTelemetry RPC server"
	var out []Rule
	for _, more := range [][]Rule{
		served(otel, "rpc_server_call_duration_seconds", false, grpcNames, "rpc_response_status_code"),
		served(otel+" (milliseconds)", "rpc_server_duration_milliseconds", true, grpcCodes, "rpc_grpc_status_code"),
		served(otel+" (milliseconds, no suffixes)", "rpc_server_duration", true, grpcCodes, "rpc_grpc_status_code"),
		served("gRPC's OpenTelemetry plugin", "grpc_server_call_duration_seconds", false, grpcNames, "grpc_status"),
		counted("gRPC middleware", "grpc_server_handled_total", "grpc_server_handling_seconds", grpcNames, "grpc_code", "code"),
	} {
		out = append(out, more...)
	}
	return out
}

// proxyRules are those of Envoy. The listener of a sidecar in a Consul mesh is
// public_listener: what the proxy sends upstream is not the instance's answer.
func proxyRules() []Rule {
	var out []Rule
	for _, at := range []struct{ name, where string }{
		{"Envoy in a Consul mesh", `envoy_http_conn_manager_prefix="public_listener"`},
		{"Envoy", `envoy_http_conn_manager_prefix!~"|admin|public_listener|upstream.*"`},
	} {
		out = append(out,
			Rule{Convention: at.name, KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: "envoy_http_downstream_rq_completed", Where: at.where,
				Total: "envoy_http_downstream_rq_completed{}", Failed: "envoy_http_downstream_rq_xx{}", Fails: `envoy_response_code_class="5"`},
			Rule{Convention: at.name, KPI: api.KPILatencyP99, Kind: api.KPILatency, Probe: "envoy_http_downstream_rq_time_count", Where: at.where,
				Buckets: "envoy_http_downstream_rq_time_bucket{}", Millis: true})
	}
	return out
}

// serverRules are those of HTTP servers and load balancers that are targets themselves.
func serverRules() []Rule {
	const haproxy = "HAProxy"
	out := counted("Traefik", "traefik_entrypoint_requests_total", "traefik_entrypoint_request_duration_seconds", http5xx, "code")
	return append(out,
		// The scrapes themselves go through a frontend too.
		Rule{Convention: haproxy, KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: "haproxy_frontend_http_responses_total",
			Where: `proxy!~"(?i:.*(stats|metrics|prometheus|exporter).*)"`, Total: "haproxy_frontend_http_responses_total{}", Status: []string{"code"}, Fails: `$status="5xx"`},
		Rule{Convention: haproxy, KPI: "backend_response_time", Kind: api.KPIGauge, Unit: judge.UnitSeconds, Probe: "haproxy_backend_response_time_average_seconds",
			Value: []string{"haproxy_backend_response_time_average_seconds{}"}, Max: true},
		Rule{Convention: haproxy, KPI: "sessions", Kind: api.KPIGauge, Unit: "sessions", Probe: "haproxy_frontend_current_sessions",
			Value: []string{"haproxy_frontend_current_sessions{}"}},
		Rule{Convention: "ingress-nginx", KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: "nginx_ingress_controller_requests",
			Total: "nginx_ingress_controller_requests{}", Status: []string{"status"}, Fails: http5xx},
		Rule{Convention: "ingress-nginx", KPI: api.KPILatencyP99, Kind: api.KPILatency, Probe: "nginx_ingress_controller_request_duration_seconds_count",
			Buckets: "nginx_ingress_controller_request_duration_seconds_bucket{}"},
		Rule{Convention: "NGINX with VTS", KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: "nginx_vts_server_requests_total", Where: `host!="*"`,
			Total: "nginx_vts_server_requests_total{}", Status: []string{"code"}, Fails: `$status="5xx"`},
		Rule{Convention: "NGINX with VTS", KPI: api.KPILatencyP99, Kind: api.KPILatency, Probe: "nginx_vts_server_request_duration_seconds_count", Where: `host!="*"`,
			Buckets: "nginx_vts_server_request_duration_seconds_bucket{}"},
		Rule{Convention: "NGINX Plus", KPI: api.KPIErrorRate, Kind: api.KPICount, Probe: "nginxplus_server_zone_responses",
			Total: "nginxplus_server_zone_responses{}", Status: []string{"code"}, Fails: `$status="5xx"`},
		Rule{Convention: "NGINX exporter", KPI: "request_rate", Kind: api.KPIGauge, Unit: judge.UnitRate, Probe: "nginx_http_requests_total",
			Value: []string{"irate(nginx_http_requests_total{}[1m])"}},
		Rule{Convention: "NGINX exporter", KPI: "connections", Kind: api.KPIGauge, Unit: "connections", Probe: "nginx_connections_active",
			Value: []string{"nginx_connections_active{}"}},
	)
}
