package state_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// someImage is the digest of an image.
func someImage() string { return "sha256:" + strings.Repeat("0a", 32) }

// kept is an inventory of an image whose hash is one digit.
func kept(digit string, pieces ...string) *state.InventoryPut {
	r := api.InventoryRecord{Of: someImage(), Hash: strings.Repeat(digit, 64), Origin: api.InventoryPut, PutBy: "ada"}
	for _, p := range pieces {
		r.Pieces = append(r.Pieces, state.PieceSum([]byte(p)))
	}
	return &state.InventoryPut{Record: r}
}

func piece(data string) *state.InventoryPiece { return &state.InventoryPiece{Data: []byte(data)} }

func TestInventoryPut_KeepsWhatItsPiecesHold(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Seven)
	err := m.apply(kept("a", "one", "two"))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	m.must(t, piece("one"))
	m.must(t, piece("two"))
	m.must(t, kept("a", "two", "one"))
	list := m.store.InventoriesOf(someImage())
	must.Len(t, 1, list)
	must.Eq(t, 6, list[0].Bytes)
	must.False(t, list[0].Differs)
	pieces, err := m.store.InventoryPieces(list[0])
	must.NoError(t, err)
	must.Eq(t, [][]byte{[]byte("two"), []byte("one")}, pieces)

	var snapshot bytes.Buffer
	must.NoError(t, m.store.Snapshot(&snapshot))
	again := state.NewStore()
	must.NoError(t, again.Restore(&snapshot))
	pieces, err = again.InventoryPieces(again.Inventories()[0])
	must.NoError(t, err)
	must.Eq(t, [][]byte{[]byte("two"), []byte("one")}, pieces)
}

func TestInventoryPut_KeepsWhatDiffersAside(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Seven)
	m.must(t, piece("one"))
	m.must(t, kept("a", "one"))
	m.must(t, kept("b", "one"))
	list := m.store.InventoriesOf(someImage())
	must.Len(t, 2, list)
	must.True(t, list[0].Differs && list[1].Differs)
	events := m.store.Events(0, 0)
	must.StrContains(t, events[len(events)-1].Text, "2 inventories of it differ")

	right := kept("b", "one")
	right.Record.Replaces = []string{list[0].Hash}
	m.must(t, right)
	list = m.store.InventoriesOf(someImage())
	must.Len(t, 1, list)
	must.Eq(t, strings.Repeat("b", 64), list[0].Hash)
	must.False(t, list[0].Differs)
}

func TestInventoryPut_IsChecked(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Seven)
	m.must(t, piece("one"))
	for name, change := range map[string]func(*api.InventoryRecord){
		"of nothing":           func(r *api.InventoryRecord) { r.Of = "" },
		"a hash that is none":  func(r *api.InventoryRecord) { r.Hash = "a" },
		"no pieces":            func(r *api.InventoryRecord) { r.Pieces = nil },
		"a zero byte":          func(r *api.InventoryRecord) { r.Of += "\x00b" },
		"many releases":        func(r *api.InventoryRecord) { r.Releases = make([]string, 65) },
		"a long release":       func(r *api.InventoryRecord) { r.Releases = []string{strings.Repeat("x", 2000)} },
		"many pieces":          func(r *api.InventoryRecord) { r.Pieces = slices.Repeat(r.Pieces, 513) },
		"a source that is too": func(r *api.InventoryRecord) { r.Source = strings.Repeat("x", 2000) },
	} {
		put := kept("a", "one")
		change(&put.Record)
		err := m.apply(put)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(name, err))
	}
	must.Len(t, 0, m.store.Inventories())
	must.True(t, api.IsCode(m.apply(piece(strings.Repeat("x", state.PieceMax+1))), api.CodeInvalid))
	must.True(t, api.IsCode(m.apply(piece("")), api.CodeInvalid))
}

func TestInventoriesForget_ForgetsWhatNothingRuns(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Seven)
	m.must(t, piece("one"))
	m.must(t, kept("a", "one"))
	old := kept("a", "one")
	old.Record.Of = "/images/old.qcow2"
	m.must(t, old)
	for range 5 {
		m.must(t, piece("later"))
	}
	m.must(t, &state.InventoriesSeen{Of: []string{someImage()}})
	forget := &state.InventoriesForget{Of: []string{someImage(), "/images/old.qcow2", "/images/never.qcow2"}, Unseen: api.Duration(3 * time.Second)}
	m.must(t, forget)
	list := m.store.Inventories()
	must.Len(t, 1, list)
	must.Eq(t, someImage(), list[0].Of)
	err := m.apply(&state.InventoriesForget{Of: []string{someImage()}})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
}

// TestEncode_MapsJobsWithRunsBelowLevel7: the graph goes on while servers are upgraded.
func TestEncode_MapsJobsWithRunsBelowLevel7(t *testing.T) {
	t.Parallel()
	for level := 1; level <= levels.Supported; level++ {
		m := at(t, level)
		target := api.Target{TargetRef: web(), Type: "batch", Launch: api.LaunchPeriodic}
		must.NoError(t, m.commit(&state.GraphChange{GraphChange: api.GraphChange{Targets: []api.Target{target}}}), must.Sprint(level))
		have, ok := m.store.Target(web())
		must.True(t, ok)
		must.EqOp(t, level >= levels.Seven, have.Launch != "", must.Sprint(level))
		must.EqOp(t, api.LaunchPeriodic, target.Launch)
	}
}

// TestEncode_LeavesDigestsOutBelowLevel7 holds that former servers are told of no digest,
// and of no inventory at all.
func TestEncode_LeavesDigestsOutBelowLevel7(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Six)
	target := api.Target{TargetRef: web(), Tasks: []api.Task{{Name: "vm", Digest: someImage()}}}
	must.NoError(t, m.commit(&state.GraphChange{GraphChange: api.GraphChange{Targets: []api.Target{target}}}))
	have, _ := m.store.Target(web())
	must.Eq(t, "", have.Tasks[0].Digest)
	submit := submission("01", "d1", web())
	submit.Plan.Waves = []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Target: target}}}}
	must.NoError(t, m.commit(submit))
	plan, _ := m.store.Plan("01")
	must.Eq(t, "", plan.Waves[0].Targets[0].Target.Tasks[0].Digest)
	must.Eq(t, someImage(), target.Tasks[0].Digest)
	must.True(t, api.IsCode(m.commit(piece("one")), api.CodeConflict))

	must.NoError(t, m.commit(&state.LevelSet{Level: levels.Seven}))
	must.NoError(t, m.commit(&state.GraphChange{GraphChange: api.GraphChange{Targets: []api.Target{target}}}))
	have, _ = m.store.Target(web())
	must.Eq(t, someImage(), have.Tasks[0].Digest)
}
