package view_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// TestDiscovery_ShowsTargetsTogether has many targets, of which some are alike.
func TestDiscovery_ShowsTargetsTogether(t *testing.T) {
	t.Parallel()
	d := api.KPIDiscovery{At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Metrics: 1}
	for i := range 12 {
		c := api.KPICoverage{Target: api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("service-%02d", i), Group: "vm"}, Instances: 2,
			Has: []api.FoundKPI{{KPI: "cpu", InForce: true}, {KPI: "error_rate"}, {KPI: "latency_p99"}}}
		if i == 3 {
			c.Lacks = []api.LackingKPI{{KPI: "io_bytes", Why: "none"}}
		}
		d.Targets = append(d.Targets, c)
	}
	var out strings.Builder
	view.Discovery(&out, d, 100)
	for line := range strings.Lines(out.String()) {
		must.LessEq(t, 101, utf8.RuneCountInString(line), must.Sprint(line))
	}
	must.Eq(t, `1 metric in Prometheus, 2026-03-01 12:00:00 UTC

11 targets: prod/service-00/vm, prod/service-01/vm, prod/service-02/vm, prod/service-04/vm,
prod/service-05/vm, prod/service-06/vm, prod/service-07/vm, prod/service-08/vm and 3 more
  Measured   cpu
  Could be   error_rate, latency_p99

1 target: prod/service-03/vm
  Measured   cpu
  Could be   error_rate, latency_p99
  Lacks      io_bytes

The metrics, and why something is lacking: oakum kpi discover -target=TARGET
`, out.String())
}
