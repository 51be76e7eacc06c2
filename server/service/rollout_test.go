package service

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// submitted is a service with a pending rollout.
func submitted(t *testing.T) (*fixture, string) {
	t.Helper()
	f := newFixture(t, target("web"))
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	return f, receipt.Rollouts[0]
}

func TestRollout_CarriesOutAPersonsCommand(t *testing.T) {
	t.Parallel()
	f, id := submitted(t)
	r, err := f.Rollout(t.Context(), id, "pause", ada(), "lunch")
	must.NoError(t, err)
	must.EqOp(t, api.RolloutPaused, r.Status)
	stored, _ := f.state.Rollout(id)
	must.Eq(t, stored, r)
	must.StrContains(t, r.Reason, "ada")
	r, err = f.Rollout(t.Context(), id, "abort", ada(), "")
	must.NoError(t, err)
	must.EqOp(t, api.RolloutCancelled, r.Status)
}

func TestRollout_Refuses(t *testing.T) {
	t.Parallel()
	f, id := submitted(t)
	before := f.state.Hash()
	_, err := f.Rollout(t.Context(), "none", "pause", ada(), "")
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
	_, err = f.Rollout(t.Context(), id, "resume", ada(), "")
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	f.log.err = api.Errorf(api.CodeTimeout, "no answer from the cluster in time")
	_, err = f.Rollout(t.Context(), id, "pause", ada(), "")
	must.True(t, api.IsCode(err, api.CodeTimeout), must.Sprint(err))
	must.EqOp(t, before, f.state.Hash())
}

func TestRollout_NeedsToKnowWhoApproves(t *testing.T) {
	t.Parallel()
	f, id := submitted(t)
	before := f.state.Hash()
	root := ada()
	root.Via, root.Subject = "vault-token", ""
	_, err := f.Rollout(t.Context(), id, "approve", root, "")
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
	must.StrContains(t, api.AsError(err).Details[0], "entity")
	must.EqOp(t, before, f.state.Hash())
}

func TestSubmitPatch_RecordsWhoSubmits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	by := ada()
	by.Subject = "e-1"
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), by)
	must.NoError(t, err)
	r, _ := f.state.Rollout(receipt.Rollouts[0])
	must.EqOp(t, by.Name, r.SubmittedBy)
	must.EqOp(t, "e-1", r.Submitter)
}

// TestSubmitPatch_LetsTheSecondOfTwoTeamsKnow: both were let in while the name was free.
func TestSubmitPatch_LetsTheSecondOfTwoTeamsKnow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	others := patch(`"db"`)
	f.log.meet = func(state.Command) {
		f.log.meet = nil
		_, err := f.SubmitPatch(t.Context(), others, ada())
		must.NoError(t, err)
	}
	_, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.ErrorContains(t, err, "at the same moment")
	kept, _ := f.state.Patch("openssl")
	must.Eq(t, []string{"db"}, kept.Targets[0].Jobs)

	t.Log("and a team may not replace a patch that reaches further than it does")
	by := ada()
	by.Grants = []api.Grant{{Rule: "web", Capabilities: []api.Capability{api.CapPatchSubmit}, Namespaces: []string{"prod"}, Jobs: []string{"web"}}}
	_, err = f.SubmitPatch(t.Context(), patch(`"web"`), by)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.ErrorContains(t, err, "not in the caller's reach")
}

// TestRollout_TriesAgainWhenTheRolloutMovesOn has the rollout change between the
// decision and the log, a few times or every time.
func TestRollout_TriesAgainWhenTheRolloutMovesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		moves int
		code  api.ErrorCode
	}{
		"a few times": {moves: commandTries - 1},
		"every time":  {moves: 1_000, code: api.CodeConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, id := submitted(t)
			tries := 0
			f.log.meet = func(state.Command) {
				if tries++; tries > c.moves {
					return
				}
				r, _ := f.state.Rollout(id)
				f.put(t, &state.RolloutTransition{Kind: state.KindObserve, Expect: r.ModifyIndex, Rollout: r})
			}
			r, err := f.Rollout(t.Context(), id, "pause", ada(), "")
			must.EqOp(t, commandTries, tries)
			if c.code == "" {
				must.NoError(t, err)
				must.EqOp(t, api.RolloutPaused, r.Status)
				return
			}
			must.True(t, api.IsCode(err, c.code), must.Sprint(err))
			must.ErrorContains(t, err, "keeps moving on")
		})
	}
}
