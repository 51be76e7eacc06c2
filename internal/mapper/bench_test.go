package mapper

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// BenchmarkMapperRound folds the answers of all sources of 20,000 services and
// 200,000 edges: first is the first round of a term, quiet one in which nothing
// changed, and moved one in which an edge in a hundred did.
func BenchmarkMapperRound(b *testing.B) {
	w := bare()
	w.permissions = graph.Permissions{Default: api.EvidenceDenied}
	w.upstreams = map[graph.Pair]int{}
	name := func(i int) string { return fmt.Sprintf("svc-%05d", i) }
	for i := range 20_000 {
		w.services = append(w.services, api.Service{Name: name(i), Instances: 50, Healthy: 50, Nodes: []string{fmt.Sprint(i % 5_000)}})
		for k := 1; k <= 10; k++ {
			from, to := name(i), name((i*k+7*k+i)%20_000)
			w.upstreams[graph.Pair{From: from, To: to}] = 1
			w.permissions.Rules = append(w.permissions.Rules, graph.Rule{From: from, To: to, Allow: true, Precedence: 9, Detail: "intention"})
			w.flows = append(w.flows, flow(from, to, 1000))
		}
	}
	round := func(b *testing.B, m *Mapper) {
		b.Helper()
		must.NoError(b, m.round(b.Context()))
	}
	fresh := func(b *testing.B) *Mapper {
		b.Helper()
		w.state, w.changes = newRecorded(api.Graph{}), nil
		m, err := New(Options{Recorder: w, State: w, Sources: []Source{Intentions(w), Upstreams(w), Observed(SourceTraffic, w)}})
		must.NoError(b, err)
		m.recorded = newRecorded(api.Graph{})
		return m
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			round(b, fresh(b))
		}
	})
	m := fresh(b)
	round(b, m)
	round(b, m) // the first fold of the same answers looks whether they still change anything
	b.Run("quiet", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			round(b, m)
		}
	})
	b.Run("moved", func(b *testing.B) {
		b.ReportAllocs()
		for step := 0; b.Loop(); step++ {
			for i := step % 100; i < len(w.flows); i += 100 {
				w.flows[i].From = name((i + step) % 20_000)
			}
			round(b, m)
		}
	})
}
