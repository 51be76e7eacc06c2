package rollout

import (
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// reconsider ends a doubt once the decision was made anew with a whole graph, and
// goes on as that says: it may still ask for people, or for twins. Approvals that
// were given stay.
func (m *machine) reconsider(o Observation) {
	m.Holds = m.stamp(o.Away)
	d := o.Anew
	if d == nil || !m.Decision.InDoubt() || d.Doubt == nil || d.Doubt.Lapse == nil {
		m.await()
		return
	}
	m.Decision, m.Holds = *d, nil
	m.start()
	m.Reason = fmt.Sprintf("%s; the doubt has lapsed (%s): %s", m.Reason, d.Doubt, d.Doubt.Lapse.Reason)
}

// await goes on when enough people have consented.
func (m *machine) await() {
	spec := m.Decision.Approval
	if have := m.consents(); have < spec.Count {
		from := spec.From
		if from == "" {
			from = "anybody who may approve"
		}
		reason := fmt.Sprintf("%d of %d approvals from %s", have, spec.Count, from)
		if m.Decision.InDoubt() {
			reason += ", asked for in doubt: " + m.Decision.Doubt.String()
		}
		m.enter(api.RolloutAwaitingApproval, "%s", reason)
		return
	}
	m.Holds = nil
	m.enter(api.RolloutWaiting, "waiting for its turn")
}

// consents counts the approvals of those whom the decision asks by now: it may have
// been made anew since they were given.
func (m *machine) consents() int {
	have := 0
	for _, a := range m.Approvals {
		if from := m.Decision.Approval.From; from == "" || slices.Contains(a.Groups, from) {
			have++
		}
	}
	return have
}
