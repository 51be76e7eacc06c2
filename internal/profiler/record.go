package profiler

import (
	"context"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// weeksAtOnce is how many weeks a checkpoint takes at least. All end an hour at
	// the same moment; 256 of three to six kilobytes are a megabyte of log, and a
	// fleet with more has half an hour of checkpoints to hand all of them over.
	weeksAtOnce = 256
	// recordsAtOnce is how many profiles go into one log entry: of ten KPIs with
	// their weeks each, they are half of what an entry takes.
	recordsAtOnce = 256
	// seenEvery is how exact the record of when a target was last seen is; nothing
	// is recorded more often for its sake.
	seenEvery = time.Hour
	// forgetEvery is how often targets that are gone are looked for.
	forgetEvery = time.Hour
	// defaultRetention is how long the profile of a target that is gone is kept: who
	// comes back within the week finds it.
	defaultRetention = 7 * 24 * time.Hour
)

// week is one that a record has, to be ticked off when the record is stored.
type week struct {
	series *series
	hour   int64
}

// record hands over the profiles that changed. The weeks, by far the largest part,
// ride along only when an hour of theirs has ended: a leader that fails loses what
// was learned of the unfinished hour, and in a large fleet of up to half an hour more.
func (p *Profiler) record(ctx context.Context) {
	if p.recorder == nil {
		return
	}
	profiles, weeks := p.changed()
	for batch := range slices.Chunk(profiles, recordsAtOnce) {
		if err := p.recorder.RecordProfiles(ctx, batch); err != nil {
			p.log.Warn("record profiles", "targets", len(batch), "error", err)
			return
		}
		p.recordedAll(batch, weeks)
	}
}

// recordedAll ticks off what a record has.
func (p *Profiler) recordedAll(batch []api.Profile, weeks map[api.TargetRef][]week) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, profile := range batch {
		for _, w := range weeks[profile.Target] {
			w.series.recorded = w.hour
		}
		if t := p.targets[profile.Target]; t != nil {
			t.recorded = profile.Seen
			if t.updated.Equal(profile.Updated) && !t.due() {
				t.changed = false
			}
		}
	}
}

// due reports whether a week waits for its turn to be recorded.
func (t *target) due() bool {
	for _, s := range t.series {
		if s.due() {
			return true
		}
	}
	return false
}

// changed are the profiles that changed, sorted by target, and the weeks in them: of
// those that are due as many as one checkpoint takes.
func (p *Profiler) changed() ([]api.Profile, map[api.TargetRef][]week) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := 0
	for _, t := range p.targets {
		all += len(t.series)
	}
	left := max(weeksAtOnce, all/int(max(30*time.Minute/p.checkpoint, 1)))
	var out []api.Profile
	weeks := map[api.TargetRef][]week{}
	for ref, t := range p.targets {
		if !t.changed {
			continue
		}
		out = append(out, p.profile(ref, t, func(s *series) bool {
			if left <= 0 || !s.due() {
				return false
			}
			left--
			weeks[ref] = append(weeks[ref], week{s, s.week.Hour()})
			return true
		}))
	}
	slices.SortFunc(out, func(a, b api.Profile) int { return a.Target.Compare(b.Target) })
	return out, weeks
}

// Profiles are the present baselines, sorted by target.
func (p *Profiler) Profiles() []api.Profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []api.Profile
	for ref, t := range p.targets {
		out = append(out, p.profile(ref, t, func(*series) bool { return true }))
	}
	slices.SortFunc(out, func(a, b api.Profile) int { return a.Target.Compare(b.Target) })
	return out
}

// profile is a target as it is recorded and read, with the weeks that are asked for.
// The caller holds the lock.
func (p *Profiler) profile(ref api.TargetRef, t *target, withWeek func(*series) bool) api.Profile {
	out := api.Profile{Target: ref, Since: t.since, Updated: t.updated, Seen: t.seen}
	for name, s := range t.series {
		b, err := s.baseline(withWeek(s))
		if err != nil {
			p.log.Warn("leave out a baseline", "target", ref.String(), "kpi", name, "error", err)
			continue
		}
		out.KPIs = append(out.KPIs, b)
	}
	slices.SortFunc(out.KPIs, func(a, b api.Baseline) int { return cmpString(a.KPI, b.KPI) })
	return out
}

// saw notes which targets Nomad has.
func (p *Profiler) saw(targets []api.Target, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listed = now
	for _, have := range targets {
		if t := p.targets[have.TargetRef]; t != nil {
			t.seen = now
			t.changed = t.changed || now.Sub(t.recorded) >= seenEvery
		}
	}
}

// forget has the profiles dropped whose targets Nomad has not had for the retention.
// While Nomad does not answer, nobody is gone.
func (p *Profiler) forget(ctx context.Context, now time.Time) {
	gone := p.gone(now)
	if p.recorder == nil || len(gone) == 0 {
		return
	}
	if err := p.recorder.ForgetProfiles(ctx, gone, p.retention); err != nil {
		p.log.Warn("forget profiles", "targets", len(gone), "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ref := range gone {
		delete(p.targets, ref)
	}
}

// gone are the targets that were not seen for the retention, sorted.
func (p *Profiler) gone(now time.Time) []api.TargetRef {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listed.IsZero() || now.Sub(p.listed) >= forgetEvery {
		return nil
	}
	var out []api.TargetRef
	for ref, t := range p.targets {
		known := api.Profile{Updated: t.updated, Seen: t.seen}
		if now.Sub(known.LastSeen()) > p.retention {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, api.TargetRef.Compare)
	return out
}
