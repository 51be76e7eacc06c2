package canary

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

// killing is a fleet whose first instance is killed for lack of memory now and
// then; Nomad remembers the last three only.
type killing struct {
	*kpitest.Fleet
	every int
}

func (k killing) tick(look int, now time.Time) {
	if k.every > 0 && look%k.every == 0 {
		in := k.Instances[kpitest.ID(0)]
		in.Kills = append(in.Kills, now.UnixNano())
		in.Kills = in.Kills[max(0, len(in.Kills)-3):]
	}
}

func TestJudge_CountsKillsForLackOfMemory(t *testing.T) {
	for name, c := range map[string]struct {
		every int
		want  api.VerdictKind
	}{"healthy": {0, api.VerdictPromote}, "killed every 10 s": {2, api.VerdictAbort}} {
		t.Run(name, func(t *testing.T) {
			k := killing{kpitest.New(10), c.every}
			r := request(0)
			r.Spec.KPIs = []api.KPISpec{{KPI: api.KPIOOMKills, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02}}
			var v api.Verdict
			for look := range 60 {
				r.Now = began().Add(time.Duration(look) * 5 * time.Second)
				k.tick(look, r.Now)
				verdict, state, err := of(k.Fleet).Look(t.Context(), r)
				must.NoError(t, err)
				if v, r.State = verdict, &state; v.Kind != api.VerdictContinue {
					break
				}
			}
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
		})
	}
}
