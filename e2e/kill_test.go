//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/wait"
)

// moment is when an effect's leader is killed.
type moment string

const (
	never  moment = "undisturbed"
	before moment = "before nomad hears of it" // the change is lost with the leader
	after  moment = "before nomad's answer"    // Nomad did it, and nobody knows
	while  moment = "while it is verified"     // the change is answered, its result is not there yet
	late   moment = "standing still meanwhile" // not killed: the change arrives when another leader has done the work
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
	changed string         // effect whose change Nomad has taken
	still   *daemon.Server // stands still now
	meant   string         // effect that it stands still at
	awake   chan struct{}  // closed when it does no more
	waits   sync.WaitGroup
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
	if k.rollout == "" && !change {
		return pass // the submission is planned
	}
	if k.rollout == "" {
		k.rollout = <-k.id
	}
	now, ok := k.now(k.still)
	if !ok || now.Effect == nil {
		return pass
	}
	effect := now.Effect.ID
	if k.still != nil {
		if effect == k.meant {
			return pass // of the leader that does the work
		}
		awake := k.awake
		k.mu.Unlock()
		<-awake // one at a time, or there is no majority
		k.mu.Lock()
	}
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
	if k.at == never || !change || !k.first(fmt.Sprintf("%s %d: %s", now.Effect.Kind, now.Effect.Stage, what(r))) {
		return pass
	}
	switch k.at {
	case after:
		return answer
	case late:
		k.standStill(effect)
		return keep
	}
	k.kill()
	return lose
}

// now is the rollout as any server but one tells it.
func (k *killer) now(not *daemon.Server) (api.Rollout, bool) {
	for _, s := range k.o.Servers {
		if s == not || !s.Running() {
			continue
		}
		cl, err := client.New(client.Config{Address: s.HTTP, Token: k.o.pipeline, Timeout: 2 * time.Second})
		if err != nil {
			return api.Rollout{}, false
		}
		r, _, err := cl.Rollout(k.o.t.Context(), k.rollout, client.Query{})
		cl.Close()
		if err == nil {
			return r, true
		}
	}
	return api.Rollout{}, false
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

// standStill stops the leader, lets another one do the work, wakes the old one
// up and lets its change pass on to Nomad.
func (k *killer) standStill(effect string) {
	old, err := k.o.Leader(k.o.t.Context())
	if err != nil {
		k.o.t.Errorf("find the leader: %v", err)
		return
	}
	if err := old.Pause(); err != nil {
		k.o.t.Errorf("stop %s: %v", old.Name, err)
	}
	k.still, k.meant, k.awake = old, effect, make(chan struct{})
	k.g.hold()
	k.waits.Go(func() {
		ctx, cancel := context.WithTimeout(k.o.t.Context(), wait.Patience)
		defer cancel()
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			<-ticker.C
			r, ok := k.now(old)
			if ctx.Err() != nil || (ok && (r.Effect == nil || r.Effect.ID != effect)) {
				break // somebody else has seen it through
			}
		}
		if err := old.Resume(); err != nil {
			k.o.t.Errorf("wake %s: %v", old.Name, err)
		}
		k.g.release()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.still = nil
		close(k.awake)
	})
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
		moments  []moment
		effects  string
		versions int            // of the job, the first included
		allocs   int            // that Nomad ever made for the job
		changes  map[string]int // that Nomad took
	}{
		{
			name: "phased", count: 10, critical: true, version: "v2", ends: api.RolloutComplete, moments: []moment{never, before, after, while, late},
			effects: "tag stage stage stage finish", versions: 5, allocs: 20,
			changes: map[string]int{"tag": 1, "register": 4, "deployment allocation-health": 1, "untag": 1},
		},
		{
			name: "turned back", count: 4, critical: true, version: "crash", ends: api.RolloutRolledBack, moments: []moment{before, after, while},
			effects: "tag stage rollback unpace", versions: 4, allocs: 6,
			changes: map[string]int{"tag": 1, "register": 3, "deployment allocation-health": 1, "untag": 1},
		},
		{
			name: "blue-green", count: 3, version: "v2", ends: api.RolloutComplete, moments: []moment{before, after, late},
			effects: "tag stage promote finish", versions: 3, allocs: 6,
			changes: map[string]int{"tag": 1, "register": 2, "deployment allocation-health": 1, "deployment promote": 1, "untag": 1},
		},
	} {
		for _, at := range tc.moments {
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
				r := o.ended(id, tc.ends)
				k.waits.Wait()
				eventually(t, "nomad has settled", time.Minute, func() bool { return len(o.versions(job)) == tc.count })

				t.Logf("%s in %s, %d leaders met: %s; nomad took %v", r.Status, time.Since(began).Round(time.Second), len(k.points), strings.Join(k.points, "; "), g.taken())
				must.Eq(t, at == never, len(k.points) == 0)
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
				taken := g.taken()
				for change, times := range tc.changes {
					// That instances are healthy, and which version is the
					// former, may be said twice: it changes nothing.
					if change == "deployment allocation-health" || change == "tag" {
						must.Positive(t, taken[change], must.Sprint(change))
						continue
					}
					must.Eq(t, times, taken[change], must.Sprint("times that nomad took: ", change))
				}
				must.Eq(t, len(tc.changes), len(taken), must.Sprint("kinds of changes that nomad took: ", taken))
				o.agree()
			})
		}
	}
}

// longPolicy is for targets whose judgement and simulation take their time.
const longPolicy = `
policy "judged" {
  applies  = target.meta.kind == "judged"
  critical = true
  judge {
    interval     = "1s"
    max_duration = "1h"
    kpi "memory" {
      abort_above   = "3x"
      promote_below = "6x"
    }
    // Nobody asks a sleeper anything, so this one is never known, and the
    // judgement goes on until somebody ends it.
    kpi "latency_p99" {
      abort_above   = "3x"
      promote_below = "6x"
    }
  }
}
policy "machines" {
  applies = target.job == "simulated"
  simulate {
    required = true
    seconds  = 10
  }
  approval {
    from  = "release-managers"
    count = 1
  }
}
`

// TestKillWhileTheLeaderWaits kills leaders whose work is to look on: at a
// judgement and at a simulation.
func TestKillWhileTheLeaderWaits(t *testing.T) {
	o := newOakum(t, 3, "", longPolicy)
	killed := func(o *oakum) {
		leader, err := o.Leader(t.Context())
		must.NoError(t, err)
		leader.Kill()
		must.NoError(t, leader.Start())
	}

	t.Run("judging: the next leader goes on with the next look", func(t *testing.T) {
		o := o.in(t)
		o.jobOf("judged", "judged", 4, true)
		id := o.submit(o.patchFile("judged-2", "judged", `VERSION = "v2"`))
		looks := func(r api.Rollout) int {
			if r.Judge == nil {
				return 0
			}
			return r.Judge.Looks
		}
		r := o.until(id, func(r api.Rollout) bool { return looks(r) >= 3 })
		must.Len(t, 1, r.Stages)
		began, before := r.Judge.Started, looks(r)
		killed(o)
		r = o.until(id, func(r api.Rollout) bool { return looks(r) > before })
		must.Len(t, 1, r.Stages)
		must.Eq(t, began, r.Judge.Started, must.Sprint("it is the same judgement"))
		o.does(o.alice, "rollout", "rollback", id)
		o.ended(id, api.RolloutRolledBack)
		must.Eq(t, 4, o.registrations("judged"), must.Sprint("the job, one stage, the way back, its own pace"))
		o.agree()
	})

	t.Run("simulating: the next leader takes the twins away and begins anew", func(t *testing.T) {
		o := o.in(t)
		env := sharedStack(t)
		job := machineJob("simulated", filepath.Join(env.Images, "store-1.0.qcow2"))
		_, _, err := o.vendor.Jobs().Register(job, nil)
		must.NoError(t, err)
		endJob(t, o.vendor, "simulated")
		eventually(t, "the machine is healthy", 2*time.Minute, func() bool {
			d, _, err := o.vendor.Jobs().LatestDeployment("simulated", nil)
			return err == nil && d != nil && d.Status == "successful"
		})
		id := o.submit(o.file("simulated-2.hcl", fmt.Sprintf(`patch "simulated-2" {
  severity = "medium"
  target {
    namespace = "default"
    jobs      = ["simulated"]
  }
  apply "image" {
    task  = "vm"
    image = %q
  }
}
`, filepath.Join(env.Images, "store-1.1.qcow2"))))
		twins := func() (ids []string) {
			stubs, _, err := o.vendor.Jobs().PrefixList(twin.Prefix)
			must.NoError(t, err)
			for _, s := range stubs {
				ids = append(ids, s.ID)
			}
			return ids
		}
		var first []string
		eventually(t, "both twins are in nomad", 2*time.Minute, func() bool { first = twins(); return len(first) == 2 })
		killed(o)
		most := 0
		r := o.until(id, func(r api.Rollout) bool {
			most = max(most, len(twins()))
			return r.Status != api.RolloutSimulating
		})
		must.LessEq(t, 2, most, must.Sprint("never more than two twins"))
		must.SliceEmpty(t, twins())
		must.Eq(t, api.EffectSimulate, r.Effects[0].Kind)
		must.Eq(t, api.EffectDone, r.Effects[0].Status, must.Sprintf("%+v", r.Effects))
		if !r.Status.Ended() { // it waits for the approval that nobody gives
			o.does(o.alice, "rollout", "abort", id)
			r = o.until(id, func(r api.Rollout) bool { return r.Status.Ended() })
		}
		t.Logf("twins %v gave way to others; the rollout is %s: %s", first, r.Status, r.Reason)
		o.agree()
	})
}

// agree waits until all servers are at one index and compares their states.
func (o *oakum) agree() {
	o.t.Helper()
	var infos []api.StateInfo
	eventuallySay(o.t, wait.Patience, func() bool {
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
