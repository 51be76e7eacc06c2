package adapter

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/graph"
)

// rackMeta is the key of a node's meta that holds its rack.
const rackMeta = "rack"

// Layout says what runs where: targets as Targets lists them, their instances
// with node, rack and addresses, and the volumes that they mount.
func (n Nomad) Layout(ctx context.Context) (graph.Layout, error) {
	targets, err := n.Targets(ctx)
	if err != nil {
		return graph.Layout{}, err
	}
	targets = slices.DeleteFunc(targets, func(t api.Target) bool { return t.Launch != "" })
	out := graph.Layout{Targets: targets, Volumes: map[api.TargetRef][]string{}}
	for _, t := range targets {
		id := jobOf(t.TargetRef)
		if v := n.present(id).Group(t.Group).Volumes; len(v) > 0 {
			out.Volumes[t.TargetRef] = unique(slices.Clone(v))
		}
		for _, a := range n.Fleet.Instances(t.TargetRef) {
			word, _ := health(a)
			in := graph.Instance{
				ID: a.ID, Target: t.TargetRef, Node: a.Node.Name, Rack: a.Node.Meta[rackMeta], Healthy: word == api.Healthy,
			}
			for i := range a.Ports {
				in.Addresses = append(in.Addresses, a.PortAddress(i))
			}
			out.Instances = append(out.Instances, in)
		}
	}
	slices.SortFunc(out.Instances, func(a, b graph.Instance) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// Directory reads Nomad's own service catalog, and what jobs of every kind say
// that they need.
func (n Nomad) Directory(ctx context.Context) (graph.Directory, error) {
	out := graph.Directory{Needs: map[graph.Pair][]string{}}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	for _, id := range n.JobIDs() {
		j := n.present(id)
		if j.Stopped || strings.HasPrefix(id.ID, twinPrefix) {
			continue
		}
		for i := range j.Groups {
			needs(j, &j.Groups[i], out.Needs)
		}
		for _, a := range n.Allocs(id) {
			if a.Current() && a.Client == fleet.ClientRunning {
				out.Registrations = append(out.Registrations, registrations(a)...)
			}
		}
	}
	slices.SortFunc(out.Registrations, func(a, b graph.Registration) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Instance, b.Instance), strings.Compare(a.Address, b.Address))
	})
	return out, nil
}

// needs notes the upstreams of a group.
func needs(j *fleet.Job, g *fleet.Group, out map[graph.Pair][]string) {
	var from, to []string
	for _, s := range g.Services {
		from = append(from, s.Name)
		to = append(to, s.Upstreams...)
	}
	if len(from) == 0 {
		from = []string{j.ID}
	}
	for _, a := range unique(from) {
		for _, b := range unique(to) {
			if a != b {
				out[graph.Pair{From: a, To: b}] = []string{"upstream in the job"}
			}
		}
	}
}

// registrations are the allocation's entries in Nomad's own catalog.
func registrations(a *fleet.Alloc) []graph.Registration {
	var out []graph.Registration
	for _, s := range a.Group.Services {
		if s.Provider != fleet.ProviderNomad {
			continue
		}
		r := graph.Registration{Service: s.Name, Instance: a.ID}
		if i := slices.Index(a.Group.Ports, s.Port); i >= 0 {
			r.Address = a.PortAddress(i)
		}
		out = append(out, r)
	}
	return out
}
