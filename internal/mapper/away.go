package mapper

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// streak is a run of tries that a source has failed, up to the last one.
type streak struct {
	failures int
	began    time.Time // when the first of them failed
}

// streakOf goes on where the record ends: a new leader counts on.
func streakOf(before api.SourceStatus) streak {
	s := streak{failures: before.Failures, began: before.Failing}
	if !before.OK && s.began.IsZero() {
		s.began = before.Since
	}
	return s
}

// judge counts the failures of each source, and says of each that did not answer
// whether it is away: since it has failed for long enough, or because it never
// answered, so that there is nothing to stand on meanwhile. What was away stays so
// until it answers.
func (m *Mapper) judge(results []result, now time.Time) {
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

// note takes down which sources' answers are in the record.
func (m *Mapper) note(results []result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range results {
		if r.fresh {
			m.read[r.name] = true
		}
	}
}

// Unread names the sources of which this mapper has recorded no answer yet, sorted:
// what the graph has of them is what an earlier leader recorded. It may be called at
// any time.
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
