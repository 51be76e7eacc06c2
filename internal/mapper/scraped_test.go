package mapper

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestMapper_FoldsPortsThatNobodyCalls has an exporter beside a service, and a service
// that stands alone.
func TestMapper_FoldsPortsThatNobodyCalls(t *testing.T) {
	t.Parallel()
	w := shopWorld()
	w.targets[0].Services = append(w.targets[0].Services, "cart-machine")
	w.targets = append(w.targets, api.Target{TargetRef: api.TargetRef{Namespace: "default", Job: "idle", Group: "idle"}, Count: 1,
		Services: []string{"idle", "idle-machine"}})
	w.services = append(w.services, api.Service{Name: "cart-machine", Instances: 2}, api.Service{Name: "orphan", Instances: 1})
	m := w.mapper(t)
	w.round(t, m)
	has := func(name string) bool { _, ok := w.state.services[name]; return ok }
	must.False(t, has("cart-machine"), must.Sprint("a port of a target whose service is called"))
	must.True(t, has("cart"))
	must.True(t, has("idle") && has("idle-machine"), must.Sprint("nobody calls either: which one is the service is not known"))
	must.True(t, has("orphan"), must.Sprint("of no target"))
	for pair := range w.state.edges {
		must.NotEq(t, "cart-machine", pair.From)
		must.NotEq(t, "cart-machine", pair.To)
	}
	must.Eq(t, 0, w.round(t, m), must.Sprint("it stays folded"))

	w.flows = append(w.flows, flow("front", "cart-machine", 100))
	must.Eq(t, 1, w.round(t, m))
	must.True(t, has("cart-machine"), must.Sprint("somebody calls it"))
	must.Eq(t, api.EdgeObservedDenied, w.edgeState("front", "cart-machine"))
}
