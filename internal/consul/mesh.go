package consul

import (
	"context"
	"net"
	"reflect"
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
//
// The maps and slices of the answer are shared with other callers, who must not
// change them.
func (c *Client) Mesh(ctx context.Context) (m graph.Mesh, partial string, err error) {
	a, err := c.readAnswers(ctx)
	if err != nil {
		return m, "", err
	}
	c.making.Lock()
	defer c.making.Unlock()
	if made := &c.made; made.mesh.Revision == 0 || !reflect.DeepEqual(a, made.of) {
		revision := made.mesh.Revision + 1
		made.of = a
		made.mesh, made.unknown = a.mesh()
		made.mesh.Revision = revision
	}
	return c.made.mesh, join(a.partial, c.made.unknown), nil
}

// answers are what a mesh is made of. Two that are deeply equal make the same one.
type answers struct {
	scanned  *catalog // the same one as long as the catalog is
	led      routes
	queries  map[string]string       // prepared query → service, nil when no upstream names one
	behind   map[string][]string     // gateway → services
	exported map[graph.Pair][]string // as graph.Mesh.Offered
	modes    map[string]consulapi.ProxyMode
	failing  map[[2]string]bool // as readFailing returns it
	partial  string
}

// readAnswers asks Consul for everything that a mesh is made of.
func (c *Client) readAnswers(ctx context.Context) (a answers, err error) {
	if a.scanned, err = c.registrations(ctx); err != nil {
		return a, err
	}
	for _, read := range []func(context.Context, *answers) (string, error){
		func(context.Context, *answers) (string, error) { return a.scanned.partial, nil },
		c.readRoutes, c.readQueries, c.readBehind, c.readExported, c.readModes,
		func(ctx context.Context, a *answers) (hidden string, err error) {
			a.failing, hidden, err = c.readFailing(ctx)
			return hidden, err
		},
	} {
		hidden, err := read(ctx, &a)
		if err != nil {
			return a, err
		}
		a.partial = join(a.partial, hidden)
	}
	return a, nil
}

// mesh makes a mesh of the answers. The text says which of its pairs are unknown.
func (a *answers) mesh() (m graph.Mesh, unknown string) {
	m = graph.Mesh{Declared: make(map[graph.Pair][]string), Offered: a.exported, Addresses: make(map[string]string),
		Transparent: a.scanned.transparent(a.modes), Services: a.scanned.summed(a.failing)}
	for r := range a.scanned.all() {
		for _, u := range r.upstreams {
			to := u.service
			if u.query {
				if to = a.queries[u.service]; to == "" {
					unknown = join(unknown, "an upstream of "+r.proxyFor+" is a prepared query whose service is not known")
					continue
				}
			}
			for _, d := range a.led.destinations(to) {
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
	a.gateways(&m)
	return m, unknown
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

// readQueries maps each prepared query to the service that it asks for. When
// they can't be read, the upstreams that name one stay unknown, and the text says
// so.
func (c *Client) readQueries(ctx context.Context, a *answers) (string, error) {
	wanted := false
	for r := range a.scanned.all() {
		wanted = wanted || slices.ContainsFunc(r.upstreams, func(u upstream) bool { return u.query })
	}
	if !wanted {
		return "", nil
	}
	q, cancel := c.query(ctx)
	defer cancel()
	list, meta, err := c.api.PreparedQuery().List(q)
	if err != nil {
		return "prepared queries cannot be read", nil //nolint:nilerr // the text says it
	}
	a.queries = make(map[string]string, len(list))
	for _, p := range list {
		a.queries[or(p.Name, p.ID)] = graph.Name(p.Service.Partition, p.Service.Namespace, p.Service.Service)
	}
	return filtered("prepared queries", meta), nil
}

// readBehind reads the services behind each gateway but mesh gateways, which lead to
// whatever their peers ask for.
func (c *Client) readBehind(ctx context.Context, a *answers) (partial string, err error) {
	a.behind = make(map[string][]string)
	for name, kind := range a.scanned.gateways() {
		if kind == consulapi.ServiceKindMeshGateway {
			continue
		}
		q, cancel := c.query(ctx)
		list, meta, err := c.api.Catalog().GatewayServices(name, q)
		cancel()
		if err != nil {
			return "", explain("read what is behind gateway "+name, err)
		}
		partial = join(partial, filtered("services behind gateways", meta))
		for _, g := range list {
			a.behind[name] = append(a.behind[name], graph.Name(g.Service.Partition, g.Service.Namespace, g.Service.Name))
		}
	}
	return partial, nil
}

// gateways adds to a mesh the services behind each gateway.
func (a *answers) gateways(m *graph.Mesh) {
	m.Behind = make(map[string]string)
	before := make(map[string][]string) // service → terminating gateways
	for name, kind := range a.scanned.gateways() {
		if kind == consulapi.ServiceKindTerminatingGateway || kind == consulapi.ServiceKindMeshGateway {
			m.Passing = append(m.Passing, name)
		}
		for _, service := range a.behind[name] {
			if kind == consulapi.ServiceKindTerminatingGateway {
				before[service] = append(before[service], name)
				continue
			}
			for _, d := range a.led.destinations(service) {
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

// readExported reads which peers and partitions may use which service. A wildcard
// makes no pairs, since it is only a permission.
func (c *Client) readExported(ctx context.Context, a *answers) (partial string, err error) {
	a.exported = make(map[graph.Pair][]string)
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
					declare(a.exported, graph.Pair{From: graph.Beyond + who, To: graph.Name(e.Partition, s.Namespace, s.Name)}, "exported to "+who)
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
