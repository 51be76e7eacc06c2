package kpi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func began() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

// exporter answers the queries that name one of its metrics.
type exporter struct{ metrics []string }

func (e exporter) Query(_ context.Context, promql string, _ time.Time) ([]Series, error) {
	for i, m := range e.metrics {
		if strings.Contains(promql, "irate("+m+`{`) && strings.Contains(promql, `alloc_id!=""}[1m])`) {
			return []Series{{Labels: map[string]string{"alloc_id": "0a"}, Value: float64(i + 1)}}, nil
		}
	}
	return nil, nil
}

func TestSampler_ReadsTheExportersThatThereAre(t *testing.T) {
	for name, metrics := range map[string][]string{
		"cadvisor": {"container_fs_reads_total", "container_fs_writes_bytes_total", "container_pressure_cpu_waiting_seconds_total",
			"container_pressure_memory_waiting_seconds_total", "container_pressure_io_waiting_seconds_total"},
		"node_exporter": {"node_disk_writes_completed_total", "node_disk_read_bytes_total", "node_pressure_cpu_waiting_seconds_total",
			"node_pressure_memory_waiting_seconds_total", "node_pressure_io_waiting_seconds_total"},
		"none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSampler(NewReader(exporter{metrics}, nil, Queries{}), nil, nil, nil)
			got := s.read(t.Context(), nil, nil, began()).Gauges
			for i, kpi := range []string{api.KPIIOOperations, api.KPIIOBytes, api.KPIPressureCPU, api.KPIPressureMemory, api.KPIPressureIO} {
				value, ok := got[kpi]["0a"]
				must.Eq(t, metrics != nil, ok, must.Sprint(kpi))
				if ok {
					must.Eq(t, float64(i+1), value, must.Sprint(kpi))
				}
			}
		})
	}
}

func TestDefaultQueries_AddUpEachExporter(t *testing.T) {
	const disks = `{device!~"(dm-|md|loop|z?ram|sr|fd).*",alloc_id!=""}[1m]`
	must.Eq(t, `(sum by (alloc_id) (irate(container_fs_reads_total{alloc_id!=""}[1m])) + sum by (alloc_id) (irate(container_fs_writes_total{alloc_id!=""}[1m])))`+
		` or (sum by (alloc_id) (irate(node_disk_reads_completed_total`+disks+`)) + sum by (alloc_id) (irate(node_disk_writes_completed_total`+disks+`)))`,
		DefaultQueries().expand(DefaultQueries().Own[api.KPIIOOperations].Query, nil))
}

func TestQueries_ReplaceADefaultAndKeepItsUnit(t *testing.T) {
	q := Queries{Own: map[string]OwnQuery{api.KPIIOBytes: {Query: "mine"}, "queue": {Query: "queue"}}}.or(DefaultQueries())
	must.Eq(t, OwnQuery{Query: "mine", Unit: "bytes/s"}, q.Own[api.KPIIOBytes])
	must.Eq(t, OwnQuery{Query: "queue"}, q.Own["queue"])
	must.NotEq(t, "", q.Own[api.KPIPressureIO].Query)
	must.NotEq(t, "mine", DefaultQueries().Own[api.KPIIOBytes].Query)
}

func TestQueries_ExpandOnlyAllocationIDs(t *testing.T) {
	q := DefaultQueries()
	must.Eq(t, `sum by (alloc_id) (http_requests_total{alloc_id!=""})`, q.expand(q.Requests, nil))
	must.Eq(t, `sum by (alloc_id) (http_requests_total{alloc_id=~"0a-1|b"})`, q.expand(q.Requests, []string{"0a-1", `"} or vector(1) #`, "b"}))
}
