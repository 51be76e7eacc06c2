package consul

import (
	"context"
	"net/url"
	"slices"
	"strings"

	consulapi "github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// scanWidth is how many services are read at once. Consul answers one in about
// a millisecond; eight keep 20,000 services under a few seconds without
// crowding out the agent's other callers.
const scanWidth = 8

// registration is one service instance in the catalog.
type registration struct {
	service, id, node string
	kind              consulapi.ServiceKind
	address           string // host:port, or ""
	// proxyFor is the service that a mesh proxy stands for, and upstreams are
	// what it was told to reach. Both are empty for anything else.
	proxyFor  string
	upstreams []upstream // each once
	mode      consulapi.ProxyMode
}

// upstream is one thing that a proxy was told to reach.
type upstream struct {
	service string // or the name of a prepared query
	query   bool
}

// catalog is one scan of all registrations. It is not changed after it is made.
type catalog struct {
	index         uint64
	registrations []registration // sorted by service, ID, node
	partial       string         // what the token hides, or ""
}

// registrations scans the whole catalog. While Consul's catalog index stands
// still the last scan is given again, which costs one call.
func (c *Client) registrations(ctx context.Context) (*catalog, error) {
	c.scanning.Lock() // two scans at once would only do the same work twice
	defer c.scanning.Unlock()
	q, cancel := c.query(ctx)
	defer cancel()
	names, meta, err := c.api.Catalog().Services(q)
	if err != nil {
		return nil, explain("list services", err)
	}
	if len(names) == 0 {
		// Consul lists itself, and does not tell an anonymous caller that it hides
		// anything. An empty catalog is never the truth.
		return nil, api.Errorf(api.CodePermissionDenied, "consul: list services: it shows none to this token, not even itself")
	}
	if c.catalog != nil && meta.LastIndex > 0 && c.catalog.index == meta.LastIndex && c.catalog.partial == "" {
		return c.catalog, nil
	}
	scanned, err := c.scan(ctx, names)
	if err != nil {
		return nil, err
	}
	scanned.index = meta.LastIndex
	if text := filtered("services", meta); text != "" {
		scanned.partial = text
	}
	c.catalog = scanned
	return scanned, nil
}

// scan reads the instances of every service.
func (c *Client) scan(ctx context.Context, names map[string][]string) (*catalog, error) {
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	lists := make([][]registration, len(sorted))
	partials := make([]string, len(sorted))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(scanWidth)
	for i, name := range sorted {
		group.Go(func() error {
			q, cancel := c.query(ctx)
			defer cancel()
			var list []*row
			meta, err := c.api.Raw().Query("/v1/catalog/service/"+url.PathEscape(name), &list, q)
			if err != nil {
				return explain("read service "+name, err)
			}
			partials[i] = filtered("instances", meta)
			for _, s := range list {
				lists[i] = append(lists[i], register(s))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	scanned := &catalog{registrations: slices.Concat(lists...)}
	for _, text := range partials {
		if text != "" {
			scanned.partial = text
		}
	}
	slices.SortFunc(scanned.registrations, func(a, b registration) int {
		return strings.Compare(a.service+"\x00"+a.id+"\x00"+a.node, b.service+"\x00"+b.id+"\x00"+b.node)
	})
	return scanned, nil
}

func register(s *row) registration {
	r := registration{service: graph.Name(s.Partition, s.Namespace, s.ServiceName), id: s.ServiceID, node: s.Node, kind: s.ServiceKind, address: s.address()}
	if s.ServiceProxy == nil || s.ServiceProxy.DestinationServiceName == "" {
		return r
	}
	r.mode = s.ServiceProxy.Mode
	r.proxyFor = graph.Name(s.Partition, s.Namespace, s.ServiceProxy.DestinationServiceName)
	for _, u := range s.ServiceProxy.Upstreams {
		if u.DestinationName == "" {
			continue
		}
		name := graph.Name(or(u.DestinationPartition, s.Partition), or(u.DestinationNamespace, s.Namespace), u.DestinationName)
		next := upstream{service: beyond(name, u.DestinationPeer, u.Datacenter, s.Datacenter)}
		if u.DestinationType == consulapi.UpstreamDestTypePreparedQuery {
			next = upstream{service: u.DestinationName, query: true}
		}
		if !slices.Contains(r.upstreams, next) {
			r.upstreams = append(r.upstreams, next)
		}
	}
	return r
}
