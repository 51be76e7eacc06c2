package state_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// raised returns a machine at the newest level.
func raised(t *testing.T) *machine {
	t.Helper()
	m := newMachine()
	for level := 2; level <= levels.Supported; level++ {
		m.must(t, &state.LevelSet{Level: level})
	}
	return m
}

// commit applies a command in the format of the machine's level.
func (m *machine) commit(cmd state.Command) error {
	m.index++
	entry, err := m.fsm.Encode(cmd, epoch(), "tester")
	if err != nil {
		return err
	}
	refused, _ := m.fsm.Apply(&raft.Log{Index: m.index, Data: entry}).(error)
	return refused
}

func TestLevelSet_RaisesByOne(t *testing.T) {
	t.Parallel()
	m := newMachine()
	must.Eq(t, 1, m.store.Level())
	must.True(t, api.IsCode(m.apply(&state.LevelSet{Level: 3}), api.CodeConflict))
	must.True(t, api.IsCode(m.apply(&state.LevelSet{Level: 1}), api.CodeConflict))
	m.must(t, &state.LevelSet{Level: 2})
	must.Eq(t, 2, m.store.Level())
}

func TestApply_RefusesCommandsAboveTheLevel(t *testing.T) {
	t.Parallel()
	m := newMachine()
	before := m.store.Hash()
	for _, early := range []string{
		`{"type":1,"level":2,"at":"2026-01-01T00:00:00Z","body":{"policy":{"name":"x"}}}`,
		`{"type":4711,"level":2,"body":{}}`, // a server that knows the type refuses it too
		`{"type":1,"level":2,"at":"2026-01-01T00:00:00Z"}` + "\n" + `{"policy":{"name":"x"}}`,
	} {
		m.index++
		refused, _ := m.fsm.Apply(&raft.Log{Index: m.index, Data: []byte(early)}).(error)
		must.True(t, api.IsCode(refused, api.CodeConflict), must.Sprint(refused))
		must.StrContains(t, refused.Error(), "needs cluster level 2, the cluster is at 1")
	}
	must.Eq(t, before, m.store.Hash())
	must.NoError(t, m.fsm.Err())
}

func TestApply_HaltsAtAnUnknownCommand(t *testing.T) {
	t.Parallel()
	next := levels.Supported + 1
	for name, unknown := range map[string]string{
		"holds command type 4711 of cluster level 2":        `{"type":4711,"level":2,"body":{}}`,
		fmt.Sprintf("raises the cluster to level %d", next): fmt.Sprintf(`{"type":9,"level":1,"body":{"level":%d}}`, next),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := raised(t)
			before := m.store.Hash()
			refused, _ := m.fsm.Apply(&raft.Log{Index: 7, Data: []byte(unknown)}).(error)
			must.True(t, api.IsCode(refused, api.CodeUnavailable), must.Sprint(refused))
			must.StrContains(t, refused.Error(), "this server stopped before log index 7: it "+name+", and it knows up to level "+strconv.Itoa(levels.Supported)+": upgrade this server")
			<-m.fsm.Halted()

			t.Log("nothing is applied from there on, and nothing vouches for the state")
			must.Error(t, m.apply(&state.PolicyPut{Policy: api.Policy{Name: "a"}}))
			must.Eq(t, before, m.store.Hash())
			_, err := m.fsm.Snapshot()
			must.Error(t, err)
			_, err = m.fsm.Encode(&state.PolicyDelete{Name: "a"}, epoch(), "")
			must.Error(t, err)
			must.Error(t, m.fsm.Restore(io.NopCloser(strings.NewReader(""))))
			must.Eq(t, refused, m.fsm.Err())
		})
	}
}

func TestRestore_RefusesASnapshotOfANewerLevel(t *testing.T) {
	t.Parallel()
	m := newMachine()
	var out bytes.Buffer
	must.NoError(t, m.store.Snapshot(&out))
	next := levels.Supported + 1
	newer := strings.Replace(out.String(), `"level":1,"index"`, fmt.Sprintf(`"level":%d,"index"`, next), 1)
	err := m.store.Restore(strings.NewReader(newer))
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	must.StrContains(t, err.Error(), fmt.Sprintf("it is of cluster level %d, and this server knows up to %d", next, levels.Supported))
}

// large is a rollout of n instances in the middle of a stage.
func large(n int) func(*api.Rollout) {
	return func(r *api.Rollout) {
		r.Status = api.RolloutRunning
		r.Former = &api.FormerJob{Version: 3, Count: n, Digest: "d", Job: json.RawMessage(`{"ID":"web"}`)}
		r.Instances = nil
		for i := range n {
			r.Instances = append(r.Instances, api.Instance{
				ID: fmt.Sprintf("a1b2c3d4-0000-4000-8000-%012d", i), Name: fmt.Sprintf("web.vm[%d]", i), Node: fmt.Sprintf("node-%d", i%100),
				Health: api.Healthy, Build: api.BuildFormer, Address: "10.0.0.1:8080",
			})
		}
	}
}

func TestEncode_MakesATransitionAsLargeAsItsChange(t *testing.T) {
	t.Parallel()
	whole, m := newMachine(), raised(t)
	whole.index = m.index
	sizes := map[*machine]int{}
	step := func(kind string, change func(*api.Rollout)) {
		for _, m := range []*machine{whole, m} {
			r, _ := m.store.Rollout("p-0")
			cmd := &state.RolloutTransition{Kind: kind, Expect: r.ModifyIndex, Rollout: r}
			change(&cmd.Rollout)
			m.index++
			entry, err := m.fsm.Encode(cmd, epoch(), "")
			must.NoError(t, err)
			sizes[m] = len(entry)
			must.Nil(t, m.fsm.Apply(&raft.Log{Index: m.index, Data: entry}))
		}
		a, _ := whole.store.Rollout("p-0")
		b, _ := m.store.Rollout("p-0")
		must.Eq(t, a, b)
	}
	for _, m := range []*machine{whole, m} {
		must.NoError(t, m.commit(submission("p", "d", web())))
	}
	step("start", large(10_000))
	must.Less(t, 500_000, sizes[m])
	step(state.KindObserve, func(r *api.Rollout) {
		for i := 500; i < 600; i++ {
			r.Instances[i].Health = api.Pending
		}
		r.Instances[7].ID = "new"
	})
	must.Greater(t, 1_000_000, sizes[whole])
	must.Less(t, 8_000, sizes[m])
	step(state.KindJudge, func(r *api.Rollout) { r.Judge = &api.JudgeState{Looks: 1, Bank: json.RawMessage(`{"a":1}`)} })
	must.Less(t, 500, sizes[m])
	step(state.KindObserve, func(r *api.Rollout) { r.Instances = r.Instances[9_000:] })
	step(state.KindObserve, func(r *api.Rollout) { r.Instances = nil })
}

func TestApply_RefusesAChangeThatDoesNotFit(t *testing.T) {
	t.Parallel()
	m := raised(t)
	must.NoError(t, m.commit(submission("p", "d", web())))
	before := m.store.Hash()
	for _, body := range []string{
		`{"kind":"x","expect":2,"id":"none"}`,
		`{"kind":"x","expect":1,"id":"p-0"}`,
		`{"kind":"x","expect":2,"id":"p-0","fields":{"unheard_of":1}}`,
		`{"kind":"x","expect":2,"id":"p-0","fields":{"status":7}}`,
		`{"kind":"x","expect":2,"id":"p-0","fields":{"id":"p-1"}}`,
		`{"kind":"x","expect":2,"id":"p-0","runs":[{"from":0,"n":1}]}`,
		`{"kind":"x","expect":2,"id":"p-0","runs":[{"from":-1,"n":1}]}`,
		`{"kind":"x","expect":2,"id":"p-0","runs":[{"from":9223372036854775807,"n":9223372036854775807}]}`,
	} {
		m.index++
		refused := m.fsm.Apply(&raft.Log{Index: m.index, Data: []byte(`{"type":10,"level":2}` + "\n" + body)})
		must.NotNil(t, refused, must.Sprint(body))
	}
	must.Eq(t, before, m.store.Hash())
}

func TestTransition_StartsNoMoreTargetsThanTheBudgetAllows(t *testing.T) {
	t.Parallel()
	m := raised(t)
	s := submission("p", "d", web(), db(), api.TargetRef{Namespace: "prod", Job: "mail", Group: "vm"})
	for i := range s.Rollouts {
		s.Rollouts[i].Decision.Budget.Targets = 2
	}
	m.must(t, s)
	start := func(id string) error { return m.turn(id, "resume", become(api.RolloutRunning, "its turn")) }
	must.NoError(t, start("p-0"))
	must.NoError(t, start("p-1"))
	err := start("p-2")
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), "2 rollouts are under way and budget.targets is 2")
	must.NoError(t, m.turn("p-0", "pause", func(r *api.Rollout) { r.Status, r.Resume = api.RolloutPaused, api.RolloutRunning }))
	must.Error(t, start("p-2"), must.Sprint("a paused rollout is under way"))
	must.NoError(t, m.turn("p-1", "end", become(api.RolloutComplete, "done")))
	must.NoError(t, start("p-2"))
}

func TestTransition_KeepsWhatPeopleAskOfAnEndedRollout(t *testing.T) {
	t.Parallel()
	m := raised(t)
	must.NoError(t, m.commit(submission("p", "d", web())))
	must.NoError(t, m.turn("p-0", "start", large(500)))
	must.NoError(t, m.turn("p-0", "end", func(r *api.Rollout) {
		r.Status, r.Judge = api.RolloutComplete, &api.JudgeState{Bank: json.RawMessage(`{}`)}
	}))
	r, _ := m.store.Rollout("p-0")
	must.Len(t, 20, r.Instances)
	must.Eq(t, 3, r.Former.Version)
	must.Eq(t, "null", string(r.Former.Job))
	must.Nil(t, r.Judge)
}
