package consul

import (
	"context"
	"net"
	"slices"
	"strconv"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// Mesh reads what the mesh declares: the upstreams of proxies, followed through
// routers, splitters and resolvers; the services behind ingress, API and
// terminating gateways; the services that are exported to peers and partitions;
// and the catalog's services with their health. partial says what the token hides.
//
// A transparent proxy may reach whatever an intention allows. Transparent names
// the services with such a proxy, and an exact intention of theirs is a
// dependency. A wildcard or a default that allows is a permission and no
// dependency, so it makes no pairs.
func (c *Client) Mesh(ctx context.Context) (m graph.Mesh, partial string, err error) {
	scanned, err := c.registrations(ctx)
	if err != nil {
		return m, "", err
	}
	led, hidden, err := c.readRoutes(ctx)
	if err != nil {
		return m, "", err
	}
	partial = join(scanned.partial, hidden)
	m = graph.Mesh{Declared: make(map[graph.Pair][]string), Offered: make(map[graph.Pair][]string),
		Behind: make(map[string]string), Addresses: make(map[string]string)}
	queries, hidden := c.preparedQueries(ctx, scanned)
	partial = join(partial, hidden)
	for r := range scanned.all() {
		for _, u := range r.upstreams {
			to := u.service
			if u.query {
				if to = queries[u.service]; to == "" {
					partial = join(partial, "an upstream of "+r.proxyFor+" is a prepared query whose service is not known")
					continue
				}
			}
			for _, d := range led.destinations(to) {
				declare(m.Declared, graph.Pair{From: r.proxyFor, To: d.service}, or(d.how, "upstream of its proxies"))
			}
		}
		if name := or(r.proxyFor, r.service); r.address != "" {
			m.Addresses[r.address] = name
		}
		if alloc, ok := AllocID(r.id); ok && r.proxyFor == "" {
			m.Addresses[alloc] = r.service
		}
	}
	if hidden, err = c.gateways(ctx, scanned, led, &m); err != nil {
		return m, "", err
	}
	partial = join(partial, hidden)
	if hidden, err = c.exported(ctx, &m); err != nil {
		return m, "", err
	}
	partial = join(partial, hidden)
	if m.Transparent, err = c.transparent(ctx, scanned); err != nil {
		return m, "", err
	}
	if m.Services, hidden, err = c.services(ctx, scanned); err != nil {
		return m, "", err
	}
	return m, join(partial, hidden), nil
}

// declare adds a detail once.
func declare(pairs map[graph.Pair][]string, pair graph.Pair, detail string) {
	if pair.From != pair.To && !slices.Contains(pairs[pair], detail) {
		pairs[pair] = append(pairs[pair], detail)
	}
}

// join joins two remarks and leaves a repeated one out.
func join(a, b string) string {
	switch {
	case b == "" || a == b:
		return a
	case a == "":
		return b
	}
	return a + "; " + b
}

// preparedQueries maps each prepared query to the service that it asks for. When
// they can't be read, the upstreams that name one stay unknown, and the text says
// so.
func (c *Client) preparedQueries(ctx context.Context, scanned *catalog) (map[string]string, string) {
	wanted := false
	for r := range scanned.all() {
		wanted = wanted || slices.ContainsFunc(r.upstreams, func(u upstream) bool { return u.query })
	}
	if !wanted {
		return nil, ""
	}
	q, cancel := c.query(ctx)
	defer cancel()
	list, meta, err := c.api.PreparedQuery().List(q)
	if err != nil {
		return nil, "prepared queries cannot be read"
	}
	out := make(map[string]string, len(list))
	for _, p := range list {
		out[or(p.Name, p.ID)] = graph.Name(p.Service.Partition, p.Service.Namespace, p.Service.Service)
	}
	return out, filtered("prepared queries", meta)
}

// gateways reads the services behind each gateway.
func (c *Client) gateways(ctx context.Context, scanned *catalog, led routes, m *graph.Mesh) (partial string, err error) {
	kinds := make(map[string]consulapi.ServiceKind)
	var names []string
	for r := range scanned.all() {
		if gateway(r.kind) && kinds[r.service] == "" {
			kinds[r.service] = r.kind
			names = append(names, r.service)
		}
	}
	before := make(map[string][]string) // service → terminating gateways
	for _, name := range names {
		if kinds[name] == consulapi.ServiceKindTerminatingGateway || kinds[name] == consulapi.ServiceKindMeshGateway {
			m.Passing = append(m.Passing, name)
		}
		if kinds[name] == consulapi.ServiceKindMeshGateway {
			continue // it leads to whatever its peers ask for
		}
		q, cancel := c.query(ctx)
		list, meta, err := c.api.Catalog().GatewayServices(name, q)
		cancel()
		if err != nil {
			return "", explain("read what is behind gateway "+name, err)
		}
		partial = join(partial, filtered("services behind gateways", meta))
		for _, g := range list {
			service := graph.Name(g.Service.Partition, g.Service.Namespace, g.Service.Name)
			if kinds[name] == consulapi.ServiceKindTerminatingGateway {
				before[service] = append(before[service], name)
				continue
			}
			for _, d := range led.destinations(service) {
				declare(m.Declared, graph.Pair{From: name, To: d.service}, or(d.how, "route of the gateway"))
			}
		}
	}
	for service, gates := range before {
		slices.Sort(gates)
		if gates = slices.Compact(gates); len(gates) == 1 {
			m.Behind[service] = gates[0] // with several, none of them is needed by itself
		}
	}
	return partial, nil
}

func gateway(kind consulapi.ServiceKind) bool {
	switch kind {
	case consulapi.ServiceKindIngressGateway, consulapi.ServiceKindTerminatingGateway, consulapi.ServiceKindMeshGateway, consulapi.ServiceKindAPIGateway:
		return true
	case consulapi.ServiceKindTypical, consulapi.ServiceKindConnectProxy:
		return false
	}
	return false
}

// exported reads which peers and partitions may use which service. A wildcard
// makes no pairs, since it is only a permission.
func (c *Client) exported(ctx context.Context, m *graph.Mesh) (partial string, err error) {
	list, partial, err := c.entries(ctx, consulapi.ExportedServices)
	if api.IsCode(err, api.CodePermissionDenied) {
		return "exported services cannot be read", nil
	}
	if err != nil {
		return "", err
	}
	for _, entry := range list {
		e, ok := entry.(*consulapi.ExportedServicesConfigEntry)
		if !ok {
			continue
		}
		for _, s := range e.Services {
			if s.Name == graph.Wildcard {
				continue
			}
			for _, consumer := range s.Consumers {
				who := or(or(consumer.Peer, consumer.SamenessGroup), consumer.Partition)
				if who != "" {
					declare(m.Offered, graph.Pair{From: graph.Beyond + who, To: graph.Name(e.Partition, s.Namespace, s.Name)}, "exported to "+who)
				}
			}
		}
	}
	return partial, nil
}

// row is one instance in the catalog. The SDK's own type has no field for the
// kind.
type row struct {
	consulapi.CatalogService
	ServiceKind consulapi.ServiceKind
}

func (r *row) address() string {
	if r.ServicePort == 0 {
		return ""
	}
	return net.JoinHostPort(or(r.ServiceAddress, r.Address), strconv.Itoa(r.ServicePort))
}
