package mapper

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// world is a model of everything that the mapper talks to.
type world struct {
	permissions graph.Permissions
	upstreams   map[graph.Pair]int
	mesh        graph.Mesh
	services    []api.Service
	flows       []graph.Flow
	silent      bool
	targets     []api.Target
	instances   []graph.Instance
	volumes     map[api.TargetRef][]string
	directory   graph.Directory
	written     atomic.Pointer[[]Dependency] // changed while the mapper runs

	meshErr, trafficErr, clusterErr, recordErr error
	partial                                    string

	state   *recorded
	changes []api.GraphChange
}

func (w *world) Intentions(context.Context) (graph.Permissions, string, error) {
	return w.permissions, w.partial, w.meshErr
}
func (w *world) Mesh(context.Context) (graph.Mesh, string, error) {
	m := w.mesh
	m.Services, m.Declared = w.services, make(map[graph.Pair][]string)
	for pair := range w.upstreams {
		m.Declared[pair] = []string{"upstream of its proxies"}
	}
	return m, w.partial, w.meshErr
}
func (w *world) Flows(context.Context) ([]graph.Flow, string, bool, error) {
	return w.flows, "", w.silent, w.trafficErr
}
func (w *world) Layout(context.Context) (graph.Layout, error) {
	return graph.Layout{Targets: w.targets, Instances: w.instances, Volumes: w.volumes}, w.clusterErr
}
func (w *world) Directory(context.Context) (graph.Directory, error) {
	return w.directory, w.clusterErr
}
func (w *world) Graph() api.Graph { return w.state.graph() }
func (w *world) RecordGraph(_ context.Context, c api.GraphChange) error {
	if w.recordErr != nil {
		return w.recordErr
	}
	w.changes = append(w.changes, c)
	w.state.apply(c)
	return nil
}

func shopWorld() *world {
	ref := func(job string) api.TargetRef { return api.TargetRef{Namespace: "default", Job: job, Group: job} }
	w := &world{
		state: newRecorded(api.Graph{}),
		permissions: graph.Permissions{Default: api.EvidenceDenied, Rules: []graph.Rule{
			{From: "front", To: "cart", Allow: true, Precedence: 9, Detail: "intention front => cart allow"},
			{From: "cart", To: "store", Allow: true, Precedence: 9, Detail: "intention cart => store allow"},
			{From: "old", To: "store", Allow: false, Precedence: 9, Detail: "intention old => store deny"},
			{From: graph.Wildcard, To: "store", Allow: true, Precedence: 8, Detail: "intention * => store allow"},
		}},
		upstreams: map[graph.Pair]int{{From: "front", To: "cart"}: 2, {From: "cart", To: "store"}: 2},
		services: []api.Service{{Name: "cart", Instances: 2, Healthy: 1, Nodes: []string{"agent"}}, {Name: "consul", Instances: 1},
			{Name: "front", Instances: 1, Healthy: 1, Nodes: []string{"agent"}}, {Name: "nomad", Instances: 3}},
		flows: []graph.Flow{flow("front", "cart", 1000), flow("batch", "store", 500), flow("cart", "store", 0)},
		targets: []api.Target{{TargetRef: ref("cart"), Count: 2, Services: []string{"cart", "cart-sidecar-proxy"}},
			{TargetRef: ref("front"), Count: 1, Services: []string{"front"}}},
		instances: []graph.Instance{
			{ID: "1", Target: ref("cart"), Node: "n1", Healthy: true}, {ID: "2", Target: ref("cart"), Node: "n2", Healthy: true},
			{ID: "3", Target: ref("front"), Node: "n1", Healthy: true},
		},
	}
	w.written.Store(&[]Dependency{{Name: "monthly", From: "report", To: "store"}})
	return w
}

func flow(from, to string, bytes float64) graph.Flow {
	return graph.Flow{From: from, To: to, Evidence: api.Evidence{Class: api.EvidenceObserved, Exact: true, Detail: "proxy", BytesPerSecond: bytes}}
}

func (w *world) dependencies() ([]Dependency, error) { return *w.written.Load(), nil }

func (w *world) mapper(t *testing.T) *Mapper {
	t.Helper()
	m, err := New(Options{Recorder: w, State: w, Sources: []Source{
		Intentions(w), Upstreams(w), Observed(SourceTraffic, w), Placement(w), Declared(w.dependencies)}})
	must.NoError(t, err)
	m.recorded = newRecorded(w.Graph())
	return m
}

// round makes one round and returns how many changes it recorded.
func (w *world) round(t *testing.T, m *Mapper) int {
	t.Helper()
	before := len(w.changes)
	must.NoError(t, m.round(t.Context()))
	must.Eq(t, "", cmp.Diff(w.state.graph(), m.recorded.graph()), must.Sprint("the mapper's picture is what it recorded"))
	return len(w.changes) - before
}

func (w *world) edgeState(from, to string) api.EdgeState {
	return w.state.edges[graph.Pair{From: from, To: to}].State
}

func TestMapper_FoldsAllSources(t *testing.T) {
	t.Parallel()
	w := shopWorld()
	m := w.mapper(t)
	must.Eq(t, 1, w.round(t, m))
	must.Eq(t, api.EdgeConfirmed, w.edgeState("front", "cart"))
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("cart", "store"))
	must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("batch", "store"))
	must.Eq(t, api.EdgeDenied, w.edgeState("old", "store"))
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("report", "store"))
	must.Eq(t, 5, len(w.state.edges), must.Sprint("nothing is invented"))

	g := w.state.graph()
	must.Eq(t, api.Service{Name: "cart", Targets: []api.TargetRef{w.targets[0].TargetRef}, Instances: 2, Healthy: 1, Nodes: []string{"n1", "n2"}}, w.state.services["cart"])
	var names []string
	for _, s := range g.Services {
		names = append(names, s.Name)
	}
	must.Eq(t, []string{"batch", "cart", "front", "old", "report", "store"}, names)
	must.Eq(t, 2, len(g.Targets))
	must.Eq(t, 5, len(g.Sources))
	for _, s := range g.Sources {
		must.True(t, s.OK)
	}
	must.Eq(t, 0, w.round(t, m), must.Sprint("the same facts make no change"))
}

func TestMapper_AddsSharedNodesToTheEdge(t *testing.T) {
	t.Parallel()
	w := shopWorld()
	w.round(t, w.mapper(t))
	// cart and front both lean on n1; the pair has an edge the other way round.
	_, alone := w.state.edges[graph.Pair{From: "cart", To: "front"}]
	must.False(t, alone)
	edge := w.state.edges[graph.Pair{From: "front", To: "cart"}]
	must.Eq(t, api.EvidenceShared, edge.Evidence[2].Class)
}

func TestMapper_RecordsRatesAndLastSight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := shopWorld()
		m := w.mapper(t)
		w.round(t, m)
		first := time.Now().UTC()

		time.Sleep(5 * time.Second)
		w.flows[0].Evidence.BytesPerSecond = 1900
		must.Eq(t, 0, w.round(t, m), must.Sprint("a rate that moves by less than half"))
		w.flows[0].Evidence.BytesPerSecond = 2100
		must.Eq(t, 1, w.round(t, m), must.Sprint("a rate that doubles"))

		time.Sleep(61 * time.Second)
		must.Eq(t, 1, w.round(t, m), must.Sprint("an old last sight"))
		e := w.state.edges[graph.Pair{From: "front", To: "cart"}].Evidence
		seen := e[len(e)-1]
		must.Eq(t, first, seen.FirstSeen)
		must.Eq(t, time.Now().UTC(), seen.LastSeen)
		last := seen.LastSeen

		// Silence keeps the edge certain for 90 days, and then no longer.
		w.flows[0].Evidence.BytesPerSecond = 0
		w.round(t, m)
		time.Sleep(89 * 24 * time.Hour)
		w.round(t, m)
		must.Eq(t, api.EdgeConfirmed, w.edgeState("front", "cart"))
		e = w.state.edges[graph.Pair{From: "front", To: "cart"}].Evidence
		must.Eq(t, last, e[len(e)-1].LastSeen)
		must.Eq(t, 0, e[len(e)-1].BytesPerSecond)
		time.Sleep(48 * time.Hour)
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredStale, w.edgeState("front", "cart"))
	})
}

func TestMapper_KeepsTheEvidenceOfASourceThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := shopWorld()
		m := w.mapper(t)
		w.round(t, m)
		before := w.state.graph()

		time.Sleep(time.Minute / 2)
		away := time.Now().UTC()
		w.trafficErr, w.meshErr, w.clusterErr = errors.New("dial: refused"), errors.New("no leader"), errors.New("away")
		must.Eq(t, 1, w.round(t, m))
		time.Sleep(5 * time.Second)
		must.Eq(t, 0, w.round(t, m), must.Sprint("a longer absence is no news"))
		time.Sleep(48 * time.Hour)
		w.round(t, m)
		news := w.changes[len(w.changes)-1]
		must.Eq(t, len(news.Sources), total(news), must.Sprint("but for how often it failed"))
		must.Eq(t, "", cmp.Diff(before.Edges, w.state.graph().Edges))
		must.Eq(t, "", cmp.Diff(before.Services, w.state.graph().Services))
		must.Eq(t, "", cmp.Diff(before.Targets, w.state.graph().Targets))
		s := w.state.sources[SourceTraffic]
		must.False(t, s.OK)
		must.Eq(t, away, s.Since)
		must.Eq(t, 3, s.Failures)
		must.StrContains(t, s.Error, "refused")

		// A new leader that has never heard from them starts from the record.
		next := w.mapper(t)
		must.Eq(t, 0, w.round(t, next))
		must.Eq(t, "", cmp.Diff(before.Edges, w.state.graph().Edges))
		must.Eq(t, "", cmp.Diff(before.Targets, w.state.graph().Targets))

		w.trafficErr, w.meshErr, w.clusterErr = nil, nil, nil
		w.round(t, next)
		must.True(t, w.state.sources[SourceTraffic].OK)
		must.Eq(t, time.Now().UTC(), w.state.sources[SourceTraffic].Since)
	})
}

func TestMapper_RemovesWhatIsGone(t *testing.T) {
	t.Parallel()
	w := shopWorld()
	m := w.mapper(t)
	w.round(t, m)
	w.written.Store(&[]Dependency{})
	w.targets = w.targets[:1]
	w.permissions.Rules = w.permissions.Rules[:1]
	w.partial = "consul hides some services from this token"
	w.round(t, m)
	must.Eq(t, "", w.edgeState("report", "store"))
	must.Eq(t, "", w.edgeState("old", "store"))
	must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("batch", "store"), must.Sprint("a rule that is hidden may allow what the default forbids"))
	must.Eq(t, 1, len(w.state.targets))
	must.Eq(t, w.partial, w.state.sources[SourceUpstreams].Partial)
	_, ok := w.state.services["old"]
	must.False(t, ok)
}

func TestMapper_ForgetsASourceThatIsNotConfiguredAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := shopWorld()
		w.round(t, w.mapper(t))
		m, err := New(Options{Recorder: w, State: w, Sources: []Source{Intentions(w), Upstreams(w), Placement(w)}})
		must.NoError(t, err)
		m.recorded = newRecorded(w.Graph())
		must.Eq(t, 1, w.round(t, m))
		must.False(t, w.state.sources[SourceTraffic].OK)
		must.StrContains(t, w.state.sources[SourceTraffic].Error, "not configured")
		must.Eq(t, api.EdgeConfirmed, w.edgeState("front", "cart"), must.Sprint("what was seen was seen"))
		must.Eq(t, "", w.edgeState("report", "store"), must.Sprint("what was written is no longer"))
		must.Eq(t, 0, w.round(t, m))

		time.Sleep(25 * time.Hour)
		w.round(t, m)
		must.MapNotContainsKey(t, w.state.sources, SourceTraffic)
		must.Eq(t, api.EdgeConfirmed, w.edgeState("front", "cart"))
		time.Sleep(90 * 24 * time.Hour)
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("front", "cart"), must.Sprint("nobody watches, so nothing is stale"))
	})
}

func TestMapper_TriesARecorderAgainThatIsAway(t *testing.T) {
	t.Parallel()
	w := shopWorld()
	m := w.mapper(t)
	w.recordErr = errors.New("no leader")
	must.ErrorContains(t, m.round(t.Context()), "no leader")
	w.recordErr = nil
	must.Eq(t, 1, w.round(t, m))
	must.Eq(t, api.EdgeConfirmed, w.edgeState("front", "cart"))
}

func TestRun_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := shopWorld()
		m := w.mapper(t)
		lost := errors.New("leadership lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(12 * time.Second)
			w.written.Store(&[]Dependency{})
			time.Sleep(5 * time.Second)
			cancel(lost)
		}()
		must.ErrorIs(t, m.Run(ctx), lost)
		must.Eq(t, 2, len(w.changes))
	})
}

func TestWatch_WakesTheMapper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := shopWorld()
		ctx, cancel := context.WithCancel(t.Context())
		ended := false
		m, err := New(Options{Recorder: w, State: w, Sources: []Source{Declared(w.dependencies)},
			Watches: []Watch{func(ctx context.Context, wake func()) {
				time.Sleep(time.Second)
				w.written.Store(&[]Dependency{})
				wake()
				time.Sleep(time.Second)
				cancel()
				ended = true
			}}})
		must.NoError(t, err)
		must.ErrorIs(t, m.Run(ctx), context.Canceled)
		must.True(t, ended, must.Sprint("Run waits for its watches"))
		must.Eq(t, 2, len(w.changes))
		must.Eq(t, time.Second, w.changes[1].At.Sub(w.changes[0].At))
	})
}

func TestSplit_BoundsAndKeepsEverything(t *testing.T) {
	t.Parallel()
	c := api.GraphChange{Edges: make([]api.Edge, 2*chunk+1), Services: make([]api.Service, 3), RemoveEdges: make([][2]string, 5)}
	pieces := split(c)
	sum := 0
	for _, p := range pieces {
		must.LessEq(t, chunk, total(p))
		sum += total(p)
	}
	must.Eq(t, total(c), sum)
	must.Eq(t, 3, len(pieces[0].Services))
	must.Eq(t, 0, len(split(api.GraphChange{})))
}
