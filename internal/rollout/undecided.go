package rollout

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// decidedByOakum stands in a decision in place of a policy's name, for what no policy
// asked for.
const decidedByOakum = "oakum"

// askForUndecided has the decision ask for a person where the simulation could not
// decide and nothing else asks for one.
func (m *machine) askForUndecided() {
	u := m.Undecided
	if u == nil || u.Follows != api.InconclusiveApprove || m.Decision.Approval.Count > 0 {
		return
	}
	m.Decision.Approval.Count = 1
	m.Decision.Because = append(slices.Clone(m.Decision.Because), api.Because{
		Field: "approval.count", Policy: decidedByOakum, Reason: "the simulation was inconclusive: " + u.Reason,
	})
}

// informed reports whether an approval was given after the simulation had told that it
// could not decide. One that was given before says nothing about that.
func (m *machine) informed(a api.Approval) bool {
	u := m.Undecided
	return u == nil || u.Follows != api.InconclusiveApprove || !a.At.Before(u.At)
}

// oneFirst reports whether the first stage is one instance, before those of the
// strategy.
func oneFirst(r api.Rollout) bool {
	return len(r.Stages) == 0 && r.Undecided != nil && r.Undecided.Follows == api.InconclusiveOneFirst
}

// Advised are the stages that the strategy asked for. It does not know of an instance
// that goes before them.
func Advised(stages []api.Stage) []api.Stage {
	if len(stages) > 0 && stages[0].Percent == 0 {
		return stages[1:]
	}
	return stages
}

// undecidedNote says, as the end of a reason, that the simulation could not decide.
func (m *machine) undecidedNote() string {
	if m.Undecided == nil {
		return ""
	}
	return "; the simulation was inconclusive: " + m.Undecided.Reason
}
