package simulator

import (
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
)

// progress tells how far a simulation is. It is for changes of the phase or the pair,
// since each of them is written to the replicated log. What is told is a courtesy: a
// simulation goes on when nobody takes it.
func (s *Simulator) progress(ctx context.Context, r Request, p api.SimulationProgress) {
	if s.o.Progress == nil {
		return
	}
	p.At = time.Now().UTC()
	s.o.Progress(ctx, r.ID, p)
}

// enter tells that a turn enters a phase, with the evidence of the turns before. What
// is left is estimated from the longest turn so far, of which as many follow as turns
// are left, this one included.
func (e *experiment) enter(ctx context.Context, r turn, phase string, left int) {
	p := api.SimulationProgress{Phase: phase, Pair: r.pair, Pairs: e.panel.Pairs()}
	p.Left = api.Duration((max(e.longestPair, e.panel.Duration()) * time.Duration(left)).Round(time.Second))
	p.KPIs = e.panel.Looks(time.Now())
	e.progress(ctx, e.request, p)
}
