package fleet

import (
	"time"

	"github.com/oakumhq/oakum/internal/fleet/load"
)

// reviewEvery is how often a harm that begins at a rate is looked at again.
const reviewEvery = time.Minute

// Load gives the instances of the fleet requests to serve. An allocation serves
// the first of its group's services that is in the topology. Load is called once,
// before or after jobs are registered. The error has code invalid.
func (f *Fleet) Load(t load.Topology) error {
	m, err := load.New(f.rng.Uint64(), f.now, t)
	if err != nil {
		return err
	}
	f.load = m
	for _, id := range f.JobIDs() {
		for _, a := range f.Allocs(id) {
			f.busy(a)
		}
	}
	return nil
}

// Loads is the load of the instances. It is nil before Load. Readers must not
// change it.
func (f *Fleet) Loads() *load.Model { return f.load }

// Usage is what an allocation uses now: cores, and bytes of memory. It is false
// while the allocation does not run.
func (f *Fleet) Usage(id string) (cores, bytes float64, ok bool) {
	if f.load == nil {
		return 0, 0, false
	}
	in, found := f.load.Instance(id)
	if !found {
		return 0, 0, false
	}
	s, ok := f.load.At(in, f.now)
	if !ok {
		return 0, 0, false
	}
	return f.load.CPU(in, f.now), s.Memory, true
}

// publish gives an allocation to the subscribers, and its state to the load.
func (f *Fleet) publish(a *Alloc) {
	f.busy(a)
	for _, changed := range f.subscribers {
		changed(a)
	}
}

// publishNode publishes every allocation on a node.
func (f *Fleet) publishNode(n *Node) {
	for _, a := range n.allocs {
		f.publish(a)
	}
}

func (f *Fleet) busy(a *Alloc) {
	if f.load == nil {
		return
	}
	runs := a.Client == ClientRunning && !a.Started.IsZero() && a.Node.reachable
	in, known := f.load.Instance(a.ID)
	known = known && in.Ended().IsZero()
	switch {
	case runs && !known:
		f.load.Begin(f.now, a.ID, f.serves(a.Group), a.behaviour.Harm)
		f.review(a)
	case !runs:
		f.load.End(f.now, a.ID)
	}
	f.load.Serve(f.now, a.ID, a.Answers() && a.Desired == DesiredRun)
}

// serves names the service of the topology that a group is.
func (f *Fleet) serves(g *Group) string {
	for _, s := range g.Services {
		if _, ok := f.load.Service(s.Name); ok {
			return s.Name
		}
	}
	return ""
}

// review looks again when an instance's harm may have begun.
func (f *Fleet) review(a *Alloc) {
	if after := a.behaviour.Harm.After; after > 0 {
		f.inRun(a, after, func() { f.load.Review(f.now, a.ID) })
	}
	if a.behaviour.Harm.Above > 0 {
		f.inRun(a, reviewEvery, func() { f.reviewRate(a) })
	}
}

func (f *Fleet) reviewRate(a *Alloc) {
	if f.load.Review(f.now, a.ID) {
		f.inRun(a, reviewEvery, func() { f.reviewRate(a) })
	}
}
