package orchestrator

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestCount_CountsAWholeInterval: where an operator lets workers look seldom, the deadline of
// a stage is no longer for that.
func TestCount_CountsAWholeInterval(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour} {
		o, looks, now := New(Options{Interval: interval}), counting{}, time.Time{}.Add(time.Hour)
		r := api.Rollout{Status: api.RolloutRunning, Stages: []api.Stage{{Number: 1}}}
		for range 4 {
			r = looks.count(r, now, o.CountMost)
			now = now.Add(interval)
		}
		must.EqOp(t, 3*interval, r.Spans.Batch.D(), must.Sprint(interval))
		r = looks.count(r, now.Add(1000*interval+time.Hour), o.CountMost)
		must.LessEq(t, 3*interval+max(time.Minute, 2*interval), r.Spans.Batch.D(), must.Sprint("nobody looked meanwhile"))
	}
}
