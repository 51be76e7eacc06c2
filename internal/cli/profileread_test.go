package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestAProfileFitsATerminal has the longest name and figures of two years.
func TestAProfileFitsATerminal(t *testing.T) {
	hours := make([]*float64, 168)
	for i := range hours {
		hours[i] = new(0.0123)
	}
	p := fixtureProfile()
	for _, kpi := range []string{api.KPIPressureMemory, api.KPICPU} {
		p.KPIs = append(p.KPIs, api.Baseline{KPI: kpi, Unit: "cores", Source: "nomad-stats", Samples: 12_000_000, Last: 0.0123, Hours: hours,
			Usual: &api.Usual{Hour: 167, Whole: true, Samples: 1440, P50: 0.0123, P90: 0.0123, Unusual: 0.0123}})
	}
	var out bytes.Buffer
	(&env{Options{Now: testNow}}).printProfile(&out, p)
	must.StrContains(t, out.String(), "Sun 23:00 to 00:00 UTC")
	printWeek(&out, p.KPIs[len(p.KPIs)-1])
	for line := range strings.Lines(out.String()) {
		must.LessEq(t, 80, utf8.RuneCountInString(strings.TrimRight(line, "\n")), must.Sprint(line))
	}
}
