package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
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
		&ProfilesForget{Targets: []api.TargetRef{{Namespace: "a", Job: "b", Group: "c"}}, Unseen: 1},
	} {
		entry, err := Encode(cmd, time.Unix(1e9, 0), "seed")
		must.NoError(f, err)
		f.Add(entry)
	}
	f.Add([]byte(`{"type":6,"level":1,"body":null}`))
	f.Add([]byte(`{"type":13,"level":5}` + "\n" + `{"id":"s","own":[{"kind":"job","name":"j"}],"progress":{"phase":"load"}}`))
	f.Add([]byte(`{"type":14,"level":6,"by":"ada"}` + "\n" + `{"on":true,"reason":"checkout is slow"}`))
	f.Add([]byte(`{"type":10,"level":2}` + "\n" + `{"kind":"x","id":"1r","runs":[{"from":0,"n":1}]}`))
	f.Add([]byte(`{"type":1,"level":2,"pack":"deflate"}` + "\n" + "\x00"))
	for _, file := range corpusFiles(f, "commands") {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		if _, _, err := decode(entry); err != nil {
			return
		}
		for level := 1; level <= levels.Supported; level++ {
			a, b := NewFSM(NewStore()), NewFSM(NewStore())
			a.raise(t, level)
			b.raise(t, level)
			log := &raft.Log{Index: 5, Data: entry}
			must.Eq(t, fmt.Sprint(a.Apply(log)), fmt.Sprint(b.Apply(log)))
			must.Eq(t, a.store.Hash(), b.store.Hash())
			survives(t, a.store)
		}
	})
}

// FuzzEnvelope holds that what is encoded is decoded as it was, at each level
// and of any size, packed or not.
func FuzzEnvelope(f *testing.F) {
	f.Add(1, "a", "ada", int64(1e9), uint(1))
	f.Add(2, "b\n\u2028<&>", "", int64(-1), uint(20_000))
	f.Fuzz(func(t *testing.T, level int, name, by string, at int64, times uint) {
		if level < 1 || level > levels.Supported || times > 100_000 || uint64(len(name))*uint64(times) > 1<<20 {
			return
		}
		name, by = strings.ToValidUTF8(strings.Repeat(name, int(times)), "?"), strings.ToValidUTF8(by, "?")
		when := time.Unix(at%(1<<36), 0).UTC()
		entry, err := encodeAt(level, &PolicyDelete{Name: name}, when, by)
		if year := when.Year(); year < 0 || year > 9999 {
			must.Error(t, err) // JSON has no such time
			return
		}
		must.NoError(t, err)
		env, cmd, err := decode(entry)
		must.NoError(t, err)
		must.Eq(t, &PolicyDelete{Name: name}, cmd.(*PolicyDelete))
		must.Eq(t, by, env.By)
		must.True(t, when.Equal(env.At))
	})
}

// corpusFiles reads the corpus below a folder.
func corpusFiles(t testing.TB, folder string) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, folder, "v*", "*"))
	must.NoError(t, err)
	must.Positive(t, len(files))
	var out [][]byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		must.NoError(t, err)
		out = append(out, content)
	}
	return out
}

// FuzzRestore holds that no snapshot upsets the reader, and that one with an
// error changes nothing.
func FuzzRestore(f *testing.F) {
	var out bytes.Buffer
	must.NoError(f, NewStore().Snapshot(&out))
	f.Add(out.Bytes())
	for _, file := range corpusFiles(f, "snapshots") {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		fsm := NewFSM(NewStore())
		fsm.raise(t, levels.Supported)
		before := fsm.store.Hash()
		if err := fsm.Restore(io.NopCloser(bytes.NewReader(snapshot))); err != nil {
			must.Eq(t, before, fsm.store.Hash())
			return
		}
		survives(t, fsm.store)
		// A state that can be read can be worked with.
		entry, err := fsm.Encode(&PolicyPut{Policy: api.Policy{Name: "a"}}, time.Unix(1e9, 0), "")
		must.NoError(t, err)
		fsm.Apply(&raft.Log{Index: 1 << 40, Data: entry})
		survives(t, fsm.store)
	})
}

// FuzzSequence lets the fuzzer draw the sequences of TestApply_TakesAnySequence.
func FuzzSequence(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(anySequence))
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

// TestApply_TakesAnySequence applies any sequence of commands to two servers, of which
// one is restored from the other's snapshot every now and then.
func TestApply_TakesAnySequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, anySequence)
}

func anySequence(t *rapid.T) {
	whole, restored := NewFSM(NewStore()), NewFSM(NewStore())
	steps := rapid.IntRange(1, 40).Draw(t, "steps")
	for i := range steps {
		cmd := command(whole.store).Draw(t, "command")
		at := time.Unix(1e9+int64(i), 0)
		entry, err := whole.Entry(cmd, at, "ada")
		if level := whole.store.Level(); cmd.level() > level {
			refused := fit(cmd, level).level() > level
			must.EqOp(t, refused, err != nil)
			if refused || rapid.Bool().Draw(t, "faulty") {
				entry, err = entryAt(1, cmd, at, "ada") // what a faulty leader might write
			}
		}
		must.NoError(t, err)
		log := &raft.Log{Index: uint64(i + 1), Data: entry.Data}
		open := whole.store.OpenRollouts()
		whole.Prepare(entry) // as the leader does
		must.Eq(t, fmt.Sprint(whole.Apply(log)), fmt.Sprint(restored.Apply(log)))
		braked(t, whole.store, open)
		if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
			var out bytes.Buffer
			must.NoError(t, whole.store.Snapshot(&out))
			restored = NewFSM(NewStore())
			must.NoError(t, restored.Restore(io.NopCloser(&out)))
		}
		must.Eq(t, whole.store.Hash(), restored.store.Hash())
		invariants(t, whole.store)
		must.NoError(t, whole.Err())
	}
	survives(t, whole.store)
}

// braked holds that no command begins a forward effect while the brake is on.
func braked(t *rapid.T, s *Store, before []api.Rollout) {
	if !s.Brake().On {
		return
	}
	for _, was := range before {
		now, _ := s.Rollout(was.ID)
		if e := now.Effect; e != nil && e.Kind.Forward() {
			must.NotNil(t, was.Effect, must.Sprintf("effect %s of %s began while the brake was on", e.ID, now.ID))
			must.EqOp(t, was.Effect.ID, e.ID)
		}
	}
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
	all := s.OpenRollouts()
	must.Len(t, len(open), all)
	must.Eq(t, slices.DeleteFunc(all, func(r api.Rollout) bool { return !r.UnderWay() || len(r.Stages) == 0 }), s.BegunRollouts())
	must.Eq(t, len(s.Events(0, 0)), s.meta().Events)
	for _, r := range s.Inventories() {
		pieces, err := s.InventoryPieces(r)
		must.NoError(t, err)
		must.Eq(t, len(r.Pieces), len(pieces))
		must.Eq(t, len(s.InventoriesOf(r.Of)) > 1, r.Differs)
	}
}

// command draws a command that has some chance to be carried out.
func command(s *Store) *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		name := func(label string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, label) }
		target := api.TargetRef{Namespace: "n", Job: name("job"), Group: "g"}
		switch rapid.IntRange(0, 20).Draw(t, "which") {
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
		case 9:
			return &LevelSet{Level: min(levels.Supported, s.Level()+rapid.IntRange(0, 1).Draw(t, "rise"))}
		case 12:
			return &BrakeSet{On: rapid.Bool().Draw(t, "on"), Reason: name("reason")}
		case 11:
			o := api.SandboxObject{Kind: api.ObjectJob, Name: name("job")}
			if rapid.Bool().Draw(t, "gone") {
				return &SimulationNote{ID: name("simulation"), Disown: []api.SandboxObject{o}}
			}
			return &SimulationNote{ID: name("simulation"), Own: []api.SandboxObject{o}, Unremoved: name("why")}
		case 10:
			return &AutopilotPut{Expect: uint64(rapid.IntRange(0, 9).Draw(t, "expect")), Config: api.AutopilotConfig{
				DeadServerThreshold: api.Duration(time.Hour), LastContactThreshold: 1, MaxTrailingLogs: 1,
			}}
		case 7:
			seen := time.Unix(1e9+rapid.Int64Range(-9, 40).Draw(t, "seen"), 0)
			kpi := api.Baseline{KPI: name("kpi"), HourSketches: rapid.SampledFrom([][]byte{nil, {1}, {2}}).Draw(t, "hours")}
			return &ProfilesPut{Profiles: []api.Profile{{Target: target, Updated: seen, KPIs: []api.Baseline{kpi}}}}
		case 13:
			return &InventoryPiece{Data: []byte(name("data"))}
		case 14:
			return &InventoryPut{Record: api.InventoryRecord{
				Of: name("of"), Hash: strings.Repeat(name("hash"), 64), Pieces: []string{PieceSum([]byte(name("data")))},
				Replaces: rapid.SampledFrom([][]string{nil, {strings.Repeat("a", 64)}}).Draw(t, "replaces"),
			}}
		case 15:
			if rapid.Bool().Draw(t, "seen") {
				return &InventoriesSeen{Of: []string{name("of")}}
			}
			return &InventoriesForget{Of: []string{name("of")}, Unseen: api.Duration(rapid.IntRange(0, 9).Draw(t, "unseen")) * api.Duration(time.Second)}
		case 16:
			r := api.InventoryReading{Key: name("reading")}
			if rapid.Bool().Draw(t, "owns") {
				r.Owned = []api.SandboxObject{{Kind: api.ObjectJob, Name: name("job")}}
			}
			if rapid.Bool().Draw(t, "mark") {
				return &NoticesMark{Put: []api.NoticeMark{{Notifier: name("notifier"), Index: rapid.Uint64Range(0, 9).Draw(t, "told")}}, Drop: []string{name("gone")}}
			}
			return &ReadingsChange{Put: []api.InventoryReading{r}, Drop: []string{name("gone")}}
		case 8:
			return &ProfilesForget{Targets: []api.TargetRef{target}, Unseen: api.Duration(rapid.IntRange(0, 9).Draw(t, "unseen")) * api.Duration(time.Second)}
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
		r.Effect = &api.Effect{ID: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "effect")), Status: api.EffectIntended, Kind: rapid.SampledFrom([]api.EffectKind{api.EffectStage, api.EffectRollback}).Draw(t, "kind")}
	}
	if rapid.Bool().Draw(t, "former") {
		r.Former = &api.FormerJob{Version: 1, Job: json.RawMessage(`{"ID":"x"}`)}
	}
	for i, n := 0, rapid.IntRange(0, 30).Draw(t, "instances"); i < n; i++ {
		r.Instances = append(r.Instances, api.Instance{ID: fmt.Sprint(i % 25)})
	}
	if n := len(r.Instances); n > 1 {
		i := rapid.IntRange(0, n-1).Draw(t, "changed")
		r.Instances[i].Health = api.Pending
		r.Instances[0], r.Instances[i] = r.Instances[i], r.Instances[0]
		r.Instances = r.Instances[:rapid.IntRange(0, n).Draw(t, "left")]
	}
	r.Decision.Budget.Targets = rapid.IntRange(0, 2).Draw(t, "targets")
	r.Judge = &api.JudgeState{Bank: json.RawMessage(`{ "spaced" : [1.5,  "<x>"] }`)}
	cmd.Rollout = r
	return cmd
}
