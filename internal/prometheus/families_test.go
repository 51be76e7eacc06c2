package prometheus_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/promql"
)

var update = flag.Bool("update", false, "write the golden files")

// recorded answers every query with a recorded answer.
func recorded(t *testing.T, name string) *prometheus.Client {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	must.NoError(t, err)
	return server(t, func(string) (int, string) { return 200, string(text) })
}

func flows(t *testing.T, c *prometheus.Client, name string) (list []graph.Flow, partial string) {
	t.Helper()
	family, err := prometheus.Preset(name)
	must.NoError(t, err)
	list, partial, silent, err := c.Traffic(family).Flows(t.Context())
	must.NoError(t, err)
	must.False(t, silent)
	return list, partial
}

// seen is an observed flow.
func seen(from, to, by string, e api.Evidence) graph.Flow {
	e.Class, e.Exact, e.Detail = api.EvidenceObserved, true, by
	return graph.Flow{From: from, To: to, Evidence: e}
}

func refused(from, to, by string, perSecond float64) graph.Flow {
	return graph.Flow{From: from, To: to, Evidence: api.Evidence{
		Class: api.EvidenceDenied, Exact: true, Attempt: true, Detail: "refused, as " + by + " says", ErrorsPerSecond: perSecond}}
}

func TestEnvoy(t *testing.T) {
	t.Parallel()
	got, partial := flows(t, recorded(t, "envoy"), "envoy")
	must.Eq(t, "", partial)
	must.Eq(t, "", cmp.Diff([]graph.Flow{
		refused("web", "admin", "envoy", 2), // all of its requests
		refused("web", "api", "envoy", 0.2),
		seen("web", "api", "envoy", api.Evidence{BytesPerSecond: 5120, RequestsPerSecond: 12, ErrorsPerSecond: 0.5, LatencySeconds: 0.031, Connections: 3, Endpoints: 4, Healthy: 3}),
		seen("web", "idle", "envoy", api.Evidence{Connections: 1}),
		seen("web", "mail@east", "envoy", api.Evidence{BytesPerSecond: 7}),
		seen("web", "ops/default/audit", "envoy", api.Evidence{BytesPerSecond: 6}),
		seen("web", "search@dc2", "envoy", api.Evidence{BytesPerSecond: 8}),
		seen("web", "team/billing", "envoy", api.Evidence{BytesPerSecond: 9}),
	}, got))
}

func TestConsulProxy(t *testing.T) {
	t.Parallel()
	got, partial := flows(t, recorded(t, "consul_proxy"), "consul_proxy")
	must.Eq(t, "1 of 6 series of consul built-in proxy do not name both ends", partial)
	must.Eq(t, "", cmp.Diff([]graph.Flow{
		{From: "back", To: "catalog", Evidence: api.Evidence{Class: api.EvidenceDenied, Exact: true, Attempt: true,
			Detail: "sent without an answer, as consul built-in proxy says", BytesPerSecond: 84}},
		seen("front", "cart", "consul built-in proxy", api.Evidence{}),
		seen("front", "catalog", "consul built-in proxy", api.Evidence{BytesPerSecond: 1700}),
	}, got))
}

func TestServiceGraph_OfTraces(t *testing.T) {
	t.Parallel()
	got, partial := flows(t, recorded(t, "service_graph"), "service_graph")
	must.Eq(t, "1 of 6 values of service graph of traces are no numbers that a rate can be", partial)
	must.Eq(t, "", cmp.Diff([]graph.Flow{
		seen("checkout", "orders-db", "service graph of traces", api.Evidence{OffMesh: true, RequestsPerSecond: 9}),
		seen("checkout", "payment", "service graph of traces", api.Evidence{OffMesh: true, RequestsPerSecond: 4, ErrorsPerSecond: 0.1, LatencySeconds: 0.12}),
		seen("user", "checkout", "service graph of traces", api.Evidence{OffMesh: true, RequestsPerSecond: 5}),
	}, got))
}

func TestCoroot(t *testing.T) {
	t.Parallel()
	got, partial := flows(t, recorded(t, "coroot"), "coroot")
	must.Eq(t, "", partial)
	const container = "/nomad/default/web/web/3f2b1c9a-1111-2222-3333-444455556666/server"
	db := seen(container, "10.0.0.7:5432", "coroot", api.Evidence{OffMesh: true, BytesPerSecond: 2048, Connections: 2})
	failed := seen(container, "10.9.9.9:443", "coroot", api.Evidence{OffMesh: true, ErrorsPerSecond: 1})
	db.Raw, failed.Raw = true, true
	must.Eq(t, "", cmp.Diff([]graph.Flow{db, failed}, got))
}

func TestCaretta(t *testing.T) {
	t.Parallel()
	got, _ := flows(t, recorded(t, "caretta"), "caretta")
	must.Eq(t, "", cmp.Diff([]graph.Flow{
		seen("api", "db", "caretta", api.Evidence{OffMesh: true, BytesPerSecond: 1000}),
		seen("web", "api", "caretta", api.Evidence{OffMesh: true, BytesPerSecond: 99}),
	}, got))
}

// TestQueries holds the queries to their golden text: one for each family,
// whatever the size of the graph.
func TestQueries(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, name := range prometheus.Families() {
		var asked []string
		c := server(t, func(query string) (int, string) {
			asked = append(asked, query)
			return 200, vector()
		})
		family, err := prometheus.Preset(name)
		must.NoError(t, err)
		_, partial, silent, err := c.Traffic(family).Flows(t.Context())
		must.NoError(t, err)
		must.True(t, silent)
		must.StrHasPrefix(t, "prometheus has no metrics of ", partial)
		must.Len(t, 1, asked)
		must.NoError(t, promql.Check(asked[0], promql.Want{Kind: promql.Value}))
		out.WriteString(name + "\n" + strings.ReplaceAll(asked[0], " or label_replace", "\n  or label_replace") + "\n\n")
	}
	golden := filepath.Join("testdata", "queries.txt")
	if *update {
		must.NoError(t, os.WriteFile(golden, []byte(out.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	must.NoError(t, err)
	must.Eq(t, string(want), out.String())
}

func TestPreset_IsKnownByName(t *testing.T) {
	t.Parallel()
	must.True(t, slices.IsSorted(prometheus.Families()))
	_, err := prometheus.Preset("istio")
	must.ErrorContains(t, err, `no kind of traffic metrics "istio"; want one of caretta, consul_proxy`)
}

func TestCustom_IsCheckedWithoutAsking(t *testing.T) {
	t.Parallel()
	type queries = map[prometheus.Measure]string
	good := prometheus.Custom{Name: "haproxy", From: "frontend", To: "backend",
		Queries: queries{prometheus.Requests: `sum by (frontend, backend) (rate(haproxy_requests_total[$window]))`}}
	family, err := prometheus.NewFamily(good)
	must.NoError(t, err)
	var asked string
	c := server(t, func(q string) (int, string) {
		asked = q
		return 200, vector(`{"metric":{"frontend":"a","backend":"b","oakum_measure":"requests"},"value":[1,"3"]}`)
	})
	got, _, _, err := c.Traffic(family).Flows(t.Context())
	must.NoError(t, err)
	must.StrContains(t, asked, "haproxy_requests_total[30s]")
	must.Eq(t, []graph.Flow{seen("a", "b", "haproxy", api.Evidence{OffMesh: true, RequestsPerSecond: 3})}, got)

	for text, change := range map[string]func(*prometheus.Custom){
		"want the labels":            func(c *prometheus.Custom) { c.To = "" },
		"want at least one query":    func(c *prometheus.Custom) { c.Queries = nil },
		"requests: ":                 func(c *prometheus.Custom) { c.Queries = queries{prometheus.Requests: "sum by (frontend"} },
		`drops the label "backend"`:  func(c *prometheus.Custom) { c.Queries = queries{prometheus.Bytes: "sum by (frontend) (x)"} },
		`drops the label "frontend"`: func(c *prometheus.Custom) { c.Queries = queries{prometheus.Bytes: "sum without (frontend) (x) / 2"} },
		`no measure "mood"`:          func(c *prometheus.Custom) { c.Queries = queries{"mood": "x"} },
	} {
		bad := good
		change(&bad)
		_, err := prometheus.NewFamily(bad)
		must.ErrorContains(t, err, text)
		must.True(t, api.IsCode(err, api.CodeInvalid))
	}
}

// TestFlows_BoundsGarbageAndSaysSo answers with what a broken exporter or store
// might.
func TestFlows_BoundsGarbageAndSaysSo(t *testing.T) {
	t.Parallel()
	family, err := prometheus.Preset("caretta")
	must.NoError(t, err)
	ask := func(status int, body string) ([]graph.Flow, string, error) {
		list, partial, _, err := server(t, func(string) (int, string) { return status, body }).Traffic(family).Flows(t.Context())
		return list, partial, err
	}
	row := func(value string) string {
		return `{"metric":{"client_name":"a","server_name":"b","oakum_measure":"bytes"},"value":[1,"` + value + `"]}`
	}
	list, partial, err := ask(200, vector(row("NaN"), row("-5"), row("+Inf")))
	must.NoError(t, err)
	must.Len(t, 0, list)
	must.StrContains(t, partial, "3 of 3 values of caretta are no numbers")

	list, partial, err = ask(200, `{"status":"success","warnings":["half of the stores did not answer"],"data":{"resultType":"vector","result":[`+row("5")+`]}}`)
	must.NoError(t, err)
	must.Len(t, 1, list)
	must.Eq(t, "half of the stores did not answer", partial)

	for name, body := range map[string]string{
		"half an answer":     `{"status":"success","data":{"resultType":"vector","result":[` + row("5"),
		"millions of series": vector(strings.TrimSuffix(strings.Repeat(row("1")+",", 100_001), ",")),
		"an endless answer":  strings.Repeat(" ", 65<<20),
		"another type":       `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`,
	} {
		_, _, err := ask(200, body)
		must.Error(t, err, must.Sprint(name))
	}
}
