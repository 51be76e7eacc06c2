//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// moment is when an effect's leader is killed.
type moment string

const (
	before moment = "before nomad hears of it" // the change is lost with the leader
	after  moment = "before nomad's answer"    // Nomad did it, and nobody knows
	while  moment = "while it is verified"     // the change is answered, its result is not there yet
)

// killer kills the leader once at each change that a rollout makes in Nomad.
type killer struct {
	o  *oakum
	g  *gate
	at moment

	id      chan string // of the rollout, once it is known
	mu      sync.Mutex
	rollout string
	done    map[string]bool // points at which a leader was killed
	points  []string
	changed string // effect whose change Nomad has taken
	slowest time.Duration
}

// look is the gate's view of one request; nil comes after a change was done
// whose answer is to be lost.
func (k *killer) look(r *http.Request, change bool) passage {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r == nil {
		k.kill()
		return pass
	}
	if k.rollout == "" {
		k.rollout = <-k.id
	}
	now, ok := k.o.rollout(k.rollout)
	if !ok || now.Effect == nil {
		return pass
	}
	effect := now.Effect.ID
	if k.at == while {
		switch {
		case change:
			k.changed = effect
		case k.changed == effect && k.first(fmt.Sprintf("%s %d", now.Effect.Kind, now.Effect.Stage)):
			k.kill()
			return lose
		}
		return pass
	}
	if !change || !k.first(fmt.Sprintf("%s %d: %s", now.Effect.Kind, now.Effect.Stage, what(r))) {
		return pass
	}
	if k.at == after {
		return answer
	}
	k.kill()
	return lose
}

// first reports whether this point was not met before.
func (k *killer) first(point string) bool {
	if k.done[point] {
		return false
	}
	k.done[point] = true
	k.points = append(k.points, point)
	return true
}

// kill ends the leader as a crash would, and starts it again.
func (k *killer) kill() {
	leader, err := k.o.Leader(k.o.t.Context())
	if err != nil {
		k.o.t.Errorf("find the leader: %v", err)
		return
	}
	leader.Kill()
	if err := leader.Start(); err != nil {
		k.o.t.Errorf("start %s again: %v", leader.Name, err)
	}
}

// TestKillAtEveryEffect kills the leader of three servers around every change
// that a rollout makes in Nomad. Nomad's own record says that nothing was done
// twice: it is the same as that of a rollout that nobody disturbed.
func TestKillAtEveryEffect(t *testing.T) {
	env := sharedStack(t)
	g := newGate(t, env)
	env.NomadAddr = g.url
	o := newOakumBeside(t, env, 3, "")

	for _, tc := range []struct {
		name     string
		count    int
		critical bool
		version  string
		ends     api.RolloutStatus
		effects  string
		versions int            // of the job, the first included
		allocs   int            // that Nomad ever made for the job
		changes  map[string]int // that Nomad took
	}{
		{
			name: "phased", count: 10, critical: true, version: "v2", ends: api.RolloutComplete,
			effects: "tag stage stage stage finish", versions: 5, allocs: 20,
			changes: map[string]int{"tag": 1, "register": 4, "deployment allocation-health": 1, "untag": 1},
		},
		{
			name: "turned back", count: 4, critical: true, version: "crash", ends: api.RolloutRolledBack,
			effects: "tag stage rollback unpace", versions: 4, allocs: 6,
			changes: map[string]int{"tag": 1, "register": 3, "deployment allocation-health": 1, "untag": 1},
		},
		{
			name: "blue-green", count: 3, version: "v2", ends: api.RolloutComplete,
			effects: "tag stage promote finish", versions: 3, allocs: 6,
			changes: map[string]int{"tag": 1, "register": 2, "deployment allocation-health": 1, "deployment promote": 1, "untag": 1},
		},
	} {
		for _, at := range []moment{before, after, while} {
			t.Run(tc.name+", "+string(at), func(t *testing.T) {
				o := o.in(t)
				job := strings.ReplaceAll(tc.name+"-"+strings.Fields(string(at))[0]+"-"+fmt.Sprint(len(string(at))), " ", "-")
				o.job(job, tc.count, tc.critical)
				k := &killer{o: o, g: g, at: at, id: make(chan string, 1), done: map[string]bool{}}
				g.each(job, k.look)
				defer g.each(job, nil)
				began := time.Now()
				id := o.submit(o.patchFile(job, job, fmt.Sprintf("VERSION = %q", tc.version)))
				k.id <- id
				r := o.ended(id, 3*time.Minute, tc.ends)
				eventually(t, "nomad has settled", time.Minute, func() bool { return len(o.versions(job)) == tc.count })

				t.Logf("%s in %s, %d leaders killed: %s", r.Status, time.Since(began).Round(time.Second), len(k.points), strings.Join(k.points, "; "))
				must.SliceNotEmpty(t, k.points)
				kinds := []string{}
				for _, e := range r.Effects {
					must.Eq(t, api.EffectDone, e.Status, must.Sprintf("%+v", e))
					kinds = append(kinds, string(e.Kind))
				}
				must.Eq(t, tc.effects, strings.Join(kinds, " "))
				must.Eq(t, tc.versions, o.registrations(job), must.Sprint("versions of the job in nomad"))
				allocs, _, err := o.vendor.Jobs().Allocations(job, true, nil)
				must.NoError(t, err)
				must.Len(t, tc.allocs, allocs, must.Sprint("instances that nomad ever made"))
				must.Eq(t, tc.changes, g.taken(), must.Sprint("changes that nomad took"))
				o.agree()
			})
		}
	}
}

// agree waits until all servers are at one index and compares their states.
func (o *oakum) agree() {
	o.t.Helper()
	var infos []api.StateInfo
	eventuallySay(o.t, 30*time.Second, func() bool {
		infos = o.states()
		for _, info := range infos {
			if info.Index != infos[0].Index {
				return false
			}
		}
		return len(infos) == len(o.Servers)
	}, func() string { return fmt.Sprintf("all servers are at one index: %+v", infos) })
	for _, info := range infos {
		must.Eq(o.t, infos[0].Hash, info.Hash, must.Sprintf("the states differ: %+v", infos))
	}
}
