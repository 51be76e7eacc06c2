package graph_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/graph/formats/dot"
	"gonum.org/v1/gonum/graph/formats/dot/ast"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// rendered is the shop with evidence, as the API hands it out.
func rendered() api.Graph {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	services, edges := shop()
	g := api.Graph{Index: 42, At: at}
	for i, e := range edges {
		evidence := api.Evidence{Source: "consul-intentions", Class: api.EvidenceAllowed, Exact: true,
			Detail: "intention " + e.From + " => " + e.To + " allow", FirstSeen: at.Add(-time.Hour)}
		switch e.State {
		case api.EdgeDenied, api.EdgeObservedDenied:
			evidence.Class, evidence.Detail = api.EvidenceDenied, "default"
		case api.EdgeObservedUndeclared:
			evidence.Exact, evidence.Detail = false, "intention * => store allow"
		case api.EdgeShared:
			evidence = api.Evidence{Source: "nomad-placement", Class: api.EvidenceShared, Detail: "node n2"}
		case api.EdgeConfirmed, api.EdgeDeclaredOnly, api.EdgeDeclaredStale, api.EdgeUnknown, api.EdgeObservedOffMesh, api.EdgeDeniedAttempted:
		}
		edges[i].Evidence = []api.Evidence{evidence}
		if e.State.Certain() {
			rate := float64(i) * 777
			edges[i].Evidence = append(edges[i].Evidence, api.Evidence{Source: "prometheus", Class: api.EvidenceObserved,
				Detail: "consul built-in proxy", FirstSeen: at.Add(-time.Hour), LastSeen: at.Add(-90 * time.Second), BytesPerSecond: rate})
		}
	}
	for i, s := range services {
		ref := api.TargetRef{Namespace: "default", Job: s.Name, Group: s.Name}
		services[i].Targets = []api.TargetRef{ref}
		view := api.TargetView{Target: api.Target{TargetRef: ref}, Critical: s.Name == "store" || s.Name == "pricing"}
		if view.Critical {
			view.Why = "policy default, default.hcl:4,14: graph.blast_radius = 4 >= 2"
		}
		g.Targets = append(g.Targets, view)
	}
	services = append(services, api.Service{Name: "egress", Kind: api.KindGateway, Instances: 1, Healthy: 1},
		api.Service{Name: "ledger", Instances: 1, Healthy: 1}, api.Service{Name: "mail@east", Kind: api.KindOutside})
	edges = append(edges,
		api.Edge{From: "backoffice", To: "ledger", State: api.EdgeConfirmed, Via: []string{"egress"}, Evidence: []api.Evidence{
			{Source: "prometheus", Class: api.EvidenceObserved, Detail: "envoy", FirstSeen: at.Add(-time.Hour), LastSeen: at, Days: "15",
				BytesPerSecond: 900, RequestsPerSecond: 1.5, ErrorsPerSecond: 0.02, LatencySeconds: 0.0312, Endpoints: 2, Healthy: 1}}},
		api.Edge{From: "front", To: "mail@east", State: api.EdgeUnknown, Evidence: []api.Evidence{
			{Source: "consul-intentions", Class: api.EvidenceAllowed, Exact: true, Conditional: true, Detail: "intention front => mail@east by request (2 permissions)", FirstSeen: at}}},
		api.Edge{From: "cart", To: "ledger", State: api.EdgeDeniedAttempted, Evidence: []api.Evidence{
			{Source: "prometheus", Class: api.EvidenceDenied, Attempt: true, Detail: "refused, as envoy says", FirstSeen: at, LastSeen: at, ErrorsPerSecond: 2}}},
		api.Edge{From: "cart", To: "mail@east", State: api.EdgeDeclaredStale, Evidence: []api.Evidence{
			{Source: "consul-upstreams", Class: api.EvidenceDeclared, Exact: true, Detail: "upstream of its proxies", FirstSeen: at.Add(-40 * day)}}},
		api.Edge{From: "backoffice", To: "store", State: api.EdgeObservedOffMesh, Evidence: []api.Evidence{
			{Source: "prometheus-kernel", Class: api.EvidenceObserved, OffMesh: true, Detail: "coroot", FirstSeen: at, LastSeen: at, BytesPerSecond: 64}}})
	g.Services, g.Edges = services, edges
	g.Sources = []api.SourceStatus{{Name: "consul-intentions", OK: true, Since: at.Add(-time.Hour), LastOK: at},
		{Name: "prometheus", Since: at.Add(-time.Minute), LastOK: at.Add(-time.Minute), Error: "dial tcp: refused"},
		{Name: "consul-upstreams", OK: true, Since: at.Add(-time.Hour), LastOK: at.Add(-time.Minute), Failures: 2, Failing: at.Add(-30 * time.Second), Error: "timeout"}}
	sortGraph(&g)
	return g
}

func TestRenderings(t *testing.T) {
	t.Parallel()
	for name, render := range map[string]func(api.Graph) string{
		"table.txt":    func(g api.Graph) string { return graph.Table(g, false) },
		"evidence.txt": func(g api.Graph) string { return graph.Table(g, true) },
		"tree.txt":     graph.Tree, "graph.dot": graph.DOT, "graph.mmd": graph.Mermaid,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := render(rendered())
			path := filepath.Join("testdata", name)
			if *update {
				must.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			must.NoError(t, err)
			must.Eq(t, "", cmp.Diff(string(want), got), must.Sprint("run with -update after a look at the output"))
		})
	}
}

// TestTable_FitsATerminal has names and reasons that are too long for a line.
func TestTable_FitsATerminal(t *testing.T) {
	t.Parallel()
	g := rendered()
	long := strings.Repeat("payment-reconciliation-", 4)
	g.Services = append(g.Services, api.Service{Name: long + "a"}, api.Service{Name: long + "b"})
	g.Edges = append(g.Edges, api.Edge{From: long + "a", To: long + "b", State: api.EdgeObservedUndeclared, Via: []string{"egress"},
		Evidence: []api.Evidence{{Source: "prometheus-service-graph", Class: api.EvidenceObserved, RequestsPerSecond: 1e5, ErrorsPerSecond: 17.5},
			{Source: "consul-intentions", Class: api.EvidenceAllowed}}})
	sortGraph(&g)
	services, edges, found := strings.Cut(graph.Table(g, false), "\n\n")
	must.True(t, found)
	edges, _, _ = strings.Cut(edges, "\n\n")
	shown := 0
	for _, e := range g.Edges {
		if e.State != api.EdgeShared {
			shown++
		}
	}
	must.Eq(t, 1+len(g.Services), len(strings.Split(services, "\n")))
	must.Eq(t, 1+shown, len(strings.Split(edges, "\n")))
	for line := range strings.Lines(services + "\n" + edges) {
		must.LessEq(t, 100, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), must.Sprint(line))
	}
	must.StrContains(t, edges, "100000/s, 17.5 errors/s")
}

func TestRenderings_OfNothing(t *testing.T) {
	t.Parallel()
	must.StrContains(t, graph.Table(api.Graph{}, false), "No services are known yet.")
	must.Eq(t, "", graph.Tree(api.Graph{}))
	must.StrContains(t, graph.DOT(api.Graph{}), "digraph")
}

func TestRenderings_Quote(t *testing.T) {
	t.Parallel()
	g := api.Graph{Services: []api.Service{{Name: `a"]; evil [label="\`}}}
	must.StrContains(t, graph.DOT(g), `"a\"]; evil [label=\"\\"`)
	must.StrNotContains(t, strings.TrimPrefix(graph.Mermaid(g), "flowchart LR\n"), `a"]`)
}

// TestDOT_IsReadByAnotherParser reads what was written with another program's parser:
// each service is a node, and each edge is there.
func TestDOT_IsReadByAnotherParser(t *testing.T) {
	t.Parallel()
	g := rendered()
	g.Services = append(g.Services, api.Service{Name: `odd "name" \ with a
line`})
	sortGraph(&g)
	file, err := dot.ParseString(graph.DOT(g))
	must.NoError(t, err)
	must.Len(t, 1, file.Graphs)
	nodes, edges := 0, 0
	for _, statement := range file.Graphs[0].Stmts {
		switch s := statement.(type) {
		case *ast.NodeStmt:
			nodes++
		case *ast.EdgeStmt:
			edges++
			must.True(t, s.To.Directed)
		}
	}
	must.Eq(t, len(g.Services), nodes)
	must.Eq(t, len(g.Edges), edges)
}
