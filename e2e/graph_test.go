//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/examples/shop/deploy"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// picture is a graph as mappers record it.
type picture struct {
	mu       sync.Mutex
	edges    map[graph.Pair]api.Edge
	services map[string]api.Service
	targets  map[api.TargetRef]api.Target
	sources  map[string]api.SourceStatus
	changed  chan struct{}
}

func newPicture() *picture {
	return &picture{edges: map[graph.Pair]api.Edge{}, services: map[string]api.Service{}, targets: map[api.TargetRef]api.Target{},
		sources: map[string]api.SourceStatus{}, changed: make(chan struct{}, 1)}
}

// RecordGraph implements mapper.Recorder.
func (p *picture) RecordGraph(_ context.Context, c api.GraphChange) error {
	p.mu.Lock()
	for _, e := range c.Edges {
		p.edges[graph.Pair{From: e.From, To: e.To}] = e
	}
	for _, pair := range c.RemoveEdges {
		delete(p.edges, graph.Pair{From: pair[0], To: pair[1]})
	}
	for _, s := range c.Services {
		p.services[s.Name] = s
	}
	for _, name := range c.RemoveServices {
		delete(p.services, name)
	}
	for _, t := range c.Targets {
		p.targets[t.TargetRef] = t
	}
	for _, ref := range c.RemoveTargets {
		delete(p.targets, ref)
	}
	for _, s := range c.Sources {
		p.sources[s.Name] = s
	}
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return nil
}

// Graph implements mapper.State.
func (p *picture) Graph() api.Graph {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := api.Graph{}
	for _, e := range p.edges {
		g.Edges = append(g.Edges, e)
	}
	for _, s := range p.services {
		g.Services = append(g.Services, s)
	}
	for _, t := range p.targets {
		g.Targets = append(g.Targets, api.TargetView{Target: t})
	}
	for _, s := range p.sources {
		g.Sources = append(g.Sources, s)
	}
	return g
}

// await waits until the picture satisfies a condition and says how long it took.
func (p *picture) await(t *testing.T, what string, within time.Duration, holds func(p *picture) bool) time.Duration {
	t.Helper()
	began := time.Now()
	deadline := time.After(within)
	for {
		p.mu.Lock()
		ok := holds(p)
		p.mu.Unlock()
		if ok {
			return time.Since(began)
		}
		select {
		case <-p.changed:
		case <-deadline:
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Fatalf("waited %s for %s: edges %+v, sources %+v", within, what, p.edges, p.sources)
		}
	}
}

func (p *picture) state(from, to string) api.EdgeState {
	return p.edges[graph.Pair{From: from, To: to}].State
}

// possible lists the pairs that may be dependencies.
func (p *picture) possible() []deploy.Edge {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []deploy.Edge
	for pair, e := range p.edges {
		if e.State.Possible() {
			list = append(list, deploy.Edge{From: pair.From, To: pair.To})
		}
	}
	slices.SortFunc(list, func(a, b deploy.Edge) int { return strings.Compare(a.From+" "+a.To, b.From+" "+b.To) })
	return list
}

func ok(want bool, names ...string) func(p *picture) bool {
	return func(p *picture) bool {
		for _, name := range names {
			if s, known := p.sources[name]; !known || s.OK != want {
				return false
			}
		}
		return true
	}
}

// mapping is the shop as the mapper meets it.
type mapping struct {
	t          *testing.T
	shop       deploy.Env
	consul     *consul.Client
	nomad      *nomad.Client
	prometheus *prometheus.Client
}

func (m *mapping) in(t *testing.T) *mapping {
	inner := *m
	inner.t = t
	return &inner
}

const attempts = mapper.SourceTraffic + "-attempts"

// observed is the traffic of the mesh's proxies.
func (m *mapping) observed() mapper.Source {
	family, err := prometheus.Preset("consul_proxy")
	must.NoError(m.t, err)
	return mapper.Observed(mapper.SourceTraffic, m.prometheus.Traffic(family))
}

// refused is a query of one's own: the callers' count of failures.
func (m *mapping) refused() mapper.Source {
	family, err := prometheus.NewFamily(prometheus.Custom{Name: "failed calls of the shop", From: "service", To: "upstream", Mesh: true,
		Queries: map[prometheus.Measure]string{prometheus.Attempts: `sum by (service, upstream) (rate(shop_upstream_requests_total{code="error"}[10s])) > 0.5`}})
	must.NoError(m.t, err)
	return mapper.Observed(attempts, m.prometheus.Traffic(family))
}

func (m *mapping) all() []mapper.Source {
	return []mapper.Source{mapper.Intentions(m.consul), mapper.Upstreams(m.consul), m.observed(), m.refused(),
		mapper.Placement(m.nomad), mapper.Directory(m.nomad)}
}

// record runs a mapper until the test ends.
func (m *mapping) record(into *picture, sources ...mapper.Source) *picture {
	made, err := mapper.New(mapper.Options{Recorder: into, State: into, Sources: sources, Watches: []mapper.Watch{m.consul.Watch}})
	must.NoError(m.t, err)
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		must.ErrorIs(m.t, <-done, context.Canceled)
	})
	return into
}

// TestGraph finds the shop's graph from each source alone and from all, and
// sees the graph follow what happens to the shop and to its sources.
func TestGraph(t *testing.T) {
	env := sharedStack(t)
	shop, err := deploy.FromVariables(func(name string) string { return env.Map()[name] }, root(t))
	must.NoError(t, err)
	m := &mapping{t: t, shop: shop}
	m.consul, err = consul.New(consul.Config{Address: shop.ConsulAddr, Token: func() string { return shop.ConsulToken }})
	must.NoError(t, err)
	m.prometheus, err = prometheus.New(prometheus.Config{Address: shop.PrometheusAddr})
	must.NoError(t, err)
	m.nomad, err = nomad.New(nomad.Config{Address: shop.NomadAddr, Token: func() string { return shop.NomadToken }})
	must.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	fresh, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	wait := env.KeepIntentionsFresh(fresh, "front", "backoffice", "catalog", "cart", "pricing", "store")
	t.Cleanup(func() { stop(); wait() })
	must.NoError(t, deploy.Up(ctx, shop, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		must.NoError(t, deploy.Down(ctx, shop, slog.New(slog.DiscardHandler)))
	})
	t.Run("every source alone, and all of them", func(t *testing.T) { m.in(t).alone() })
	t.Run("a token that sees little", func(t *testing.T) { m.in(t).blind() })
	t.Run("intentions, attempts and traffic", func(t *testing.T) { m.in(t).changes() })
	t.Run("sources away", func(t *testing.T) { m.in(t).away() })
	t.Run("a service that is stopped", func(t *testing.T) { m.in(t).stopped() })
}

// alone finds every true edge, and none else.
func (m *mapping) alone() {
	for name, source := range map[string]mapper.Source{
		"traffic": m.observed(), "upstreams": mapper.Upstreams(m.consul), "intentions": mapper.Intentions(m.consul),
	} {
		p := m.record(newPicture(), source)
		took := p.await(m.t, name+" alone", time.Minute, func(p *picture) bool { return len(p.edges) >= len(deploy.Edges()) })
		must.Eq(m.t, deploy.Edges(), p.possible(), must.Sprint(name, " alone"))
		m.t.Logf("%s alone: %d edges after %s", name, len(p.edges), took.Round(time.Millisecond))
	}
	p := m.record(newPicture(), m.all()...)
	p.await(m.t, "all sources", time.Minute, ok(true, mapper.SourceIntentions, mapper.SourceUpstreams, mapper.SourceTraffic, mapper.SourcePlacement, mapper.SourceServices))
	p.await(m.t, "every edge to be confirmed", time.Minute, func(p *picture) bool {
		for _, e := range deploy.Edges() {
			if p.state(e.From, e.To) != api.EdgeConfirmed {
				return false
			}
		}
		return true
	})
	must.Eq(m.t, deploy.Edges(), p.possible(), must.Sprint("none is invented"))
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, s := range p.sources {
		must.True(m.t, s.Partial == "" || name == attempts, must.Sprintf("%s: %s", name, s.Partial))
	}
	for _, s := range deploy.Services() {
		got := p.services[s.Name]
		must.Eq(m.t, s.Instances, got.Instances, must.Sprint(s.Name))
		must.Eq(m.t, s.Instances, got.Healthy, must.Sprint(s.Name))
		must.Len(m.t, 1, got.Targets)
	}
}

// blind sees that a token without rights makes a source partial or failing, and
// that a graph which is known does not shrink because of it.
func (m *mapping) blind() {
	blind, err := consul.New(consul.Config{Address: m.shop.ConsulAddr})
	must.NoError(m.t, err)
	p := newPicture()
	m.record(p, m.all()...).await(m.t, "the graph", time.Minute, func(p *picture) bool { return len(p.edges) >= len(deploy.Edges()) })
	known := newPicture()
	must.NoError(m.t, known.RecordGraph(m.t.Context(), changeOf(p.Graph())))
	m.record(known, mapper.Intentions(blind), mapper.Upstreams(blind), m.observed(), mapper.Placement(m.nomad)).
		await(m.t, "a word on what is missing", time.Minute, func(p *picture) bool {
			in, up := p.sources[mapper.SourceIntentions], p.sources[mapper.SourceUpstreams]
			return (!in.OK || in.Partial != "") && (!up.OK || up.Partial != "")
		})
	must.Eq(m.t, deploy.Edges(), known.possible())
	for _, name := range []string{mapper.SourceIntentions, mapper.SourceUpstreams} {
		s := known.sources[name]
		m.t.Logf("%s with a blind token: ok %v, partial %q, error %q", name, s.OK, s.Partial, s.Error)
	}
}

func changeOf(g api.Graph) api.GraphChange {
	c := api.GraphChange{Edges: g.Edges, Services: g.Services, Sources: g.Sources}
	for _, t := range g.Targets {
		c.Targets = append(c.Targets, t.Target)
	}
	return c
}

// changes writes intentions and lets callers be refused.
func (m *mapping) changes() {
	p := m.record(newPicture(), m.all()...)
	p.await(m.t, "the graph", time.Minute, func(p *picture) bool { return p.state("backoffice", "catalog") == api.EdgeConfirmed })

	m.intention(http.MethodPut, "pricing", "front", "deny")
	took := p.await(m.t, "a new denial", 5*time.Second, func(p *picture) bool { return p.state("pricing", "front") == api.EdgeDenied })
	m.t.Logf("a new intention is in the graph after %s", took.Round(time.Millisecond))
	m.intention(http.MethodDelete, "pricing", "front", "")
	took = p.await(m.t, "it to go", 5*time.Second, func(p *picture) bool { return p.state("pricing", "front") == "" })
	m.t.Logf("its removal after %s", took.Round(time.Millisecond))

	m.intention(http.MethodPut, "backoffice", "catalog", "deny")
	restored := false
	defer func() {
		if !restored {
			m.intention(http.MethodPut, "backoffice", "catalog", "allow")
		}
	}()
	took = p.await(m.t, "traffic that is denied now", 5*time.Second, func(p *picture) bool { return p.state("backoffice", "catalog") == api.EdgeObservedDenied })
	m.t.Logf("a denial of what was observed is in the graph after %s", took.Round(time.Millisecond))

	// A mapper that never saw the traffic finds the attempts and no edge, once
	// the last bytes have left the window of the rates.
	eventually(m.t, "no more answers to backoffice", 90*time.Second, func() bool {
		series, err := deploy.Query(m.t.Context(), m.shop, `sum(rate(consul_proxy_upstream_tx_bytes{src="backoffice",dst="catalog"}[30s])) > 0`)
		return err == nil && len(series) == 0
	})
	later := m.record(newPicture(), m.all()...)
	took = later.await(m.t, "denied attempts", time.Minute, func(p *picture) bool { return p.state("backoffice", "catalog") == api.EdgeDeniedAttempted })
	m.t.Logf("denied attempts are in the graph after %s", took.Round(time.Millisecond))
	must.SliceNotContains(m.t, later.possible(), deploy.Edge{From: "backoffice", To: "catalog"})
	later.await(m.t, "both ways to see them", time.Minute, func(p *picture) bool {
		seen := map[string]bool{}
		for _, e := range p.edges[graph.Pair{From: "backoffice", To: "catalog"}].Evidence {
			seen[e.Source] = seen[e.Source] || e.Attempt
		}
		return seen[mapper.SourceTraffic] && seen[attempts]
	})

	m.intention(http.MethodPut, "backoffice", "catalog", "allow")
	restored = true
	took = later.await(m.t, "the edge from its traffic", time.Minute, func(p *picture) bool { return p.state("backoffice", "catalog") == api.EdgeConfirmed })
	m.t.Logf("an edge is in the graph %s after its traffic was let through", took.Round(time.Millisecond))
}

// away stops Prometheus, then Consul, under a running mapper: what they said is
// kept, and the record says since when they are away and why.
func (m *mapping) away() {
	p := m.record(newPicture(), m.all()...)
	p.await(m.t, "the graph", time.Minute, func(p *picture) bool { return p.state("backoffice", "catalog") == api.EdgeConfirmed })
	before := p.possible()
	for _, c := range []struct {
		component string
		sources   []string
	}{{stack.Prometheus, []string{mapper.SourceTraffic}}, {stack.Consul, []string{mapper.SourceIntentions, mapper.SourceUpstreams}}} {
		must.NoError(m.t, running.Stop(m.t.Context(), c.component))
		p.await(m.t, c.component+" to be missed", time.Minute, ok(false, c.sources...))
		must.Eq(m.t, before, p.possible())
		for _, name := range c.sources {
			p.mu.Lock()
			s := p.sources[name]
			p.mu.Unlock()
			must.NotEq(m.t, "", s.Error)
			must.False(m.t, s.LastOK.IsZero())
			m.t.Logf("%s: away since %s, last answer %s, %s", s.Name, s.Since.Format(time.TimeOnly), s.LastOK.Format(time.TimeOnly), s.Error)
		}
		must.NoError(m.t, running.Start(m.t.Context(), c.component))
		took := p.await(m.t, c.component+" to be back", time.Minute, ok(true, c.sources...))
		m.t.Logf("%s is back in the graph after %s", c.component, took.Round(time.Millisecond))
	}
	p.await(m.t, "the same graph as before", time.Minute, func(p *picture) bool {
		for _, e := range deploy.Edges() {
			if p.state(e.From, e.To) != api.EdgeConfirmed {
				return false
			}
		}
		return true
	})
	must.Eq(m.t, before, p.possible())
}

// stopped stops a service: it has no instances any more, and what it needed is
// remembered for when it comes back.
func (m *mapping) stopped() {
	p := m.record(newPicture(), m.all()...)
	p.await(m.t, "the graph", time.Minute, func(p *picture) bool { return p.state("backoffice", "catalog") == api.EdgeConfirmed })
	vendor, err := nomadapi.NewClient(&nomadapi.Config{Address: m.shop.NomadAddr, SecretID: m.shop.NomadToken})
	must.NoError(m.t, err)
	_, _, err = vendor.Jobs().Deregister("backoffice", false, nil)
	must.NoError(m.t, err)
	took := p.await(m.t, "backoffice to be gone", 30*time.Second, func(p *picture) bool { return p.services["backoffice"].Instances == 0 })
	m.t.Logf("a stopped service has no instances in the graph after %s", took.Round(time.Millisecond))
	p.mu.Lock()
	defer p.mu.Unlock()
	must.Eq(m.t, api.EdgeConfirmed, p.state("backoffice", "catalog"), must.Sprint("what was seen is remembered"))
	must.MapNotContainsKey(m.t, p.targets, api.TargetRef{Namespace: "default", Job: "backoffice", Group: "backoffice"})
}

// intention writes or deletes one intention.
func (m *mapping) intention(method, from, to, action string) {
	url := fmt.Sprintf("%s/v1/connect/intentions/exact?source=%s&destination=%s", m.shop.ConsulAddr, from, to)
	req, err := http.NewRequestWithContext(context.WithoutCancel(m.t.Context()), method, url, strings.NewReader(fmt.Sprintf(`{"Action":%q}`, action)))
	must.NoError(m.t, err)
	req.Header.Set("X-Consul-Token", m.shop.ConsulToken)
	resp, err := http.DefaultClient.Do(req)
	must.NoError(m.t, err)
	must.NoError(m.t, resp.Body.Close())
	must.Eq(m.t, http.StatusOK, resp.StatusCode)
}
