package prometheus

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// page is the size of a disk operation in bytes.
const page = 4096

// instance is one instance as its exporters name it.
type instance struct {
	load  *load.Instance
	alloc *fleet.Alloc
	began float64 // seconds since 1970
}

// family is one name of metrics. Its series are told apart by further labels; a
// value is computed from what the instance shows.
type family struct {
	name   string
	job    string // label, as the scrape configuration names its exporter
	labels func(instance) labels.Labels
	series func(instance, load.Service) []series
}

// series is one series of a family at one instance.
type series struct {
	labels []string // pairs
	value  func(load.Sample) float64
}

// one is the only series of a family.
func one(value func(load.Sample) float64) func(instance, load.Service) []series {
	return func(instance, load.Service) []series { return []series{{value: value}} }
}

// families are all metrics that there are: those of the services, of their
// containers, of Nomad's clients and of the mesh's proxies.
func families() []family {
	return slices.Concat(serviceFamilies(), containerFamilies(), proxyFamilies())
}

// ofService labels what a service says of itself; services are scraped by their
// registrations.
func ofService(in instance) labels.Labels {
	return labels.FromStrings("alloc_id", in.alloc.ID, "service", in.load.Name(), "job_name", in.alloc.Job.ID,
		"group", in.alloc.Group.Name, "namespace", in.alloc.Job.Namespace, "instance", in.alloc.Address())
}

func serviceFamilies() []family {
	const duration = "http_request_duration_seconds"
	ofServices := func(name string, s func(instance, load.Service) []series) family {
		return family{name: name, job: "services", labels: ofService, series: s}
	}
	return []family{
		ofServices("up", one(func(load.Sample) float64 { return 1 })),
		ofServices("process_start_time_seconds", func(in instance, _ load.Service) []series {
			return []series{{value: func(load.Sample) float64 { return in.began }}}
		}),
		ofServices("http_requests_total", func(instance, load.Service) []series {
			return []series{
				{[]string{"code", "200"}, func(s load.Sample) float64 { return s.Requests - s.Errors }},
				{[]string{"code", "500"}, func(s load.Sample) float64 { return s.Errors }},
			}
		}),
		ofServices(duration+"_bucket", func(instance, load.Service) []series {
			bounds := load.Bounds()
			var out []series
			for i := range len(bounds) + 1 {
				le := "+Inf"
				if i < len(bounds) {
					le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
				}
				out = append(out, series{[]string{"le", le}, func(s load.Sample) float64 { return s.Buckets[i] }})
			}
			return out
		}),
		ofServices(duration+"_count", one(func(s load.Sample) float64 { return s.Requests })),
		ofServices(duration+"_sum", one(func(s load.Sample) float64 { return s.Seconds })),
	}
}

// ofContainer labels what is said of an allocation from outside.
func ofContainer(in instance) labels.Labels {
	return labels.FromStrings("alloc_id", in.alloc.ID, "job_name", in.alloc.Job.ID, "group", in.alloc.Group.Name,
		"namespace", in.alloc.Job.Namespace, "instance", in.alloc.Node.Name)
}

// ofClient labels what Nomad's client says of an allocation.
func ofClient(in instance) labels.Labels {
	return labels.FromStrings("alloc_id", in.alloc.ID, "exported_job", in.alloc.Job.ID, "task_group", in.alloc.Group.Name,
		"namespace", in.alloc.Job.Namespace, "instance", in.alloc.Node.Name)
}

func containerFamilies() []family {
	var out []family
	add := func(name string, value func(load.Sample) float64) {
		out = append(out, family{name: name, job: "containers", labels: ofContainer, series: one(value)})
	}
	add("container_cpu_usage_seconds_total", func(s load.Sample) float64 { return s.CPU })
	add("container_memory_working_set_bytes", func(s load.Sample) float64 { return s.Memory })
	// Two of three operations read.
	for i, way := range []string{"reads", "writes"} {
		share := []float64{2. / 3, 1. / 3}[i]
		add("container_fs_"+way+"_total", func(s load.Sample) float64 { return share * s.Disk })
		add("container_fs_"+way+"_bytes_total", func(s load.Sample) float64 { return share * s.Disk * page })
	}
	for i, resource := range []string{"cpu", "memory", "io"} {
		add("container_pressure_"+resource+"_waiting_seconds_total", func(s load.Sample) float64 { return s.Waiting[i] })
	}
	return append(out,
		family{name: "nomad_client_allocs_memory_rss", job: "nomad", labels: ofClient, series: one(func(s load.Sample) float64 { return s.Memory })},
		family{name: "nomad_client_allocs_running", job: "nomad", labels: ofClient, series: one(func(load.Sample) float64 { return 1 })},
	)
}

// ofProxy labels what a sidecar says.
func ofProxy(in instance) labels.Labels {
	return labels.FromStrings("instance_id", in.alloc.ID, "instance", fmt.Sprint(in.alloc.Node.Name, ":8125"))
}

// proxyFamilies are those of Consul's built-in proxy, by way of statsd_exporter,
// and of Envoy as Consul configures it. A fleet has one of the two: which, the
// metadata of the group says.
func proxyFamilies() []family {
	var out []family
	add := func(kind, name string, more []string, value func(load.Traffic) float64) {
		out = append(out, family{name: name, job: "mesh", labels: ofProxy, series: func(in instance, s load.Service) []series {
			if proxyOfGroup(in.alloc.Group) != kind {
				return nil
			}
			var list []series
			for i, c := range s.Calls {
				list = append(list, series{append(ends(kind, in.load.Name(), c.To), more...), func(s load.Sample) float64 { return value(s.Calls[i]) }})
			}
			return list
		}})
	}
	// tx is what the proxy hands back to the caller, rx what the caller sends.
	add(proxyBuiltIn, "consul_proxy_upstream_tx_bytes", nil, func(t load.Traffic) float64 { return 0.8 * t.Bytes })
	add(proxyBuiltIn, "consul_proxy_upstream_rx_bytes", nil, func(t load.Traffic) float64 { return 0.2 * t.Bytes })
	const c = "envoy_cluster_upstream_"
	add(proxyEnvoy, c+"cx_tx_bytes_total", nil, func(t load.Traffic) float64 { return 0.2 * t.Bytes })
	add(proxyEnvoy, c+"cx_rx_bytes_total", nil, func(t load.Traffic) float64 { return 0.8 * t.Bytes })
	add(proxyEnvoy, c+"rq_total", nil, func(t load.Traffic) float64 { return t.Requests })
	add(proxyEnvoy, c+"rq_xx", []string{"envoy_response_code_class", "5"}, func(t load.Traffic) float64 { return t.Errors })
	add(proxyEnvoy, c+"rq_xx", []string{"envoy_response_code_class", "2"}, func(t load.Traffic) float64 { return t.Requests - t.Errors })
	add(proxyEnvoy, c+"rq_time_sum", nil, func(t load.Traffic) float64 { return 1000 * t.Seconds })
	add(proxyEnvoy, c+"rq_time_count", nil, func(t load.Traffic) float64 { return t.Requests })
	return out
}

// Kinds of sidecars.
const (
	proxyEnvoy   = "envoy"
	proxyBuiltIn = "built-in"
)

// proxyOfGroup is the kind of a group's sidecars: Envoy, unless its metadata has
// proxy = "built-in", and none when no service of it is in the mesh.
func proxyOfGroup(g *fleet.Group) string {
	for _, s := range g.Services {
		if !s.Connect {
			continue
		}
		if g.Meta["proxy"] == proxyBuiltIn {
			return proxyBuiltIn
		}
		return proxyEnvoy
	}
	return ""
}

// ends names both ends of a call as the proxies do.
func ends(kind, from, to string) []string {
	if kind == proxyBuiltIn {
		return []string{"src", from, "dst", to, "dst_type", "service"}
	}
	return []string{
		"consul_source_service", from, "consul_source_namespace", "default", "consul_source_partition", "default", "consul_source_datacenter", door.Datacenter,
		"consul_destination_service", to, "consul_destination_namespace", "default", "consul_destination_partition", "default",
		"consul_destination_datacenter", door.Datacenter,
	}
}
