package planner_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
)

// TestPlan_KeepsItsProperties checks, for random fleets, what every plan has to keep.
func TestPlan_KeepsItsProperties(t *testing.T) {
	t.Parallel()
	p := patch(t, `target { jobs = ["*"] }`)
	libraries := map[string]*policies.Library{}
	for _, limit := range []int{0, 1, 2, 5} {
		for _, exclusive := range []bool{false, true} {
			libraries[fmt.Sprint(limit, exclusive)] = limited(t, limit, exclusive)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(t, "limit")
		exclusive := rapid.Bool().Draw(t, "exclusive")
		targets, graph := drawFleet(t)
		in := planner.Input{Patch: p, Targets: targets, Graph: graph, Now: now(),
			Library: libraries[fmt.Sprint(limit, exclusive)]}
		plan, err := planner.Plan(in)
		must.NoError(t, err)
		checkPlan(t, graph, plan, limit, exclusive)
		in.Targets = rapid.Permutation(targets).Draw(t, "permutation")
		again, err := planner.Plan(in)
		must.NoError(t, err)
		must.EqOp(t, plan.Digest, again.Digest)
	})
}

// limited loads a policy with a budget in place of the shipped one.
func limited(t *testing.T, limit int, exclusive bool) *policies.Library {
	neighbours := "any"
	if exclusive {
		neighbours = "exclusive"
	}
	text := fmt.Sprintf(`policy "limits" {
  critical = graph.blast_radius >= 2
  strategy "blue_green" {}
  budget {
    neighbours = %q
    targets    = %d
  }
}`, neighbours, max(limit, 1))
	if limit == 0 {
		text = strings.Replace(text, "targets    = 1", "", 1)
	}
	files := []api.SourceFile{{Name: "limits.hcl", Text: text}}
	lib, diags := policies.Load(files, schemas)
	must.Nil(t, policies.DiagnosticsError(diags, files))
	return lib
}

func drawFleet(t *rapid.T) ([]api.Target, api.Graph) {
	n := rapid.IntRange(1, 14).Draw(t, "services")
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("s%02d", i)
	}
	states := []api.EdgeState{api.EdgeConfirmed, api.EdgeObservedUndeclared, api.EdgeDeclaredOnly, api.EdgeDenied, api.EdgeShared}
	var edges []api.Edge
	seen := map[[2]int]bool{}
	for range rapid.IntRange(0, 2*n).Draw(t, "edges") {
		from, to := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
		if seen[[2]int{from, to}] {
			continue
		}
		seen[[2]int{from, to}] = true
		edges = append(edges, api.Edge{From: names[from], To: names[to], State: rapid.SampledFrom(states).Draw(t, "state")})
	}
	var targets []api.Target
	for i, name := range names {
		if i > 0 && rapid.IntRange(0, 4).Draw(t, "planned") == 0 {
			continue // a service that nothing here provides
		}
		one := target(name)
		if rapid.IntRange(0, 5).Draw(t, "several") == 0 {
			one.Services = append(one.Services, names[(i+1)%n])
		}
		targets = append(targets, one)
	}
	return targets, graphOf(names, edges...)
}

// TestPlan_KeepsTheOrderThatIsAskedFor checks the orders by edges alone, with the walk of
// checkOrder over the edges as they are, or turned round.
func TestPlan_KeepsTheOrderThatIsAskedFor(t *testing.T) {
	t.Parallel()
	p := patch(t, `target { jobs = ["*"] }`)
	libraries := map[string]*policies.Library{}
	for _, order := range []string{api.OrderCalleesFirst, api.OrderCallersFirst} {
		files := []api.SourceFile{{Name: "order.hcl", Text: fmt.Sprintf(`policy "order" {
  critical = graph.blast_radius >= 2
  order    = %q
  strategy "blue_green" {}
}`, order)}}
		lib, diags := policies.Load(files, schemas)
		must.Nil(t, policies.DiagnosticsError(diags, files))
		libraries[order] = lib
	}
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.SampledFrom([]string{api.OrderCalleesFirst, api.OrderCallersFirst}).Draw(t, "order")
		targets, graph := drawFleet(t)
		plan, err := planner.Plan(planner.Input{Patch: p, Targets: targets, Graph: graph, Now: now(), Library: libraries[order]})
		must.NoError(t, err)
		waveOf := map[string]int{}
		for _, w := range plan.Waves {
			for _, one := range w.Targets {
				waveOf[one.Target.Job] = w.Number
			}
		}
		must.MapLen(t, len(targets), waveOf)
		must.LessEq(t, len(plan.Waves), planner.Bound(graph, plan))
		walked := graph
		if order == api.OrderCalleesFirst {
			walked.Edges = slices.Clone(graph.Edges)
			for i, e := range walked.Edges {
				walked.Edges[i].From, walked.Edges[i].To = e.To, e.From
			}
		}
		checkOrder(t, walked, targets, waveOf)
		if len(targets) > 1 {
			must.StrHasPrefix(t, strings.Replace(order, "_", " ", 1), plan.Order)
		}
	})
}

func checkPlan(t *rapid.T, graph api.Graph, plan api.Plan, limit int, exclusive bool) {
	must.SliceEmpty(t, plan.Refusals)
	waveOf := map[string]int{} // by job
	phases := map[bool][]api.Target{}
	lastPlain, firstCritical := 0, len(plan.Waves)+1
	for i, w := range plan.Waves {
		must.EqOp(t, i+1, w.Number)
		must.SliceNotEmpty(t, w.Targets)
		if limit > 0 {
			must.LessEq(t, limit, len(w.Targets))
		}
		used := map[string]int{}
		for j, p := range w.Targets {
			_, twice := waveOf[p.Target.Job]
			must.False(t, twice)
			waveOf[p.Target.Job] = w.Number
			phases[p.Decision.Critical] = append(phases[p.Decision.Critical], p.Target)
			for _, s := range p.Target.Services {
				used[s] = j
			}
			if p.Decision.Critical {
				firstCritical = min(firstCritical, w.Number)
			} else {
				lastPlain = w.Number
			}
		}
		for _, e := range graph.Edges {
			from, fromOK := used[e.From]
			to, toOK := used[e.To]
			if exclusive && e.State.Possible() && fromOK && toOK && from != to {
				t.Fatalf("%s and %s are neighbours in wave %d", e.From, e.To, w.Number)
			}
		}
	}
	must.Less(t, firstCritical, lastPlain)
	must.LessEq(t, len(plan.Waves), planner.Bound(graph, plan))
	for _, phase := range phases {
		checkOrder(t, graph, phase, waveOf)
	}
}

// checkOrder walks from every target to all that go after it: what is not in a
// circle with it goes in a later wave.
func checkOrder(t *rapid.T, graph api.Graph, phase []api.Target, waveOf map[string]int) {
	after := map[string]map[string]bool{}
	for _, p := range phase {
		after[p.Job] = followers(graph, phase, p)
	}
	for _, a := range phase {
		for _, b := range phase {
			if after[a.Job][b.Job] && !after[b.Job][a.Job] {
				must.Less(t, waveOf[b.Job], waveOf[a.Job], must.Sprintf("%s goes before %s", a.Job, b.Job))
			}
		}
	}
}

// followers are the targets of the phase that first depends on, directly or
// through services that the phase does not touch.
func followers(graph api.Graph, phase []api.Target, first api.Target) map[string]bool {
	found := map[string]bool{}
	left := map[string]bool{} // services whose edges were followed
	queue := append([]string{}, first.Services...)
	for ; len(queue) > 0; queue = queue[1:] {
		if left[queue[0]] {
			continue
		}
		left[queue[0]] = true
		for _, e := range graph.Edges {
			if e.From != queue[0] || e.From == e.To || !e.State.Certain() {
				continue
			}
			provided := false
			for _, p := range phase {
				if slices.Contains(p.Services, e.To) {
					provided = true
					found[p.Job] = true
					queue = append(queue, p.Services...)
				}
			}
			if !provided {
				queue = append(queue, e.To)
			}
		}
	}
	return found
}
