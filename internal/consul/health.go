package consul

import (
	"context"
	"slices"
	"strings"

	consulapi "github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
)

// taskPrefix begins the ID of every service that Nomad registers for a task or a
// group. The allocation's ID and a dash follow.
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

// Checks returns the health of the allocations behind some services. It is the
// worst result of all checks of an allocation's services and of its node:
//
//   - passing is healthy, and so is a service without checks
//   - critical is unhealthy
//   - warning, and a service in maintenance, is pending: Nomad does not count it as healthy
//     either
//
// An allocation that is not in the map is not registered yet, so the caller takes
// it as pending. Consul starts every check as critical, so unhealthy right after a
// start proves nothing.
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

// worse returns the worse of two healths; "" is none.
func worse(a, b api.Health) api.Health {
	for _, h := range [...]api.Health{api.Unhealthy, api.Pending, api.Healthy} {
		if a == h || b == h {
			return h
		}
	}
	return b
}

// notPassing selects the checks that count. All checks of 100,000 instances are
// more than 60 MB, of which a healthy fleet needs none.
const notPassing = `Status != "passing"`

// Services sums up the catalog by service, sorted by name: how many instances
// there are, how many pass all their checks, and on which nodes. It leaves mesh
// proxies out. An instance fails with its node's own check. partial says what the
// token hides.
func (c *Client) Services(ctx context.Context) (list []api.Service, partial string, err error) {
	scanned, err := c.registrations(ctx)
	if err != nil {
		return nil, "", err
	}
	failing, hidden, err := c.readFailing(ctx)
	if err != nil {
		return nil, "", err
	}
	return scanned.summed(failing), join(scanned.partial, hidden), nil
}

// readFailing reads which checks do not pass: by node and service ID, a node's own
// check by node and "".
func (c *Client) readFailing(ctx context.Context) (failing map[[2]string]bool, partial string, err error) {
	q, cancel := c.query(ctx)
	defer cancel()
	q.Filter = notPassing
	checks, meta, err := c.api.Health().State(consulapi.HealthAny, q)
	if err != nil {
		return nil, "", explain("list checks", err)
	}
	failing = make(map[[2]string]bool)
	for _, check := range checks {
		if check.Status != consulapi.HealthPassing {
			failing[[2]string{check.Node, check.ServiceID}] = true
		}
	}
	return failing, filtered("checks", meta), nil
}

// summed sums up the catalog by service, with the checks that fail.
func (c *catalog) summed(failing map[[2]string]bool) (list []api.Service) {
	for r := range c.all() {
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
	return list
}
