package mapper

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// streak is how often in a row a source has failed, up to the last try.
type streak struct {
	failures int
	began    time.Time // when the first of them failed
}

// streakOf continues the streak that is recorded, so that a new leader counts on.
func streakOf(before api.SourceStatus) streak {
	s := streak{failures: before.Failures, began: before.Failing}
	if !before.OK && s.began.IsZero() {
		s.began = before.Since
	}
	return s
}

// countFailures counts the failures of each source and decides which sources are away. A
// source is away when it has failed for long enough and often enough. A source
// that has never answered is away at once, since the graph has nothing of it. A
// source stays away until it answers.
func (m *Mapper) countFailures(results []result, now time.Time) {
	for i := range results {
		r := &results[i]
		if r.fresh {
			delete(m.streaks, r.name)
			continue
		}
		before := m.recorded.sources[r.name]
		s, ok := m.streaks[r.name]
		if !ok {
			s = streakOf(before)
		}
		if s.failures++; s.began.IsZero() {
			s.began = now
		}
		m.streaks[r.name] = s
		lasted := s.failures >= m.settings.awayTries && now.Sub(s.began) >= m.settings.awayAfter
		r.streak, r.away = s, lasted || !before.OK
	}
}

// markRead remembers which sources' answers have been recorded.
func (m *Mapper) markRead(results []result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range results {
		if r.fresh {
			m.read[r.name] = true
		}
	}
}

// Unread names the sources of which this mapper has recorded no answer yet,
// sorted. What the graph holds of them was recorded by an earlier leader. It may
// be called at any time.
func (m *Mapper) Unread() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, s := range m.opt.Sources {
		if name := s.Name(); !m.read[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
