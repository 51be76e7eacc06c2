package mapper

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// minute is what was measured of each pair in one minute: seconds of latency.
type minute map[graph.Pair]float64

// boutique is a recording of Online Boutique with its true edges.
type boutique struct {
	minutes []minute
	edges   map[graph.Pair]bool // between services; what goes to a machine's address is placement
}

func table(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	must.NoError(t, err)
	rows, err := csv.NewReader(f).ReadAll()
	must.NoError(t, err)
	must.NoError(t, f.Close())
	return rows
}

func readBoutique(t *testing.T, dir string) boutique {
	t.Helper()
	b := boutique{edges: map[graph.Pair]bool{}}
	for _, row := range table(t, filepath.Join(dir, "dependency.csv"))[1:] {
		if net.ParseIP(row[1]) == nil {
			b.edges[graph.Pair{From: row[0], To: row[1]}] = true
		}
	}
	rows := table(t, filepath.Join(dir, "source_50.csv"))
	for _, row := range rows[1:] {
		m := minute{}
		for i, column := range rows[0] {
			from, to, ok := strings.Cut(column, "_")
			if !ok {
				continue
			}
			seconds, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				seconds = math.NaN()
			}
			m[graph.Pair{From: from, To: to}] = seconds
		}
		b.minutes = append(b.minutes, m)
	}
	return b
}

// answer is a minute as the service graph of traces would tell it. A pair has a
// latency only in a minute with requests.
func (m minute) answer(t *testing.T) []byte {
	t.Helper()
	type series struct {
		Metric map[string]string `json:"metric"`
		Value  [2]any            `json:"value"`
	}
	result := []series{}
	for pair, seconds := range m {
		add := func(measure prometheus.Measure, value float64) {
			result = append(result, series{
				Metric: map[string]string{"client": pair.From, "server": pair.To, "oakum_measure": string(measure)},
				Value:  [2]any{1, strconv.FormatFloat(value, 'g', -1, 64)}})
		}
		add(prometheus.Latency, seconds)
		if !math.IsNaN(seconds) {
			add(prometheus.Requests, 1.0/60)
		}
	}
	text, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	must.NoError(t, err)
	return text
}

// TestMapper_ReplaysOnlineBoutique plays recorded minutes to the mapper through the
// real adapter, and compares the edges that it finds with the true ones. With
// OAKUM_DATA it plays the whole recording, and that of a day with faults.
func TestMapper_ReplaysOnlineBoutique(t *testing.T) {
	t.Parallel()
	dirs := []string{filepath.Join("testdata", "online-boutique")}
	if data := os.Getenv("OAKUM_DATA"); data != "" {
		for _, part := range []string{"construct_data", "rca_data"} {
			dirs = append(dirs, filepath.Join(data, "nezha-online-boutique", part, "2022-08-22", "metric"))
		}
	}
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			b := readBoutique(t, dir)
			must.Len(t, 14, keysOf(b.edges))
			at := 0
			s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(b.minutes[at].answer(t)) }))
			t.Cleanup(s.Close)
			c, err := prometheus.New(prometheus.Config{Address: s.URL, Timeout: 10 * time.Second})
			must.NoError(t, err)
			family, err := prometheus.Preset("service_graph")
			must.NoError(t, err)
			w := bare()
			m := w.bearing(t, func(o *Options) { o.Sources = []Source{Observed("prometheus-traces", c.Traffic(family))} })
			for at = range b.minutes {
				must.NoError(t, m.round(t.Context()))
				must.True(t, w.state.sources["prometheus-traces"].OK)
			}
			hits, found := 0, 0
			for pair, e := range w.state.edges {
				if !e.State.Certain() {
					continue
				}
				found++
				must.Eq(t, api.EdgeObservedOffMesh, e.State)
				if b.edges[pair] {
					hits++
				}
			}
			precision, recall := float64(hits)/float64(found), float64(hits)/float64(len(b.edges))
			t.Logf("%d minutes: %d edges found, %d true ones: precision %.2f, recall %.2f", len(b.minutes), found, len(b.edges), precision, recall)
			must.Eq(t, 1.0, precision)
			must.Eq(t, 1.0, recall)
		})
	}
}

func keysOf[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
