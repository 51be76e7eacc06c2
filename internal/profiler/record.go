package profiler

import (
	"context"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// weeksAtOnce is how many weeks a checkpoint takes at least. All weeks end an hour at
	// the same moment. 256 of three to six kilobytes are a megabyte of log, and a fleet
	// with more weeks has half an hour of checkpoints to hand all of them over.
	weeksAtOnce = 256
	weeksWithin = 30 * time.Minute
	// recordsAtOnce is how many profiles go into one log entry: of ten KPIs with their
	// weeks each, they are half of what an entry takes.
	recordsAtOnce = 256
	// seenEvery is how exact the record of when a target was last seen is; nothing is
	// recorded more often for its sake.
	seenEvery = time.Hour
	// forgetEvery is how often targets that are gone are looked for.
	forgetEvery = time.Hour
)

// record hands over the profiles that changed. The weeks, by far the largest part, ride
// along only when one of their hours has ended. A leader that fails loses what was
// learned of the unfinished hour, and in a large fleet of up to half an hour more.
func (p *Profiler) record(ctx context.Context) {
	if p.recorder == nil {
		return
	}
	profiles, weeks := p.baselines.changed(int(weeksWithin / p.checkpoint))
	for batch := range slices.Chunk(profiles, recordsAtOnce) {
		if err := p.recorder.RecordProfiles(ctx, batch); err != nil {
			p.log.Warn("record profiles", "targets", len(batch), "error", err)
			return
		}
		p.baselines.recorded(batch, weeks)
	}
}

// forget has the profiles dropped whose targets Nomad has not had for the retention.
func (p *Profiler) forget(ctx context.Context, now time.Time) {
	gone := p.baselines.gone(now, p.retention)
	if p.recorder == nil || len(gone) == 0 {
		return
	}
	if err := p.recorder.ForgetProfiles(ctx, gone, p.retention); err != nil {
		p.log.Warn("forget profiles", "targets", len(gone), "error", err)
		return
	}
	p.baselines.drop(gone)
}

// week is a week that a record has, to be ticked off when the record is stored.
type week struct {
	of   *baseline
	hour int64
}

// changed are the profiles that changed since they were last recorded, sorted by target,
// and the weeks in them. Of the weeks that are due it takes as many as have all of them
// handed over within so many checkpoints.
func (b *Baselines) changed(checkpoints int) ([]api.Profile, map[api.TargetRef][]week) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := 0
	for _, t := range b.targets {
		all += len(t.kpis)
	}
	left := max(weeksAtOnce, all/max(checkpoints, 1))
	var out []api.Profile
	weeks := map[api.TargetRef][]week{}
	for ref, t := range b.targets {
		if !t.changed {
			continue
		}
		out = append(out, b.profile(ref, t, func(base *baseline) bool {
			if left <= 0 || !base.due() {
				return false
			}
			left--
			weeks[ref] = append(weeks[ref], week{base, base.week.Hour()})
			return true
		}))
	}
	slices.SortFunc(out, func(a, b api.Profile) int { return a.Target.Compare(b.Target) })
	return out, weeks
}

// recorded ticks off what is stored.
func (b *Baselines) recorded(batch []api.Profile, weeks map[api.TargetRef][]week) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, profile := range batch {
		for _, w := range weeks[profile.Target] {
			w.of.recorded = w.hour
		}
		if t := b.targets[profile.Target]; t != nil {
			t.recorded = profile.Seen
			if t.updated.Equal(profile.Updated) && !t.due() {
				t.changed = false
			}
		}
	}
}

// due reports whether a week waits for its turn to be recorded.
func (t *target) due() bool {
	for _, base := range t.kpis {
		if base.due() {
			return true
		}
	}
	return false
}

// gone are the targets that were not seen for the retention, sorted. While Nomad does
// not answer, none are.
func (b *Baselines) gone(now time.Time, retention time.Duration) []api.TargetRef {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listed.IsZero() || now.Sub(b.listed) >= forgetEvery {
		return nil
	}
	var out []api.TargetRef
	for ref, t := range b.targets {
		known := api.Profile{Updated: t.updated, Seen: t.seen}
		if now.Sub(known.LastSeen()) > retention {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, api.TargetRef.Compare)
	return out
}

// drop forgets targets.
func (b *Baselines) drop(gone []api.TargetRef) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ref := range gone {
		delete(b.targets, ref)
	}
}
