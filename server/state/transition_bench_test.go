package state

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// BenchmarkTransition measures what one transition of a rollout costs from its
// encoding to the end of its transaction, and how many bytes it puts into the
// log, for targets of 40 and 10,000 instances, as changes and, as at level 1,
// whole: a look of the judge, a look at the instances of which one in a hundred
// has changed, and the next stage.
func BenchmarkTransition(b *testing.B) {
	kinds := map[string]func(*api.Rollout, int){
		"judge": func(r *api.Rollout, i int) {
			r.Judge = &api.JudgeState{Stage: 1, Looks: i, Bank: r.Judge.Bank}
			r.Reason = fmt.Sprintf("stage 3: look %d", i)
		},
		"observe": func(r *api.Rollout, i int) {
			for n := i % 100; n < len(r.Instances); n += 100 {
				r.Instances[n].ID = fmt.Sprintf("ffffffff-%04x-4000-8000-%012d", n, i)
			}
		},
		"stage": func(r *api.Rollout, i int) {
			r.Effect = &api.Effect{ID: fmt.Sprint(i), Kind: api.EffectStage, Stage: 1, Want: i, Status: api.EffectIntended}
			r.Effects = r.Effects[:3:3]
			r.Effects = append(r.Effects, api.Effect{ID: fmt.Sprint(i - 1), Kind: api.EffectStage, Status: api.EffectDone})
		},
	}
	for _, level := range []int{1, levels.Supported} {
		for _, instances := range []int{40, 10_000} {
			for _, kind := range []string{"judge", "observe", "stage"} {
				b.Run(fmt.Sprintf("level-%d/%d/%s", level, instances, kind), func(b *testing.B) {
					benchTransition(b, level, instances, kind, kinds[kind])
				})
			}
		}
	}
}

func benchTransition(b *testing.B, level, instances int, kind string, change func(*api.Rollout, int)) {
	store := history(1, instances, 0)
	m := *store.meta()
	m.Level = level
	store.replace(store.present.Load().rows, &m)
	fsm := NewFSM(store)
	id := store.Rollouts()[0].ID
	bytes, index := 0, store.Index()
	for i := 1; b.Loop(); i++ {
		b.StopTimer()
		r, _ := store.Rollout(id)
		cmd := &RolloutTransition{Kind: kind, Expect: r.ModifyIndex, Rollout: r}
		cmd.Rollout.Judge.Bank = json.RawMessage(string(r.Judge.Bank))
		change(&cmd.Rollout, i)
		b.StartTimer()
		entry, err := fsm.Encode(cmd, time.Unix(1e9, 0), "bench")
		must.NoError(b, err)
		index++
		must.Nil(b, fsm.Apply(&raft.Log{Index: index, Data: entry}))
		bytes += len(entry)
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "log-bytes/op")
}
