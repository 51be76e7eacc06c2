package consul

import (
	"context"
	"slices"
	"strings"

	consulapi "github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
)

// taskPrefix begins the ID of every service that Nomad registers for a task or
// a group; the allocation ID and a dash follow.
const (
	taskPrefix  = "_nomad-task-"
	allocLength = 36
)

// AllocID returns the allocation that a service ID belongs to.
func AllocID(serviceID string) (string, bool) {
	rest, ok := strings.CutPrefix(serviceID, taskPrefix)
	if !ok || len(rest) <= allocLength || rest[allocLength] != '-' {
		return "", false
	}
	return rest[:allocLength], true
}

// Checks tells, for the allocations behind the named services, what their
// checks say: the worst of all the services and checks of an allocation, its
// node's included. passing is healthy, critical is unhealthy; warning, and a
// check in maintenance, are pending, since Nomad does not count them as healthy
// either. A service without checks is healthy. An allocation that is not in the
// map has not been registered yet: the caller takes it as pending. Consul
// begins every check as critical, so unhealthy right after a start is no proof.
func (c *Client) Checks(ctx context.Context, services []string) (map[string]api.Health, error) {
	names := slices.Clone(services)
	slices.Sort(names)
	names = slices.Compact(names)
	entries := make([][]*consulapi.ServiceEntry, len(names))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(scanWidth)
	for i, name := range names {
		group.Go(func() error {
			q, cancel := c.query(groupCtx)
			defer cancel()
			list, meta, err := c.api.Health().Service(name, "", false, q)
			if err != nil {
				return explain("read health of service "+name, err)
			}
			if text := filtered("checks", meta); text != "" {
				return api.Errorf(api.CodePermissionDenied, "read health of service %s: %s", name, text)
			}
			entries[i] = list
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := make(map[string]api.Health)
	for _, entry := range slices.Concat(entries...) {
		if alloc, ok := AllocID(entry.Service.ID); ok {
			found[alloc] = worse(found[alloc], health(entry.Checks))
		}
	}
	return found, nil
}

func health(checks consulapi.HealthChecks) api.Health {
	switch checks.AggregatedStatus() {
	case consulapi.HealthPassing:
		return api.Healthy
	case consulapi.HealthCritical:
		return api.Unhealthy
	}
	return api.Pending
}

// worse joins two words on one allocation; "" is no word yet.
func worse(a, b api.Health) api.Health {
	for _, h := range [...]api.Health{api.Unhealthy, api.Pending, api.Healthy} {
		if a == h || b == h {
			return h
		}
	}
	return b
}

// Services sums up the catalog by service, sorted by name: instances, how many
// of them pass all their checks, and on which nodes. Mesh proxies are not
// services of their own and are left out. A node whose own check fails takes its
// instances with it. partial says what the token hides.
func (c *Client) Services(ctx context.Context) (list []api.Service, partial string, err error) {
	scanned, err := c.registrations(ctx)
	if err != nil {
		return nil, "", err
	}
	q, cancel := c.query(ctx)
	defer cancel()
	checks, meta, err := c.api.Health().State(consulapi.HealthAny, q)
	if err != nil {
		return nil, "", explain("list checks", err)
	}
	failing := make(map[[2]string]bool) // node and service ID, or node and ""
	for _, check := range checks {
		if check.Status != consulapi.HealthPassing {
			failing[[2]string{check.Node, check.ServiceID}] = true
		}
	}
	for _, r := range scanned.registrations {
		if r.proxyFor != "" {
			continue
		}
		if n := len(list); n == 0 || list[n-1].Name != r.service {
			list = append(list, api.Service{Name: r.service})
			if gateway(r.kind) {
				list[n].Kind = api.KindGateway
			}
		}
		s := &list[len(list)-1]
		s.Instances++
		if !failing[[2]string{r.node, r.id}] && !failing[[2]string{r.node, ""}] {
			s.Healthy++
		}
		s.Nodes = append(s.Nodes, r.node)
	}
	for i := range list {
		slices.Sort(list[i].Nodes)
		list[i].Nodes = slices.Compact(list[i].Nodes)
	}
	if partial = scanned.partial; partial == "" {
		partial = filtered("checks", meta)
	}
	return list, partial, nil
}
