package state_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

func TestBrakeSet_KeepsWhoWhenAndWhy(t *testing.T) {
	t.Parallel()
	m := raised(t)
	must.Eq(t, api.Brake{}, m.store.Brake())
	changed := m.store.Watch(api.TopicBrake)
	must.NoError(t, m.commit(&state.BrakeSet{On: true, Reason: "checkout is slow"}))
	on := api.Brake{On: true, By: "tester", Since: epoch(), Reason: "checkout is slow", ModifyIndex: m.index}
	must.Eq(t, on, m.store.Brake())
	<-changed
	events := m.store.Events(m.index, 0)
	must.Len(t, 1, events)
	must.EqOp(t, "brake_on", events[0].Type)
	must.EqOp(t, "the brake is on since 12:00:00 UTC by tester: checkout is slow", events[0].Text)

	t.Log("it survives a snapshot")
	var snapshot bytes.Buffer
	must.NoError(t, m.store.Snapshot(&snapshot))
	restored := state.NewStore()
	must.NoError(t, restored.Restore(&snapshot))
	must.Eq(t, on, restored.Brake())

	t.Log("asked for again it stays as it is, and with another reason it says who had it first")
	must.NoError(t, m.commit(&state.BrakeSet{On: true, Reason: "checkout is slow"}))
	must.Eq(t, on, m.store.Brake())
	err := m.commit(&state.BrakeSet{On: true, Reason: "search is slow"})
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), "the brake is on since 12:00:00 UTC by tester: checkout is slow")

	must.NoError(t, m.commit(&state.BrakeSet{}))
	must.Eq(t, api.Brake{By: "tester", Since: epoch(), ModifyIndex: m.index}, m.store.Brake())
	must.EqOp(t, "brake_off", m.store.Events(m.index, 0)[0].Type)
	must.NoError(t, m.commit(&state.BrakeSet{}))
	must.SliceEmpty(t, m.store.Events(m.index, 0))
}

func TestBrakeSet_RefusesWhatNobodyCouldUnderstand(t *testing.T) {
	t.Parallel()
	m := raised(t)
	for _, reason := range []string{"", " \n", strings.Repeat("x", api.BrakeReasonMax+1)} {
		err := m.commit(&state.BrakeSet{On: true, Reason: reason})
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	}
	must.False(t, m.store.Brake().On)
	err := at(t, levels.Five).commit(&state.BrakeSet{On: true, Reason: "checkout is slow"})
	must.StrContains(t, err.Error(), "needs cluster level 6, the cluster is at 5: upgrade every server first")
}

func TestTransition_BeginsNoForwardEffectWhileTheBrakeIsOn(t *testing.T) {
	t.Parallel()
	m := raised(t)
	must.NoError(t, m.commit(submission("p", "d", web())))
	intend := func(id string, kind api.EffectKind) func(*api.Rollout) {
		return func(r *api.Rollout) {
			if r.Effect != nil {
				over := *r.Effect
				over.Status = api.EffectDone
				r.Effects = append(r.Effects, over)
			}
			r.Status, r.Effect = api.RolloutRunning, &api.Effect{ID: id, Kind: kind, Status: api.EffectIntended}
		}
	}
	must.NoError(t, m.turn("p-0", state.KindEffectIntend, intend("p-0.1", api.EffectTag)))
	must.NoError(t, m.commit(&state.BrakeSet{On: true, Reason: "checkout is slow"}))

	t.Log("what is in flight goes on to its end")
	must.NoError(t, m.turn("p-0", state.KindObserve, func(r *api.Rollout) { r.Reason = "still at it" }))
	for _, kind := range []api.EffectKind{api.EffectSimulate, api.EffectTag, api.EffectStage, api.EffectPromote, api.EffectFinish} {
		err := m.turn("p-0", state.KindEffectIntend, intend("p-0.2", kind))
		must.True(t, api.IsCode(err, api.CodeConflict), must.Sprintf("%s: %v", kind, err))
		must.StrContains(t, err.Error(), string(kind)+" can't begin, the brake is on since 12:00:00 UTC by tester: checkout is slow")
	}
	t.Log("the way back is free, and a submission waits")
	must.NoError(t, m.turn("p-0", state.KindEffectIntend, intend("p-0.2", api.EffectRollback)))
	must.NoError(t, m.turn("p-0", state.KindEffectIntend, intend("p-0.3", api.EffectUnpace)))
	must.NoError(t, m.commit(submission("q", "d", db())))
	must.NoError(t, m.commit(&state.BrakeSet{}))
	must.NoError(t, m.turn("q-0", state.KindEffectIntend, intend("q-0.1", api.EffectTag)))
}
