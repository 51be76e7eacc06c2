package consul

import (
	"context"
	"maps"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// transparent lists the services of which a proxy is transparent, sorted: by its
// registration, or else by the defaults of the service, or else by those of all
// proxies. Defaults that are hidden are none: what the graph says of such a
// service is the same, only less explained.
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
				modes[everything] = e.Mode
			}
		}
	}
	found := make(map[string]bool)
	for _, r := range scanned.registrations {
		mode := r.mode
		for _, name := range [...]string{r.proxyFor, everything} {
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
