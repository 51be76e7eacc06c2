//go:build e2e

package mapper

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/examples/shop/deploy"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// live is the shop on a real stack, as the mapper meets it.
type live struct {
	consul     *consul.Client
	prometheus *prometheus.Client
	nomad      *nomad.Client
}

// newLive uses the stack whose environment is set, with the shop on it.
func newLive(t *testing.T) *live {
	t.Helper()
	get := func(name string) string {
		value := os.Getenv(name)
		must.NotEq(t, "", value, must.Sprintf("%s is empty: source the stack's env file; the shop must be up on it", name))
		return value
	}
	l := &live{}
	var err error
	l.consul, err = consul.New(consul.Config{Address: get("CONSUL_HTTP_ADDR"), Token: func() string { return get("CONSUL_HTTP_TOKEN") }})
	must.NoError(t, err)
	l.prometheus, err = prometheus.New(prometheus.Config{Address: get("PROMETHEUS_ADDR")})
	must.NoError(t, err)
	l.nomad, err = nomad.New(nomad.Config{Address: get("NOMAD_ADDR"), Token: func() string { return get("NOMAD_TOKEN") }})
	must.NoError(t, err)
	return l
}

// observed is the source of traffic as a configuration without any has it.
func (l *live) observed(t *testing.T) Source {
	t.Helper()
	family, err := prometheus.Preset("consul_proxy")
	must.NoError(t, err)
	return Observed(SourceTraffic, l.prometheus.Traffic(family))
}

// record runs a mapper with all sources until the test ends.
func (l *live) record(t *testing.T) *safeRecord {
	t.Helper()
	w := &safeRecord{inner: newRecorded(api.Graph{}), changed: make(chan struct{}, 1)}
	m, err := New(Options{Recorder: w, State: w, Watches: []Watch{l.consul.Watch}, Sources: []Source{
		Intentions(l.consul), Upstreams(l.consul), l.observed(t), Placement(l.nomad)}})
	must.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done }) //nolint:errcheck // what ended it is the test's own cancel
	return w
}

// graphOf folds the given sources from nothing.
func (l *live) graphOf(t *testing.T, sources ...Source) api.Graph {
	t.Helper()
	w := &world{state: newRecorded(api.Graph{})}
	m, err := New(Options{Recorder: w, State: w, Sources: sources})
	must.NoError(t, err)
	m.recorded = newRecorded(api.Graph{})
	must.NoError(t, m.round(t.Context()))
	g := w.state.graph()
	for _, s := range g.Sources {
		must.True(t, s.OK, must.Sprintf("source %s: %s", s.Name, s.Error))
	}
	g.At = time.Now().UTC()
	return g
}

// pairs lists the edges of the shop's own services that may be dependencies.
func pairs(g api.Graph) []graph.Pair {
	var list []graph.Pair
	for _, e := range g.Edges {
		if e.State.Possible() {
			list = append(list, graph.Pair{From: e.From, To: e.To})
		}
	}
	return list
}

func wantPairs() []graph.Pair {
	var list []graph.Pair
	for _, e := range deploy.Edges() {
		list = append(list, graph.Pair{From: e.From, To: e.To})
	}
	slices.SortFunc(list, func(a, b graph.Pair) int { return a.Compare(b) })
	return list
}

// TestLiveEverySourceAlone finds every true edge, and none else, from each
// source by itself and from all of them.
func TestLiveEverySourceAlone(t *testing.T) {
	l := newLive(t)
	must.Eq(t, wantPairs(), pairs(l.graphOf(t, l.observed(t))), must.Sprint("traffic alone"))
	must.Eq(t, wantPairs(), pairs(l.graphOf(t, Upstreams(l.consul))), must.Sprint("upstreams alone"))
	must.Eq(t, wantPairs(), pairs(l.graphOf(t, Intentions(l.consul))), must.Sprint("intentions alone"))

	g := l.graphOf(t, Intentions(l.consul), Upstreams(l.consul), l.observed(t), Placement(l.nomad))
	must.Eq(t, wantPairs(), pairs(g))
	for _, e := range g.Edges {
		must.Eq(t, api.EdgeConfirmed, e.State, must.Sprintf("%s -> %s", e.From, e.To))
	}
	for _, s := range deploy.Services() {
		i := slices.IndexFunc(g.Services, func(o api.Service) bool { return o.Name == s.Name })
		must.NotEq(t, -1, i)
		must.Eq(t, s.Instances, g.Services[i].Instances, must.Sprint(s.Name))
		must.Eq(t, s.Instances, g.Services[i].Healthy, must.Sprint(s.Name))
		must.Eq(t, 1, len(g.Services[i].Targets))
	}
	t.Log("\n" + graph.Table(g) + "\n" + graph.Tree(g))

	checks, err := l.consul.Checks(t.Context(), []string{"catalog", "store"})
	must.NoError(t, err)
	must.Eq(t, 14, len(checks))
	for id, health := range checks {
		must.Eq(t, api.Healthy, health, must.Sprint(id))
	}
}

// TestLiveChangesArrive runs the mapper and measures how long a written and a
// taken away intention need to reach the record.
func TestLiveChangesArrive(t *testing.T) {
	l := newLive(t)
	w := l.record(t)
	w.await(t, "the first picture", func(r *recorded) bool { return len(r.sources) == 4 && r.sources[SourceIntentions].OK })

	began := time.Now()
	intention(t, http.MethodPut, "deny")
	defer intention(t, http.MethodDelete, "")
	denied := graph.Pair{From: "pricing", To: "front"}
	w.await(t, "a denied pair", func(r *recorded) bool { return r.edges[denied].State == api.EdgeDenied })
	t.Logf("a new intention reached the record after %s", time.Since(began).Round(time.Millisecond))
	must.Less(t, 5*time.Second, time.Since(began))

	began = time.Now()
	intention(t, http.MethodDelete, "")
	w.await(t, "the pair to go", func(r *recorded) bool { _, ok := r.edges[denied]; return !ok })
	t.Logf("its removal after %s", time.Since(began).Round(time.Millisecond))
	t.Logf("%d changes were recorded", w.count())
}

// TestLiveSourceAway stops Consul and Prometheus under a running mapper: what
// they said is kept, and the record says since when they are away and why.
func TestLiveSourceAway(t *testing.T) {
	l := newLive(t)
	s, err := stack.Open(os.Getenv("STACK_DIR"))
	must.NoError(t, err)
	w := l.record(t)
	all := func(ok bool, names ...string) func(r *recorded) bool {
		return func(r *recorded) bool {
			for _, name := range names {
				if s, known := r.sources[name]; !known || s.OK != ok {
					return false
				}
			}
			return true
		}
	}
	w.await(t, "all sources", all(true, SourceIntentions, SourceUpstreams, SourceTraffic, SourcePlacement))
	before := w.Graph()
	for component, sources := range map[string][]string{"consul": {SourceIntentions, SourceUpstreams}, "prometheus": {SourceTraffic}} {
		must.NoError(t, s.Stop(t.Context(), component))
		w.await(t, component+" to be missed", all(false, sources...))
		after := w.Graph()
		must.Eq(t, before.Edges, after.Edges)
		must.Eq(t, len(before.Services), len(after.Services))
		for _, status := range after.Sources {
			t.Logf("%s: ok %v since %s, last answer %s, %s", status.Name, status.OK, status.Since, status.LastOK, status.Error)
		}
		must.NoError(t, s.Start(t.Context(), component))
		w.await(t, component+" to be back", all(true, sources...))
	}
}

// TestLiveBlindToken sees that a token without rights makes a source partial or
// failing, never a small graph that looks whole.
func TestLiveBlindToken(t *testing.T) {
	newLive(t)
	blind, err := consul.New(consul.Config{Address: os.Getenv("CONSUL_HTTP_ADDR")})
	must.NoError(t, err)
	p, partial, err := blind.Intentions(t.Context())
	t.Logf("intentions: %d rules, default %q, partial %q, error %v", len(p.Rules), p.Default, partial, err)
	must.True(t, err != nil || partial != "")
	m, partial, err := blind.Mesh(t.Context())
	t.Logf("upstreams: %d, partial %q, error %v", len(m.Declared), partial, err)
	must.True(t, err != nil || partial != "")
}

// intention writes or deletes the intention pricing => front.
func intention(t *testing.T, method, action string) {
	t.Helper()
	url := os.Getenv("CONSUL_HTTP_ADDR")
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url+"/v1/connect/intentions/exact?source=pricing&destination=front",
		strings.NewReader(fmt.Sprintf(`{"Action":%q}`, action)))
	must.NoError(t, err)
	req.Header.Set("X-Consul-Token", os.Getenv("CONSUL_HTTP_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	must.Eq(t, http.StatusOK, resp.StatusCode)
}
