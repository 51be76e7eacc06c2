package graph_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

func edge(from, to string, state api.EdgeState) api.Edge {
	return api.Edge{From: from, To: to, State: state}
}

// shop is the example application: two entries, one of them behind nothing.
func shop() ([]api.Service, []api.Edge) {
	services := []api.Service{
		{Name: "front", Instances: 2, Healthy: 2, Nodes: []string{"n1", "n2"}},
		{Name: "backoffice", Instances: 1, Healthy: 1, Nodes: []string{"n1"}},
		{Name: "catalog", Instances: 10, Healthy: 9, Nodes: []string{"n1", "n2"}},
		{Name: "cart", Instances: 2, Healthy: 2, Nodes: []string{"n3"}},
		{Name: "pricing", Instances: 2, Healthy: 2, Nodes: []string{"n2", "n3"}},
		{Name: "store", Instances: 4, Healthy: 4, Nodes: []string{"n4"}},
	}
	edges := []api.Edge{
		edge("front", "catalog", api.EdgeConfirmed), edge("front", "cart", api.EdgeConfirmed),
		edge("backoffice", "catalog", api.EdgeConfirmed), edge("backoffice", "pricing", api.EdgeDenied),
		edge("catalog", "pricing", api.EdgeConfirmed), edge("catalog", "store", api.EdgeObservedUndeclared),
		edge("cart", "pricing", api.EdgeObservedDenied), edge("cart", "store", api.EdgeConfirmed),
		edge("pricing", "store", api.EdgeDeclaredOnly), edge("cart", "catalog", api.EdgeShared),
	}
	return services, edges
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	old := now.Add(-31 * 24 * time.Hour)
	plain := graph.Terms{Now: now, StaleAfter: 30 * 24 * time.Hour, Watched: old}
	unseen, hidden, unwatched := plain, plain, plain
	unseen.Unseen, hidden.Hidden, unwatched.Watched = true, true, now.Add(-time.Hour)
	declared := api.Evidence{Source: "consul-upstreams", Class: api.EvidenceDeclared, FirstSeen: now.Add(-time.Hour)}
	aged := api.Evidence{Source: "consul-upstreams", Class: api.EvidenceDeclared, FirstSeen: old}
	written := api.Evidence{Source: graph.SourcePolicy, Class: api.EvidenceDeclared, FirstSeen: old}
	exact := api.Evidence{Source: "consul-intentions", Class: api.EvidenceAllowed, Exact: true, FirstSeen: now}
	wildcard := api.Evidence{Source: "consul-intentions", Class: api.EvidenceAllowed}
	denied := api.Evidence{Source: "consul-intentions", Class: api.EvidenceDenied, Exact: true}
	byDefault := api.Evidence{Source: "consul-intentions", Class: api.EvidenceDenied, Detail: graph.DefaultDetail}
	observed := api.Evidence{Source: "prometheus", Class: api.EvidenceObserved}
	kernel := api.Evidence{Source: "coroot", Class: api.EvidenceObserved, OffMesh: true}
	attempt := api.Evidence{Source: "prometheus", Class: api.EvidenceDenied, Attempt: true}
	shared := api.Evidence{Source: "nomad-placement", Class: api.EvidenceShared}
	for _, c := range []struct {
		name  string
		list  []api.Evidence
		terms graph.Terms
		want  api.EdgeState
	}{
		{"nothing", nil, plain, ""},
		{"wildcard alone is no edge", []api.Evidence{wildcard}, plain, ""},
		{"exact allow", []api.Evidence{exact}, plain, api.EdgeDeclaredOnly},
		{"declared", []api.Evidence{declared, wildcard}, plain, api.EdgeDeclaredOnly},
		{"declared and denied", []api.Evidence{declared, denied}, plain, api.EdgeDenied},
		{"declared for long without traffic is stale", []api.Evidence{aged}, plain, api.EdgeDeclaredStale},
		{"what was declared again is fresh", []api.Evidence{aged, exact}, plain, api.EdgeDeclaredOnly},
		{"what nobody watched for long is not stale", []api.Evidence{aged}, unwatched, api.EdgeDeclaredOnly},
		{"what a policy says is never stale", []api.Evidence{written}, plain, api.EdgeDeclaredOnly},
		{"declared, and nobody could see traffic", []api.Evidence{declared}, unseen, api.EdgeUnknown},
		{"a policy needs no sight", []api.Evidence{written}, unseen, api.EdgeDeclaredOnly},
		{"a default that a hidden rule may overrule", []api.Evidence{declared, byDefault}, hidden, api.EdgeUnknown},
		{"an exact rule holds whatever is hidden", []api.Evidence{declared, denied}, hidden, api.EdgeDenied},
		{"traffic under a default that may be overruled", []api.Evidence{observed, byDefault}, hidden, api.EdgeObservedUndeclared},
		{"a policy outweighs a denial", []api.Evidence{written, denied}, plain, api.EdgeDeclaredOnly},
		{"a policy outweighs a denial that traffic contradicts", []api.Evidence{written, denied, observed}, plain, api.EdgeConfirmed},
		{"declared and observed", []api.Evidence{declared, observed}, plain, api.EdgeConfirmed},
		{"exact and observed", []api.Evidence{exact, observed, shared}, plain, api.EdgeConfirmed},
		{"wildcard and observed", []api.Evidence{wildcard, observed}, plain, api.EdgeObservedUndeclared},
		{"observed", []api.Evidence{observed}, plain, api.EdgeObservedUndeclared},
		{"observed though denied", []api.Evidence{observed, denied, declared}, plain, api.EdgeObservedDenied},
		{"seen by the kernel, and no rule speaks of it", []api.Evidence{kernel, byDefault}, plain, api.EdgeObservedOffMesh},
		{"seen by the kernel against a rule", []api.Evidence{kernel, denied}, plain, api.EdgeObservedDenied},
		{"seen by the kernel and declared", []api.Evidence{kernel, declared}, plain, api.EdgeConfirmed},
		{"seen by the kernel and the mesh", []api.Evidence{kernel, observed}, plain, api.EdgeObservedUndeclared},
		{"tried and refused", []api.Evidence{attempt, denied}, plain, api.EdgeDeniedAttempted},
		{"tried, and no rule allows it", []api.Evidence{attempt}, plain, api.EdgeDeniedAttempted},
		{"tried, refused by the default, and declared", []api.Evidence{attempt, byDefault, declared}, plain, api.EdgeDeniedAttempted},
		{"failed where it is allowed is no denial", []api.Evidence{attempt, exact}, plain, api.EdgeDeclaredOnly},
		{"tried, and observed before", []api.Evidence{attempt, denied, observed}, plain, api.EdgeObservedDenied},
		{"denied", []api.Evidence{denied}, plain, api.EdgeDenied},
		{"shared", []api.Evidence{shared, wildcard}, plain, api.EdgeShared},
		{"shared and declared", []api.Evidence{shared, exact}, plain, api.EdgeDeclaredOnly},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := graph.StateOf(c.list, c.terms)
			must.Eq(t, c.want, got)
			must.Eq(t, c.want != "", ok)
		})
	}
}

func TestMerge_SortsAndJoins(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(100, 0).UTC(), time.Unix(200, 0).UTC()
	got := graph.Merge(map[graph.Pair][]api.Evidence{
		{From: "b", To: "a"}: {{Source: "prometheus", Class: api.EvidenceObserved, FirstSeen: late, LastSeen: late, BytesPerSecond: 2},
			{Source: "prometheus", Class: api.EvidenceObserved, FirstSeen: early, LastSeen: early, BytesPerSecond: 3}},
		{From: "a", To: "b"}: {{Source: "z", Class: api.EvidenceDeclared}, {Source: "consul-intentions", Class: api.EvidenceAllowed, Exact: true}},
		{From: "a", To: "a"}: {{Source: "z", Class: api.EvidenceDeclared}},
		{From: "", To: "a"}:  {{Source: "z", Class: api.EvidenceDeclared}},
		{From: "c", To: "a"}: {{Source: "consul-intentions", Class: api.EvidenceAllowed}},
	}, graph.Terms{})
	want := []api.Edge{
		{From: "a", To: "b", State: api.EdgeDeclaredOnly, Evidence: []api.Evidence{
			{Source: "consul-intentions", Class: api.EvidenceAllowed, Exact: true}, {Source: "z", Class: api.EvidenceDeclared}}},
		{From: "b", To: "a", State: api.EdgeObservedUndeclared, Evidence: []api.Evidence{
			{Source: "prometheus", Class: api.EvidenceObserved, FirstSeen: early, LastSeen: late, BytesPerSecond: 5}}},
	}
	must.Eq(t, "", cmp.Diff(want, got))
}

func TestPermissions_FollowPrecedence(t *testing.T) {
	t.Parallel()
	p := graph.Permissions{Default: api.EvidenceDenied, Rules: []graph.Rule{
		{From: graph.Wildcard, To: graph.Wildcard, Allow: false, Precedence: 5, Detail: "all"},
		{From: "a", To: graph.Wildcard, Allow: true, Precedence: 6, Detail: "from a"},
		{From: graph.Wildcard, To: "b", Allow: false, Precedence: 8, Detail: "to b"},
		{From: "a", To: "b", Allow: true, Precedence: 9, Detail: "exact"},
		{From: "a", To: "b", Allow: false, Precedence: 3, Detail: "weaker"},
	}}
	for pair, want := range map[graph.Pair]api.Evidence{
		{From: "a", To: "b"}: {Class: api.EvidenceAllowed, Exact: true, Detail: "exact"},
		{From: "c", To: "b"}: {Class: api.EvidenceDenied, Detail: "to b"},
		{From: "a", To: "c"}: {Class: api.EvidenceAllowed, Detail: "from a"},
		{From: "c", To: "d"}: {Class: api.EvidenceDenied, Detail: "all"},
	} {
		got, ok := p.Decide(pair)
		must.True(t, ok)
		must.Eq(t, want, got)
	}
	// Only the named pair and the one asked for are expanded.
	must.Eq(t, 2, len(p.Expand([]graph.Pair{{From: "a", To: "c"}})))
	_, ok := graph.Permissions{}.Decide(graph.Pair{From: "a", To: "b"})
	must.False(t, ok)
	got, ok := graph.Permissions{Default: api.EvidenceAllowed}.Decide(graph.Pair{From: "a", To: "b"})
	must.True(t, ok)
	must.Eq(t, api.EvidenceAllowed, got.Class)
}

func TestAnalyse_KnowsTheShop(t *testing.T) {
	t.Parallel()
	a := graph.Analyse(shop())
	must.Eq(t, []string{"backoffice", "front"}, a.Entries())

	store, ok := a.Service("store")
	must.True(t, ok)
	must.Eq(t, 4, store.BlastRadius)
	must.Eq(t, 5, store.BlastRadiusMax)
	must.Eq(t, []string{"backoffice", "cart", "catalog", "front"}, store.Dependants)
	must.False(t, store.SinglePoint)

	front, _ := a.Service("front")
	must.True(t, front.SinglePoint)
	must.Eq(t, []string{"cart"}, front.Dominates)

	cart, _ := a.Service("cart")
	must.Eq(t, 1, cart.BlastRadius)
	must.False(t, cart.SinglePoint)
	must.Eq(t, []string{"pricing"}, cart.SharedNodesWith)
	must.Eq(t, "single_node", cart.Parts[len(cart.Parts)-1].Name)

	impact, ok := a.Impact("pricing")
	must.True(t, ok)
	must.Eq(t, []string{"backoffice", "cart", "catalog", "front"}, impact.Certain)
	must.Eq(t, []string{}, impact.Possible)
	impact, _ = a.Impact("store")
	must.Eq(t, []string{"pricing"}, impact.Possible)
	must.Eq(t, []string{"cart", "catalog", "store"}, a.Neighbours("pricing"))
	must.SliceContains(t, a.Chained("pricing"), "front", must.Sprint("a dependant of a dependant"))
	must.SliceContains(t, a.Chained("front"), "pricing", must.Sprint("and the other way round"))
	must.SliceNotContains(t, a.Chained("pricing"), "pricing")
	must.SliceEmpty(t, a.Chained("unheard-of"))
	_, ok = a.Impact("nobody")
	must.False(t, ok)
}

func TestAnalyse_OfACycleAndAnUnknownService(t *testing.T) {
	t.Parallel()
	a := graph.Analyse([]api.Service{{Name: "db", Instances: 1}}, []api.Edge{
		edge("x", "y", api.EdgeConfirmed), edge("y", "x", api.EdgeConfirmed), edge("y", "db", api.EdgeConfirmed)})
	must.Eq(t, []string{"x", "y"}, a.Entries())
	x, _ := a.Service("x")
	y, _ := a.Service("y")
	db, _ := a.Service("db")
	must.Eq(t, x.Component, y.Component)
	must.NotEq(t, x.Component, db.Component)
	must.Eq(t, []string{"y"}, x.Dependants)
	must.True(t, db.SinglePoint)
	must.True(t, db.SingleInstance)
	must.Eq(t, []string{"db"}, y.Dominates)
	must.False(t, x.SinglePoint)
}

func TestAnalyse_OfNothing(t *testing.T) {
	t.Parallel()
	must.Eq(t, 0, len(graph.Analyse(nil, nil).Criticality()))
}

func TestAround_ListsTheCallersTargetsFirst(t *testing.T) {
	t.Parallel()
	services, edges := shop()
	target := func(job string) api.TargetRef { return api.TargetRef{Namespace: "default", Job: job, Group: job} }
	for i := range services {
		services[i].Targets = []api.TargetRef{target(services[i].Name)}
	}
	services[0].Targets = append(services[0].Targets, target("catalog-b"))
	a := graph.Analyse(services, edges)
	must.Eq(t, []api.TargetRef{target("backoffice"), target("front"), target("catalog-b"), target("pricing"), target("store")}, a.Around("catalog"))
	must.Eq(t, []api.TargetRef{target("cart"), target("catalog"), target("store")}, a.Around("pricing"), must.Sprint("who is denied is no neighbour"))
	must.SliceEmpty(t, a.Around("unknown"))
}
