package consul

import (
	"context"
	"maps"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// transparent lists the services that have a transparent proxy, sorted. The mode
// is the registration's, else that of the service's defaults, else that of the
// proxies' defaults. Defaults that the token may not read are ignored: the graph
// has the same edges without them, with a shorter explanation.
func (c *Client) transparent(ctx context.Context, scanned *catalog) ([]string, error) {
	modes := make(map[string]consulapi.ProxyMode)
	for _, kind := range [...]string{consulapi.ProxyDefaults, consulapi.ServiceDefaults} {
		list, _, err := c.entries(ctx, kind)
		if api.IsCode(err, api.CodePermissionDenied) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range list {
			switch e := entry.(type) {
			case *consulapi.ServiceConfigEntry:
				modes[graph.Name(e.Partition, e.Namespace, e.Name)] = e.Mode
			case *consulapi.ProxyConfigEntry:
				modes[anyService] = e.Mode
			}
		}
	}
	found := make(map[string]bool)
	for r := range scanned.all() {
		mode := r.mode
		for _, name := range [...]string{r.proxyFor, anyService} {
			if mode == consulapi.ProxyModeDefault {
				mode = modes[name]
			}
		}
		if r.proxyFor != "" && mode == consulapi.ProxyModeTransparent {
			found[r.proxyFor] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
