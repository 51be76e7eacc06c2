package stub

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// callsMost is how many of the calls that no stub answers a text names.
const callsMost = 5

// Calls gathers which calls of twins no stub had an answer for, over all pairs of boots.
// The zero value is ready for use. It is for one goroutine at a time.
type Calls struct {
	control, treatment map[call]int64
	unknown            []error // of the twins whose calls could not be read
}

// Observe counts the calls of one twin, or keeps why they are not known.
func (c *Calls) Observe(list []twin.Unanswered, treatment bool, err error) {
	if err != nil {
		c.unknown = append(c.unknown, err)
		return
	}
	if c.control == nil {
		c.control, c.treatment = map[call]int64{}, map[call]int64{}
	}
	to := c.control
	if treatment {
		to = c.treatment
	}
	for _, u := range list {
		to[call{u.Stub, u.Call}] += u.Count
	}
}

// Note says for the record which calls of the control no stub answers, and of how many
// twins it is not known. It is "", or begins with a semicolon.
func (c *Calls) Note() string {
	text := ""
	if list := callsText(c.control); list != "" {
		text = "; calls of the control that no stub answers: " + list
	}
	switch n := len(c.unknown); n {
	case 0:
		return text
	case 1:
		return text + fmt.Sprintf("; what the stubs of one twin were asked is not known (%v)", c.unknown[0])
	default:
		return text + fmt.Sprintf("; what the stubs of %d twins were asked is not known (%v)", n, c.unknown[0])
	}
}

// Weaken takes the verdict away from a run in which only the patched twin made calls that
// no stub answers: what became of it may be the stub's doing, and not the patch's.
func (c *Calls) Weaken(impact api.Impact) api.Impact {
	fresh := maps.Clone(c.treatment)
	maps.DeleteFunc(fresh, func(k call, _ int64) bool { _, known := c.control[k]; return known })
	if len(fresh) == 0 {
		return impact
	}
	news := "the patched twin makes calls that no stub answers and the control does not make: " + callsText(fresh)
	impact.Verdict, impact.Negative = api.SimulationUndecided, false
	impact.Reasons = append([]string{news}, impact.Reasons...)
	impact.Reason = "undecided: " + news + "; " + impact.Reason
	return impact
}

// callsText lists calls, the most frequent first:
//
//	GET /price/9 x12 (stub pricing)
func callsText(counts map[call]int64) string {
	order := slices.SortedFunc(maps.Keys(counts), func(a, b call) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a.stub, b.stub), strings.Compare(a.name, b.name))
	})
	var out []string
	for _, k := range order[:min(len(order), callsMost)] {
		out = append(out, fmt.Sprintf("%.80s x%d (stub %s)", k.name, counts[k], k.stub))
	}
	if more := len(order) - callsMost; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
