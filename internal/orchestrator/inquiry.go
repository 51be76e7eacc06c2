package orchestrator

import (
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
)

// inquiryAgain is how long an answer counts. A stage that waits for longer asks again,
// whether the answer was good or not: somebody may have mended or broken it meanwhile.
const inquiryAgain = time.Minute

// answer is what an inquiry found.
type answer struct {
	wrong string // why the rollout may not go on; empty when it may
	fault bool   // it is the patch's own
}

// inquiry is a question about a stage whose answer takes minutes. It is asked beside the
// worker's turns: a turn never waits for it, and a rollback does not either.
type inquiry struct {
	stage  int    // number of the stage
	shown  answer // what is known while it is under way
	cancel context.CancelFunc
	done   chan struct{} // closed when found and at are set
	found  answer
	at     time.Time
}

// inquire returns the present inquiry about a stage: old, or a new one that takes its
// place when old is about another stage or has aged. Its owner stops it.
func (o *Orchestrator) inquire(ctx context.Context, old *inquiry, stage int, within time.Duration, ask func(context.Context) answer) *inquiry {
	var shown answer
	switch {
	case old == nil:
	case old.stage != stage:
		old.stop()
	case !old.over() || o.Monotonic().Sub(old.at) <= inquiryAgain:
		return old
	default:
		shown = old.found
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, api.Errorf(api.CodeTimeout, "no answer within %s", within))
	q := &inquiry{stage: stage, shown: shown, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(q.done)
		defer cancel()
		q.found = ask(ctx)
		q.at = o.Monotonic()
	}()
	return q
}

// over reports whether the answer is there.
func (q *inquiry) over() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// known is the answer, or what is known of it so far. It reports whether the stage may go
// on.
func (q *inquiry) known() (answer, bool) {
	if !q.over() {
		return q.shown, false
	}
	return q.found, q.found.wrong == ""
}

// stop ends an inquiry, and waits for that. A nil one is none to stop.
func (q *inquiry) stop() {
	if q != nil {
		q.cancel()
		<-q.done
	}
}
