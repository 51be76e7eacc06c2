package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/figure"
)

// worseFor is for how long every look must have found a target worse before anything
// follows. It has three minutes in it that do not overlap, and each of them must be worse
// by itself.
const worseFor = 3 * time.Minute

// Why a complete rollout that could be taken back by itself is not.
const (
	elseManual  = "the policy leaves that to a person (rollback.automatic)"
	elseNotWell = "no look since the end of the rollout has found its target well"
)

// Watched is what the looks at the KPIs of a complete rollout's target have found in a row.
type Watched struct {
	// Worse are the KPIs that are clearly worse than their baseline. Without any, the target
	// is well. A look of which nobody knows what it shows is no event.
	Worse []api.NeighbourEffect
	For   time.Duration // for how long every look has found some
	Else  string        // what else explains them; empty when nothing does
	Alone time.Duration // for how long no look has found what else explains them
}

// Watches reports whether the KPIs of a rollout are looked at although it has ended: it can
// be taken back, its job still runs the patch, and its stages were judged by KPIs.
func Watches(r api.Rollout, now time.Time) bool {
	judged := r.Decision.Judge.Enabled && len(r.Decision.Judge.KPIs) > 0
	return Restores(r) && now.Before(r.Restorable) && r.Drift == nil && judged
}

// watched notes what the KPIs show after the end, and takes the patch back where the policy
// says so. What is worse must have been well after the end, so that it became worse under
// the patch; and for as long as it must be worse, nothing else may have explained it.
func (m *machine) watched(w Watched) {
	if !Watches(m.Rollout, m.now) {
		return
	}
	var a api.Aftermath
	if m.Aftermath != nil {
		a = *m.Aftermath
	}
	if len(w.Worse) == 0 {
		a.Since, a.Worse, a.Reason, a.Else = time.Time{}, nil, "", ""
		if a.Well.IsZero() {
			a.Well = m.now
		}
		m.Aftermath = &a
		return
	}
	if w.For < worseFor {
		return
	}
	switch {
	case a.Well.IsZero():
		w.Else = elseNotWell
	case w.Else == "" && !m.Decision.Rollback.Automatic:
		w.Else = elseManual
	}
	if !a.Since.IsZero() && a.Else == w.Else && slices.EqualFunc(a.Worse, w.Worse, sameKPI) && w.Else != "" {
		return // it was told
	}
	if a.Since.IsZero() {
		a.Since = m.now.Add(-w.For)
	}
	a.Worse, a.Reason, a.Else = w.Worse, worseText(w.Worse, w.For), w.Else
	switch {
	case w.Else != "":
		m.Aftermath = &a
	case w.Alone >= worseFor:
		m.Aftermath = &a
		m.reopen()
		m.turnBack("taken back by itself within rollback.window: %s", a.Reason)
	}
}

func sameKPI(a, b api.NeighbourEffect) bool { return a.KPI == b.KPI }

// worseText says what is worse than before, and for how long.
func worseText(worse []api.NeighbourEffect, since time.Duration) string {
	parts := make([]string, len(worse))
	for i, e := range worse {
		parts[i] = fmt.Sprintf("%s is %s, and %s is usual", e.KPI, figure.Amount(e.Value, e.Unit), figure.Amount(e.Before, e.Unit))
	}
	return strings.Join(parts, "; ") + ", in every look of " + figure.Span(since)
}
