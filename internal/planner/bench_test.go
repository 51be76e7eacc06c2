package planner_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// fleet makes services in ten tiers, each calling ten others on average: those
// below it, with a heavy tail that makes some of them hubs, and now and then
// one calls back, which makes a circle. One edge in ten was never seen in traffic.
func fleet(services, edges, instances int) ([]api.Target, api.Graph) {
	const tiers = 10
	random := rand.New(rand.NewPCG(1, 2)) // a benchmark wants the same fleet every time
	graph := api.Graph{}
	var targets []api.Target
	name := func(i int) string { return fmt.Sprintf("service-%05d", i) }
	per := services / tiers
	for i := range services {
		critical := i >= per*(tiers-4) // the lower tiers
		radius := 0
		if critical {
			radius = 2 + i
		}
		graph.Services = append(graph.Services, api.Service{Name: name(i), Instances: instances / services})
		graph.Criticality = append(graph.Criticality, api.Criticality{Service: name(i), BlastRadius: radius, Score: float64(i) / float64(services)})
		one := target(name(i))
		one.Count = instances / services
		targets = append(targets, one)
	}
	seen := map[[2]int]bool{}
	for len(seen) < edges {
		tier := random.IntN(tiers - 1)
		from := tier*per + random.IntN(per)
		below := (tier+1)*per + int(float64(services-(tier+1)*per)*random.Float64()*random.Float64())
		if below < (tier+2)*per && random.IntN(500) == 0 { // both call each other
			if back := [2]int{below, from}; !seen[back] {
				seen[back] = true
				graph.Edges = append(graph.Edges, api.Edge{From: name(below), To: name(from), State: api.EdgeConfirmed})
			}
		}
		if key := [2]int{from, below}; !seen[key] && from != below {
			seen[key] = true
			state := api.EdgeConfirmed
			if random.IntN(10) == 0 {
				state = api.EdgeDeclaredOnly
			}
			graph.Edges = append(graph.Edges, api.Edge{From: name(from), To: name(below), State: state})
		}
	}
	slices.SortFunc(graph.Edges, func(a, b api.Edge) int { return cmpString(a.From+" "+a.To, b.From+" "+b.To) })
	return targets, graph
}

// BenchmarkPlan plans a patch for every target of a large fleet, with a budget
// of five percent of the targets: 20,000 targets with five instances each, and
// 100,000 with ten. The metric x_bound is the number of waves divided by a lower
// bound.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name                       string
		services, edges, instances int
	}{{"100k", 20_000, 200_000, 100_000}, {"1M", 100_000, 1_000_000, 1_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			targets, graph := fleet(c.services, c.edges, c.instances)
			in := planner.Input{
				Patch: patch(b, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Now: now(),
				Library: library(b, fmt.Sprintf("policy \"limits\" {\n  budget { targets = %d }\n}", c.services/20)),
			}
			b.ReportAllocs()
			var plan api.Plan
			digests := map[string]bool{}
			for b.Loop() {
				var err error
				plan, err = planner.Plan(in)
				must.NoError(b, err)
				digests[plan.Digest] = true
			}
			must.MapLen(b, 1, digests)
			must.SliceEmpty(b, plan.Refusals)
			b.ReportMetric(float64(len(plan.Waves))/float64(planner.Bound(graph, plan)), "x_bound")
			b.ReportMetric(float64(len(plan.Waves)), "waves")
		})
	}
}
