package prometheus

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Measure is a quantity that a family's query returns for each pair.
type Measure string

// Measures.
const (
	Bytes       Measure = "bytes"       // per second, both ways
	Requests    Measure = "requests"    // per second
	Errors      Measure = "errors"      // per second
	Latency     Measure = "latency"     // mean of a request in seconds
	Connections Measure = "connections" // open now
	Endpoints   Measure = "endpoints"   // instances that the caller's proxy knows
	Healthy     Measure = "healthy"     // those that it would use
	Attempts    Measure = "attempts"    // per second, refused
	Unanswered  Measure = "unanswered"  // bytes per second sent where nothing came back
)

// measures lists every measure in the order of the queries.
func measures() []Measure {
	return []Measure{Bytes, Requests, Errors, Latency, Connections, Endpoints, Healthy, Attempts, Unanswered}
}

// Known reports whether there is such a measure.
func (m Measure) Known() bool {
	return slices.Contains(measures(), m)
}

// end names the labels that identify one end of a pair. The first service label
// that is not empty counts. The others are optional.
type end struct {
	service, namespace, partition, datacenter, peer string
	fallback                                        string // label of the service when the first is empty
}

func (e end) labels() []string {
	var out []string
	for _, l := range [...]string{e.service, e.fallback, e.namespace, e.partition, e.datacenter, e.peer} {
		if l != "" {
			out = append(out, l)
		}
	}
	return out
}

// Family is one kind of metrics about traffic. Its query covers the whole graph
// and has one part for each measure.
type Family struct {
	name     string
	from, to end
	raw      bool // ends are addresses and containers
	offMesh  bool
	parts    map[Measure]string // $window stands for the window of rates
}

// window is replaced in queries.
const window = "$window"

// by lists the labels of both ends.
func (f Family) by() string { return strings.Join(append(f.from.labels(), f.to.labels()...), ", ") }

// Families are the names that Preset knows.
func Families() []string {
	return []string{"caretta", "consul_proxy", "coroot", "envoy", "service_graph"}
}

// Preset returns the family of that name.
//
//   - envoy: the sidecars of a Consul mesh, as Consul labels their metrics. A
//     request that is refused counts where the caller's proxy sees it, as a
//     status 403. Clusters that are no service carry no destination.
//   - consul_proxy: Consul's built-in proxy through statsd_exporter, by upstream.
//     The callee's proxy refuses only after the caller's has sent the request,
//     so what is sent counts as traffic only where something comes back.
//   - service_graph: the OpenTelemetry connector's and Tempo's metrics.
//   - coroot: what Coroot's agent sees of TCP, by container and address.
//   - caretta: what Caretta sees of TCP, by workload.
func Preset(name string) (Family, error) {
	switch name {
	case "envoy":
		return envoy(), nil
	case "consul_proxy":
		return consulProxy(), nil
	case "service_graph":
		return serviceGraph(), nil
	case "coroot":
		return coroot(), nil
	case "caretta":
		return caretta(), nil
	}
	return Family{}, api.Errorf(api.CodeInvalid, "there is no kind of traffic metrics %q; want one of %s", name, strings.Join(Families(), ", "))
}

func (f Family) sum(metric, selector string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s{%s}[%s]))", f.by(), metric, selector, window)
}

func (f Family) now(how, metric, selector string) string {
	return fmt.Sprintf("%s by (%s) (%s{%s})", how, f.by(), metric, selector)
}

func envoy() Family {
	f := Family{name: "envoy",
		from: end{service: "consul_source_service", namespace: "consul_source_namespace", partition: "consul_source_partition", datacenter: "consul_source_datacenter"},
		to: end{service: "consul_destination_service", namespace: "consul_destination_namespace", partition: "consul_destination_partition",
			datacenter: "consul_destination_datacenter", peer: "consul_destination_peer"}}
	const pair = `consul_source_service!="",consul_destination_service!=""`
	const c = "envoy_cluster_upstream_"
	f.parts = map[Measure]string{
		Bytes:       f.sum(c+"cx_tx_bytes_total", pair) + " + " + f.sum(c+"cx_rx_bytes_total", pair),
		Requests:    f.sum(c+"rq_total", pair),
		Errors:      f.sum(c+"rq_xx", pair+`,envoy_response_code_class="5"`),
		Latency:     "(" + f.sum(c+"rq_time_sum", pair) + ") / (" + f.sum(c+"rq_time_count", pair) + " > 0) / 1000",
		Connections: f.now("sum", c+"cx_active", pair),
		Endpoints:   f.now("max", "envoy_cluster_membership_total", pair),
		Healthy:     f.now("max", "envoy_cluster_membership_healthy", pair),
		Attempts:    f.sum(c+"rq", pair+`,envoy_response_code="403"`),
	}
	return f
}

func consulProxy() Family {
	f := Family{name: "consul built-in proxy", from: end{service: "src"}, to: end{service: "dst"}}
	const pair = `dst_type=~"service|",src!="",dst!=""`
	// tx is what the proxy hands back to the caller, rx what the caller sends. A pair
	// to which nothing ever came back has no tx at all.
	back, sent := f.sum("consul_proxy_upstream_tx_bytes", pair), f.sum("consul_proxy_upstream_rx_bytes", pair)
	f.parts = map[Measure]string{
		Bytes:      fmt.Sprintf("(%s + %s) * (%s > bool 0)", back, sent, back),
		Unanswered: fmt.Sprintf("(%s > 0) unless (%s > 0)", sent, back),
	}
	return f
}

func serviceGraph() Family {
	f := Family{name: "service graph of traces", offMesh: true, from: end{service: "client"}, to: end{service: "server"}}
	const pair = `client!="",server!=""`
	const s = "traces_service_graph_request_"
	f.parts = map[Measure]string{
		Requests: f.sum(s+"total", pair),
		Errors:   f.sum(s+"failed_total", pair),
		Latency:  "(" + f.sum(s+"client_seconds_sum", pair) + ") / (" + f.sum(s+"client_seconds_count", pair) + " > 0)",
	}
	return f
}

func coroot() Family {
	f := Family{name: "coroot", offMesh: true, raw: true, from: end{service: "container_id"}, to: end{service: "actual_destination", fallback: "destination"}}
	const c, pair = "container_net_tcp_", `container_id!=""`
	f.parts = map[Measure]string{
		Bytes:       f.sum(c+"bytes_sent_total", pair) + " + " + f.sum(c+"bytes_received_total", pair),
		Connections: f.now("sum", c+"active_connections", pair),
		Errors:      f.sum(c+"failed_connects_total", pair),
	}
	return f
}

func caretta() Family {
	f := Family{name: "caretta", offMesh: true, from: end{service: "client_name"}, to: end{service: "server_name"}}
	f.parts = map[Measure]string{Bytes: f.sum("caretta_links_observed", `client_name!="",server_name!=""`)}
	return f
}
