package convention

import (
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// called is the rate of errors and the latency of what an instance asks of others, or
// works off, by one histogram whose failures have an error.type.
func called(convention, histogram, kpi string) []Rule {
	return []Rule{
		{Convention: convention, KPI: kpi + "_error_rate", Kind: api.KPICount, Probe: histogram + "_count", Total: histogram + "_count{}",
			Fails: `error_type!=""`}, // nothing has the label before something failed
		{Convention: convention, KPI: kpi + "_latency_p99", Kind: api.KPILatency, Probe: histogram + "_count", Buckets: histogram + "_bucket{}"},
	}
}

// gauge is one value of each instance.
func gauge(convention, kpi, unit, metric, where string) Rule {
	return Rule{Convention: convention, KPI: kpi, Kind: api.KPIGauge, Unit: unit, Probe: metric, Where: where, Value: []string{metric + "{}"}}
}

// largest is the largest of an instance's series.
func largest(r Rule) Rule {
	r.Max = true
	return r
}

// clientRules are those of what an instance asks of databases, queues and other services.
func clientRules() []Rule {
	const db, queue = "OpenTelemetry database client", "OpenTelemetry messaging"
	var out []Rule
	for _, more := range [][]Rule{
		called(db, "db_client_operation_duration_seconds", "db"),
		called(db+" (no suffixes)", "db_client_operation_duration", "db"),
		called(queue, "messaging_process_duration_seconds", "process"),
		called(queue+" (no suffixes)", "messaging_process_duration", "process"),
		called(queue, "messaging_client_operation_duration_seconds", "messaging"),
		called("OpenTelemetry HTTP client", "http_client_request_duration_seconds", "upstream"),
	} {
		out = append(out, more...)
	}
	const pool = "db_connections"
	return append(out,
		gauge(db, pool, "connections", "db_client_connection_count", `db_client_connection_state="used"`),
		gauge(db+" (before 1.26)", pool, "connections", "db_client_connections_usage", `state="used"`),
		gauge("Micrometer HikariCP", pool, "connections", "hikaricp_connections_active", ""),
		gauge("Go database/sql", pool, "connections", "go_sql_in_use_connections", ""))
}

// hostRules are those of what an instance uses, as others count it.
func hostRules() []Rule {
	const cadvisor, node, nomad = "cAdvisor", "node_exporter", "Nomad"
	// wholeDisks leaves out devices that are made of others, whose figures would count twice.
	const wholeDisks = `device!~"(dm-|md|loop|z?ram|sr|fd).*"`
	rate := func(metric string) string { return "irate(" + metric + "{}[1m])" }
	var out []Rule
	add := func(convention, kpi, unit, where string, metrics ...string) {
		r := Rule{Convention: convention, KPI: kpi, Kind: api.KPIGauge, Unit: unit, Where: where, Probe: metrics[0]}
		for _, m := range metrics {
			r.Value = append(r.Value, rate(m))
		}
		out = append(out, r)
	}
	add(cadvisor, api.KPIIOOperations, judge.UnitRate, "", "container_fs_reads_total", "container_fs_writes_total")
	add(cadvisor, api.KPIIOBytes, judge.UnitByteRate, "", "container_fs_reads_bytes_total", "container_fs_writes_bytes_total")
	add(node, api.KPIIOOperations, judge.UnitRate, wholeDisks, "node_disk_reads_completed_total", "node_disk_writes_completed_total")
	add(node, api.KPIIOBytes, judge.UnitByteRate, wholeDisks, "node_disk_read_bytes_total", "node_disk_written_bytes_total")
	for resource, kpi := range [...]string{api.KPIPressureCPU, api.KPIPressureMemory, api.KPIPressureIO} {
		name := [...]string{"cpu", "memory", "io"}[resource]
		add(cadvisor, kpi, judge.UnitShare, "", "container_pressure_"+name+"_waiting_seconds_total")
		add(node, kpi, judge.UnitShare, "", "node_pressure_"+name+"_waiting_seconds_total")
	}
	add(cadvisor, "cpu_throttled", judge.UnitRate, "", "container_cpu_cfs_throttled_periods_total")
	add(cadvisor, "network_bytes", judge.UnitByteRate, "", "container_network_receive_bytes_total", "container_network_transmit_bytes_total")
	return append(out, gauge(nomad, "memory_swap", judge.UnitBytes, "nomad_client_allocs_memory_swap", ""))
}

// runtimeRules are those of what a process says of itself.
func runtimeRules() []Rule {
	const process, golang, otelGo = "process of a client library", "Go client library", "OpenTelemetry Go runtime"
	const micrometer, node, otelNode, python = "Micrometer JVM", "Node client library", "OpenTelemetry Node runtime", "Python client library"
	return []Rule{
		gauge(process, "open_files", "files", "process_open_fds", ""),
		gauge(process, "resident_memory", judge.UnitBytes, "process_resident_memory_bytes", ""),
		gauge("OpenTelemetry process", "resident_memory", judge.UnitBytes, "process_memory_usage_bytes", ""),
		gauge(micrometer, "open_files", "files", "process_files_open_files", ""),

		gauge(golang, "goroutines", "goroutines", "go_goroutines", ""),
		gauge(otelGo, "goroutines", "goroutines", "go_goroutine_count", ""),
		gauge(golang, "heap", judge.UnitBytes, "go_memstats_heap_inuse_bytes", ""),
		gauge(otelGo, "heap", judge.UnitBytes, "go_memory_used_bytes", ""),
		gauge(micrometer, "heap", judge.UnitBytes, "jvm_memory_used_bytes", `area="heap"`),
		gauge("OpenTelemetry JVM", "heap", judge.UnitBytes, "jvm_memory_used_bytes", `jvm_memory_type="heap"`),
		gauge(node, "heap", judge.UnitBytes, "nodejs_heap_size_used_bytes", ""),
		gauge(otelNode, "heap", judge.UnitBytes, "v8js_memory_heap_used_bytes", ""),

		gauge(micrometer, "threads", "threads", "jvm_threads_live_threads", ""),
		gauge("OpenTelemetry JVM", "threads", "threads", "jvm_thread_count", ""),
		gauge("Micrometer Tomcat", "busy_threads", "threads", "tomcat_threads_busy_threads", ""),
		{Convention: micrometer, KPI: "gc_time", Kind: api.KPIGauge, Unit: judge.UnitShare, Probe: "jvm_gc_pause_seconds_sum", Value: []string{"irate(jvm_gc_pause_seconds_sum{}[1m])"}},
		{Convention: "OpenTelemetry JVM", KPI: "gc_time", Kind: api.KPIGauge, Unit: judge.UnitShare, Probe: "jvm_gc_duration_seconds_sum",
			Value: []string{"irate(jvm_gc_duration_seconds_sum{}[1m])"}},
		{Convention: golang, KPI: "gc_time", Kind: api.KPIGauge, Unit: judge.UnitShare, Probe: "go_gc_duration_seconds_sum", Value: []string{"irate(go_gc_duration_seconds_sum{}[1m])"}},

		largest(gauge(node, "event_loop_lag", judge.UnitSeconds, "nodejs_eventloop_lag_p99_seconds", "")),
		largest(gauge(otelNode, "event_loop_lag", judge.UnitSeconds, "nodejs_eventloop_delay_p99_seconds", "")),
		{Convention: python, KPI: "gc_rate", Kind: api.KPIGauge, Unit: judge.UnitRate, Probe: "python_gc_collections_total", Value: []string{"irate(python_gc_collections_total{}[1m])"}},
	}
}
