package rollout

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// fieldQuarantine is the field of a decision that a person's abort changes.
const fieldQuarantine = "rollback.quarantine"

// callOff notes in the decision that a person takes the patch back without a word
// against it: it may be submitted again. Who thinks that it is bad asks for a rollback.
func (m *machine) callOff(c Command) {
	if m.Former == nil {
		return // it ends as cancelled, which never quarantines
	}
	m.Decision.Rollback.Quarantine = false
	m.Decision.Because = append(slices.Clone(m.Decision.Because), api.Because{
		Field: fieldQuarantine, Policy: decidedByOakum, Reason: "aborted by " + c.By.Name + note(c),
	})
}

// CalledOff reports whether a person has aborted the rollout, so that its end says
// nothing about the patch.
func CalledOff(r api.Rollout) bool {
	return slices.ContainsFunc(r.Decision.Because, func(b api.Because) bool {
		return b.Field == fieldQuarantine && b.Policy == decidedByOakum
	})
}
