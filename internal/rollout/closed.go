package rollout

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// stand is a tick in which nothing may go forward, as o.Closed says. The present stage is
// judged all the same: a patch that does harm is taken back now, and a stage that was
// found good meanwhile is followed by the next one as soon as that may begin.
func (m *machine) stand(o Observation) {
	m.stands = true
	judged := m.Status == api.RolloutPaused || m.stageDone(o)
	if judged && o.Advice != nil && o.Advice.Action == api.AdviceRollback && m.Status != api.RolloutPaused {
		m.follow(o)
	}
	if m.Status != api.RolloutRollingBack {
		m.hold(slices.Clone(o.Closed))
	}
}

// proceed says how far a stage is. Of a rollout in which nothing may go forward, the
// holds say more.
func (m *machine) proceed(format string, args ...any) {
	if !m.stands {
		m.enter(api.RolloutRunning, format, args...)
	}
}

// stalls looks at a rollout whose forward effect was announced and may not be performed
// now, or waits for room. It may stay so for hours, in which a patch that does harm is
// taken back all the same, and what the world takes away is no lapse of the stage. It reports
// whether the rollout turns back.
func (m *machine) stalls(o Observation) bool {
	if o.Job == nil || !m.Effect.Kind.Forward() && m.Effect.Kind != api.EffectSettle {
		return false
	}
	if m.unsafe(*o.Job) {
		return true
	}
	m.spare(*o.Job)
	return false
}
