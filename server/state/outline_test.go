package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// outlined submits a plan of rollouts in waves of ten.
func outlined(t testing.TB, rollouts int) (*FSM, func(Command) any) {
	t.Helper()
	fsm := NewFSM(NewStore())
	index := uint64(0)
	do := func(cmd Command) any {
		entry, err := Encode(cmd, time.Unix(1e9, 0), "somebody")
		must.NoError(t, err)
		index++
		return fsm.Apply(&raft.Log{Index: index, Data: entry})
	}
	submit := &PatchSubmit{Patch: api.Patch{Name: "openssl", File: api.SourceFile{Name: "p.hcl"}}, Plan: api.Plan{ID: "plan", Patch: "openssl"}}
	for i := range rollouts {
		submit.Rollouts = append(submit.Rollouts, api.Rollout{
			ID: fmt.Sprintf("r%05d", i), Plan: "plan", Patch: "openssl", Wave: 1 + i/10, Status: api.RolloutPending,
			Target: api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("job-%05d", i), Group: "web"},
		})
	}
	must.Nil(t, do(submit))
	return fsm, do
}

// TestOutlines_AreUpToDate asks before and after a rollout moved on.
func TestOutlines_AreUpToDate(t *testing.T) {
	t.Parallel()
	fsm, do := outlined(t, 30)
	store := fsm.Store()
	before := store.Outlines("plan")
	must.Len(t, 30, before)
	must.True(t, &before[0] == &store.Outlines("plan")[0], must.Sprint("nothing changed: the answer is shared"))

	next, ok := store.Rollout("r00007")
	must.True(t, ok)
	next.Status = api.RolloutCancelled
	must.Nil(t, do(&RolloutTransition{Kind: "abort", Expect: next.ModifyIndex, Rollout: next}))
	after := store.Outlines("plan")
	must.Eq(t, api.RolloutPending, before[7].Status)
	must.Eq(t, api.RolloutCancelled, after[7].Status, must.Sprint("of the plan it shows ended ones too"))
	must.Len(t, 29, store.Outlines("another"), must.Sprint("of others only open ones"))

	store.replace(store.t.open(), newMeta())
	must.SliceEmpty(t, store.Outlines("plan"), must.Sprint("what a snapshot replaced is gone"))
}

// BenchmarkOutlines has each rollout of a plan of 20,000 ask once after a change,
// as they do once a second.
func BenchmarkOutlines(b *testing.B) {
	fsm, _ := outlined(b, 20_000)
	for b.Loop() {
		fsm.Store().outlines.clear() // as a change does
		for range 20_000 {
			must.Len(b, 20_000, fsm.Store().Outlines("plan"))
		}
	}
}
