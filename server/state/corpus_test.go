package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

var update = flag.Bool("update", false, "add what the corpus lacks; what is there is never rewritten")

// The corpus holds what released versions wrote: testdata/commands/v<level>
// has log entries, named <type>-<name>, in the format of that level, and
// testdata/snapshots/v<level> a snapshot after all of them. hashes.txt beside
// them holds the state's hash after each entry of the level, in the order of
// their names. A file is never changed once it was committed: a change of the
// code that needs one breaks the clusters that are out there.
const corpus = "testdata"

// corpusCommands are commands of every type of a level, in an order in which
// they apply. New ones go to the end.
func corpusCommands(level int) []named1 {
	web := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}
	decision := api.Decision{Target: web, Critical: true, Rollback: api.RollbackSpec{OnVerdict: true, Quarantine: true}, Budget: api.BudgetSpec{Targets: 2}}
	r := api.Rollout{
		ID: "01-0", Plan: "01", Patch: "ssl", PatchDigest: "d1", Target: web, Wave: 1, Status: api.RolloutPending, Decision: decision,
		Apply: []api.Apply{{Kind: api.ApplyJob, Task: "server", Config: map[string]any{"image": "web:2", "n": 1.5}}},
	}
	running := r
	running.Status, running.Reason, running.Created, running.Since = api.RolloutRunning, "stage 1", corpusTime(3), corpusTime(4)
	running.Former = &api.FormerJob{Version: 3, ModifyIndex: 100, Count: 2, Digest: "f", Job: json.RawMessage(`{"ID":"web"}`)}
	running.Stages = []api.Stage{{Number: 1, Percent: 50, Mode: api.StageInPlace, Instances: 1, Began: corpusTime(4), Deadline: corpusTime(9)}}
	running.Effect = &api.Effect{ID: "01-0.1", Kind: api.EffectStage, Stage: 1, Want: 1, Expect: 100, Status: api.EffectIntended, Intended: corpusTime(4)}
	running.Judge = &api.JudgeState{Stage: 1, Started: corpusTime(4), Looks: 2, Bank: json.RawMessage(`{"a":[1,2.5]}`)}
	running.Instances = []api.Instance{{ID: "a", Name: "web.vm[0]", Health: api.Healthy, Started: corpusTime(1)}, {ID: "b", Name: "web.vm[1]", Health: api.Pending}}
	running.CreateIndex, running.ModifyIndex, running.SubmittedBy = 3, 3, "ada"
	over := running
	done := *running.Effect
	done.Status, done.Outcome, done.Ended = api.EffectFailed, "p99 is up", corpusTime(5)
	over.Status, over.Reason, over.Since, over.Effect, over.Effects = api.RolloutRolledBack, "p99 is up", corpusTime(5), nil, []api.Effect{done}
	other := r // stays quarantined
	other.ID, other.Target = "01-1", api.TargetRef{Namespace: "prod", Job: "db", Group: "vm"}
	rejected := other
	rejected.Status, rejected.Reason, rejected.Created, rejected.Since, rejected.ModifyIndex = api.RolloutRejected, "cpu is up", corpusTime(3), corpusTime(6), 3
	mean := 0.25
	out := []named1{
		{"policy", &PolicyPut{Policy: api.Policy{Name: "web"}}},
		{"builtin", &PolicyPut{Policy: api.Policy{Name: "standard", Builtin: true}}},
		{"patch", &PatchSubmit{Patch: api.Patch{Name: "ssl", Digest: "d1", Severity: "high", Fixes: []string{"CVE-2026-0001"}}, Plan: api.Plan{ID: "01", Patch: "ssl", Digest: "d1", Waves: []api.Wave{{Number: 1}}}, Rollouts: []api.Rollout{r, other}}},
		{"running", &RolloutTransition{Kind: "stage_advance", Expect: 3, Rollout: running}},
		{"rolled-back", &RolloutTransition{Kind: KindEffectFinish, Expect: 4, Rollout: over}},
		{"rejected", &RolloutTransition{Kind: "end", Expect: 3, Rollout: rejected}},
		{"simulation", &SimulationPut{Simulation: api.Simulation{ID: "s1", Patch: "ssl", Target: web, Status: api.SimulationRunning, Started: corpusTime(6)}}},
		{"graph", &GraphChange{api.GraphChange{
			Edges:    []api.Edge{{From: "web", To: "db", State: api.EdgeConfirmed, Evidence: []api.Evidence{{Source: "prometheus"}}}},
			Services: []api.Service{{Name: "web"}, {Name: "db"}}, Targets: []api.Target{{TargetRef: web, Count: 2, Meta: map[string]string{"tier": "1", "os": "debian-12"}}},
			Sources: []api.SourceStatus{{Name: "prometheus", OK: true}},
		}}},
		{"profiles", &ProfilesPut{Profiles: []api.Profile{{Target: web, KPIs: []api.Baseline{{KPI: api.KPICPU, Hours: []*float64{nil, &mean}}}}}}},
		{"lift", &QuarantineLift{Patch: "ssl", Target: web}},
		{"delete", &PolicyDelete{Name: "web"}},
	}
	if level >= 2 {
		out = append(out, named1{"autopilot", &AutopilotPut{Config: api.AutopilotConfig{
			CleanupDeadServers: true, DeadServerThreshold: api.Duration(time.Hour), LastContactThreshold: api.Duration(time.Second), MaxTrailingLogs: 250,
		}}})
	}
	if level >= 3 {
		gone := api.TargetRef{Namespace: "prod", Job: "old", Group: "vm"}
		out = append(out,
			named1{"hours", &ProfilesPut{Profiles: []api.Profile{
				{Target: web, Updated: corpusTime(9), Seen: corpusTime(9), KPIs: []api.Baseline{{KPI: api.KPICPU, Hours: []*float64{&mean}, HourSketches: []byte{1, 2, 3}}}},
				{Target: gone, Updated: corpusTime(9), Seen: corpusTime(9), KPIs: []api.Baseline{{KPI: api.KPICPU}}},
			}}},
			named1{"hours-kept", &ProfilesPut{Profiles: []api.Profile{{Target: web, Updated: corpusTime(14), KPIs: []api.Baseline{{KPI: api.KPICPU, Samples: 7}}}}}},
			named1{"forget", &ProfilesForget{Targets: []api.TargetRef{gone, web}, Unseen: api.Duration(2 * time.Second)}})
	}
	if level >= 4 {
		out = append(out, corpusDoubt(web)...)
	}
	if level >= 5 {
		out = append(out, corpusSandbox()...)
	}
	if level >= 6 {
		out = append(out, named1{"brake", &BrakeSet{On: true, Reason: "checkout is slow"}}, named1{"brake-off", &BrakeSet{}},
			named1{"brake-again", &BrakeSet{On: true, Reason: "checkout is slow again"}})
		out = append(out, corpusBack()...)
	}
	if level >= 7 {
		out = append(out, corpusInventories()...)
		out = append(out, corpusSelect())
	}
	if level >= 8 {
		out = append(out, corpusReadings()...)
		out = append(out, corpusProof()...)
		out = append(out, named1{"marks", &NoticesMark{Put: []api.NoticeMark{{Notifier: "slack", Index: 7}, {Notifier: "mail", Index: 9}}, Drop: []string{"gone"}}})
		for _, text := range []string{"policy \"web\" {}", "policy \"web\" {\n  deadline = \"5m\"\n}"} {
			out = append(out, named1{fmt.Sprintf("version-%d", len(text)), &PolicyPut{Policy: api.Policy{Name: "web", Blocks: []string{"web"}, File: api.SourceFile{Name: "web.hcl", Text: text}}}})
		}
	}
	return out
}

// corpusProof is the end of the rollout that corpusSelect submits, and what is known then of
// its fault. The submission stands at index 38.
func corpusProof() []named1 {
	over := corpusSelect().cmd.(*PatchSubmit).Rollouts[0]
	over.Status, over.Reason, over.CreateIndex, over.ModifyIndex, over.SubmittedBy = api.RolloutComplete, "every instance runs it", 38, 38, "ada"
	return []named1{
		{"complete", &RolloutTransition{Kind: "end", Expect: 38, Rollout: over}},
		{"prove", &RolloutProve{ID: over.ID, Expect: 41, Status: api.AssessmentUnknown, Reason: "there is no inventory"}},
		{"prove-again", &RolloutProve{ID: over.ID, Expect: 42, Status: api.AssessmentFixed, Reason: "openssl is 3.0.16"}},
	}
}

// corpusSelect is a submission with documents that goes to those whom they affect.
func corpusSelect() named1 {
	target := api.TargetRef{Namespace: "prod", Job: "forum", Group: "vm"}
	decision := api.Decision{
		Target: target, Order: api.OrderExposedFirst,
		Selection: &api.Selection{Chosen: true, Status: api.AssessmentAffected, Reason: "openssl is 3.0.14"},
	}
	return named1{"selected", &PatchSubmit{
		Patch: api.Patch{
			Name: "dsa", Digest: "d5", Advisory: &api.PatchDocument{Name: "osv.json", Digest: "ab"}, VEX: &api.PatchDocument{Name: "vex.json", Digest: "cd"},
			File: api.SourceFile{Name: "dsa.hcl", Files: map[string]string{"osv.json": "{}", "vex.json": "{}"}},
		},
		Rollouts: []api.Rollout{{ID: "05-0", Plan: "05", Patch: "dsa", PatchDigest: "d5", Target: target, Wave: 1, Status: api.RolloutPending, Decision: decision}},
		Plan: api.Plan{
			ID: "05", Patch: "dsa", Digest: "d5", Exposure: &api.Exposure{Before: 1.5, Left: []float64{0.5}},
			NothingToDo: []api.NothingToDo{{Target: api.TargetRef{Namespace: "prod", Job: "news", Group: "vm"}, Status: api.AssessmentFixed, Reason: "openssl is 3.0.16"}},
			Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{
				Target: api.Target{TargetRef: target}, Decision: decision, Exposure: &api.TargetExposure{Value: 1, Reason: "called from outside"},
				Assessment: &api.TargetAssessment{Status: api.AssessmentAffected, Reason: "openssl is 3.0.14", Advisories: []string{"DSA-1"}, Severity: "high",
					Score: 7.5, Exploited: true, Fixed: map[string]string{"openssl": "3.0.16"}},
			}}}},
		},
	}}
}

// corpusBack is a submission whose rollback goes at once, and its rollout, before which
// an instance was not healthy.
func corpusBack() []named1 {
	target := api.TargetRef{Namespace: "prod", Job: "cart", Group: "vm"}
	decision := api.Decision{Target: target, Rollback: api.RollbackSpec{OnHealth: true, AtOnce: true}}
	r := api.Rollout{ID: "04-0", Plan: "04", Patch: "zlib", PatchDigest: "d4", Target: target, Wave: 1, Status: api.RolloutPending, Decision: decision}
	submit := &PatchSubmit{
		Patch: api.Patch{Name: "zlib", Digest: "d4"}, Rollouts: []api.Rollout{r},
		Plan: api.Plan{ID: "04", Patch: "zlib", Digest: "d4", Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Target: api.Target{TargetRef: target}, Decision: decision}}}}},
	}
	begun := r
	begun.Status, begun.CreateIndex, begun.ModifyIndex = api.RolloutRunning, 28, 28
	begun.Former = &api.FormerJob{Version: 1, ModifyIndex: 90, Count: 3, Unhealthy: 1, Digest: "f", Job: json.RawMessage(`{"ID":"cart"}`)}
	return []named1{{"at-once", submit}, {"unhealthy-before", &RolloutTransition{Kind: "begin", Expect: 28, Rollout: begun}}}
}

// corpusInventories are an inventory that runs somewhere, another one of the same thing,
// one that nothing runs any more, and a target whose job says what it runs.
func corpusInventories() []named1 {
	image := "sha256:" + strings.Repeat("0a", 32)
	data, more := []byte("an inventory, packed"), []byte("another one")
	record := func(of string, digit string, data []byte) *InventoryPut {
		return &InventoryPut{Record: api.InventoryRecord{
			Of: of, Hash: strings.Repeat(digit, 64), Origin: api.InventoryPut, Source: "web.cdx.json", Format: "CycloneDX 1.6",
			Releases: []string{"Debian:12"}, Packages: 2, TakenAt: corpusTime(1), PutBy: "ada", Pieces: []string{PieceSum(data)},
		}}
	}
	target := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "cart", Group: "vm"}, Tasks: []api.Task{{Name: "vm", Driver: "docker", Image: "cart@" + image, Digest: image}}}
	return []named1{
		{"piece", &InventoryPiece{Data: data}},
		{"piece-2", &InventoryPiece{Data: more}},
		{"inventory", record(image, "a", data)},
		{"inventory-differs", record(image, "b", more)},
		{"inventory-by-name", record("/images/old.qcow2", "a", data)},
		{"seen", &InventoriesSeen{Of: []string{image}}},
		{"forget-inventories", &InventoriesForget{Of: []string{image, "/images/old.qcow2"}, Unseen: api.Duration(1500 * time.Millisecond)}},
		{"digest", &GraphChange{api.GraphChange{Targets: []api.Target{target}}}},
	}
}

// corpusReadings are a reading that has failed and left a job, one that has not, and the
// end of both.
func corpusReadings() []named1 {
	reading := func(image string, owned ...api.SandboxObject) api.InventoryReading {
		return api.InventoryReading{
			Key: "image:" + image, Origin: api.InventoryImage, Of: image, Target: api.TargetRef{Namespace: "prod", Job: "shop", Group: "vm"}, Task: "vm",
			JobModifyIndex: 90, Owned: owned, Began: corpusTime(1), Ended: corpusTime(2), Failures: 2, Error: "no room", Next: corpusTime(9),
		}
	}
	job := api.SandboxObject{Kind: api.ObjectJob, Role: "read", Namespace: "prod", Name: "oakum-twin-inventory-1-read"}
	return []named1{
		{"readings", &ReadingsChange{Put: []api.InventoryReading{reading("/images/a.qcow2", job), reading("/images/b.qcow2")}}},
		{"readings-drop", &ReadingsChange{Drop: []string{"image:/images/a.qcow2", "image:/images/b.qcow2"}}},
	}
}

// corpusSandbox is a submission with what simulations need from level 5 on, and a
// person's simulation that is cancelled.
func corpusSandbox() []named1 {
	target := api.TargetRef{Namespace: "prod", Job: "shop", Group: "vm"}
	apply := []api.Apply{{
		Kind: api.ApplyScript, Task: "vm", Script: "dpkg -i /payload/deb", Reboot: true, Verify: &api.Verify{Command: "dpkg -s openssl", Expect: "3.0.16"},
		Payloads: []api.Payload{{Name: "deb", Source: "https://mirror.example/openssl.deb", Checksum: "sha256:00"}},
	}}
	decision := api.Decision{Target: target, Simulate: api.SimulateSpec{Required: true, Pairs: 4, OnInconclusive: api.InconclusiveHold, Pool: "sandbox", Recorded: "ff"}}
	r := api.Rollout{ID: "03-0", Plan: "03", Patch: "deb", PatchDigest: "d3", Target: target, Wave: 1, Status: api.RolloutPending, Apply: apply, Decision: decision}
	sim := api.Simulation{
		ID: "s2", Patch: "deb", Target: target, Status: api.SimulationRunning, Started: corpusTime(21), By: "ada", Severity: "high", Apply: apply, Decision: &decision,
	}
	over := sim
	over.Status, over.Reason, over.CancelledBy, over.Ended = api.SimulationCancelled, "cancelled by bob", "bob", corpusTime(24)
	job := api.SandboxObject{Kind: api.ObjectJob, Namespace: "prod", Name: "oakum-twin-s2-a-control", Role: "control", Pair: 1}
	image := api.SandboxObject{Kind: api.ObjectImage, Name: "/images/shop+a.qcow2", Node: "n1"}
	return []named1{
		{"payload", &PatchSubmit{
			Patch: api.Patch{Name: "deb", Digest: "d3", Apply: apply}, Rollouts: []api.Rollout{r},
			Plan: api.Plan{ID: "03", Patch: "deb", Digest: "d3", Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Target: api.Target{TargetRef: target}, Decision: decision}}}}},
		}},
		{"asked-for", &SimulationPut{Simulation: sim}},
		{"own", &SimulationNote{ID: "s2", Own: []api.SandboxObject{job, image}, Progress: &api.SimulationProgress{Phase: api.PhaseBoot, Pair: 1, Pairs: 4, At: corpusTime(23)}}},
		{"cancelled", &SimulationPut{Simulation: over}},
		{"disown", &SimulationNote{ID: "s2", Disown: []api.SandboxObject{job}, Unremoved: "image /images/shop+a.qcow2: no answer"}},
	}
}

// corpusDoubt is a source that goes away, a plan in doubt meanwhile, and its end. The
// submission stands at index 17.
func corpusDoubt(web api.TargetRef) []named1 {
	away := api.SourceStatus{
		Name: "prometheus", Since: corpusTime(10), LastOK: corpusTime(9), Failures: 4, Failing: corpusTime(10), Failed: corpusTime(16), Error: "timeout",
	}
	db := web
	db.Job = "mail"
	r := api.Rollout{
		ID: "02-0", Plan: "02", Patch: "tls", PatchDigest: "d2", Target: db, Wave: 1, Status: api.RolloutAwaitingApproval, Created: corpusTime(17), Since: corpusTime(17),
		Decision: api.Decision{Target: db, Critical: true, Approval: api.ApprovalSpec{Count: 1}, Doubt: &api.Doubt{
			Sources: []api.DoubtedSource{{Name: "prometheus", State: api.SourceAway, Since: corpusTime(10), Failures: 4}},
		}},
	}
	over := r
	over.Status, over.Reason, over.SubmittedBy, over.CreateIndex, over.ModifyIndex = api.RolloutWaiting, "the doubt has lapsed", "ada", 17, 17
	over.Decision.Approval.Count = 0
	over.Decision.Doubt = &api.Doubt{Sources: r.Decision.Doubt.Sources, Lapse: &api.Lapse{
		At: corpusTime(19), Reason: "the graph is whole", Criticality: api.Criticality{Service: "mail", BlastRadius: 2, Score: 0.5},
	}}
	return []named1{
		{"source-away", &GraphChange{api.GraphChange{Sources: []api.SourceStatus{away}}}},
		{"doubt", &PatchSubmit{
			Patch: api.Patch{Name: "tls", Digest: "d2"}, Rollouts: []api.Rollout{r},
			Plan: api.Plan{
				ID: "02", Patch: "tls", Digest: "d2", Sources: []api.SourceStatus{away}, Refusals: []api.Refusal{{Target: web, Code: api.CodeConflict, Reason: "busy"}},
				Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Target: api.Target{TargetRef: db}, Decision: r.Decision}}}},
			},
		}},
		{"source-back", &GraphChange{api.GraphChange{Sources: []api.SourceStatus{{Name: "prometheus", OK: true, Since: corpusTime(18), LastOK: corpusTime(18)}}}}},
		{"lapse", &RolloutTransition{Kind: KindLapse, Expect: 17, Rollout: over}},
	}
}

// named1 is a command with a name for its file.
type named1 struct {
	name string
	cmd  Command
}

func corpusTime(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, n, 0, time.UTC)
}

// write makes the corpus of a level in memory, by file.
func corpusOf(t *testing.T, level int) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	fsm := NewFSM(NewStore())
	var hashes bytes.Buffer
	apply := func(name string, index int, entry []byte) {
		must.Nil(t, fsm.Apply(&raft.Log{Index: uint64(index), Data: entry}), must.Sprint(name))
		file := fmt.Sprintf("commands/v%d/%02d-%s", level, index, name)
		out[file] = entry
		fmt.Fprintf(&hashes, "%s %s\n", filepath.Base(file), fsm.store.Hash())
	}
	index := 0
	for _, c := range corpusCommands(level) {
		index++
		entry, err := encodeAt(1, c.cmd, corpusTime(index), "ada")
		if fsm.store.Level() > 1 {
			entry, err = fsm.Encode(c.cmd, corpusTime(index), "ada")
		}
		must.NoError(t, err)
		env, _, err := decode(entry)
		must.NoError(t, err)
		apply(fmt.Sprintf("%d-%s", env.Type, c.name), index, entry)
		if c.name == "builtin" { // the rest is of the level; indexes 3 and 4 are those that the rollout's commands expect
			fsm.raise(t, level)
		}
	}
	if level == 1 {
		entry, err := Encode(&LevelSet{Level: 2}, corpusTime(index+1), "ada")
		must.NoError(t, err)
		apply(fmt.Sprintf("%d-level", TypeLevelSet), index+1, entry)
	}
	out[fmt.Sprintf("commands/v%d/hashes.txt", level)] = hashes.Bytes()
	var snapshot bytes.Buffer
	must.NoError(t, fsm.store.Snapshot(&snapshot))
	out[fmt.Sprintf("snapshots/v%d/state.jsonl", level)] = snapshot.Bytes()
	out[fmt.Sprintf("snapshots/v%d/hash.txt", level)] = []byte(fsm.store.Hash() + "\n")
	return out
}

// raise brings the machine to a level without an entry of its own in the
// corpus: index 2 is used again.
func (f *FSM) raise(t testing.TB, level int) {
	t.Helper()
	for l := f.store.Level() + 1; l <= level; l++ {
		entry, err := Encode(&LevelSet{Level: l}, corpusTime(0), "ada")
		must.NoError(t, err)
		must.Nil(t, f.Apply(&raft.Log{Index: 2, Data: entry}))
	}
}

// TestCorpus_StaysReadable reads what released versions wrote, and holds that
// it still makes the same state.
func TestCorpus_StaysReadable(t *testing.T) {
	t.Parallel()
	if *update {
		for level := 1; level <= levels.Supported; level++ {
			for file, content := range corpusOf(t, level) {
				add(t, filepath.Join(corpus, file), content)
			}
		}
	}
	for level := 1; level <= levels.Supported; level++ {
		t.Run(fmt.Sprintf("commands of level %d", level), func(t *testing.T) { replayCorpus(t, level) })
		t.Run(fmt.Sprintf("snapshot of level %d", level), func(t *testing.T) {
			dir := filepath.Join(corpus, "snapshots", fmt.Sprintf("v%d", level))
			want, err := os.ReadFile(filepath.Join(dir, "hash.txt"))
			must.NoError(t, err)
			snapshot, err := os.ReadFile(filepath.Join(dir, "state.jsonl"))
			must.NoError(t, err)
			store := NewStore()
			must.NoError(t, store.Restore(bytes.NewReader(snapshot)))
			must.Eq(t, strings.TrimSpace(string(want)), store.Hash())
		})
	}
}

func replayCorpus(t *testing.T, level int) {
	t.Helper()
	dir := filepath.Join(corpus, "commands", fmt.Sprintf("v%d", level))
	hashes, err := os.ReadFile(filepath.Join(dir, "hashes.txt"))
	must.NoError(t, err)
	fsm := NewFSM(NewStore())
	for line := range strings.Lines(string(hashes)) {
		file, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		index, err := strconv.ParseUint(file[:2], 10, 64)
		must.NoError(t, err)
		if index == 3 {
			fsm.raise(t, level)
		}
		entry, err := os.ReadFile(filepath.Join(dir, file))
		must.NoError(t, err)
		must.Nil(t, fsm.Apply(&raft.Log{Index: index, Data: entry}), must.Sprint(file))
		must.Eq(t, want, fsm.store.Hash(), must.Sprint(file))
	}
}

// add writes a file that is not there yet.
func add(t *testing.T, path string, content []byte) {
	t.Helper()
	must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	must.NoError(t, err)
	_, err = file.Write(content)
	must.NoError(t, errors.Join(err, file.Close()))
}

// TestCorpus_IsWhole fails when a type of command or a kind of row has no
// file, so that nothing is released that nobody watches.
func TestCorpus_IsWhole(t *testing.T) {
	t.Parallel()
	entries, err := filepath.Glob(filepath.Join(corpus, "commands", "v*", "[0-9]*"))
	must.NoError(t, err)
	types := map[Type]bool{}
	for _, file := range entries {
		content, err := os.ReadFile(file)
		must.NoError(t, err)
		env, _, err := decode(content)
		must.NoError(t, err, must.Sprint(file))
		types[env.Type] = true
	}
	for kind := Type(1); newCommand(kind) != nil; kind++ {
		must.True(t, types[kind], must.Sprintf("command type %d has no file in %s: go test ./server/state -run Corpus -update", kind, corpus))
	}
	snapshots, err := filepath.Glob(filepath.Join(corpus, "snapshots", "v*", "state.jsonl"))
	must.NoError(t, err)
	must.Len(t, levels.Supported, snapshots, must.Sprint("one snapshot for each level"))
	rows := map[string]int{}
	for _, file := range snapshots {
		content, err := os.ReadFile(file)
		must.NoError(t, err)
		info, err := Inspect(bytes.NewReader(content))
		must.NoError(t, err)
		maps.Copy(rows, info.Rows)
	}
	for _, name := range slices.Sorted(maps.Keys(newTables().schema().Tables)) {
		must.Positive(t, rows[name], must.Sprintf("rows of %s are in no snapshot of %s", name, corpus))
	}
}
