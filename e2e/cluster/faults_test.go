//go:build e2e

package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/cluster"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/wait"
)

// fault is something that happens to a running cluster, and how it ends.
type fault struct {
	name string
	do   func(t *testing.T, c *rig, l *cluster.Load)
	// frozen faults stop a leader so that it can't know for how long: until it
	// has asked the others, its default reads may be old.
	frozen bool
}

func TestThreeServersUnderFaults(t *testing.T) {
	underFaults(t, 3, []fault{
		{name: "the leader is cut off from the others", do: cutOff},
		{name: "the leader hears but nobody hears it", do: silenced},
		{name: "the leader is heard but hears nobody", do: deafened},
		{name: "the leader's link flaps", do: flapping},
		{name: "kill -9 of the leader", do: killLeader},
		{name: "kill -9 of a follower", do: killFollower},
		{name: "the leader stands still and wakes up", do: standsStill, frozen: true},
		{name: "a tenth of all packets is lost", do: lossy},
	})
}

func TestFiveServersUnderFaults(t *testing.T) {
	underFaults(t, 5, []fault{
		{name: "the leader and a follower are cut off together", do: cutOffWithFollower},
		{name: "kill -9 of the leader and a follower", do: killTwo},
		{name: "the leader stands still and wakes up", do: standsStill, frozen: true},
		{name: "everything is killed at once", do: killAll},
	})
}

func underFaults(t *testing.T, servers int, faults []fault) {
	c := run(t, options{Options: daemon.Options{Servers: servers}})
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			l := c.Load(t.Context(), fmt.Sprintf("f%d", i))
			flows(t, l, "the cluster works before the fault")
			f.do(t, c, l)
			flows(t, l, "the cluster works after the fault")
			verdict(t, c, l, !f.frozen)
		})
		if t.Failed() {
			break // what comes after one failure on the same cluster proves nothing
		}
	}
}

func cutOff(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	must.NoError(t, c.Net.Isolate(old.Index))
	flows(t, l, "the majority goes on")
	wait.For(t, "the old leader knows that it has lost", func() bool {
		report, ok := old.Health(t.Context())
		return ok && !report.Ready
	})
	must.NoError(t, c.Net.Heal())
	rejoined(t, c, old)
}

func cutOffWithFollower(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	with := c.Others(old)[0]
	must.NoError(t, c.Net.Isolate(old.Index, with.Index))
	flows(t, l, "the majority goes on")
	must.NoError(t, c.Net.Heal())
	rejoined(t, c, old)
	rejoined(t, c, with)
}

func silenced(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	must.NoError(t, c.Net.Silence(old.Index))
	flows(t, l, "the others go on")
	must.NoError(t, c.Net.Heal())
	rejoined(t, c, old)
}

func deafened(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	must.NoError(t, c.Net.Deafen(old.Index))
	flows(t, l, "the others go on")
	must.NoError(t, c.Net.Heal())
	rejoined(t, c, old)
}

func flapping(t *testing.T, c *rig, _ *cluster.Load) {
	old := leader(t, c)
	// Shorter and longer than the leader's lease of a second, but never longer
	// than an election needs.
	for i := range 10 {
		must.NoError(t, c.Net.Isolate(old.Index))
		lasts(t, time.Duration(300+i%3*500)*time.Millisecond)
		must.NoError(t, c.Net.Heal())
		lasts(t, 400*time.Millisecond)
	}
	must.NoError(t, c.Net.Link(old.Index, false)) // and once with the callers' way to it
	lasts(t, time.Second)
	must.NoError(t, c.Net.Heal())
	rejoined(t, c, old)
}

func killLeader(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	old.Kill()
	flows(t, l, "the others go on")
	must.NoError(t, old.Start())
	rejoined(t, c, old)
}

func killFollower(t *testing.T, c *rig, l *cluster.Load) {
	other := c.Others(leader(t, c))[0]
	other.Kill()
	flows(t, l, "the others go on")
	must.NoError(t, other.Start())
	rejoined(t, c, other)
}

func killTwo(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	with := c.Others(old)[0]
	old.Kill()
	with.Kill()
	flows(t, l, "the others go on")
	must.NoError(t, old.Start())
	must.NoError(t, with.Start())
	rejoined(t, c, old)
	rejoined(t, c, with)
}

func killAll(t *testing.T, c *rig, _ *cluster.Load) {
	for _, s := range c.Servers {
		s.Kill()
	}
	for _, s := range c.Servers {
		must.NoError(t, s.Start())
	}
	for _, s := range c.Servers {
		rejoined(t, c, s)
	}
}

func lossy(t *testing.T, c *rig, l *cluster.Load) {
	must.NoError(t, c.Net.Lose(10))
	flows(t, l, "the cluster goes on in spite of it")
	lasts(t, 4*time.Second)
	must.NoError(t, c.Net.Heal())
}

// standsStill stops the leader for longer than its lease, puts questions and
// changes into its queue, and wakes it: it must neither confirm a change that
// the others do not have nor answer a consistent read with what was.
func standsStill(t *testing.T, c *rig, l *cluster.Load) {
	old := leader(t, c)
	must.NoError(t, old.Pause())
	flows(t, l, "the others go on")
	// Written after the old leader was stopped: the answer to each question
	// that is put to it from now on.
	key := l.Key(9) // the callers leave it alone
	var written cluster.Operation
	wait.For(t, "a change is confirmed", func() bool {
		written = l.Do(t.Context(), 100, c.Others(old)[0], cluster.Operation{Kind: cluster.Put, Key: key, Value: fmt.Sprint("w", l.Now())})
		return written.Outcome == cluster.Done
	})
	const asked = 20
	answers := make(chan cluster.Operation, asked*3)
	for i := range asked {
		for j, o := range []cluster.Operation{
			{Kind: cluster.Read, Level: cluster.Consistent, Key: key},
			{Kind: cluster.Read, Level: cluster.Default, Key: key},
			// On a few keys: who looks for an order of twenty writes at once to one may look for long.
			{Kind: cluster.Put, Key: l.Key(i % 4), Value: fmt.Sprintf("late%d", i)},
		} {
			go func() { answers <- l.Do(t.Context(), 101+i*3+j, old, o) }()
		}
	}
	lasts(t, 300*time.Millisecond) // until they stand in its queue
	must.NoError(t, old.Resume())
	told, stale := map[cluster.Outcome]int{}, 0
	for range asked * 3 {
		o := <-answers
		told[o.Outcome]++
		if o.Kind == cluster.Read && o.Level == cluster.Default && o.Outcome == cluster.Done && o.Value != written.Value {
			stale++
		}
	}
	t.Logf("woken with %d calls in its queue: %v; %d of %d default reads were old", asked*3, told, stale, asked)
	rejoined(t, c, old)
}

// rejoined waits until a server follows the leader again.
func rejoined(t *testing.T, c *rig, s *daemon.Server) {
	t.Helper()
	wait.For(t, s.Name+" is back", func() bool {
		report, ok := s.Health(t.Context())
		return ok && report.Ready
	})
	_, err := c.Leader(t.Context())
	must.NoError(t, err)
}
