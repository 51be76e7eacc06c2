package graph_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// reachable walks an application from its starts over the edges that count.
func reachable(d drawn, starts []string, ahead bool, keep func(api.Edge) bool) map[string]bool {
	seen := map[string]bool{}
	for queue := starts; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, e := range d.edges {
			from, to := e.From, e.To
			if !ahead {
				from, to = to, from
			}
			if from == at && keep(e) {
				queue = append(queue, to)
			}
		}
	}
	return seen
}

func certainly(e api.Edge) bool { return e.State.Certain() }

// withGateways lets some of a random application's edges run through gateways.
func withGateways(t *rapid.T) drawn {
	d := draw(t)
	for i := range d.edges {
		if rapid.IntRange(0, 3).Draw(t, "gated") == 0 {
			d.edges[i].Via = []string{rapid.SampledFrom([]string{"gate-a", "gate-b"}).Draw(t, "gate")}
		}
	}
	for _, gate := range []string{"gate-a", "gate-b"} {
		d.services = append(d.services, api.Service{Name: gate, Kind: api.KindGateway, Instances: 2, Nodes: []string{gate + "-node", "0"}})
	}
	return d
}

// TestAnalyse_FindsGatewaysAsBruteForceDoes takes each gateway away and looks who is cut
// off, and who depends on an edge through it.
func TestAnalyse_FindsGatewaysAsBruteForceDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := withGateways(t)
		a := graph.Analyse(d.services, d.edges)
		entries := slices.DeleteFunc(a.Entries(), func(n string) bool { return n == "gate-a" || n == "gate-b" })
		for _, gate := range []string{"gate-a", "gate-b"} {
			through := func(e api.Edge) bool { return slices.Contains(e.Via, gate) }
			before := reachable(d, entries, true, certainly)
			after := reachable(d, entries, true, func(e api.Edge) bool { return certainly(e) && !through(e) })
			var dominated, callers []string
			for _, s := range d.services {
				if before[s.Name] && !after[s.Name] {
					dominated = append(dominated, s.Name)
				}
			}
			for _, e := range d.edges {
				if certainly(e) && through(e) {
					callers = append(callers, e.From)
				}
			}
			radius := reachable(d, callers, false, certainly)
			c, _ := a.Service(gate)
			slices.Sort(dominated)
			must.Eq(t, "", cmp.Diff(dominated, c.Dominates))
			must.Eq(t, len(radius), c.BlastRadius)
			must.Eq(t, len(dominated) > 0, c.SinglePoint)
		}
	})
}

// TestUpdate_WithGatewaysIsAnalyse changes one edge at a time and compares with
// an analysis from nothing.
func TestUpdate_WithGatewaysIsAnalyse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := withGateways(t)
		a := graph.Analyse(d.services, d.edges)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			if len(d.edges) == 0 {
				return
			}
			e := d.edges[rapid.IntRange(0, len(d.edges)-1).Draw(t, "which")]
			var change api.GraphChange
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				change.RemoveEdges = [][2]string{{e.From, e.To}}
			case 1:
				e.State = rapid.SampledFrom([]api.EdgeState{api.EdgeConfirmed, api.EdgeDenied, api.EdgeDeclaredOnly}).Draw(t, "state")
				change.Edges = []api.Edge{e}
			default:
				e.Via = rapid.SampledFrom([][]string{nil, {"gate-a"}}).Draw(t, "via")
				change.Edges = []api.Edge{e}
			}
			d.apply(change)
			a.Update(change)
			fresh := graph.Analyse(d.services, d.edges)
			must.Eq(t, "", cmp.Diff(fresh.Criticality(), a.Criticality()))
			must.Eq(t, fresh.Entries(), a.Entries())
		}
	})
}

// TestWithout_AgreesWithBruteForce takes a node away and looks who is left.
func TestWithout_AgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := withGateways(t)
		a := graph.Analyse(d.services, d.edges)
		place := d.services[0].Nodes[0]
		got, ok := a.Without(place)
		must.True(t, ok)
		down := map[string]bool{}
		weakened := 0
		for _, s := range d.services {
			if slices.Equal(s.Nodes, []string{place}) {
				down[s.Name] = true
			} else if slices.Contains(s.Nodes, place) {
				weakened++
			}
		}
		lost := func(e api.Edge) bool {
			return down[e.To] || down[e.From] || slices.ContainsFunc(e.Via, func(g string) bool { return down[g] })
		}
		var starts []string
		for name := range down {
			starts = append(starts, name)
		}
		for _, e := range d.edges {
			if certainly(e) && slices.ContainsFunc(e.Via, func(g string) bool { return down[g] }) {
				starts = append(starts, e.From)
			}
		}
		hurt := reachable(d, starts, false, certainly)
		want := []string{}
		for _, s := range d.services {
			if hurt[s.Name] && !down[s.Name] {
				want = append(want, s.Name)
			}
		}
		slices.Sort(want)
		must.Eq(t, "", cmp.Diff(want, got.Certain))
		must.Eq(t, len(down), len(got.Down))
		must.Eq(t, weakened, len(got.Weakened))

		before := reachable(d, a.Entries(), true, certainly)
		var left []string
		for _, e := range a.Entries() {
			if !down[e] {
				left = append(left, e)
			}
		}
		after := reachable(d, left, true, func(e api.Edge) bool { return certainly(e) && !lost(e) })
		cutOff := []string{}
		for _, s := range d.services {
			if before[s.Name] && !after[s.Name] && !down[s.Name] {
				cutOff = append(cutOff, s.Name)
			}
		}
		slices.Sort(cutOff)
		must.Eq(t, "", cmp.Diff(cutOff, got.CutOff))
	})
}

func TestWithout_TakesRacksAndVolumes(t *testing.T) {
	t.Parallel()
	services := []api.Service{
		{Name: "db", Instances: 2, Nodes: []string{"n1", "n2"}, Racks: []string{"r1"}, Volumes: []string{"csi/data"}},
		{Name: "web", Instances: 2, Nodes: []string{"n1", "n3"}, Racks: []string{"r1", "r2"}},
	}
	a := graph.Analyse(services, []api.Edge{edge("web", "db", api.EdgeConfirmed)})
	for place, want := range map[string]api.GraphWithout{
		"rack/r1":  {Place: "rack/r1", Down: []string{"db"}, Weakened: []api.LostInstance{{Service: "web", Left: 1}}, Certain: []string{"web"}, Possible: []string{}, CutOff: []string{}},
		"csi/data": {Place: "csi/data", Down: []string{"db"}, Weakened: []api.LostInstance{}, Certain: []string{"web"}, Possible: []string{}, CutOff: []string{}},
	} {
		got, ok := a.Without(place)
		must.True(t, ok)
		must.Eq(t, "", cmp.Diff(want, got))
	}
	_, ok := a.Without("n9")
	must.False(t, ok)
	must.Eq(t, []string{"csi/data", "n1", "n2", "n3", "rack/r1", "rack/r2"}, graph.Places(services))
	db, _ := a.Service("db")
	must.Eq(t, "single_rack", db.Parts[len(db.Parts)-1].Name)
}

func TestView_FillsRedundancyAndAge(t *testing.T) {
	t.Parallel()
	g := api.Graph{Services: []api.Service{{Name: "db", Instances: 3, Healthy: 3, Nodes: []string{"n1", "n2"}, Racks: []string{"r1"}}},
		Edges: []api.Edge{{From: "web", To: "db", State: api.EdgeConfirmed, Evidence: []api.Evidence{
			{Class: api.EvidenceObserved, Endpoints: 3, Healthy: 2, LastSeen: noon.Add(-7 * day)}}}}}
	seen, _ := graph.View(g)
	must.Eq(t, &api.Redundancy{Instances: 3, Healthy: 2, Nodes: 2, Racks: 1}, seen.Edges[0].Redundancy)
	must.Nil(t, g.Edges[0].Redundancy, must.Sprint("the stored graph is not changed"))
	must.Eq(t, 0.5, graph.Age(seen.Edges, noon, 7*day)[0].Confidence)
	must.Eq(t, 1, graph.Age(seen.Edges, noon.Add(-7*day), 7*day)[0].Confidence)
}

// TestReview_IsView goes from one random graph to another and compares with a
// view from nothing.
func TestReview_IsView(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := api.Graph{}
		_, a := graph.View(now)
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			d := withGateways(t)
			next := api.Graph{Services: d.services, Edges: d.edges}
			if rapid.Bool().Draw(t, "small") && len(now.Edges) > 0 {
				next = api.Graph{Services: now.Services, Edges: slices.Clone(now.Edges)}
				next.Edges[0].State = api.EdgeDeclaredOnly
			}
			want, _ := graph.View(next)
			must.Eq(t, "", cmp.Diff(want, a.Review(now, next)))
			now = next
		}
	})
}

func TestDiff_AgreesWithCompose(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first, second, third := draw(t), draw(t), draw(t)
		as := func(d drawn) api.Graph { return api.Graph{Services: d.services, Edges: d.edges} }
		whole := graph.Diff(as(first), as(third), 0)
		steps := graph.Compose([]api.GraphDelta{graph.Diff(as(first), as(second), 0), graph.Diff(as(second), as(third), 0)})
		must.Eq(t, "", cmp.Diff(whole, steps))
		must.True(t, graph.Diff(as(first), as(first), 0).Empty())
		short := graph.Diff(as(first), as(third), 1)
		must.Eq(t, len(whole.Edges) > 1 || len(whole.Added) > 1 || len(whole.Removed) > 1, short.Truncated)
	})
}

func TestFindings_SayWhatToDo(t *testing.T) {
	t.Parallel()
	exact := api.Evidence{Source: "consul-intentions", Class: api.EvidenceAllowed, Exact: true, FirstSeen: noon, Detail: "intention"}
	g, _ := graph.View(api.Graph{
		Services: []api.Service{{Name: "db", Instances: 1}},
		Edges: []api.Edge{
			{From: "a", To: "db", State: api.EdgeObservedUndeclared, Evidence: []api.Evidence{{Class: api.EvidenceAllowed, Detail: graph.DefaultDetail}}},
			{From: "b", To: "x", State: api.EdgeDeclaredStale, Evidence: []api.Evidence{exact}},
			{From: "c", To: "x", State: api.EdgeDeniedAttempted},
			{From: "d", To: "x", State: api.EdgeConfirmed},
		},
		Sources: []api.SourceStatus{
			{Name: "prometheus", Error: "refused", LastOK: noon, Failures: 5, Failing: noon}, {Name: "catalog", OK: true, Failures: 1, Failing: noon, Error: "timeout", LastOK: noon},
			{Name: "consul", OK: true, Partial: "some are hidden"}, {Name: "nomad", OK: true},
		},
	})
	found := map[api.FindingKind]api.Finding{}
	sources := map[string]string{}
	for _, f := range graph.Findings(g) {
		found[f.Kind] = f
		if f.Kind == api.FindingSource {
			sources[f.To] = f.Text
		}
	}
	at := noon.UTC().Format(time.RFC3339)
	must.Eq(t, map[string]string{
		"consul":     "some are hidden",
		"catalog":    "catalog is failing since " + at + ", 1 try failed: timeout; its last answer was at " + at,
		"prometheus": "prometheus is away since " + at + ", 5 tries failed: refused; its last answer was at " + at,
	}, sources)
	must.Eq(t, "add the intention a => db (allow)", found[api.FindingUndeclared].Do)
	must.Eq(t, "traffic flows that nobody declared: the default says allowed", found[api.FindingUndeclared].Text)
	must.StrHasPrefix(t, "remove the intention b => x, or", found[api.FindingStale].Do)
	must.StrContains(t, found[api.FindingDeniedAttempt].Do, "rolling back")
	must.StrContains(t, found[api.FindingSinglePoint].Do, "second instance", must.Sprint("db is the last of them by name"))
	must.Eq(t, 9, len(graph.Findings(g)), must.Sprint("three edges, three single points, three sources, and no word about what is in order"))
}
