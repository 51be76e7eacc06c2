package mapper

import (
	"maps"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// placement derives services from targets.
type placement struct {
	services  map[string]*api.Service
	on        map[string]map[string]int  // service → node → instances
	in        map[string]map[string]int  // service → rack → instances
	volumes   map[string]map[string]bool // service → volumes
	nodes     map[string]bool
	racks     map[string]bool
	addresses map[string]string
}

func newPlacement() *placement {
	return &placement{
		services: make(map[string]*api.Service), on: make(map[string]map[string]int), in: make(map[string]map[string]int),
		volumes: make(map[string]map[string]bool), nodes: make(map[string]bool), racks: make(map[string]bool), addresses: make(map[string]string),
	}
}

// hostVolume is the prefix of a volume that is a directory of a node. Each node
// has its own.
const hostVolume = "host/"

// add adds a target's instances to each service that it registers. A service has
// as many instances as the target wants, also while some are being replaced.
func (p *placement) add(t api.Target, instances []graph.Instance, volumes []string) {
	for _, name := range t.Services {
		if strings.HasSuffix(name, sidecarSuffix) {
			continue
		}
		s, ok := p.services[name]
		if !ok {
			s = &api.Service{Name: name}
			p.services[name], p.on[name], p.in[name], p.volumes[name] = s, make(map[string]int), make(map[string]int), make(map[string]bool)
		}
		s.Targets = append(s.Targets, t.TargetRef)
		s.Instances += max(t.Count, len(instances))
		for _, v := range volumes {
			if !strings.HasPrefix(v, hostVolume) {
				p.volumes[name][v] = true
			}
		}
		for _, in := range instances {
			p.stand(name, s, in, volumes)
		}
	}
}

// stand adds one instance to a service.
func (p *placement) stand(name string, s *api.Service, in graph.Instance, volumes []string) {
	if in.Healthy {
		s.Healthy++
	}
	if in.Node != "" {
		p.on[name][in.Node]++
		p.nodes[in.Node] = true
		for _, v := range volumes {
			if host, ok := strings.CutPrefix(v, hostVolume); ok {
				p.volumes[name][in.Node+"/"+host] = true
			}
		}
	}
	if in.Rack != "" {
		p.in[name][in.Rack]++
		p.racks[in.Rack] = true
	}
	// An allocation with several services stands for the first of them: whoever
	// looks it up wants to know the application.
	for _, key := range append(in.Addresses, in.ID) {
		if have, ok := p.addresses[key]; !ok || name < have {
			p.addresses[key] = name
		}
	}
}

func (p *placement) list() []api.Service {
	list := make([]api.Service, 0, len(p.services))
	for _, name := range slices.Sorted(maps.Keys(p.services)) {
		s := *p.services[name]
		s.Nodes = slices.Sorted(maps.Keys(p.on[name]))
		s.Racks = slices.Sorted(maps.Keys(p.in[name]))
		s.Volumes = slices.Sorted(maps.Keys(p.volumes[name]))
		slices.SortFunc(s.Targets, func(a, b api.TargetRef) int { return a.Compare(b) })
		list = append(list, s)
	}
	return list
}

// shared pairs services that fail together: both have at least half of their
// instances on the same node or in the same rack, or both use the same volume.
// With a single node, or a single rack, a shared one says nothing.
func (p *placement) shared() map[graph.Pair][]api.Evidence {
	out := make(map[graph.Pair][]api.Evidence)
	if len(p.nodes) > 1 {
		p.pair(out, "node ", concentrated(p.on))
	}
	if len(p.racks) > 1 {
		p.pair(out, "rack ", concentrated(p.in))
	}
	users := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(p.volumes)) {
		for v := range p.volumes[name] {
			users[v] = append(users[v], name)
		}
	}
	p.pair(out, "volume ", users)
	return out
}

// concentrated lists for each place the services with at least half of their instances
// there, ascending.
func concentrated(on map[string]map[string]int) map[string][]string {
	out := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(on)) {
		total := 0
		for _, n := range on[name] {
			total += n
		}
		for place, n := range on[name] {
			if 2*n >= total {
				out[place] = append(out[place], name)
			}
		}
	}
	return out
}

func (p *placement) pair(out map[graph.Pair][]api.Evidence, kind string, together map[string][]string) {
	for _, place := range slices.Sorted(maps.Keys(together)) {
		list := together[place]
		for i, a := range list {
			for _, b := range list[i+1:] {
				if len(out) >= maxSharedPairs {
					return
				}
				pair := graph.Pair{From: a, To: b}
				out[pair] = append(out[pair], api.Evidence{Class: api.EvidenceShared, Detail: kind + place})
			}
		}
	}
}
