package mapper

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// manyWorld has one edge more than a graph whose rates are recorded.
func manyWorld() *world {
	w := bare()
	w.permissions = graph.Permissions{Default: api.EvidenceDenied}
	for i := range manyEdges + 1 {
		w.flows = append(w.flows, flow(fmt.Sprintf("a%d", i%100), fmt.Sprintf("b%d", i), 1000))
	}
	return w
}

func TestMapper_FoldsNoRoundThatSaysNothingNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := manyWorld()
		m := w.bearing(t, func(*Options) {})
		round := func() time.Time {
			time.Sleep(5 * time.Second)
			w.round(t, m)
			return m.rest.folded
		}
		round()
		must.True(t, m.rest.folded.IsZero(), must.Sprint("it changed something"))
		first := round()
		must.False(t, first.IsZero())
		w.flows[0].Evidence.BytesPerSecond *= 10
		must.Eq(t, first, round(), must.Sprint("a rate that moves is nothing new"))
		time.Sleep(quietFor)
		must.NotEq(t, first, round(), must.Sprint("what only time changes is looked for once a minute"))
	})
}

func TestMapper_FoldsWhatIsNewAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := manyWorld()
		m := w.bearing(t, func(*Options) {})
		for range 3 {
			w.round(t, m)
		}
		w.flows = append(w.flows, flow("new", "b1", 1000))
		w.recordErr = errors.New("no leader")
		must.Error(t, m.round(t.Context()))
		must.Eq(t, "", w.edgeState("new", "b1"))
		w.recordErr = nil
		w.round(t, m)
		must.Eq(t, api.EdgeObservedDenied, w.edgeState("new", "b1"), must.Sprint("what could not be recorded is found again"))
		w.round(t, m)
		w.permissions.Rules = []graph.Rule{allow("new", "b1")}
		w.round(t, m)
		must.Eq(t, api.EdgeConfirmed, w.edgeState("new", "b1"))
	})
}

// TestImprint_TellsAnswersApart changes one thing after another.
func TestImprint_TellsAnswersApart(t *testing.T) {
	t.Parallel()
	answers := func(change func(r *result, f *Facts)) []result {
		r := result{name: "s", fresh: true, known: true}
		f := Facts{
			Evidence:    map[graph.Pair][]api.Evidence{{From: "a", To: "b"}: {{Class: api.EvidenceDeclared, Detail: "upstream"}}},
			Flows:       []graph.Flow{flow("a", "b", 1000), flow("b", "c", 1000)},
			Permissions: &graph.Permissions{Default: api.EvidenceDenied, Rules: []graph.Rule{allow("a", "b")}},
			Services:    []api.Service{{Name: "a", Nodes: []string{"n1"}}},
			Targets:     []api.Target{{TargetRef: api.TargetRef{Job: "a"}}},
			Addresses:   map[string]string{"x": "y"}, Behind: map[string]string{}, Passing: []string{"g"},
		}
		change(&r, &f)
		r.facts = f
		return []result{r}
	}
	q, s := newQuiescence(), settings{minBytes: DefaultMinBytes}
	same := q.imprintOf(answers(func(*result, *Facts) {}), s)
	for name, change := range map[string]func(r *result, f *Facts){
		"a rate":          func(_ *result, f *Facts) { f.Flows[0].Evidence.BytesPerSecond = 5000 },
		"another order":   func(_ *result, f *Facts) { f.Flows[0], f.Flows[1] = f.Flows[1], f.Flows[0] },
		"an error's text": func(r *result, _ *Facts) { r.err = errors.New("503") },
	} {
		must.Eq(t, same, q.imprintOf(answers(change), s), must.Sprint(name))
	}
	for name, change := range map[string]func(r *result, f *Facts){
		"a flow that ends":    func(_ *result, f *Facts) { f.Flows[0].Evidence.BytesPerSecond = 0 },
		"a flow that is gone": func(_ *result, f *Facts) { f.Flows = f.Flows[1:] },
		"another end":         func(_ *result, f *Facts) { f.Flows[0].To = "d" },
		"off the mesh":        func(_ *result, f *Facts) { f.Flows[0].Evidence.OffMesh = true },
		"a declaration":       func(_ *result, f *Facts) { f.Evidence[graph.Pair{From: "a", To: "c"}] = []api.Evidence{{}} },
		"a detail":            func(_ *result, f *Facts) { f.Evidence[graph.Pair{From: "a", To: "b"}][0].Detail = "route" },
		"a rule":              func(_ *result, f *Facts) { f.Permissions.Rules[0].Allow = false },
		"the default":         func(_ *result, f *Facts) { f.Permissions.Default = api.EvidenceAllowed },
		"a node":              func(_ *result, f *Facts) { f.Services[0].Nodes[0] = "n2" },
		"a target":            func(_ *result, f *Facts) { f.Targets[0].Group = "g" },
		"an address":          func(_ *result, f *Facts) { f.Addresses["x"] = "z" },
		"behind, not address": func(_ *result, f *Facts) { f.Addresses, f.Behind = f.Behind, f.Addresses },
		"transparent":         func(_ *result, f *Facts) { f.Passing, f.Transparent = nil, f.Passing },
		"partial":             func(_ *result, f *Facts) { f.Partial = "hidden" },
		"silent":              func(_ *result, f *Facts) { f.Silent = true },
		"an old answer":       func(r *result, _ *Facts) { r.fresh = false },
		"another source":      func(r *result, _ *Facts) { r.name = "t" },
	} {
		must.NotEq(t, same, q.imprintOf(answers(change), s), must.Sprint(name))
	}
}

// TestImprint_RemembersNumberedAnswers gives the same answer with and without a number.
func TestImprint_RemembersNumberedAnswers(t *testing.T) {
	t.Parallel()
	q, s := newQuiescence(), settings{minBytes: DefaultMinBytes}
	imprint := func(name string, revision uint64, partial string) uint64 {
		return q.imprintOf([]result{{name: "s", facts: Facts{Services: []api.Service{{Name: name}}, Revision: revision, Partial: partial}}}, s)
	}
	one := imprint("a", 0, "")
	must.Eq(t, one, imprint("a", 1, ""))
	must.NotEq(t, one, imprint("a", 1, "hidden"), must.Sprint("what is missing is told beside the number"))
	must.NotEq(t, one, imprint("b", 2, ""))
	must.Eq(t, one, imprint("a", 3, ""))
	must.NotEq(t, one, imprint("b", 0, ""), must.Sprint("without a number nothing is remembered"))
	must.Eq(t, one, imprint("a", 0, ""))
}
