package orchestrator

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// countMost is the most that counts between two turns of a worker where no option says
// otherwise: the requests of a turn take their time, and a leader that was stopped for
// longer has not looked meanwhile.
const countMost = 2 * observeTimeout

// counting is what a worker remembers of the spans of its rollout. The record has them too,
// and lags behind: what a turn has counted is written with the next change.
type counting struct {
	looked   time.Time   // of the last turn; zero before the first
	last     api.Rollout // as that turn has left it
	recorded api.Spans   // as the record has them, or as they were written last
}

// count returns a rollout with the spans that this leader has counted. One that somebody has
// changed since the last turn goes on from the record, and so does a leader's first turn.
func (c *counting) count(r api.Rollout, now time.Time, most time.Duration) api.Rollout {
	first, passed := c.looked.IsZero(), min(now.Sub(c.looked), most)
	c.looked = now
	if first || !unchanged(c.last, r) {
		c.recorded, c.last = r.Spans, r
		return r
	}
	r.Spans = c.last.Spans // in a cluster of an older level the record has none
	c.last = rollout.Count(r, passed)
	return c.last
}

// unchanged reports whether nobody else has changed a rollout.
func unchanged(a, b api.Rollout) bool {
	open := func(r api.Rollout) bool { return r.Effect != nil }
	return a.Status == b.Status && a.Reason == b.Reason && a.Since.Equal(b.Since) &&
		open(a) == open(b) && len(a.Effects) == len(b.Effects) && len(a.Stages) == len(b.Stages)
}

// wrote notes what the log has taken.
func (c *counting) wrote(next api.Rollout) { c.last, c.recorded = next, next.Spans }
