package mapper

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// Names of the sources in evidence and statuses.
const (
	SourceIntentions = "consul-intentions"
	SourceUpstreams  = "consul-upstreams"
	SourceTraffic    = "prometheus"
	SourcePlacement  = graph.SourcePlacement
	SourceServices   = "nomad-services"
	SourcePolicy     = graph.SourcePolicy
)

// maxSharedPairs bounds the pairs that are evidence of a shared place. Criticality
// lists shared places by service anyway.
const maxSharedPairs = 2_000

// Mesh is the part of Consul that the mapper reads. In each answer partial says
// which part of it is known to be missing.
type Mesh interface {
	Intentions(ctx context.Context) (p graph.Permissions, partial string, err error)
	Mesh(ctx context.Context) (m graph.Mesh, partial string, err error)
}

// Traffic reads one family of metrics. silent says that the store answers and has
// no metrics of the family.
type Traffic interface {
	Flows(ctx context.Context) (flows []graph.Flow, partial string, silent bool, err error)
}

// Cluster is the part of Nomad that the mapper reads.
type Cluster interface {
	Layout(ctx context.Context) (graph.Layout, error)
	Directory(ctx context.Context) (graph.Directory, error)
}

// source is a Source made of a name and a function.
type source struct {
	name    string
	collect func(ctx context.Context) (Facts, error)
}

// Name implements Source.
func (s source) Name() string { return s.name }

// Collect implements Source.
func (s source) Collect(ctx context.Context) (Facts, error) { return s.collect(ctx) }

// NewSource returns a source that calls a function.
func NewSource(name string, collect func(ctx context.Context) (Facts, error)) Source {
	return source{name: name, collect: collect}
}

// Intentions is the source of the mesh's permissions.
func Intentions(mesh Mesh) Source {
	return NewSource(SourceIntentions, func(ctx context.Context) (Facts, error) {
		p, partial, err := mesh.Intentions(ctx)
		return Facts{Permissions: &p, Partial: partial}, err
	})
}

// Upstreams is the source of what proxies, routes and gateways declare, and of the
// catalog's services with their health.
func Upstreams(mesh Mesh) Source {
	var last remembered
	return NewSource(SourceUpstreams, func(ctx context.Context) (Facts, error) {
		m, partial, err := mesh.Mesh(ctx)
		if err != nil {
			return Facts{}, err
		}
		facts := last.of(m.Revision, func() Facts {
			facts := Facts{Evidence: make(map[graph.Pair][]api.Evidence, len(m.Declared)), Services: m.Services,
				Behind: m.Behind, Passing: m.Passing, Transparent: m.Transparent, Addresses: m.Addresses}
			declare(facts.Evidence, m.Declared, api.EvidenceDeclared)
			declare(facts.Evidence, m.Offered, api.EvidenceAllowed)
			return facts
		})
		facts.Partial = partial
		return facts, nil
	})
}

// remembered are the last facts of a source that numbers its answers.
type remembered struct{ facts Facts }

// of returns the facts of an answer. It makes them when the answer is another one than
// the last, or has no number.
func (r *remembered) of(revision uint64, make func() Facts) Facts {
	if revision == 0 || revision != r.facts.Revision {
		r.facts = make()
		r.facts.Revision = revision
	}
	return r.facts
}

// declare adds an evidence for each detail of each pair.
func declare(evidence map[graph.Pair][]api.Evidence, pairs map[graph.Pair][]string, class api.EvidenceClass) {
	for pair, details := range pairs {
		for _, detail := range details {
			evidence[pair] = append(evidence[pair], api.Evidence{Class: class, Exact: true, Detail: detail})
		}
	}
}

// Observed is a source of traffic.
func Observed(name string, traffic Traffic) Source {
	return NewSource(name, func(ctx context.Context) (Facts, error) {
		flows, partial, silent, err := traffic.Flows(ctx)
		return Facts{Flows: flows, Traffic: true, Silent: silent, Partial: partial}, err
	})
}

// Dependency is an edge that a person has declared in the configuration.
type Dependency struct {
	Name     string // of the block
	From, To string
}

// Declared is the source of declared dependencies. It calls list in each round.
func Declared(list func() ([]Dependency, error)) Source {
	return NewSource(SourcePolicy, func(context.Context) (Facts, error) {
		written, err := list()
		if err != nil {
			return Facts{}, err
		}
		facts := Facts{Evidence: make(map[graph.Pair][]api.Evidence)}
		for _, d := range written {
			pair := graph.Pair{From: d.From, To: d.To}
			facts.Evidence[pair] = append(facts.Evidence[pair], api.Evidence{
				Class: api.EvidenceDeclared, Exact: true, Detail: fmt.Sprintf("dependency %q", d.Name)})
		}
		return facts, nil
	})
}

// Directory is the source of Nomad's own service catalog, and of the services that
// jobs look up in a catalog.
func Directory(cluster Cluster) Source {
	return NewSource(SourceServices, func(ctx context.Context) (Facts, error) {
		d, err := cluster.Directory(ctx)
		if err != nil {
			return Facts{}, err
		}
		facts := Facts{Evidence: make(map[graph.Pair][]api.Evidence, len(d.Needs)), Addresses: make(map[string]string), Partial: d.Partial}
		declare(facts.Evidence, d.Needs, api.EvidenceDeclared)
		found := make(map[string]*api.Service)
		nodes := make(map[string]map[string]bool)
		for _, r := range d.Registrations {
			s, ok := found[r.Service]
			if !ok {
				s = &api.Service{Name: r.Service}
				found[r.Service], nodes[r.Service] = s, make(map[string]bool)
			}
			s.Instances++
			s.Healthy++ // Nomad takes an instance whose task has ended out of its catalog
			if r.Node != "" {
				nodes[r.Service][r.Node] = true
			}
			if r.Address != "" {
				facts.Addresses[r.Address] = r.Service
			}
			if r.Instance != "" {
				facts.Addresses[r.Instance] = r.Service
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			found[name].Nodes = slices.Sorted(maps.Keys(nodes[name]))
			facts.Services = append(facts.Services, *found[name])
		}
		return facts, nil
	})
}

// Placement is the source of targets, of their services, and of the nodes, racks
// and volumes that services share.
func Placement(cluster Cluster) Source {
	var last remembered
	return NewSource(SourcePlacement, func(ctx context.Context) (Facts, error) {
		layout, err := cluster.Layout(ctx)
		if err != nil {
			return Facts{}, err
		}
		return last.of(layout.Revision, func() Facts {
			instances := make(map[api.TargetRef][]graph.Instance, len(layout.Targets))
			for _, in := range layout.Instances {
				instances[in.Target] = append(instances[in.Target], in)
			}
			placed := newPlacement()
			for _, t := range layout.Targets {
				placed.add(t, instances[t.TargetRef], layout.Volumes[t.TargetRef])
			}
			return Facts{Targets: layout.Targets, Services: placed.list(), Evidence: placed.shared(), Addresses: placed.addresses, Partial: layout.Partial}
		}), nil
	})
}
