package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

// FuzzDecode holds that no log entry upsets the decoder, and that one that
// decodes can be applied: refused or not, but alike on every server, and the
// state survives a snapshot.
func FuzzDecode(f *testing.F) {
	for _, cmd := range []Command{
		&PolicyPut{Policy: api.Policy{Name: "a"}}, &PolicyDelete{Name: "a"},
		&PatchSubmit{Patch: api.Patch{Name: "p"}, Plan: api.Plan{ID: "1"}},
		&RolloutTransition{Kind: "x"}, &SimulationPut{Simulation: api.Simulation{ID: "s", Status: "running"}},
		&GraphChange{api.GraphChange{Edges: []api.Edge{{From: "a", To: "b"}}}},
		&ProfilesPut{Profiles: []api.Profile{{Target: api.TargetRef{Namespace: "a", Job: "b", Group: "c"}}}},
		&QuarantineLift{Patch: "p"}, &LevelSet{Level: 2},
	} {
		entry, err := Encode(cmd, time.Unix(1e9, 0), "seed")
		must.NoError(f, err)
		f.Add(entry)
	}
	f.Add([]byte(`{"type":6,"level":1,"body":null}`))
	f.Fuzz(func(t *testing.T, entry []byte) {
		if _, _, err := decode(entry); err != nil {
			return
		}
		a, b := NewFSM(NewStore()), NewFSM(NewStore())
		log := &raft.Log{Index: 5, Data: entry}
		must.Eq(t, fmt.Sprint(a.Apply(log)), fmt.Sprint(b.Apply(log)))
		must.Eq(t, a.store.Hash(), b.store.Hash())
		survives(t, a.store)
	})
}

// FuzzRestore holds that no snapshot upsets the reader.
func FuzzRestore(f *testing.F) {
	var out bytes.Buffer
	must.NoError(f, NewStore().Snapshot(&out))
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		store := NewStore()
		if err := store.Restore(bytes.NewReader(snapshot)); err == nil {
			survives(t, store)
		}
	})
}

// survives holds that restoring a snapshot changes nothing.
func survives(t must.T, store *Store) {
	t.Helper()
	var out bytes.Buffer
	must.NoError(t, store.Snapshot(&out))
	again := NewStore()
	must.NoError(t, again.Restore(&out))
	must.Eq(t, store.Hash(), again.Hash())
}

// TestAnySequence applies any sequence of commands to two servers, of which
// one is restored from the other's snapshot every now and then.
func TestAnySequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole, restored := NewFSM(NewStore()), NewFSM(NewStore())
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for i := range steps {
			cmd := command(whole.store).Draw(t, "command")
			entry, err := Encode(cmd, time.Unix(1e9+int64(i), 0), "")
			must.NoError(t, err)
			log := &raft.Log{Index: uint64(i + 1), Data: entry}
			must.Eq(t, fmt.Sprint(whole.Apply(log)), fmt.Sprint(restored.Apply(log)))
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				var out bytes.Buffer
				must.NoError(t, whole.store.Snapshot(&out))
				restored = NewFSM(NewStore())
				must.NoError(t, restored.Restore(io.NopCloser(&out)))
			}
			must.Eq(t, whole.store.Hash(), restored.store.Hash())
			invariants(t, whole.store)
		}
	})
}

// invariants hold after every command.
func invariants(t *rapid.T, s *Store) {
	open := map[api.TargetRef]string{}
	for _, r := range s.Rollouts() {
		must.True(t, r.ModifyIndex <= s.Index())
		if r.Status.Ended() {
			must.Nil(t, r.Effect)
			must.False(t, r.Ended.IsZero())
			continue
		}
		must.Eq(t, "", open[r.Target], must.Sprintf("two open rollouts of %s", r.Target))
		open[r.Target] = r.ID
	}
	must.Len(t, len(open), s.OpenRollouts())
	must.Eq(t, len(s.Events(0, 0)), s.meta().Events)
}

// command draws a command that has some chance to be carried out.
func command(s *Store) *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		name := func(label string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, label) }
		target := api.TargetRef{Namespace: "n", Job: name("job"), Group: "g"}
		switch rapid.IntRange(0, 8).Draw(t, "which") {
		case 0:
			return &PolicyPut{Policy: api.Policy{Name: name("policy")}}
		case 1:
			return &PolicyDelete{Name: name("policy")}
		case 2, 3:
			plan := rapid.StringMatching(`[0-9]{3}`).Draw(t, "plan")
			patch, digest := name("patch"), name("digest")
			return &PatchSubmit{
				Patch: api.Patch{Name: patch, Digest: digest}, Plan: api.Plan{ID: plan},
				Rollouts: []api.Rollout{{
					ID: plan + "r", Plan: plan, Patch: patch, PatchDigest: digest, Target: target, Status: api.RolloutPending,
					Decision: api.Decision{Rollback: api.RollbackSpec{Quarantine: rapid.Bool().Draw(t, "quarantine")}},
				}},
			}
		case 4:
			return &SimulationPut{Simulation: api.Simulation{ID: name("simulation"), Status: rapid.SampledFrom([]api.SimulationStatus{
				api.SimulationRunning, api.SimulationPassed,
			}).Draw(t, "status")}}
		case 5:
			return &GraphChange{api.GraphChange{
				Edges:          []api.Edge{{From: name("from"), To: name("to"), Evidence: []api.Evidence{{Source: "x", BytesPerSecond: rapid.Float64Range(0, 1e9).Draw(t, "rate")}}}},
				RemoveEdges:    [][2]string{{name("from"), name("to")}},
				Services:       []api.Service{{Name: name("service")}},
				RemoveServices: []string{name("gone")},
				Targets:        []api.Target{{TargetRef: target}},
			}}
		case 6:
			return &QuarantineLift{Patch: name("patch"), Target: target}
		case 7:
			return &ProfilesPut{Profiles: []api.Profile{{Target: target}}}
		default:
			return transition(t, s)
		}
	})
}

// transition draws a change of one of the rollouts.
func transition(t *rapid.T, s *Store) Command {
	rollouts := s.Rollouts()
	if len(rollouts) == 0 {
		return &RolloutTransition{Kind: "x"}
	}
	r := rapid.SampledFrom(rollouts).Draw(t, "rollout")
	cmd := &RolloutTransition{Kind: "x", Expect: r.ModifyIndex}
	r.Status = rapid.SampledFrom([]api.RolloutStatus{
		api.RolloutRunning, api.RolloutHolding, api.RolloutComplete, api.RolloutRolledBack, api.RolloutRejected,
	}).Draw(t, "status")
	if r.Effect != nil && rapid.Bool().Draw(t, "finish") {
		e := *r.Effect
		e.Status = api.EffectDone
		r.Effects, r.Effect = append(r.Effects, e), nil
	}
	if rapid.Bool().Draw(t, "intend") {
		r.Effect = &api.Effect{ID: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "effect")), Status: api.EffectIntended, Kind: api.EffectStage}
	}
	r.Judge = &api.JudgeState{Bank: json.RawMessage(`{ "spaced" : [1.5,  "<x>"] }`)}
	cmd.Rollout = r
	return cmd
}
