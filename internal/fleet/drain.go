package fleet

import (
	"cmp"
	"slices"
)

// Drain states, as in Node.LastDrain.
const (
	DrainDraining = "draining"
	DrainComplete = "complete"
	DrainCanceled = "canceled"
)

// DrainNode begins to drain a node. A nil d ends the drain, and the node is then
// eligible again if eligible is true. A group moves as many instances at once as
// its migrate block says. The next instance moves when the replacement of one
// before it answers.
func (f *Fleet) DrainNode(id string, d *Drain, eligible bool) error {
	n, err := f.Node(id)
	if err != nil {
		return err
	}
	if d == nil {
		if n.Drain != nil {
			n.LastDrain, n.LastDrainAt = DrainCanceled, f.now
		}
		n.Drain, n.Ineligible = nil, !eligible
		f.nodeChanged(n, "NodeDrain")
		if eligible {
			f.evaluateBlocked()
			f.evaluateSystem()
		}
		return nil
	}
	drain := *d
	drain.began = f.now
	n.Drain, n.Ineligible, n.LastDrain, n.LastDrainAt = &drain, true, DrainDraining, f.now
	f.nodeChanged(n, "NodeDrain")
	switch {
	case d.Deadline < 0:
		f.forceDrain(n)
	case d.Deadline > 0:
		began := &drain
		f.after(d.Deadline, func() {
			if n.Drain == began {
				f.forceDrain(n)
			}
		})
	}
	for _, j := range f.jobsOn(n) {
		f.drainOn(j)
	}
	f.drained(n)
	return nil
}

// jobsOn lists the jobs with allocations on a node, in order.
func (f *Fleet) jobsOn(n *Node) []*jobState {
	var out []*jobState
	for _, a := range n.allocs {
		if !slices.Contains(out, a.state) {
			out = append(out, a.state)
		}
	}
	return out
}

// forceDrain moves all that is left.
func (f *Fleet) forceDrain(n *Node) {
	for _, a := range n.allocs {
		if !n.Drain.IgnoreSystemJobs || !a.state.system() {
			f.migrate(a)
		}
	}
}

func (f *Fleet) migrate(a *Alloc) {
	if !a.migrate && !a.terminal() {
		a.migrate = true
		f.evaluate(a.state, TriggerNodeDrain)
	}
}

// drainOn moves the next instances of a job off the nodes that drain. It moves as
// many as the group's migrate block allows to be away.
func (f *Fleet) drainOn(j *jobState) {
	draining := slices.ContainsFunc(j.allocs, func(a *Alloc) bool { return a.Current() && a.Node.Drain != nil })
	if !draining || j.system() {
		return
	}
	for i := range j.current.Groups {
		f.drainGroup(j, &j.current.Groups[i])
	}
}

func (f *Fleet) drainGroup(j *jobState, g *Group) {
	answering := 0
	var leaving []*Alloc
	for _, a := range j.allocs {
		if !a.Current() || a.Group.Name != g.Name || a.terminal() {
			continue
		}
		if a.Ready && !a.migrate {
			answering++
		}
		if a.Node.Drain != nil && !a.migrate && j.current.Type == TypeService {
			leaving = append(leaving, a)
		}
	}
	slices.SortStableFunc(leaving, bySlot)
	room := answering - (g.Count - cmp.Or(g.Migrate, 1))
	for _, a := range leaving[:max(0, min(room, len(leaving)))] {
		f.migrate(a)
	}
}

// drained ends a drain that has nothing left to wait for. System jobs leave
// last.
func (f *Fleet) drained(n *Node) {
	if n.Drain == nil {
		return
	}
	var system []*Alloc
	for _, a := range n.allocs {
		if !a.state.system() {
			return
		}
		system = append(system, a)
	}
	if !n.Drain.IgnoreSystemJobs {
		for _, a := range system {
			f.migrate(a)
		}
	}
	n.Drain, n.LastDrain, n.LastDrainAt = nil, DrainComplete, f.now
	f.nodeChanged(n, "NodeDrain")
}
