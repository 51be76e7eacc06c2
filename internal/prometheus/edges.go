package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/internal/graph"
)

// defaultWindow spans several scrapes at the usual 5 to 15 s, so that one lost
// scrape does not look like silence.
const defaultWindow = 30 * time.Second

// family is one kind of proxy: a query for the whole graph at once, and the
// labels that hold both ends.
type family struct {
	name, from, to string
	query          func(window string) string
}

// families of mesh metrics. The built-in proxy's come through statsd_exporter;
// its tx and rx are told apart by metric name. Envoy's clusters that are not
// upstream services carry no destination label.
func families() []family {
	return []family{
		{name: "consul built-in proxy", from: "src", to: "dst", query: func(window string) string {
			sum := func(way string) string {
				return fmt.Sprintf(`sum by (src, dst) (rate(consul_proxy_upstream_%s_bytes{dst_type=~"service|",src!="",dst!=""}[%s]))`, way, window)
			}
			return sum("tx") + " + " + sum("rx")
		}},
		{name: "envoy", from: "consul_source_service", to: "consul_destination_service", query: func(window string) string {
			sum := func(way string) string {
				return fmt.Sprintf(`sum by (consul_source_service, consul_destination_service) (rate(envoy_cluster_upstream_cx_%s_bytes_total{consul_source_service!="",consul_destination_service!=""}[%s]))`, way, window)
			}
			return sum("tx") + " + " + sum("rx")
		}},
	}
}

// Edges reads the observed traffic between services, one query for each family
// of metrics, sorted by both ends. Rates of zero are kept: the proxies are
// there and silent. A family that nobody reports is no error; that nothing at
// all is reported is said in partial.
func (c *Client) Edges(ctx context.Context) (flows []graph.Flow, partial string, err error) {
	window := fmt.Sprintf("%ds", max(1, int(c.window.Round(time.Second)/time.Second)))
	for _, f := range families() {
		samples, err := c.Query(ctx, f.query(window), time.Time{})
		if err != nil {
			return nil, "", err
		}
		for _, s := range samples {
			from, to := s.Labels[f.from], s.Labels[f.to]
			if from == "" || to == "" || s.Value < 0 {
				continue
			}
			flows = append(flows, graph.Flow{From: from, To: to, Detail: f.name, BytesPerSecond: s.Value})
		}
	}
	if len(flows) == 0 {
		partial = "prometheus has no metrics of mesh proxies"
	}
	slices.SortFunc(flows, func(a, b graph.Flow) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Detail, b.Detail))
	})
	return flows, partial, nil
}
