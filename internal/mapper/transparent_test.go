package mapper

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// transparentWorld is one in which web's proxy is transparent and store's is not.
func transparentWorld(byDefault api.EvidenceClass, rules ...graph.Rule) *world {
	w := bare()
	w.mesh.Transparent = []string{"web"}
	w.services = []api.Service{{Name: "web", Instances: 1}, {Name: "store", Instances: 1}, {Name: "admin", Instances: 1}}
	w.permissions = graph.Permissions{Default: byDefault, Rules: rules}
	return w
}

func allow(from, to string) graph.Rule {
	return graph.Rule{From: from, To: to, Allow: true, Precedence: graph.PrecedenceOf(from, to), Detail: "intention " + from + " => " + to + " allow"}
}

func TestMapper_TakesAnIntentionForAPossibleUpstreamOfATransparentProxy(t *testing.T) {
	t.Parallel()
	w := transparentWorld(api.EvidenceDenied, allow("web", "store"), allow("store", "admin"))
	m := w.bearing(t, func(*Options) {})
	w.round(t, m)
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("web", "store"))
	must.Eq(t, "intention web => store allow, which its transparent proxy may reach", w.evidence("web", "store", SourceIntentions).Detail)
	must.Eq(t, "intention store => admin allow", w.evidence("store", "admin", SourceIntentions).Detail)
	w.flows = []graph.Flow{flow("web", "store", 1000)}
	w.round(t, m)
	must.Eq(t, api.EdgeConfirmed, w.edgeState("web", "store"))
}

func TestMapper_InventsNoEdgesOfWildcardsOfATransparentProxy(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*world{
		"any source":       transparentWorld(api.EvidenceDenied, allow("*", "store")),
		"any destination":  transparentWorld(api.EvidenceDenied, allow("web", "*")),
		"anything":         transparentWorld(api.EvidenceDenied, allow("*", "*")),
		"a default allows": transparentWorld(api.EvidenceAllowed),
	} {
		m := w.bearing(t, func(*Options) {})
		w.round(t, m)
		must.MapEmpty(t, w.state.edges, must.Sprint(name))
		w.flows = []graph.Flow{flow("web", "store", 1000)}
		w.round(t, m)
		must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("web", "store"), must.Sprint(name))
		must.MapLen(t, 1, w.state.edges, must.Sprint(name))
	}
}
