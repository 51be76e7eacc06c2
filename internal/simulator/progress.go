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
