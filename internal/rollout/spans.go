package rollout

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Count returns the rollout after a leader has looked at it for some more time: the spans
// that run are longer by what has passed. A leader counts before each step, by a clock that
// does not jump, and goes on from the record of the leader before. So what passes while
// nobody leads brings no deadline nearer. It takes r as it is and shares what r has.
func Count(r api.Rollout, passed time.Duration) api.Rollout {
	by, last := api.Duration(max(0, passed)), lastStage(r)
	if last != nil && last.Ready.IsZero() && r.Status == api.RolloutRunning {
		r.Spans.Batch += by
	}
	if last != nil && !last.Lapsed.IsZero() {
		r.Spans.Lapsed += by
	}
	if r.Status == api.RolloutRollingBack && len(r.Effects) > 0 {
		r.Spans.Effect += by
	}
	if slices.ContainsFunc(r.Holds, ofTarget) {
		r.Spans.Gone += by
	}
	if r.Status == api.RolloutWaiting && slices.ContainsFunc(r.Holds, ofPause) {
		r.Spans.Pause += by
	}
	return r
}

func ofPause(h api.Hold) bool { return h.Source == api.HoldPause }

// recountAfter is how much of a span a leader may keep to itself, where the span is short.
const recountAfter = time.Minute

// Recount reports whether what a leader has counted for a rollout is to be recorded by
// itself, since nothing else has been for long: the leader after it would wait for that
// again. Of a long span it takes a share, so that a wait of days takes few entries of the
// log. What holds waits for something else than its time.
func Recount(recorded api.Spans, r api.Rollout) bool {
	long := func(a, b api.Duration) bool { return b-a >= max(api.Duration(recountAfter), a/4) }
	s := r.Spans
	if long(recorded.Pause, s.Pause) {
		return true
	}
	return len(r.Holds) == 0 && (long(recorded.Batch, s.Batch) || long(recorded.Lapsed, s.Lapsed) || long(recorded.Effect, s.Effect))
}
