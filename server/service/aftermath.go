package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

const (
	// aftermathEvery is how often the KPIs of complete rollouts' targets are looked at. A look
	// reads the last minute from memory. It comes three times a minute so that the baseline
	// rests before it has learned much of what is worse.
	aftermathEvery = 20 * time.Second
	// aftermathGap is how far apart two looks of one row may be.
	aftermathGap = 3 * aftermathEvery
	// fleetMost is how many of the other targets a look holds against its target.
	fleetMost = 500
	// fleetFew and fleetShare say when the fleet has got worse and not one target: so many of
	// the others have at least, and so large a share of those of which something is known.
	fleetFew, fleetShare = 2, 0.1
	// surge is how many times the usual requests explain what got worse.
	surge = 1.5
)

// LastMinute lists what the last minute of a target shows of the KPIs that have margins, as
// package profiler does.
type LastMinute func(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect

// row is what the looks at one target have found in a row.
type row struct {
	first time.Time // the first look that found it worse
	alone time.Time // the first since which nothing else explains it; zero when something does
	last  time.Time
}

// watchAftermaths looks on at what complete rollouts have left, for as long as those may be
// taken back, until ctx ends. The rows are this leader's own: a new one begins them anew,
// which takes it three minutes more.
func (s *Service) watchAftermaths(ctx context.Context, minute LastMinute) {
	ticks, stop := s.opt.Ticker(aftermathEvery)
	defer stop()
	defer s.setSuspects(nil)
	rows := map[string]row{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			rows = s.lookForAftermaths(ctx, minute, rows)
		}
	}
}

// lookForAftermaths takes one look at each target, and returns the rows that go on.
func (s *Service) lookForAftermaths(ctx context.Context, minute LastMinute, rows map[string]row) map[string]row {
	next, suspects := map[string]row{}, map[api.TargetRef]bool{}
	if minute == nil || s.store.Level() < levels.Eight {
		return next
	}
	now := s.now()
	for _, light := range s.store.RestorableRollouts(now) {
		r, ok := s.store.Rollout(light.ID)
		if !ok || ctx.Err() != nil || !rollout.Watches(r, now) || s.superseded(r) {
			continue
		}
		found := minute(r.Target, r.Ended, now, r.Decision.Judge.KPIs)
		worse := worseOf(found)
		at, goesOn := rows[r.ID]
		goesOn = goesOn && now.Sub(at.last) <= aftermathGap
		switch {
		case len(found) == 0: // nobody knows
			if goesOn {
				next[r.ID], suspects[r.Target] = at, true
			}
			continue
		case len(worse) == 0:
			s.recordAftermath(ctx, r, rollout.Watched{})
			continue
		case !goesOn:
			at = row{first: now}
		}
		at.last = now
		w := rollout.Watched{Worse: worse, For: now.Sub(at.first), Else: s.explains(r, minute)}
		switch {
		case w.Else != "":
			at.alone = time.Time{}
		case at.alone.IsZero():
			at.alone = now
		}
		if !at.alone.IsZero() {
			w.Alone = now.Sub(at.alone)
		}
		next[r.ID], suspects[r.Target] = at, true
		s.recordAftermath(ctx, r, w)
	}
	s.setSuspects(suspects)
	return next
}

// worseOf are the KPIs that are clearly worse.
func worseOf(found []api.NeighbourEffect) []api.NeighbourEffect {
	return slices.DeleteFunc(slices.Clone(found), func(e api.NeighbourEffect) bool { return e.Since.IsZero() })
}

// superseded reports whether another rollout has changed the target of a complete one since.
func (s *Service) superseded(r api.Rollout) bool {
	return slices.ContainsFunc(s.store.Later(r), func(later api.Rollout) bool { return later.Target == r.Target })
}

// explains says what but the patch of a complete rollout may have made its target worse:
// another rollout near it, something that it depends on, more requests than usual, or
// whatever the rest of the fleet suffers from too. It is empty when nothing does. The texts
// have no figures, so that one that goes on is told once.
func (s *Service) explains(r api.Rollout, minute LastMinute) string {
	now, margins := s.now(), r.Decision.Judge.KPIs
	for _, later := range s.store.Later(r) { // of another group of the job
		return fmt.Sprintf("rollout %s of patch %q has changed %s since", later.ID, later.Patch, later.Target)
	}
	if near := s.nearby(r); near != nil {
		return fmt.Sprintf("rollout %s of patch %q has changed %s since", near.ID, near.Patch, near.Target)
	}
	requests := []api.KPISpec{{KPI: api.KPIRequests, PromoteBelow: surge}}
	if len(worseOf(minute(r.Target, r.Ended, now, requests))) > 0 {
		return "it has clearly more requests than usual"
	}
	callees, callers := s.graph.Depends(r.Target)
	for _, ref := range callees {
		if len(worseOf(minute(ref, r.Ended, now, margins))) > 0 {
			return fmt.Sprintf("%s, which it depends on, is worse too", ref)
		}
	}
	known, worse := 0, 0
	_, targets := s.graph.Current()
	for i := range targets {
		ref := targets[i].TargetRef
		if known == fleetMost || ref == r.Target || slices.Contains(callers, ref) || slices.Contains(callees, ref) {
			continue
		}
		if found := minute(ref, r.Ended, now, margins); len(found) > 0 {
			known++
			if len(worseOf(found)) > 0 {
				worse++
			}
		}
	}
	if worse >= fleetFew && float64(worse) >= fleetShare*float64(known) {
		return "targets that have nothing to do with it are worse too"
	}
	return ""
}

// nearby is a rollout that changes the job of a complete one or something that an edge or a
// chain of edges joins to its target, or has changed it since; nil without one.
func (s *Service) nearby(r api.Rollout) *api.Rollout {
	near := func(o api.Rollout) bool {
		job := o.Target.Namespace == r.Target.Namespace && o.Target.Job == r.Target.Job
		return o.ID != r.ID && (job || s.graph.Adjacent(r.Target, o.Target) || s.graph.Chained(r.Target, o.Target))
	}
	for _, o := range s.store.Rollouts() {
		since := o.UnderWay() || o.Former != nil && o.Ended.After(r.Ended)
		if since && near(o) {
			return &o
		}
	}
	return nil
}

// recordAftermath records what a look has found, where that is news. What is recorded is a
// step of the rollout's own, made from the state that the look has read.
func (s *Service) recordAftermath(ctx context.Context, r api.Rollout, w rollout.Watched) {
	next, err := rollout.Step(r, w, s.now())
	if err != nil || next.Status == r.Status && sameAftermath(next.Aftermath, r.Aftermath) {
		return
	}
	cmd := &state.RolloutTransition{Kind: state.KindAftermath, Expect: r.ModifyIndex, Rollout: next}
	if _, err := s.opt.Log.Apply(ctx, cmd, s.opt.Server); err != nil {
		if !api.IsCode(err, api.CodeStaleIndex) && ctx.Err() == nil {
			s.log.Warn("record what came after a rollout", "rollout_id", r.ID, "target", r.Target.String(), "error", err)
		}
		return
	}
	if a := next.Aftermath; a != nil && !a.Since.IsZero() {
		s.log.Warn("a target is worse after its rollout", "rollout_id", r.ID, "target", r.Target.String(),
			"reason", a.Reason, "else", a.Else, "status", string(next.Status))
	}
}

// sameAftermath reports whether two looks have found the same.
func sameAftermath(a, b *api.Aftermath) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Well.Equal(b.Well) && a.Since.Equal(b.Since) && a.Reason == b.Reason && a.Else == b.Else
}

// setSuspects names the targets that are worse after a complete rollout.
func (s *Service) setSuspects(targets map[api.TargetRef]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspects = targets
}
