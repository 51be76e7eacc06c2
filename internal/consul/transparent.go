package consul

import (
	"context"
	"maps"
	"slices"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// readModes reads the mode of proxies by the defaults of services, and of all proxies
// under the name anyService. Defaults that the token may not read are ignored: the
// graph has the same edges without them, with a shorter explanation.
func (c *Client) readModes(ctx context.Context, a *answers) (partial string, err error) {
	a.modes = make(map[string]consulapi.ProxyMode)
	for _, kind := range [...]string{consulapi.ProxyDefaults, consulapi.ServiceDefaults} {
		list, _, err := c.entries(ctx, kind)
		if api.IsCode(err, api.CodePermissionDenied) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, entry := range list {
			switch e := entry.(type) {
			case *consulapi.ServiceConfigEntry:
				a.modes[graph.Name(e.Partition, e.Namespace, e.Name)] = e.Mode
			case *consulapi.ProxyConfigEntry:
				a.modes[anyService] = e.Mode
			}
		}
	}
	return "", nil
}

// transparent lists the services that have a transparent proxy, sorted. The mode
// is the registration's, else the one of the service's defaults, else the one of the
// proxies' defaults.
func (c *catalog) transparent(modes map[string]consulapi.ProxyMode) []string {
	found := make(map[string]bool)
	for r := range c.all() {
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
	return slices.Sorted(maps.Keys(found))
}
