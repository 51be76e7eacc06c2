package fleet

import (
	"fmt"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"
)

// TestDeployment_MovesWhatWasAskedForWhileHeld registers stages of a rollout one after
// the other: as many instances run the new version as were asked for, at every
// moment no more than max_parallel are away, and those that stay are not
// touched.
func TestDeployment_MovesWhatWasAskedForWhileHeld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.IntRange(1, 12).Draw(rt, "count")
		f := New(rapid.Uint64().Draw(rt, "seed"), start())
		for range rapid.IntRange(1, 4).Draw(rt, "nodes") {
			f.AddNode(Node{CPU: 100_000, MemoryMB: 100_000})
		}
		r := &rig{Fleet: f, t: t}
		r.settled(count, rolling(count))
		f.Behave(func(Build) Behaviour { return Behaviour{StartMost: 5 * time.Second, BootMost: 10 * time.Second} })
		for done, stage := 0, 0; done < count; stage++ {
			delta := rapid.IntRange(1, count-done).Draw(rt, "delta")
			u := held(delta, 0)
			u.Stagger = time.Duration(stage)
			before := r.ids()
			r.register(web(count, "v2", u))
			end := f.Now().Add(time.Minute)
			for f.Now().Before(end) {
				next, ok := f.Next()
				if !ok || next.After(end) {
					next = end
				}
				f.Advance(next)
				away := 0
				for _, a := range f.Instances(ref()) {
					if !a.Answers() {
						away++
					}
				}
				must.LessEq(rt, delta, away)
				must.Len(rt, count, f.Instances(ref()))
			}
			done += delta
			must.Eq(rt, done, r.images()["v2"])
			must.Eq(rt, count-delta, shared(before, r.ids()))
		}
	})
}

// chaos is a fleet to which anything may happen.
type chaos struct {
	f     *Fleet
	specs int
	// canaried: a version had canaries. Their names are those of instances that
	// they stand beside, which nobody tells apart when the job grows meanwhile.
	canaried bool
	stray    string // what must hold and does not
	index    uint64
}

func newChaos(seed uint64) *chaos {
	c := &chaos{f: New(seed, start())}
	for range 4 {
		c.f.AddNode(Node{CPU: 2000, MemoryMB: 5000}) // 16 instances each
	}
	c.f.Behave(func(Build) Behaviour {
		return Behaviour{StartMost: 3 * time.Second, BootMost: 5 * time.Second, NeverBoots: 0.05, CrashAfter: time.Hour, CrashShare: 0.05}
	})
	return c
}

// act does the n-th of all things that can happen, as far as it is possible.
func (c *chaos) act(kind, n int) {
	f, id := c.f, JobID{"default", "web"}
	instances := f.Instances(ref())
	node := f.Nodes()[n%4]
	var a *Alloc
	if len(instances) > 0 {
		a = instances[n%len(instances)]
	}
	d := f.Latest(id)
	switch {
	case kind == 0:
		c.specs++
		u := []*Update{rolling(1 + n%3), held(1+n%4, 0), held(1+n%4, 1+n%3), nil}[n%4]
		c.canaried = c.canaried || (u != nil && u.Canary > 0)
		_, _ = f.Register(web(1+n%9, fmt.Sprintf("v%d", c.specs-n%2), u), false, 0)
	case kind == 1 && a != nil:
		_ = f.Crash(a.ID, "test")
	case kind == 2 && a != nil:
		_ = f.Kill(a.ID, n%2 == 0)
	case kind == 3:
		_ = f.LoseNode(node.ID)
	case kind == 4:
		_ = f.ReturnNode(node.ID)
	case kind == 5:
		_ = f.DrainNode(node.ID, &Drain{Deadline: time.Duration(n%3) * time.Minute}, false)
	case kind == 6:
		_ = f.DrainNode(node.ID, nil, true)
	case kind == 7 && d != nil && a != nil:
		_ = f.SetAllocHealth(d.ID, []string{a.ID}, nil)
	case kind == 8 && d != nil:
		_ = f.PromoteDeployment(d.ID)
	case kind == 9 && d != nil:
		_ = f.FailDeployment(d.ID)
	case kind == 10:
		_, _ = f.Scale(ref(), n%10)
	case kind == 11:
		_, _ = f.Deregister(id, n%2 == 0)
	case kind == 12:
		_, _ = f.Revert(id, uint64(n%5), false, 0)
	case kind == 13 && a != nil:
		_ = f.StopAlloc(a.ID)
	}
}

const kinds = 14

// pass goes on event by event.
func (c *chaos) pass(d time.Duration) {
	end := c.f.Now().Add(d)
	for c.f.Now().Before(end) {
		next, ok := c.f.Next()
		if !ok || next.After(end) {
			next = end
		}
		c.f.Advance(next)
		c.check()
	}
}

// check notes what is not as it must be at every moment.
func (c *chaos) check() {
	if c.f.Index() < c.index {
		c.stray = "the index fell"
	}
	c.index = c.f.Index()
	for _, n := range c.f.Nodes() {
		cpu, mb := 0, 0
		for _, a := range n.Allocs() {
			x, y := a.Group.size()
			cpu, mb = cpu+x, mb+y
			if a.terminal() {
				c.stray = "an ended allocation has room on " + n.ID
			}
		}
		if cpu != n.UsedCPU || mb != n.UsedMB || n.UsedCPU > n.CPU || n.UsedMB > n.MemoryMB {
			c.stray = fmt.Sprintf("node %s has %d MB in use, its allocations take %d", n.ID, n.UsedMB, mb)
		}
	}
	for id, a := range c.f.allocs {
		if id != a.ID || a.ModifyIndex > c.f.Index() || a.CreateIndex > a.ModifyIndex {
			c.stray = "the indexes of " + a.ID
		}
	}
	for _, d := range c.f.Deployments(JobID{"default", "web"}) {
		if d.Active() && d != c.f.Latest(d.Job) {
			c.stray = "two deployments are active"
		}
	}
}

func (c *chaos) hash() uint64 {
	h := fnv.New64a()
	for _, a := range c.f.Allocs(JobID{"default", "web"}) {
		fmt.Fprintln(h, a.ID, a.Name, a.Node.ID, a.Desired, a.Client, a.ModifyIndex, a.Canary, a.Health)
	}
	fmt.Fprintln(h, c.f.Index(), c.f.Now())
	return h.Sum64()
}

// TestFleet_RecoversWhateverHappens holds the books of a fleet to which anything happens,
// that it comes to the count and the version that was registered last once all is well
// again, and that the same seed takes the same way.
func TestFleet_RecoversWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		acts := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) [3]int {
			return [3]int{rapid.IntRange(0, kinds-1).Draw(rt, "kind"), rapid.IntRange(0, 99).Draw(rt, "n"), rapid.IntRange(0, 90).Draw(rt, "s")}
		}), 1, 60).Draw(rt, "acts")
		play := func() *chaos {
			c := newChaos(seed)
			c.act(0, 8)
			for _, a := range acts {
				c.act(a[0], a[1])
				c.check()
				c.pass(time.Duration(a[2]) * time.Second)
			}
			return c
		}
		c := play()
		must.Eq(rt, "", c.stray)
		must.Eq(rt, c.hash(), play().hash())
		c.f.Behave(func(Build) Behaviour { return Behaviour{} })
		for _, n := range c.f.Nodes() {
			must.NoError(rt, c.f.ReturnNode(n.ID))
			must.NoError(rt, c.f.DrainNode(n.ID, nil, true))
		}
		// What leaves its node comes back in the newest version without a deployment.
		moving := !slices.ContainsFunc(c.f.Instances(ref()), func(a *Alloc) bool { return !a.migrate })
		last, err := c.f.Register(web(7, "last", rolling(2)), false, 0)
		must.NoError(rt, err)
		c.pass(6 * time.Hour)
		must.Eq(rt, "", c.stray)
		r := &rig{Fleet: c.f, t: t}
		must.Eq(rt, map[string]int{"last": 7}, r.images())
		slots := map[int]bool{}
		for _, a := range c.f.Instances(ref()) {
			slots[a.Slot] = true
			must.True(rt, a.Answers(), must.Sprintf("%+v", a))
		}
		must.True(rt, c.canaried || len(slots) == 7, must.Sprintf("names are told apart: %v", slots))
		d := c.f.Latest(last.Job.JobID)
		deployed := d != nil && d.JobVersion == last.Job.Version
		must.True(rt, deployed || moving)
		must.True(rt, !deployed || d.Status == DeploySuccessful, must.Sprintf("%+v", d))
		_, due := c.f.Next()
		must.False(rt, due && slices.ContainsFunc(c.f.Instances(ref()), func(a *Alloc) bool { return !a.Ready }))
	})
}

// TestCompareAndSet_LetsOneThrough: of two that saw the same index, one registers.
func TestCompareAndSet_LetsOneThrough(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := New(rapid.Uint64().Draw(rt, "seed"), start())
		f.AddNode(Node{CPU: 10_000, MemoryMB: 10_000})
		done, err := f.Register(web(1, "v0", rolling(1)), true, 0)
		must.NoError(rt, err)
		seen := []uint64{done.Job.ModifyIndex}
		for i := range rapid.IntRange(1, 20).Draw(rt, "tries") {
			expect := rapid.SampledFrom(seen).Draw(rt, "expect")
			before := seen[len(seen)-1]
			done, err := f.Register(web(1, fmt.Sprintf("v%d", i+1), rolling(1)), true, expect)
			must.Eq(rt, expect == before, err == nil)
			if err == nil {
				must.Greater(rt, before, done.Job.ModifyIndex)
				seen = append(seen, done.Job.ModifyIndex)
			}
			f.Advance(f.Now().Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "s")) * time.Second))
			j, err := f.Job(JobID{"default", "web"})
			must.NoError(rt, err)
			must.Eq(rt, seen[len(seen)-1], j.ModifyIndex, must.Sprint("it does not move by itself"))
		}
	})
}
