package state_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// TestRolloutProve_KeepsWhatWasFoundAfterTheEnd: the proof is told, and changes nothing else of a
// rollout that has ended.
func TestRolloutProve_KeepsWhatWasFoundAfterTheEnd(t *testing.T) {
	t.Parallel()
	m := raised(t)
	must.NoError(t, m.commit(submission("p", "d", web())))
	prove := func(status api.AssessmentStatus, reason string) error {
		r, _ := m.store.Rollout("p-0")
		return m.commit(&state.RolloutProve{ID: "p-0", Expect: r.ModifyIndex, Status: status, Reason: reason})
	}
	err := prove(api.AssessmentFixed, "bash is 5.3")
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), "only one that is complete has a proof")

	must.NoError(t, m.turn("p-0", "end", func(r *api.Rollout) {
		r.Status, r.Reason, r.Former = api.RolloutComplete, "done", &api.FormerJob{Version: 1}
	}))
	before, _ := m.store.Rollout("p-0")
	for _, c := range []struct {
		status api.AssessmentStatus
		kind   string
		text   string
	}{
		{api.AssessmentUnknown, "proof_unknown", `nobody knows whether prod/web/vm has the fault after patch "ssl": because`},
		{api.AssessmentAffected, "proof_affected", `prod/web/vm is still affected after patch "ssl": because`},
		{api.AssessmentNotAffected, "proof_not_affected", `prod/web/vm does not have the fault that patch "ssl" fixes: because`},
		{api.AssessmentFixed, "proof_fixed", `prod/web/vm does not have the fault any more that patch "ssl" fixes: because`},
	} {
		must.NoError(t, prove(c.status, "because"))
		events := m.store.Events(m.index, 0)
		must.Len(t, 1, events)
		must.EqOp(t, c.kind, events[0].Type)
		must.EqOp(t, c.text, events[0].Text)
		want := before
		want.Proof, want.ModifyIndex = &api.FixProof{Status: c.status, At: epoch(), Reason: "because"}, m.index
		have, _ := m.store.Rollout("p-0")
		must.Eq(t, want, have)
	}

	t.Log("what nobody can use is refused")
	must.True(t, api.IsCode(prove("mended", ""), api.CodeInvalid))
	must.True(t, api.IsCode(prove(api.AssessmentFixed, string(make([]byte, state.ProofReasonMax+1))), api.CodeInvalid))
	must.True(t, api.IsCode(m.commit(&state.RolloutProve{ID: "p-0", Expect: 1, Status: api.AssessmentFixed}), api.CodeStaleIndex))
	must.True(t, api.IsCode(m.commit(&state.RolloutProve{ID: "p-9", Status: api.AssessmentFixed}), api.CodeNotFound))
	err = at(t, levels.Seven).commit(&state.RolloutProve{ID: "p-0", Status: api.AssessmentFixed})
	must.StrContains(t, err.Error(), "needs cluster level 8, the cluster is at 7")
}

// TestUnprovenRollouts_AreThoseWhoseTargetsRunWhatTheyLeft lists a complete rollout until its
// fault is gone, unless another one has the target.
func TestUnprovenRollouts_AreThoseWhoseTargetsRunWhatTheyLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first api.RolloutStatus
		proof api.AssessmentStatus
		next  api.RolloutStatus // of a later rollout that has touched the job; empty for none
		want  []string
	}{
		"complete":                    {api.RolloutComplete, "", "", []string{"p-0"}},
		"not known":                   {api.RolloutComplete, api.AssessmentUnknown, "", []string{"p-0"}},
		"still affected":              {api.RolloutComplete, api.AssessmentAffected, "", []string{"p-0"}},
		"fixed":                       {api.RolloutComplete, api.AssessmentFixed, "", nil},
		"without the package":         {api.RolloutComplete, api.AssessmentNotAffected, "", nil},
		"taken back":                  {api.RolloutRolledBack, "", "", nil},
		"half-way":                    {api.RolloutFailed, "", "", nil},
		"another is under way":        {api.RolloutComplete, "", api.RolloutRunning, nil},
		"another left it half-way":    {api.RolloutComplete, "", api.RolloutFailed, nil},
		"another was taken back":      {api.RolloutComplete, "", api.RolloutRolledBack, []string{"p-0"}},
		"another one is complete too": {api.RolloutComplete, "", api.RolloutComplete, []string{"q-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := raised(t)
			must.NoError(t, m.commit(submission("p", "d", web())))
			become := func(id string, s api.RolloutStatus) {
				t.Helper()
				must.NoError(t, m.turn(id, "turn", func(r *api.Rollout) { r.Status, r.Former = s, &api.FormerJob{Version: 1} }))
			}
			become("p-0", c.first)
			if c.proof != "" {
				r, _ := m.store.Rollout("p-0")
				must.NoError(t, m.commit(&state.RolloutProve{ID: "p-0", Expect: r.ModifyIndex, Status: c.proof}))
			}
			if c.next != "" {
				must.NoError(t, m.commit(submission("q", "d", web())))
				become("q-0", c.next)
			}
			var have []string
			for _, r := range m.store.UnprovenRollouts(epoch().Add(-time.Minute)) {
				have = append(have, r.ID)
				must.EqOp(t, "d", r.PatchDigest)
				must.EqOp(t, c.proof != "", r.Proof != nil)
			}
			must.Eq(t, c.want, have)
			must.SliceEmpty(t, m.store.UnprovenRollouts(epoch().Add(time.Hour)), must.Sprint("it ended too long ago"))
		})
	}
}
