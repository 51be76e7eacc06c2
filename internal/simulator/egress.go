package simulator

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/oakumhq/oakum/internal/simulator/evidence"
	"github.com/oakumhq/oakum/internal/twin"
)

// bootsForNew is how many boots of the treatment must have tried a destination, and the
// boots of its controls not, before that is the patch's doing. What a machine tries now
// and then, it may try in one boot and not in another.
const bootsForNew = 2

// egress gathers what the twins tried to reach, over all pairs of boots. The zero value
// is ready for use.
type egress struct {
	boots   int                       // of the treatment that were compared
	always  map[twin.Destination]bool // tried in every one of them
	control map[twin.Destination]bool // tried in some boot of a control
	gaps    []string                  // why pairs were not compared
	doubts  []string                  // the same, where it may be the patch's doing
	blind   bool                      // machines had no gateway
}

// seen is what one twin tried to reach, or why that is not known.
type seen struct {
	twin.Egress
	err error
}

// observeEgress reads what both twins of a pair have tried to reach, while they run.
func (e *experiment) observeEgress(ctx context.Context, p *pair) {
	var arms [2]seen
	for i, m := range p.arms {
		arms[i].Egress, arms[i].err = e.o.Sandbox.Egress(ctx, m.Machine, m.state.Alloc)
	}
	e.egress.observe(arms[0], arms[1], p.turn.alike)
}

// observe takes one pair. Of two controls, the second one plays the treatment.
func (g *egress) observe(control, treatment seen, alike bool) {
	if g.control == nil {
		g.control = map[twin.Destination]bool{}
	}
	g.tried(control)
	if alike {
		g.tried(treatment)
		return
	}
	switch {
	case control.err != nil:
		g.gaps = append(g.gaps, control.err.Error())
		return
	case treatment.err != nil:
		g.gaps = append(g.gaps, treatment.err.Error())
		return
	case control.Full && treatment.Full:
		g.gaps = append(g.gaps, "both machines sent more than is kept")
		return
	case control.Full != treatment.Full:
		g.doubts = append(g.doubts, fmt.Sprintf("the %s sent more than is kept", armOf(treatment.Full)))
		return
	case control.NoGateway != treatment.NoGateway:
		g.doubts = append(g.doubts, fmt.Sprintf("only the %s takes its address by DHCP, which offers no gateway here", armOf(treatment.NoGateway)))
		return
	}
	g.blind = g.blind || control.NoGateway
	now := map[twin.Destination]bool{}
	for _, d := range treatment.Destinations {
		if g.boots == 0 || g.always[d] {
			now[d] = true
		}
	}
	g.boots, g.always = g.boots+1, now
}

// armOf names one of the machines of a pair.
func armOf(treatment bool) string {
	if treatment {
		return "patched machine"
	}
	return "control"
}

// tried notes what a control tried.
func (g *egress) tried(s seen) {
	for _, d := range s.Destinations {
		g.control[d] = true
	}
}

// fresh are the destinations that only the patched machine tries, in each of its boots.
func (g *egress) fresh() []twin.Destination {
	var out []twin.Destination
	for _, d := range slices.SortedFunc(maps.Keys(g.always), twin.Destination.Compare) {
		if !g.control[d] {
			out = append(out, d)
		}
	}
	return out
}

// open reports whether another pair could show that the patch makes its machine reach
// for something new.
func (g *egress) open() bool { return len(g.fresh()) > 0 && g.boots < bootsForNew }

// fault says what the patch makes its machine reach for, when enough boots show it.
func (g *egress) fault() string {
	if g.boots < bootsForNew {
		return ""
	}
	return g.news()
}

// news says what only the patched machine tries to reach, or "".
func (g *egress) news() string {
	fresh := g.fresh()
	if len(fresh) == 0 {
		return ""
	}
	text := "the patched machine tries to reach " + fresh[0].String()
	if more := len(fresh) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text + ", which the control never did"
}

// undecided are the reasons for which this says nothing for the patch.
func (g *egress) undecided() []string {
	var out []string
	if news := g.news(); news != "" && g.open() {
		out = append(out, news+" (one pair of boots)")
	}
	for _, why := range g.doubts {
		out = append(out, "outgoing connections were not compared in each pair: "+why)
	}
	return out
}

// note says for the record what was compared, or "".
func (g *egress) note() string {
	text := ""
	both := 0
	for d := range g.always {
		if g.control[d] {
			both++
		}
	}
	if both > 0 {
		text += fmt.Sprintf("; both machines try to reach %s", evidence.CountOf(both, "destination"))
	}
	if g.blind {
		text += "; outgoing connections past the gateway were not seen (the machines take their address by DHCP, which offers none here)"
	}
	if len(g.gaps) > 0 {
		text += fmt.Sprintf("; outgoing connections were not compared in %s (%s)", evidence.CountOf(len(g.gaps), "pair"), g.gaps[0])
	}
	return text
}
