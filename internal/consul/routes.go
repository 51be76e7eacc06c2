package consul

import (
	"context"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/internal/graph"
)

// maxHops bounds how far a route is followed. Consul refuses circles, and chains
// of more than a few hops do not occur.
const maxHops = 16

// routes says where a call to a service may end: the call passes routers, then
// splitters, then resolvers with their redirects and failovers.
type routes struct {
	routers   map[string][]string // service → further services that its routes lead to
	splitters map[string][]string
	resolvers map[string]resolver
}

type resolver struct {
	redirect string   // empty when there is none
	failover []string // where calls go when the service is down
}

// destination is one service at which a call may end.
type destination struct {
	service string
	how     string // what leads there; empty when it is the service that was named
}

// readRoutes reads the routers, splitters and resolvers.
func (c *Client) readRoutes(ctx context.Context, a *answers) (partial string, err error) {
	a.led = routes{routers: make(map[string][]string), splitters: make(map[string][]string), resolvers: make(map[string]resolver)}
	for _, kind := range routeKinds() {
		entries, text, err := c.entries(ctx, kind)
		if err != nil {
			return "", err
		}
		partial = join(partial, text)
		for _, e := range entries {
			a.led.add(e, c.dc)
		}
	}
	return partial, nil
}

// routeKinds are the kinds of entries that routes are made of.
func routeKinds() []string {
	return []string{consulapi.ServiceRouter, consulapi.ServiceSplitter, consulapi.ServiceResolver}
}

// entries lists all config entries of a kind.
func (c *Client) entries(ctx context.Context, kind string) ([]consulapi.ConfigEntry, string, error) {
	q, cancel := c.query(ctx)
	defer cancel()
	list, meta, err := c.api.ConfigEntries().List(kind, q)
	if err != nil {
		return nil, "", explain("list "+kind+" entries", err)
	}
	return list, filtered(kind+" entries", meta), nil
}

func (r *routes) add(e consulapi.ConfigEntry, here string) {
	switch e := e.(type) {
	case *consulapi.ServiceRouterConfigEntry:
		name := graph.Name(e.Partition, e.Namespace, e.Name)
		for _, route := range e.Routes {
			if d := route.Destination; d != nil && d.Service != "" {
				r.routers[name] = append(r.routers[name], graph.Name(or(d.Partition, e.Partition), or(d.Namespace, e.Namespace), d.Service))
			}
		}
	case *consulapi.ServiceSplitterConfigEntry:
		name := graph.Name(e.Partition, e.Namespace, e.Name)
		for _, s := range e.Splits {
			r.splitters[name] = append(r.splitters[name], graph.Name(or(s.Partition, e.Partition), or(s.Namespace, e.Namespace), or(s.Service, e.Name)))
		}
	case *consulapi.ServiceResolverConfigEntry:
		r.resolvers[graph.Name(e.Partition, e.Namespace, e.Name)] = resolve(e, here)
	}
}

func resolve(e *consulapi.ServiceResolverConfigEntry, here string) resolver {
	var out resolver
	if d := e.Redirect; d != nil {
		out.redirect = elsewhere(graph.Name(or(d.Partition, e.Partition), or(d.Namespace, e.Namespace), or(d.Service, e.Name)), d.Peer, d.Datacenter, here)
	}
	for _, f := range e.Failover {
		service := graph.Name(e.Partition, or(f.Namespace, e.Namespace), or(f.Service, e.Name))
		if len(f.Datacenters) == 0 && len(f.Targets) == 0 {
			out.failover = append(out.failover, service)
		}
		for _, dc := range f.Datacenters {
			out.failover = append(out.failover, elsewhere(service, "", dc, here))
		}
		for _, t := range f.Targets {
			name := graph.Name(or(t.Partition, e.Partition), or(t.Namespace, e.Namespace), or(t.Service, e.Name))
			out.failover = append(out.failover, elsewhere(name, t.Peer, t.Datacenter, here))
		}
	}
	slices.Sort(out.failover)
	out.failover = slices.Compact(out.failover)
	return out
}

// elsewhere adds the peer, or the datacenter if it is not here, to a service's name.
func elsewhere(name, peer, dc, here string) string {
	switch {
	case peer != "":
		return name + graph.Beyond + peer
	case dc != "" && dc != here:
		return name + graph.Beyond + dc
	}
	return name
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// destinations lists the services at which a call to a service may end, each once.
func (r routes) destinations(name string) []destination {
	var out []destination
	add := func(service, how string) {
		if !slices.ContainsFunc(out, func(d destination) bool { return d.service == service }) {
			out = append(out, destination{service: service, how: how})
		}
	}
	ends := func(service, how string) {
		final := service
		for range maxHops {
			next := r.resolvers[final].redirect
			if next == "" || next == final {
				break
			}
			final, how = next, "redirect of "+name
		}
		add(final, how)
		for _, other := range r.resolvers[final].failover {
			if other != final {
				add(other, "failover of "+final)
			}
		}
	}
	split := func(service, how string) {
		if len(r.splitters[service]) == 0 {
			ends(service, how)
		}
		for _, s := range r.splitters[service] {
			if s != service {
				ends(s, "split of "+service)
			} else {
				ends(s, how)
			}
		}
	}
	split(name, "") // a router sends what no route matches to the service itself
	for _, s := range r.routers[name] {
		if s != name {
			split(s, "route of "+name)
		}
	}
	return out
}
