package state_test

import (
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// doubtful is a submission whose only rollout waits for an approval that was asked for
// in doubt.
func doubtful() *state.PatchSubmit {
	s := submission("p", "d", web())
	s.Rollouts[0].Status = api.RolloutAwaitingApproval
	s.Rollouts[0].Reason = "0 of 1 approvals, asked for in doubt: prometheus was away"
	s.Rollouts[0].Decision.Approval.Count = 1
	s.Rollouts[0].Decision.Doubt = &api.Doubt{Sources: []api.DoubtedSource{{Name: "prometheus", State: api.SourceAway}}}
	return s
}

// lapse ends the doubt of a rollout.
func lapse(r *api.Rollout) {
	doubt := *r.Decision.Doubt
	doubt.Lapse = &api.Lapse{At: epoch(), Reason: "the graph is whole"}
	r.Decision.Doubt, r.Decision.Approval.Count = &doubt, 0
	r.Status, r.Reason = api.RolloutWaiting, "the doubt has lapsed: the graph is whole"
}

func sources(list ...api.SourceStatus) *state.GraphChange {
	return &state.GraphChange{GraphChange: api.GraphChange{Sources: list}}
}

// TestDoubt_LapsesOnlyWhileTheGraphIsWhole tries to end one beside each state of the
// sources that the log may have by then.
func TestDoubt_LapsesOnlyWhileTheGraphIsWhole(t *testing.T) {
	t.Parallel()
	fine := api.SourceStatus{Name: "nomad-placement", OK: true}
	for name, c := range map[string]struct {
		sources []api.SourceStatus
		want    string
	}{
		"none":    {nil, "no source of the graph has answered"},
		"away":    {[]api.SourceStatus{fine, {Name: "prometheus", Error: "refused", Failures: 3}}, "prometheus is away, 3 tries failed: refused"},
		"failing": {[]api.SourceStatus{fine, {Name: "prometheus", OK: true, Error: "refused", Failures: 1}}, "prometheus is failing, 1 try failed: refused"},
		"partial": {[]api.SourceStatus{fine, {Name: "prometheus", OK: true, Partial: "some are hidden"}}, "prometheus is partial: some are hidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := raised(t)
			m.must(t, sources(c.sources...))
			m.must(t, doubtful())
			before := m.store.Hash()
			err := m.turn("p-0", state.KindLapse, lapse)
			must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
			must.StrContains(t, err.Error(), c.want)
			must.Eq(t, before, m.store.Hash())

			m.must(t, sources(api.SourceStatus{Name: "prometheus", OK: true}))
			must.NoError(t, m.turn("p-0", state.KindLapse, lapse))
			r, _ := m.store.Rollout("p-0")
			must.False(t, r.Decision.InDoubt())
			must.Eq(t, "prometheus", r.Decision.Doubt.Sources[0].Name)
			texts := ""
			for _, e := range m.store.Events(0, 100) {
				texts += e.Type + ": " + e.Text + "\n"
			}
			must.StrContains(t, texts, `rollout_awaiting_approval: prod/web/vm is awaiting_approval with patch "ssl": 0 of 1 approvals, asked for in doubt: prometheus was away`)
			must.StrContains(t, texts, `doubt_lapsed: prod/web/vm is waiting with patch "ssl": the doubt has lapsed: the graph is whole`)
		})
	}
}

func TestDoubt_EndsInOneWayOnly(t *testing.T) {
	t.Parallel()
	m := raised(t)
	m.must(t, sources(api.SourceStatus{Name: "prometheus", OK: true}))
	m.must(t, doubtful())
	err := m.turn("p-0", "status", func(r *api.Rollout) { r.Decision.Doubt = nil })
	must.StrContains(t, err.Error(), "a doubt lapses or stands, it does not vanish")

	t.Log("a person consents: the doubt stands, and the rollout goes on")
	must.NoError(t, m.turn("p-0", "approve", func(r *api.Rollout) {
		r.Status, r.Approvals = api.RolloutWaiting, []api.Approval{{By: "ada"}}
	}))
	err = m.turn("p-0", state.KindLapse, lapse)
	must.StrContains(t, err.Error(), "its doubt can't lapse, it is waiting and waits for no approval")
	must.NoError(t, m.turn("p-0", "end", become(api.RolloutCancelled, "aborted")))

	again := doubtful()
	again.Plan.ID, again.Rollouts[0].ID, again.Rollouts[0].Plan = "q", "q-0", "q"
	m.must(t, again)
	must.NoError(t, m.turn("q-0", state.KindLapse, lapse))
	for _, change := range []func(*api.Rollout){
		func(r *api.Rollout) { r.Decision.Doubt = nil },
		func(r *api.Rollout) { r.Decision.Doubt = &api.Doubt{} },
	} {
		err = m.turn("q-0", "status", change)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	}
}
