package consul

import (
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/mesh"
)

// catalogRoutes are the reads of what is registered.
func (c *Door) catalogRoutes() {
	catalog, checks := fleet.TableCatalog, fleet.TableChecks
	c.mux.HandleFunc("GET /v1/catalog/services", c.read(services, catalog))
	c.mux.HandleFunc("GET /v1/catalog/service/{name}", c.read(instances, catalog))
	c.mux.HandleFunc("GET /v1/catalog/gateway-services/{name}", c.read(nothing, catalog))
	c.mux.HandleFunc("GET /v1/health/service/{name}", c.probed(c.read(health, catalog, checks)))
	c.mux.HandleFunc("GET /v1/health/state/{state}", c.probed(c.read(healthState, catalog, checks)))
	c.mux.HandleFunc("GET /v1/query", c.read(nothing))
}

// nothing answers for what the model has none of.
func nothing(*asked) (any, error) { return []any{}, nil }

func (a *asked) hides(r *mesh.Registration) bool { return a.hidden[r.Service] || a.hidden[r.ProxyFor] }

func services(a *asked) (any, error) {
	out := a.mesh.Services()
	for name := range out {
		if len(a.hidden) == 0 {
			break
		}
		if list := a.mesh.Registrations(name); a.hides(list[0]) {
			delete(out, name)
		}
	}
	out["consul"] = []string{} // which registers itself
	return out, nil
}

// found lists the instances of a service that the caller may see and asked for.
func (a *asked) found() []*mesh.Registration {
	tags := a.URL.Query()["tag"]
	return slices.DeleteFunc(a.mesh.Registrations(a.PathValue("name")), func(r *mesh.Registration) bool {
		return a.hides(r) || slices.ContainsFunc(tags, func(t string) bool { return t != "" && !slices.Contains(r.Tags, t) })
	})
}

// row is one instance as the catalog has it; the SDK's own type leaves the kind
// out.
type row struct {
	consulapi.CatalogService
	ServiceKind consulapi.ServiceKind
}

func instances(a *asked) (any, error) {
	out := []row{}
	for _, r := range a.found() {
		out = append(out, row{ServiceKind: consulapi.ServiceKind(r.Kind), CatalogService: consulapi.CatalogService{
			Node: r.Node, Address: r.Address, Datacenter: door.Datacenter, ServiceID: r.ID, ServiceName: r.Service, ServiceAddress: r.Address,
			ServicePort: r.Port, ServiceTags: r.Tags, ServiceMeta: r.Meta, ServiceProxy: proxyOf(r),
			CreateIndex: r.CreateIndex, ModifyIndex: r.ModifyIndex,
		}})
	}
	return out, nil
}

// proxyOf is what a sidecar was told; nil for anything else.
func proxyOf(r *mesh.Registration) *consulapi.AgentServiceConnectProxyConfig {
	if r.ProxyFor == "" {
		return nil
	}
	p := &consulapi.AgentServiceConnectProxyConfig{DestinationServiceName: r.ProxyFor, DestinationServiceID: r.ProxyForID}
	for i, name := range r.Upstreams {
		p.Upstreams = append(p.Upstreams, consulapi.Upstream{
			DestinationType: consulapi.UpstreamDestTypeService, DestinationName: name, LocalBindPort: 9100 + i,
		})
	}
	return p
}

func serviceOf(r *mesh.Registration) *consulapi.AgentService {
	return &consulapi.AgentService{
		Kind: consulapi.ServiceKind(r.Kind), ID: r.ID, Service: r.Service, Tags: r.Tags, Meta: r.Meta, Address: r.Address, Port: r.Port,
		Proxy: proxyOf(r), Datacenter: door.Datacenter, CreateIndex: r.CreateIndex, ModifyIndex: r.ModifyIndex,
	}
}

func checkOf(c mesh.Check) *consulapi.HealthCheck {
	return &consulapi.HealthCheck{
		Node: c.Node, CheckID: c.ID, Name: c.Name, Status: c.Status, Output: c.Output, ServiceID: c.ServiceID, ServiceName: c.Service,
	}
}

func health(a *asked) (any, error) {
	passing := a.URL.Query().Has("passing")
	out := []*consulapi.ServiceEntry{}
	for _, r := range a.found() {
		entry := &consulapi.ServiceEntry{
			Node:    &consulapi.Node{ID: r.Node, Node: r.Node, Address: r.Address, Datacenter: door.Datacenter},
			Service: serviceOf(r),
		}
		for _, c := range a.mesh.Checks(r) {
			entry.Checks = append(entry.Checks, checkOf(c))
		}
		if !passing || entry.Checks.AggregatedStatus() == consulapi.HealthPassing {
			out = append(out, entry)
		}
	}
	return out, nil
}

func healthState(a *asked) (any, error) {
	state := a.PathValue("state")
	out := []*consulapi.HealthCheck{}
	for _, c := range a.mesh.AllChecks() {
		if (state == consulapi.HealthAny || state == c.Status) && !a.hidden[c.Service] {
			out = append(out, checkOf(c))
		}
	}
	return out, nil
}
