package profiler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// killing is a model whose first instance is killed for lack of memory now and
// then; Nomad tells of the last three only.
type killing struct {
	*model
	every int
}

func (k killing) tick(look int, now time.Time) {
	if k.every > 0 && look%k.every == 0 {
		in := k.instances[id(0)]
		in.kills = append(in.kills, now.UnixNano())
		in.kills = in.kills[max(0, len(in.kills)-3):]
	}
}

func TestKillsForLackOfMemoryAreJudged(t *testing.T) {
	for name, c := range map[string]struct {
		every int
		want  api.VerdictKind
	}{"healthy": {0, api.VerdictPromote}, "killed every 10 s": {2, api.VerdictAbort}} {
		t.Run(name, func(t *testing.T) {
			k := killing{newModel(10), c.every}
			r := request(0)
			r.Spec.KPIs = []api.KPISpec{{KPI: api.KPIOOMKills, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02}}
			var v api.Verdict
			for look := range 60 {
				r.Now = began().Add(time.Duration(look) * 5 * time.Second)
				k.tick(look, r.Now)
				verdict, state, err := of(k.model).Judge(t.Context(), r)
				must.NoError(t, err)
				if v, r.State = verdict, &state; v.Kind != api.VerdictContinue {
					break
				}
			}
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
		})
	}
}

func TestKillsThatNomadForgetsAreNoReset(t *testing.T) {
	n, last := AllocStats{OOMKills: []int64{10, 20, 30}}.oomSince(20)
	must.Eq(t, 1, n)
	must.Eq(t, 30, last)
	n, last = AllocStats{OOMKills: []int64{20}}.oomSince(30)
	must.Eq(t, 0, n)
	must.Eq(t, 30, last)
}

func TestKillsForLackOfMemoryAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2)
		p := New(Options{Stats: m, Fleet: m, Recorder: m})
		at := time.Now()
		for i := range int64(5) {
			m.instances[id(0)].kills = append(m.instances[id(0)].kills, at.Add(time.Duration(i+1)*7*time.Second).UnixNano())
		}
		during(t, p, time.Minute+time.Second)
		must.Eq(t, 0, find(t, m.profiles(), api.KPIOOMKills).Mean) // all were there at the first look
		must.Eq(t, api.KPICount, find(t, m.profiles(), api.KPIOOMKills).Kind)
	})
}
