package view_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// TestProfile_FitsATerminal has the longest name and figures of two years.
func TestProfile_FitsATerminal(t *testing.T) {
	hours := make([]*float64, 168)
	for i := range hours {
		hours[i] = new(0.0123)
	}
	p := api.Profile{
		Target: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}, Since: testNow().Add(-48 * time.Hour), Updated: testNow().Add(-4 * time.Second),
		KPIs: []api.Baseline{{KPI: "latency_p99", Unit: "seconds", Source: "prometheus", Samples: 12, Cold: true, Last: 0.09}},
	}
	for _, kpi := range []string{api.KPIPressureMemory, api.KPICPU} {
		p.KPIs = append(p.KPIs, api.Baseline{KPI: kpi, Unit: "cores", Source: "nomad-stats", Samples: 12_000_000, Last: 0.0123, Hours: hours,
			Usual: &api.Usual{Hour: 167, Whole: true, Samples: 1440, P50: 0.0123, P90: 0.0123, Unusual: 0.0123}})
	}
	var out bytes.Buffer
	view.Profile(&out, p, testNow())
	must.StrContains(t, out.String(), "Sun 23:00 to 00:00 UTC")
	view.Week(&out, p.KPIs[len(p.KPIs)-1])
	for line := range strings.Lines(out.String()) {
		must.LessEq(t, 80, utf8.RuneCountInString(strings.TrimRight(line, "\n")), must.Sprint(line))
	}
}
