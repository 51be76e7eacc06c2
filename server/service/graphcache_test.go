package service

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/server/state"
)

func TestGraphCache_ReadsTheGraphOnceForEachChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	store := &countingStore{Store: f.state}
	cache := NewGraphCache(store)
	must.EqOp(t, 0, store.graphs, must.Sprint("nothing is read before somebody asks"))
	first, targets := cache.Current()
	must.Len(t, 2, first.Criticality)
	must.Len(t, 2, targets)
	_, again := cache.Current()
	must.True(t, &targets[0] == &again[0], must.Sprint("the list is shared"))
	must.EqOp(t, 1, store.graphs)
	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "own", File: own(`  strategy "phased" {}`)}})
	cache.Current()
	must.EqOp(t, 1, store.graphs, must.Sprint("another part of the state is no change of the graph"))

	f.put(t, calls("web", "db"))
	f.put(t, &state.GraphChange{GraphChange: api.GraphChange{Targets: []api.Target{target("mail")}}})
	second, targets := cache.Current()
	must.EqOp(t, 2, store.graphs)
	must.Len(t, 3, targets)
	must.EqOp(t, 1, second.Criticality[0].BlastRadius, must.Sprint("web depends on db by now"))
	must.EqOp(t, 0, first.Criticality[0].BlastRadius, must.Sprint("whoever holds the former graph keeps it"))
}

// shop is a fixture in which front calls cart, cart may call store, and the
// backoffice tried to call cart and may not.
func shop(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, target("front"), target("cart"), target("store"), target("backoffice"), target("apart"))
	f.put(t, &state.GraphChange{GraphChange: api.GraphChange{Edges: []api.Edge{
		{From: "front", To: "cart", State: api.EdgeConfirmed}, {From: "cart", To: "store", State: api.EdgeDeclaredOnly},
		{From: "backoffice", To: "cart", State: api.EdgeDeniedAttempted},
	}}})
	return f
}

func TestGraphCache_JoinsTargetsByTheirServicesEdges(t *testing.T) {
	t.Parallel()
	c := shop(t).graph
	ref := func(job string) api.TargetRef { return target(job).TargetRef }
	var around []string
	for _, n := range c.Around(ref("cart")) {
		around = append(around, n.Job)
	}
	must.Eq(t, []string{"front", "store"}, around, must.Sprint("callers go first"))
	must.Eq(t, []string{"front", "store"}, c.Neighbours(ref("cart")))
	must.True(t, c.Adjacent(ref("cart"), ref("front")))
	must.True(t, c.Adjacent(ref("store"), ref("cart")), must.Sprint("either way"))
	must.False(t, c.Adjacent(ref("front"), ref("store")))
	must.False(t, c.Adjacent(ref("cart"), ref("backoffice")))

	f := shop(t)
	f.put(t, &state.GraphChange{GraphChange: api.GraphChange{Edges: []api.Edge{{From: "cart", To: "store", State: api.EdgeConfirmed}}}})
	must.True(t, f.graph.Chained(ref("front"), ref("store")), must.Sprint("through cart"))
	must.True(t, f.graph.Chained(ref("store"), ref("front")), must.Sprint("either way"))
	must.False(t, f.graph.Chained(ref("apart"), ref("front")))
	must.False(t, f.graph.Chained(ref("backoffice"), ref("cart")), must.Sprint("a denied call is no edge"))
	must.False(t, c.Chained(ref("front"), ref("store")), must.Sprint("an edge that is only declared orders nothing"))
	f.put(t, &state.GraphChange{GraphChange: api.GraphChange{Edges: []api.Edge{{From: "apart", To: "store", State: api.EdgeConfirmed}}}})
	must.True(t, f.graph.Chained(ref("apart"), ref("store")), must.Sprint("the graph has changed since"))

	unknown := ref("unknown")
	must.False(t, c.Chained(unknown, ref("front")))
	must.False(t, c.Chained(ref("front"), unknown))
	must.SliceEmpty(t, c.Around(unknown))
	must.SliceEmpty(t, c.Neighbours(unknown))
	must.False(t, c.Adjacent(ref("cart"), unknown))
	must.False(t, c.Adjacent(unknown, ref("cart")))
}

func TestGraphCache_KnowsThatATargetIsGone(t *testing.T) {
	t.Parallel()
	f := shop(t)
	front := target("front").TargetRef
	must.False(t, f.graph.Gone(front))
	placement := func(s api.SourceStatus) {
		s.Name = graph.SourcePlacement
		f.put(t, &state.GraphChange{GraphChange: api.GraphChange{RemoveTargets: []api.TargetRef{front}, Sources: []api.SourceStatus{s}}})
	}
	placement(api.SourceStatus{OK: true, Partial: "namespace prod"})
	must.False(t, f.graph.Gone(front), must.Sprint("it may be in what is missing"))
	placement(api.SourceStatus{Error: "refused"})
	must.False(t, f.graph.Gone(front))
	placement(api.SourceStatus{OK: true})
	must.True(t, f.graph.Gone(front))
}

func TestGraphCache_SaysWhatWouldSuffer(t *testing.T) {
	t.Parallel()
	c := shop(t).graph
	impact, ok := c.Impact("cart")
	must.True(t, ok)
	must.EqOp(t, "cart", impact.Criticality.Service)
	_, ok = c.Impact("unknown")
	must.False(t, ok)
	_, ok = c.Without("no-such-node")
	must.False(t, ok)
}

// TestGraphCache_AttemptsAreTheTargetsServices reads attempts from the recorded
// graph by the services that the target registers, and sees what is recorded
// later.
func TestGraphCache_AttemptsAreTheTargetsServices(t *testing.T) {
	t.Parallel()
	now := epoch()
	attempt := func(from string) state.Command {
		return &state.GraphChange{GraphChange: api.GraphChange{Edges: []api.Edge{{From: from, To: "admin", State: api.EdgeDeniedAttempted, Evidence: []api.Evidence{
			{Source: "consul-intentions", Class: api.EvidenceDenied, Detail: graph.DefaultDetail, FirstSeen: now},
			{Source: "prometheus", Class: api.EvidenceDenied, Attempt: true, Exact: true, FirstSeen: now, LastSeen: now},
		}}}}}
	}
	f := newFixture(t, target("catalog"), target("store"), target("admin"))
	ref := target("catalog").TargetRef
	f.put(t, attempt("store"))
	attempts := func(since time.Time) []api.Attempt {
		list, known := f.graph.Attempts(ref, since)
		must.True(t, known)
		return list
	}
	must.SliceEmpty(t, attempts(now.Add(-time.Minute)))
	f.put(t, attempt("catalog"))
	must.Eq(t, []api.Attempt{{From: "catalog", To: "admin", Since: now, Rule: "the default says denied"}}, attempts(now.Add(-time.Minute)))
	must.SliceEmpty(t, attempts(now), must.Sprint("it was tried before"))
	_, known := f.graph.Attempts(api.TargetRef{Job: "unknown"}, now.Add(-time.Minute))
	must.False(t, known)
}

func TestGraph_RatesTargetsByThePoliciesInForce(t *testing.T) {
	t.Parallel()
	f := shop(t)
	f.put(t, &state.GraphChange{GraphChange: api.GraphChange{Edges: []api.Edge{{From: "front", To: "cart", State: api.EdgeConfirmed, Evidence: []api.Evidence{
		{Source: "prometheus", Class: api.EvidenceObserved, LastSeen: epoch().Add(-f.opt.HalfLife)},
	}}}}})
	confidence := func(g api.Graph) float64 {
		for _, e := range g.Edges {
			if e.To == "cart" && e.From == "front" {
				return e.Confidence
			}
		}
		return -1
	}
	critical := func(g api.Graph) map[string]bool {
		out := map[string]bool{}
		for _, v := range g.Targets {
			out[v.Target.Job] = v.Critical
		}
		return out
	}
	g := f.Graph()
	must.EqOp(t, 0.5, confidence(g))
	must.MapLen(t, 5, critical(g))
	must.False(t, critical(g)["apart"])
	stored, _ := f.graph.Current()
	must.EqOp(t, 0.0, confidence(stored), must.Sprint("the shared graph does not age"))

	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "own", File: own(`  critical = target.job == "apart"`)}})
	must.True(t, critical(f.Graph())["apart"])

	t.Log("while the policies do not compile, the graph is shown without them")
	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "own", File: own(`  strategy "gone" {}`)}})
	must.EqOp(t, 0.5, confidence(f.Graph()))
	must.False(t, critical(f.Graph())["apart"])
}
