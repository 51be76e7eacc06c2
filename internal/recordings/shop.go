package recordings

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// Unix times in the recording of the shop.
const (
	ShopCalm    = 1661156400.0 // 08:20: the last fault is over
	ShopProfile = 1661176800.0 // 14:00: what follows stands for the usual
)

// Fault is one that was injected into a pod of the shop.
type Fault struct {
	At   string `json:"inject_timestamp"` // Unix time, in seconds
	Pod  string `json:"inject_pod"`
	Type string `json:"inject_type"`
}

// Pod is what was measured of one pod, a sample a minute.
type Pod struct {
	At      []float64            // Unix times, in seconds
	Columns map[string][]float64 // by ShopColumns, and PodWorkload(Ops); as long as At
}

// Shop is the recording of a shop of ten services with one pod each, into which
// faults were injected. The excerpt has two of its pods.
type Shop struct {
	Faults  []Fault             // in their order
	Pods    map[string]*Pod     // by name, which begins with the service's
	Callers []map[string]string // each minute: the median latency from one service to another, by FROM_TO
	Front   []map[string]string // each minute: what the shop's customers saw
}

// ShopColumns are the columns of a pod that tests judge, as gauges.
func ShopColumns() []string {
	return []string{"CpuUsage(m)", "MemoryUsage(Mi)", "PodServerLatencyP90(s)", "PodServerLatencyP99(s)", "PodClientLatencyP90(s)"}
}

// OpenShop reads the recording.
func OpenShop(t testing.TB) Shop {
	t.Helper()
	dir := Path(t, "nezha-online-boutique", "rca_data", "2022-08-22")
	raw, err := os.ReadFile(filepath.Join(dir, "2022-08-22-fault_list.json"))
	must.NoError(t, err)
	var hours map[string][]Fault
	must.NoError(t, json.Unmarshal(raw, &hours))
	s := Shop{
		Pods:    map[string]*Pod{},
		Callers: Table(t, filepath.Join(dir, "metric", "source_50.csv")),
		Front:   Table(t, filepath.Join(dir, "metric", "front_service.csv")),
	}
	for _, hour := range slices.Sorted(maps.Keys(hours)) {
		s.Faults = append(s.Faults, hours[hour]...)
	}
	files, err := filepath.Glob(filepath.Join(dir, "metric", "*_metric.csv"))
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	for _, file := range files {
		s.Pods[strings.TrimSuffix(filepath.Base(file), "_metric.csv")] = readPod(t, file)
	}
	return s
}

// ServiceOf is the service that a pod belongs to.
func ServiceOf(pod string) string {
	service, _, _ := strings.Cut(pod, "-")
	return service
}

func readPod(t testing.TB, file string) *Pod {
	t.Helper()
	p := &Pod{Columns: map[string][]float64{}}
	for _, row := range Table(t, file) {
		p.At = append(p.At, float64(Time(t, row["Time"]).Unix()))
		for _, c := range append(ShopColumns(), "PodWorkload(Ops)") {
			p.Columns[c] = append(p.Columns[c], Number(t, row[c]))
		}
	}
	return p
}
