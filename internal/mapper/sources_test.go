package mapper

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/prometheus"
)

const day = 24 * time.Hour

// bare is a world without anything in it.
func bare() *world {
	w := &world{state: newRecorded(api.Graph{})}
	w.written.Store(&[]Dependency{})
	return w
}

func (w *world) bearing(t *testing.T, change func(*Options)) *Mapper {
	t.Helper()
	opt := Options{Recorder: w, State: w, Sources: []Source{Intentions(w), Upstreams(w), Observed(SourceTraffic, w), Placement(w), Directory(w)}}
	change(&opt)
	m, err := New(opt)
	must.NoError(t, err)
	m.recorded = newRecorded(w.Graph())
	return m
}

func (w *world) evidence(from, to, source string) api.Evidence {
	for _, e := range w.state.edges[graph.Pair{From: from, To: to}].Evidence {
		if e.Source == source {
			return e
		}
	}
	return api.Evidence{}
}

// TestMapper_RemembersAMonthlyJob lets traffic flow on one day of each month for half
// a year: the edge stays certain, and its days can be counted.
func TestMapper_RemembersAMonthlyJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare()
		m := w.bearing(t, func(*Options) {})
		for month := range 6 {
			w.flows = []graph.Flow{flow("billing", "ledger", 5000)}
			w.round(t, m)
			must.Eq(t, min(month+1, 3), w.evidence("billing", "ledger", SourceTraffic).Days.Count())
			w.flows = []graph.Flow{flow("billing", "ledger", 0)}
			for range 30 {
				time.Sleep(day)
				w.round(t, m)
				must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("billing", "ledger"))
			}
		}
		time.Sleep(61 * day)
		w.round(t, m)
		must.Eq(t, "", w.edgeState("billing", "ledger"), must.Sprint("91 days without a sight"))
	})
}

func TestMapper_HasAConfigurableMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare()
		w.upstreams = map[graph.Pair]int{{From: "a", To: "b"}: 1}
		w.flows = []graph.Flow{flow("c", "d", 100)}
		m := w.bearing(t, func(o *Options) { o.KeepObserved, o.StaleAfter = 2*day, 3*day })
		w.round(t, m)
		w.flows = nil
		time.Sleep(3*day + time.Hour)
		w.round(t, m)
		must.Eq(t, "", w.edgeState("c", "d"))
		must.Eq(t, api.EdgeDeclaredStale, w.edgeState("a", "b"))
		must.NotNil(t, w.changes[len(w.changes)-1].Delta)
		must.Eq(t, []api.EdgeDelta{{From: "a", To: "b", Before: api.EdgeDeclaredOnly, After: api.EdgeDeclaredStale},
			{From: "c", To: "d", Before: api.EdgeObservedUndeclared}}, w.changes[len(w.changes)-1].Delta.Edges)
		_, err := New(Options{Recorder: w, State: w, KeepObserved: 400 * day})
		must.ErrorContains(t, err, "366 days at most")
	})
}

func TestMapper_CallsADeclaredEdgeUnknownWithoutMetrics(t *testing.T) {
	t.Parallel()
	w := bare()
	w.upstreams = map[graph.Pair]int{{From: "a", To: "b"}: 1}
	w.silent = true
	m := w.bearing(t, func(*Options) {})
	w.round(t, m)
	must.Eq(t, api.EdgeUnknown, w.edgeState("a", "b"))
	w.silent = false
	w.round(t, m)
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("a", "b"))
}

func TestMapper_TakesSilenceForNoLackWhereThereIsNoMesh(t *testing.T) {
	t.Parallel()
	silent := NewSource("prometheus-x", func(context.Context) (Facts, error) {
		return Facts{Traffic: true, Silent: true, Partial: "prometheus has no metrics of x"}, nil
	})
	w := bare()
	with := func(o *Options) { o.Sources = []Source{Upstreams(w), silent} }
	w.round(t, w.bearing(t, with))
	must.Eq(t, "", w.state.sources["prometheus-x"].Partial)
	w.upstreams = map[graph.Pair]int{{From: "a", To: "b"}: 1}
	w.round(t, w.bearing(t, with))
	must.Eq(t, "prometheus has no metrics of x", w.state.sources["prometheus-x"].Partial)
}

func TestMapper_ForgetsDeniedAttemptsAfterADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare()
		w.permissions = graph.Permissions{Default: api.EvidenceDenied, Rules: []graph.Rule{{From: "a", To: "b", Precedence: 9, Detail: "intention a => b deny"}}}
		attempt := graph.Flow{From: "a", To: "b", Evidence: api.Evidence{Class: api.EvidenceDenied, Attempt: true, Exact: true, Detail: "refused", ErrorsPerSecond: 2}}
		w.flows = []graph.Flow{attempt}
		m := w.bearing(t, func(*Options) {})
		w.round(t, m)
		must.Eq(t, api.EdgeDeniedAttempted, w.edgeState("a", "b"))
		w.flows[0].Evidence.ErrorsPerSecond = 0
		time.Sleep(23 * time.Hour)
		w.round(t, m)
		must.Eq(t, api.EdgeDeniedAttempted, w.edgeState("a", "b"))
		time.Sleep(2 * time.Hour)
		w.round(t, m)
		must.Eq(t, api.EdgeDenied, w.edgeState("a", "b"))
	})
}

func TestMapper_TakesWhatIsSentOneWayForTrafficWhereItIsAllowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare()
		sent := graph.Flow{From: "app", To: "logs", Evidence: api.Evidence{Class: api.EvidenceDenied, Attempt: true, Exact: true, Detail: "sent without an answer", BytesPerSecond: 80}}
		w.flows = []graph.Flow{sent}
		m := w.bearing(t, func(*Options) {})
		w.round(t, m)
		must.Eq(t, api.EdgeDeniedAttempted, w.edgeState("app", "logs"))
		w.permissions = graph.Permissions{Rules: []graph.Rule{{From: "app", To: "logs", Allow: true, Precedence: 9}}}
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("app", "logs"), must.Sprint("what was refused a moment ago proves nothing"))
		time.Sleep(2 * time.Minute)
		w.round(t, m)
		must.Eq(t, api.EdgeConfirmed, w.edgeState("app", "logs"))
		must.Eq(t, 1, w.evidence("app", "logs", SourceTraffic).Days.Count())
		must.Eq(t, 0, w.round(t, m), must.Sprint("the same facts make no change"))
		w.flows = nil
		w.round(t, m)
		must.Eq(t, api.EdgeConfirmed, w.edgeState("app", "logs"))
	})
}

// TestMapper_StandsATokenThatLosesItsRights hides intentions and upstreams that were
// known: for a day they stay, and what has really gone goes when all is seen again.
func TestMapper_StandsATokenThatLosesItsRights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare()
		rule := graph.Rule{From: "a", To: "b", Allow: true, Precedence: 9, Detail: "intention a => b allow"}
		w.permissions = graph.Permissions{Default: api.EvidenceDenied, Rules: []graph.Rule{rule}}
		w.upstreams = map[graph.Pair]int{{From: "c", To: "d"}: 1, {From: "a", To: "b"}: 1}
		m := w.bearing(t, func(o *Options) { o.Sources = []Source{Intentions(w), Upstreams(w)} })
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("a", "b"))
		must.Eq(t, api.EdgeDenied, w.edgeState("c", "d"))

		w.partial, w.permissions.Rules, w.upstreams = "consul hides some of it", nil, nil
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("a", "b"))
		must.Eq(t, api.EdgeUnknown, w.edgeState("c", "d"), must.Sprint("a hidden rule may allow it"))
		must.Eq(t, 0, w.round(t, m))
		time.Sleep(23 * time.Hour)
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("a", "b"))

		w.partial, w.permissions.Rules = "", []graph.Rule{rule}
		w.round(t, m)
		must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("a", "b"))
		must.True(t, w.evidence("a", "b", SourceIntentions).LastSeen.IsZero())
		must.Eq(t, "", w.edgeState("c", "d"))

		w.partial, w.permissions.Rules = "again", nil
		w.round(t, m)
		time.Sleep(25 * time.Hour)
		w.round(t, m)
		must.Eq(t, "", w.edgeState("a", "b"), must.Sprint("hidden for more than a day"))
	})
}

// TestMapper_TranslatesAddresses gives traffic by container and address, as an agent
// in the kernel sees it.
func TestMapper_TranslatesAddresses(t *testing.T) {
	t.Parallel()
	const alloc = "3f2b1c9a-1111-2222-3333-444455556666"
	ref := api.TargetRef{Namespace: "default", Job: "web", Group: "web"}
	w := bare()
	w.targets = []api.Target{{TargetRef: ref, Count: 1, Services: []string{"web"}}}
	w.instances = []graph.Instance{{ID: alloc, Target: ref, Node: "n1", Healthy: true, Addresses: []string{"10.0.0.5:80"}}}
	w.directory = graph.Directory{Registrations: []graph.Registration{{Service: "db", Address: "10.0.0.7:5432"}}}
	raw := func(from, to string) graph.Flow {
		f := flow(from, to, 100)
		f.Raw, f.Evidence.OffMesh = true, true
		return f
	}
	container := "/nomad/default/web/web/" + alloc + "/server"
	w.flows = []graph.Flow{raw(container, "10.0.0.7:5432"), raw(container, "10.9.9.9:443"), raw("/system.slice/sshd", "10.0.0.5:80")}
	w.round(t, w.bearing(t, func(*Options) {}))
	must.Eq(t, api.EdgeObservedOffMesh, w.edgeState("web", "db"))
	must.Eq(t, 1, len(w.state.edges))
	must.Eq(t, "2 of 3 flows have an end that no service is known for, such as "+container+" to 10.9.9.9:443", w.state.sources[SourceTraffic].Partial)
	must.Eq(t, api.Service{Name: "db", Instances: 1, Healthy: 1}, w.state.services["db"])
}

func TestMapper_CollapsesLoadBalancers(t *testing.T) {
	t.Parallel()
	w := bare()
	w.flows = []graph.Flow{flow("web", "lb", 10), flow("lb", "api", 6), flow("lb", "admin", 4)}
	with := func(o *Options) { o.Collapse = []string{"lb"} }
	w.round(t, w.bearing(t, with))
	must.Eq(t, 2, len(w.state.edges))
	for _, to := range []string{"api", "admin"} {
		e := w.state.edges[graph.Pair{From: "web", To: to}]
		must.Eq(t, api.EdgeObservedUndeclared, e.State)
		must.Eq(t, []string{"lb"}, e.Via)
	}
	must.Eq(t, 4, w.evidence("web", "admin", SourceTraffic).BytesPerSecond)
	must.MapContainsKey(t, w.state.services, "lb")

	// With a second caller nobody can tell who needs what, unless it is declared.
	w = bare()
	w.upstreams = map[graph.Pair]int{{From: "shop", To: "api"}: 1}
	w.flows = []graph.Flow{flow("web", "lb", 10), flow("shop", "lb", 10), flow("lb", "api", 6), flow("lb", "admin", 4)}
	m := w.bearing(t, with)
	w.round(t, m)
	must.Eq(t, api.EdgeConfirmed, w.edgeState("shop", "api"))
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("shop", "admin"))
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("web", "api"))
	must.Eq(t, 4, len(w.state.edges))

	// Silence keeps both the edge and the way.
	w.flows = nil
	w.round(t, m)
	must.Eq(t, []string{"lb"}, w.state.edges[graph.Pair{From: "shop", To: "api"}].Via)
	must.Eq(t, api.EdgeConfirmed, w.edgeState("shop", "api"))
}

func TestMapper_PutsATerminatingGatewayOnTheWay(t *testing.T) {
	t.Parallel()
	w := bare()
	w.mesh = graph.Mesh{Behind: map[string]string{"ledger": "egress"}, Passing: []string{"egress"}}
	w.services = []api.Service{{Name: "egress", Kind: api.KindGateway, Instances: 1, Healthy: 1}}
	w.flows = []graph.Flow{flow("web", "ledger", 50), flow("egress", "ledger", 50)}
	w.round(t, w.bearing(t, func(*Options) {}))
	must.Eq(t, 1, len(w.state.edges))
	must.Eq(t, []string{"egress"}, w.state.edges[graph.Pair{From: "web", To: "ledger"}].Via)
	_, a := graph.View(w.Graph())
	c, _ := a.Service("egress")
	must.Eq(t, []string{"ledger"}, c.Dominates)
	must.Eq(t, []string{"web"}, c.Dependants)
}

func TestMapper_CallsWhatIsBeyondOutside(t *testing.T) {
	t.Parallel()
	w := bare()
	w.upstreams = map[graph.Pair]int{{From: "web", To: "mail@east"}: 1}
	w.mesh = graph.Mesh{Offered: map[graph.Pair][]string{{From: "@west", To: "web"}: {"exported to west"}}}
	w.round(t, w.bearing(t, func(*Options) {}))
	must.Eq(t, api.KindOutside, w.state.services["mail@east"].Kind)
	must.Eq(t, api.KindOutside, w.state.services["@west"].Kind)
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("@west", "web"))
}

func TestMapper_TakesRacksVolumesAndLookupsFromNomad(t *testing.T) {
	t.Parallel()
	ref := func(job string) api.TargetRef { return api.TargetRef{Namespace: "default", Job: job, Group: job} }
	w := bare()
	w.targets = []api.Target{{TargetRef: ref("db"), Count: 2, Services: []string{"db"}}, {TargetRef: ref("web"), Count: 1, Services: []string{"web"}}}
	w.instances = []graph.Instance{
		{ID: "1", Target: ref("db"), Node: "n1", Rack: "r1", Healthy: true}, {ID: "2", Target: ref("db"), Node: "n2", Rack: "r1", Healthy: true},
		{ID: "3", Target: ref("web"), Node: "n3", Rack: "r2", Healthy: true}}
	w.volumes = map[api.TargetRef][]string{ref("db"): {"csi/orders", "host/cache"}, ref("web"): {"csi/orders"}}
	w.directory = graph.Directory{Needs: map[graph.Pair][]string{{From: "report", To: "db"}: {"template of task main"}}}
	w.round(t, w.bearing(t, func(*Options) {}))
	must.Eq(t, "", cmp.Diff(api.Service{Name: "db", Targets: []api.TargetRef{ref("db")}, Instances: 2, Healthy: 2, Nodes: []string{"n1", "n2"},
		Racks: []string{"r1"}, Volumes: []string{"csi/orders", "n1/cache", "n2/cache"}}, w.state.services["db"]))
	must.Eq(t, api.EdgeDeclaredOnly, w.edgeState("report", "db"), must.Sprint("a periodic job looks db up"))
	must.Eq(t, api.EdgeShared, w.edgeState("db", "web"))
	must.Eq(t, "volume csi/orders", w.evidence("db", "web", SourcePlacement).Detail)
}

// TestMapper_KeepsTheGraphWhenAStoreBreaks puts a real adapter before a store that turns
// to garbage: the graph stays, and its source says why.
func TestMapper_KeepsTheGraphWhenAStoreBreaks(t *testing.T) {
	t.Parallel()
	body := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"src":"a","dst":"b","oakum_measure":"bytes"},"value":[1,"100"]}]}}`
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, body) }))
	t.Cleanup(s.Close)
	c, err := prometheus.New(prometheus.Config{Address: s.URL})
	must.NoError(t, err)
	family, err := prometheus.Preset("consul_proxy")
	must.NoError(t, err)
	w := bare()
	m := w.bearing(t, func(o *Options) { o.Sources = []Source{Observed(SourceTraffic, c.Traffic(family))} })
	w.round(t, m)
	must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("a", "b"))
	before := w.state.sources[SourceTraffic].LastOK

	row := `{"metric":{"src":"x","dst":"y","oakum_measure":"bytes"},"value":[1,"1"]},`
	for name, broken := range map[string]string{
		"half": body[:60], "too many": `{"status":"success","data":{"resultType":"vector","result":[` + strings.TrimSuffix(strings.Repeat(row, 100_001), ",") + `]}}`,
	} {
		body = broken
		w.round(t, m)
		must.Eq(t, 1, len(w.state.edges), must.Sprint(name))
		status := w.state.sources[SourceTraffic]
		must.Positive(t, status.Failures)
		must.NotEq(t, "", status.Error)
		must.Eq(t, before, status.LastOK, must.Sprint("how old the evidence is"))
	}
	body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"src":"a","dst":"b","oakum_measure":"bytes"},"value":[1,"NaN"]}]}}`
	w.round(t, m)
	must.Eq(t, 0, w.state.sources[SourceTraffic].Failures)
	must.StrContains(t, w.state.sources[SourceTraffic].Partial, "no numbers")
	must.Eq(t, api.EdgeObservedUndeclared, w.edgeState("a", "b"))
}

// revised is a cluster whose layouts have numbers.
type revised struct{ layout graph.Layout }

func (r *revised) Layout(context.Context) (graph.Layout, error)       { return r.layout, nil }
func (r *revised) Directory(context.Context) (graph.Directory, error) { return graph.Directory{}, nil }

// TestPlacement_FollowsTheNumbersOfLayouts has targets come under the same number, a new
// one and none.
func TestPlacement_FollowsTheNumbersOfLayouts(t *testing.T) {
	t.Parallel()
	of := func(name string, revision uint64) graph.Layout {
		return graph.Layout{Targets: []api.Target{{TargetRef: api.TargetRef{Job: name}, Services: []string{name}}}, Revision: revision}
	}
	cluster := &revised{}
	source := Placement(cluster)
	for _, look := range []struct {
		layout graph.Layout
		want   string
	}{
		{of("a", 1), "a"}, {of("not looked at", 1), "a"}, {of("b", 2), "b"}, {of("c", 0), "c"}, {of("d", 0), "d"}, {of("b", 2), "b"},
	} {
		cluster.layout = look.layout
		facts, err := source.Collect(t.Context())
		must.NoError(t, err)
		must.Eq(t, look.layout.Revision, facts.Revision)
		must.Len(t, 1, facts.Services)
		must.EqOp(t, look.want, facts.Services[0].Name)
	}
}
