//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/examples/shop/deploy"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// picture is a graph as mappers record it: in the replicated state.
type picture struct {
	mu    sync.Mutex // the log has one writer
	index uint64
	fsm   *state.FSM
}

func newPicture(t *testing.T) *picture {
	t.Helper()
	p := &picture{fsm: state.NewFSM(state.NewStore())}
	for level := 2; level <= levels.Supported; level++ {
		must.NoError(t, p.apply(&state.LevelSet{Level: level}))
	}
	return p
}

func (p *picture) apply(c state.Command) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	entry, err := p.fsm.Encode(c, time.Now(), "mapper")
	if err != nil {
		return err
	}
	p.index++
	err, _ = p.fsm.Apply(&raft.Log{Index: p.index, Data: entry}).(error)
	return err
}

// RecordGraph implements mapper.Recorder.
func (p *picture) RecordGraph(_ context.Context, c api.GraphChange) error {
	return p.apply(&state.GraphChange{GraphChange: c})
}

// Graph implements mapper.State.
func (p *picture) Graph() api.Graph { return p.fsm.Store().Graph() }

// now is the picture as it is.
func (p *picture) now() seen { return seen{p.Graph()} }

// await waits until the picture satisfies a condition and says how long it took.
func (p *picture) await(t *testing.T, what string, holds func(s seen) bool) time.Duration {
	t.Helper()
	began := time.Now()
	var last seen
	wait.Within(t, wait.Patience, func() string {
		return fmt.Sprintf("%s: edges %+v, sources %+v", what, last.Edges, last.Sources)
	}, func() bool { last = p.now(); return holds(last) })
	return time.Since(began)
}

// seen is the graph at one look.
type seen struct{ api.Graph }

func (s seen) edge(from, to string) (found api.Edge) {
	for _, e := range s.Edges {
		if e.From == from && e.To == to {
			found = e
		}
	}
	return found
}

func (s seen) state(from, to string) api.EdgeState { return s.edge(from, to).State }

func (s seen) service(name string) (found api.Service) {
	for _, v := range s.Services {
		if v.Name == name {
			found = v
		}
	}
	return found
}

func (s seen) source(name string) (found api.SourceStatus, known bool) {
	for _, v := range s.Sources {
		if v.Name == name {
			found, known = v, true
		}
	}
	return found, known
}

// possible lists the pairs that may be dependencies.
func (s seen) possible() []deploy.Edge {
	var list []deploy.Edge
	for _, e := range s.Edges {
		if e.State.Possible() {
			list = append(list, deploy.Edge{From: e.From, To: e.To})
		}
	}
	slices.SortFunc(list, func(a, b deploy.Edge) int { return strings.Compare(a.From+" "+a.To, b.From+" "+b.To) })
	return list
}

// found reports whether the pairs that may be dependencies are those of the
// shop: none is missing, and none is invented.
func (s seen) found() bool { return slices.Equal(deploy.Edges(), s.possible()) }

// confirmed reports whether every edge of the shop is confirmed.
func (s seen) confirmed() bool {
	return !slices.ContainsFunc(deploy.Edges(), func(e deploy.Edge) bool { return s.state(e.From, e.To) != api.EdgeConfirmed })
}

func ok(want bool, names ...string) func(s seen) bool {
	return func(s seen) bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			source, known := s.source(name)
			return !known || source.OK != want
		})
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
		Queries: map[prometheus.Measure]string{prometheus.Attempts: `sum by (service, upstream) (rate(shop_upstream_requests_total{code="error"}[20s])) > 0.5`}})
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

// graphs finds the shop's graph from each source alone and from all, and sees the
// graph follow what happens to the shop and to its sources.
func graphs(t *testing.T, shop deploy.Env) {
	var err error
	m := &mapping{t: t, shop: shop}
	m.consul, err = consul.New(consul.Config{Address: shop.ConsulAddr, Token: func() string { return shop.ConsulToken }})
	must.NoError(t, err)
	m.prometheus, err = prometheus.New(prometheus.Config{Address: shop.PrometheusAddr})
	must.NoError(t, err)
	m.nomad, err = nomad.New(nomad.Config{Address: shop.NomadAddr, Token: func() string { return shop.NomadToken }})
	must.NoError(t, err)
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
		p := m.record(newPicture(m.t), source)
		took := p.await(m.t, "the edges of the shop and none else from "+name, seen.found)
		m.t.Logf("%s alone: %d edges after %s", name, len(p.now().Edges), took.Round(time.Millisecond))
	}
	p := m.record(newPicture(m.t), m.all()...)
	p.await(m.t, "all sources", ok(true, mapper.SourceIntentions, mapper.SourceUpstreams, mapper.SourceTraffic, mapper.SourcePlacement, mapper.SourceServices))
	p.await(m.t, "every edge to be confirmed, and none else", func(s seen) bool { return s.confirmed() && s.found() })
	p.await(m.t, "nothing that is known to be missing", func(s seen) bool {
		return !slices.ContainsFunc(s.Sources, func(v api.SourceStatus) bool { return v.Partial != "" && v.Name != attempts })
	})
	p.await(m.t, "every instance, healthy and of one target", func(s seen) bool {
		return !slices.ContainsFunc(deploy.Services(), func(want deploy.Service) bool {
			got := s.service(want.Name)
			return got.Instances != want.Instances || got.Healthy != want.Instances || len(got.Targets) != 1
		})
	})
}

// blind sees that a token without rights makes a source partial or failing, and
// that a graph which is known does not shrink because of it.
func (m *mapping) blind() {
	blind, err := consul.New(consul.Config{Address: m.shop.ConsulAddr})
	must.NoError(m.t, err)
	p := newPicture(m.t)
	m.record(p, m.all()...).await(m.t, "the graph", seen.found)
	known := newPicture(m.t)
	must.NoError(m.t, known.RecordGraph(m.t.Context(), changeOf(p.Graph())))
	m.record(known, mapper.Intentions(blind), mapper.Upstreams(blind), m.observed(), mapper.Placement(m.nomad)).
		await(m.t, "a word on what is missing", func(s seen) bool {
			in, _ := s.source(mapper.SourceIntentions)
			up, _ := s.source(mapper.SourceUpstreams)
			return (!in.OK || in.Partial != "") && (!up.OK || up.Partial != "")
		})
	must.Eq(m.t, deploy.Edges(), known.now().possible())
	for _, name := range []string{mapper.SourceIntentions, mapper.SourceUpstreams} {
		s, _ := known.now().source(name)
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
	p := m.record(newPicture(m.t), m.all()...)
	p.await(m.t, "the graph", seen.confirmed)

	m.intention(http.MethodPut, "pricing", "front", "deny")
	took := p.await(m.t, "a new denial", func(s seen) bool { return s.state("pricing", "front") == api.EdgeDenied })
	m.t.Logf("a new intention is in the graph after %s", took.Round(time.Millisecond))
	m.intention(http.MethodDelete, "pricing", "front", "")
	took = p.await(m.t, "it to go", func(s seen) bool { return s.state("pricing", "front") == "" })
	m.t.Logf("its removal after %s", took.Round(time.Millisecond))

	m.intention(http.MethodPut, "backoffice", "catalog", "deny")
	restored := false
	defer func() {
		if !restored {
			m.intention(http.MethodPut, "backoffice", "catalog", "allow")
		}
	}()
	took = p.await(m.t, "traffic that is denied now", func(s seen) bool { return s.state("backoffice", "catalog") == api.EdgeObservedDenied })
	m.t.Logf("a denial of what was observed is in the graph after %s", took.Round(time.Millisecond))

	// A mapper that never saw the traffic finds the attempts and no edge, once
	// the last bytes have left the window of the rates.
	eventually(m.t, "no more answers to backoffice", 3*time.Minute, func() bool {
		series, err := deploy.Query(m.t.Context(), m.shop, `sum(rate(consul_proxy_upstream_tx_bytes{src="backoffice",dst="catalog"}[30s])) > 0`)
		return err == nil && len(series) == 0
	})
	later := m.record(newPicture(m.t), m.all()...)
	took = later.await(m.t, "denied attempts", func(s seen) bool { return s.state("backoffice", "catalog") == api.EdgeDeniedAttempted })
	m.t.Logf("denied attempts are in the graph after %s", took.Round(time.Millisecond))
	must.SliceNotContains(m.t, later.now().possible(), deploy.Edge{From: "backoffice", To: "catalog"})
	later.await(m.t, "both ways to see them", func(s seen) bool {
		by := map[string]bool{}
		for _, e := range s.edge("backoffice", "catalog").Evidence {
			by[e.Source] = by[e.Source] || e.Attempt
		}
		return by[mapper.SourceTraffic] && by[attempts]
	})

	m.intention(http.MethodPut, "backoffice", "catalog", "allow")
	restored = true
	took = later.await(m.t, "the edge from its traffic", func(s seen) bool { return s.state("backoffice", "catalog") == api.EdgeConfirmed })
	m.t.Logf("an edge is in the graph %s after its traffic was let through", took.Round(time.Millisecond))
}

// away stops Prometheus, then Consul, under a running mapper: what they said is
// kept, and the record says since when they are away and why.
func (m *mapping) away() {
	p := m.record(newPicture(m.t), m.all()...)
	p.await(m.t, "the graph", func(s seen) bool { return s.confirmed() && s.found() })
	before := p.now().possible()
	for _, c := range []struct {
		component string
		sources   []string
	}{{stack.Prometheus, []string{mapper.SourceTraffic}}, {stack.Consul, []string{mapper.SourceIntentions, mapper.SourceUpstreams}}} {
		must.NoError(m.t, running.Stop(m.t.Context(), c.component))
		p.await(m.t, c.component+" to be missed", ok(false, c.sources...))
		must.Eq(m.t, before, p.now().possible())
		for _, name := range c.sources {
			s, _ := p.now().source(name)
			must.NotEq(m.t, "", s.Error)
			must.False(m.t, s.LastOK.IsZero())
			m.t.Logf("%s: away since %s, last answer %s, %s", s.Name, s.Since.Format(time.TimeOnly), s.LastOK.Format(time.TimeOnly), s.Error)
		}
		must.NoError(m.t, running.Start(m.t.Context(), c.component))
		took := p.await(m.t, c.component+" to be back", ok(true, c.sources...))
		m.t.Logf("%s is back in the graph after %s", c.component, took.Round(time.Millisecond))
	}
	p.await(m.t, "the same graph as before", func(s seen) bool { return s.confirmed() && slices.Equal(before, s.possible()) })
}

// stopped stops a service: it has no instances any more, and what it needed is
// remembered until it comes back.
func (m *mapping) stopped() {
	p := m.record(newPicture(m.t), m.all()...)
	p.await(m.t, "the graph", seen.confirmed)
	target := func(s seen) bool {
		return slices.ContainsFunc(s.Targets, func(t api.TargetView) bool {
			return t.Target.TargetRef == api.TargetRef{Namespace: "default", Job: "backoffice", Group: "backoffice"}
		})
	}
	p.await(m.t, "backoffice to be there", func(s seen) bool { return s.service("backoffice").Instances > 0 && target(s) })
	vendor, err := nomadapi.NewClient(&nomadapi.Config{Address: m.shop.NomadAddr, SecretID: m.shop.NomadToken})
	must.NoError(m.t, err)
	_, _, err = vendor.Jobs().Deregister("backoffice", false, nil)
	must.NoError(m.t, err)
	took := p.await(m.t, "backoffice to be gone", func(s seen) bool { return s.service("backoffice").Instances == 0 && !target(s) })
	m.t.Logf("a stopped service has no instances in the graph after %s", took.Round(time.Millisecond))
	must.Eq(m.t, api.EdgeConfirmed, p.now().state("backoffice", "catalog"), must.Sprint("what was seen is remembered"))

	must.NoError(m.t, deploy.Submit(m.t.Context(), m.shop, "backoffice"))
	p.await(m.t, "backoffice to be back", func(s seen) bool { return s.service("backoffice").Healthy > 0 && target(s) })
	calm(m.t, m.shop)
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
