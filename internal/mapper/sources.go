package mapper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// Names of the sources, as they stand in evidence and statuses.
const (
	SourceIntentions = "consul-intentions"
	SourceUpstreams  = "consul-upstreams"
	SourceTraffic    = "prometheus"
	SourcePlacement  = "nomad-placement"
	SourcePolicy     = graph.SourcePolicy
)

const (
	// maxSharedPairs bounds the pairs of services that are told apart by sharing
	// a node; criticality lists them by service anyway.
	maxSharedPairs = 2_000
	// placeWidth is how many targets are placed at once: enough to hide the way
	// to Nomad and back, few enough to leave its servers alone.
	placeWidth = 8
)

// Mesh is what the mapper asks of Consul. Each answer says in partial what is
// known to be missing from it.
type Mesh interface {
	Intentions(ctx context.Context) (p graph.Permissions, partial string, err error)
	Upstreams(ctx context.Context) (pairs map[graph.Pair]int, partial string, err error)
	Services(ctx context.Context) (list []api.Service, partial string, err error)
}

// Traffic is what the mapper asks of Prometheus.
type Traffic interface {
	Edges(ctx context.Context) (flows []graph.Flow, partial string, err error)
}

// Cluster is what the mapper asks of Nomad.
type Cluster interface {
	Targets(ctx context.Context) ([]api.Target, error)
	Instances(ctx context.Context, ref api.TargetRef) ([]api.Instance, error)
}

// source makes a Source of a name and a function.
type source struct {
	name    string
	collect func(ctx context.Context) (Facts, error)
}

// Name implements Source.
func (s source) Name() string { return s.name }

// Collect implements Source.
func (s source) Collect(ctx context.Context) (Facts, error) { return s.collect(ctx) }

// NewSource returns a source that asks a function.
func NewSource(name string, collect func(ctx context.Context) (Facts, error)) Source {
	return source{name: name, collect: collect}
}

// Intentions is the source of what the mesh allows and forbids.
func Intentions(mesh Mesh) Source {
	return NewSource(SourceIntentions, func(ctx context.Context) (Facts, error) {
		p, partial, err := mesh.Intentions(ctx)
		return Facts{Permissions: &p, Partial: partial}, err
	})
}

// Upstreams is the source of what proxies declare, and of the services in the
// catalog with their health.
func Upstreams(mesh Mesh) Source {
	return NewSource(SourceUpstreams, func(ctx context.Context) (Facts, error) {
		pairs, partial, err := mesh.Upstreams(ctx)
		if err != nil {
			return Facts{}, err
		}
		services, hidden, err := mesh.Services(ctx)
		if err != nil {
			return Facts{}, err
		}
		facts := Facts{Evidence: make(map[graph.Pair][]api.Evidence, len(pairs)), Services: services, Partial: partial}
		if partial == "" {
			facts.Partial = hidden
		}
		for pair := range pairs {
			facts.Evidence[pair] = []api.Evidence{{Class: api.EvidenceDeclared, Exact: true, Detail: "upstream of its proxies"}}
		}
		return facts, nil
	})
}

// Observed is the source of traffic.
func Observed(traffic Traffic) Source {
	return NewSource(SourceTraffic, func(ctx context.Context) (Facts, error) {
		flows, partial, err := traffic.Edges(ctx)
		if err != nil {
			return Facts{}, err
		}
		facts := Facts{Evidence: make(map[graph.Pair][]api.Evidence, len(flows)), Partial: partial}
		for _, f := range flows {
			pair := graph.Pair{From: f.From, To: f.To}
			facts.Evidence[pair] = append(facts.Evidence[pair], api.Evidence{
				Class: api.EvidenceObserved, Exact: true, Detail: f.Detail, BytesPerSecond: f.BytesPerSecond})
		}
		return facts, nil
	})
}

// Dependency is an edge that somebody wrote down.
type Dependency struct {
	Name     string // of the block
	From, To string
}

// Declared is the source of written dependencies; list is asked each round.
func Declared(list func() []Dependency) Source {
	return NewSource(SourcePolicy, func(context.Context) (Facts, error) {
		facts := Facts{Evidence: make(map[graph.Pair][]api.Evidence)}
		for _, d := range list() {
			pair := graph.Pair{From: d.From, To: d.To}
			facts.Evidence[pair] = append(facts.Evidence[pair], api.Evidence{
				Class: api.EvidenceDeclared, Exact: true, Detail: fmt.Sprintf("dependency %q", d.Name)})
		}
		return facts, nil
	})
}

// Placement is the source of targets, of the services behind them, and of what
// shares a node.
func Placement(cluster Cluster) Source {
	return NewSource(SourcePlacement, func(ctx context.Context) (Facts, error) {
		targets, err := cluster.Targets(ctx)
		if err != nil {
			return Facts{}, err
		}
		instances := make([][]api.Instance, len(targets))
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(placeWidth)
		for i, t := range targets {
			group.Go(func() error {
				list, err := cluster.Instances(groupCtx, t.TargetRef)
				if err != nil {
					return fmt.Errorf("place target %s: %w", t.TargetRef, err)
				}
				instances[i] = list
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return Facts{}, err
		}
		placed := newPlacement()
		for i, t := range targets {
			placed.add(t, instances[i])
		}
		return Facts{Targets: targets, Services: placed.list(), Evidence: placed.shared()}, nil
	})
}

// placement gathers services from targets.
type placement struct {
	services map[string]*api.Service
	on       map[string]map[string]int // service → node → instances
	nodes    map[string]bool
}

func newPlacement() *placement {
	return &placement{services: make(map[string]*api.Service), on: make(map[string]map[string]int), nodes: make(map[string]bool)}
}

// add counts a target's instances for each service that it registers. What it
// wants to run counts as instances even while some are being replaced.
func (p *placement) add(t api.Target, instances []api.Instance) {
	for _, name := range t.Services {
		if strings.HasSuffix(name, sidecarSuffix) {
			continue
		}
		s, ok := p.services[name]
		if !ok {
			s = &api.Service{Name: name}
			p.services[name], p.on[name] = s, make(map[string]int)
		}
		s.Targets = append(s.Targets, t.TargetRef)
		s.Instances += max(t.Count, len(instances))
		for _, in := range instances {
			if in.Health == api.Healthy {
				s.Healthy++
			}
			if in.Node != "" {
				p.on[name][in.Node]++
				p.nodes[in.Node] = true
			}
		}
	}
}

func (p *placement) list() []api.Service {
	list := make([]api.Service, 0, len(p.services))
	for _, name := range slices.Sorted(maps.Keys(p.services)) {
		s := *p.services[name]
		s.Nodes = slices.Sorted(maps.Keys(p.on[name]))
		slices.SortFunc(s.Targets, func(a, b api.TargetRef) int { return a.Compare(b) })
		list = append(list, s)
	}
	return list
}

// shared pairs services that both have at least half of their instances on the
// same node, so that its loss hits both. Where there is one node only, that
// says nothing.
func (p *placement) shared() map[graph.Pair][]api.Evidence {
	if len(p.nodes) < 2 {
		return nil
	}
	leaning := make(map[string][]string) // node → services, ascending
	for _, name := range slices.Sorted(maps.Keys(p.on)) {
		total := 0
		for _, n := range p.on[name] {
			total += n
		}
		for node, n := range p.on[name] {
			if 2*n >= total {
				leaning[node] = append(leaning[node], name)
			}
		}
	}
	out := make(map[graph.Pair][]api.Evidence)
	for _, node := range slices.Sorted(maps.Keys(leaning)) {
		list := leaning[node]
		for i, a := range list {
			for _, b := range list[i+1:] {
				if len(out) >= maxSharedPairs {
					return out
				}
				pair := graph.Pair{From: a, To: b}
				out[pair] = append(out[pair], api.Evidence{Class: api.EvidenceShared, Detail: "node " + node})
			}
		}
	}
	return out
}
