package fleet

import (
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// on counts the current instances of web on each node.
func (r *rig) on() map[string]int {
	out := map[string]int{}
	for _, a := range r.Instances(ref()) {
		out[a.Node.ID]++
	}
	return out
}

func TestLoseNode_IsFoundOutAndReplaced(t *testing.T) {
	r := newRig(t, 3)
	r.settled(9, rolling(9))
	n := r.Nodes()[0]
	lost := r.on()[n.ID]
	must.Positive(t, lost)
	must.NoError(t, r.LoseNode(n.ID))
	answer := func() int {
		k := 0
		for _, a := range r.Instances(ref()) {
			if a.Answers() {
				k++
			}
		}
		return k
	}
	must.Eq(t, 9-lost, answer(), must.Sprint("they are gone at once"))
	r.pass(19 * time.Second)
	must.Eq(t, NodeReady, n.Status, must.Sprint("and Nomad does not know yet"))
	r.pass(2 * time.Second)
	must.Eq(t, NodeDown, n.Status)
	must.Eq(t, 9, answer())
	must.MapNotContainsKey(t, r.on(), n.ID)
	must.NoError(t, r.ReturnNode(n.ID))
	r.pass(time.Minute)
	must.Eq(t, NodeReady, n.Status)
	must.MapNotContainsKey(t, r.on(), n.ID, must.Sprint("what was lost is not started again"))
	must.Zero(t, n.UsedCPU)
}

func TestReturnNode_LosesNothingInTime(t *testing.T) {
	r := newRig(t, 3)
	r.settled(9, rolling(9))
	before := r.ids()
	must.NoError(t, r.LoseNode(r.Nodes()[0].ID))
	r.pass(10 * time.Second)
	must.NoError(t, r.ReturnNode(r.Nodes()[0].ID))
	r.pass(time.Minute)
	must.Eq(t, before, r.ids())
}

func TestDrainNode_TakesTurns(t *testing.T) {
	r := newRig(t, 2)
	r.settled(4, rolling(4))
	r.Behave(func(Build) Behaviour { return Behaviour{Boot: 10 * time.Second} })
	n := r.Nodes()[0]
	here := r.on()[n.ID]
	must.Greater(t, 1, here)
	must.NoError(t, r.DrainNode(n.ID, &Drain{Deadline: time.Hour}, false))
	r.pass(5 * time.Second)
	must.Eq(t, here-1, r.on()[n.ID], must.Sprint("one at a time, as migrate says"))
	r.pass(11 * time.Second)
	must.Eq(t, here-2, r.on()[n.ID])
	r.pass(time.Minute)
	must.Zero(t, r.on()[n.ID])
	must.Nil(t, n.Drain)
	must.Eq(t, DrainComplete, n.LastDrain)
	must.False(t, n.Takes())
	must.NoError(t, r.SetEligibility(n.ID, true))
	must.True(t, n.Takes())
	r.pass(time.Minute)
	must.Zero(t, r.on()[n.ID], must.Sprint("allocations do not move back"))
}

func TestDrainNode_EndsAtItsDeadline(t *testing.T) {
	r := newRig(t, 2)
	r.settled(4, rolling(4))
	r.Behave(func(Build) Behaviour { return Behaviour{NeverBoots: 1} })
	n := r.Nodes()[0]
	must.NoError(t, r.DrainNode(n.ID, &Drain{Deadline: time.Minute}, false))
	r.pass(59 * time.Second)
	must.Positive(t, r.on()[n.ID])
	r.pass(2 * time.Second)
	must.Zero(t, r.on()[n.ID])
	must.Eq(t, DrainComplete, n.LastDrain)
}

func TestPlacement_WaitsForRoom(t *testing.T) {
	f := New(1, start())
	r := &rig{Fleet: f, t: t}
	r.AddNode(Node{CPU: 1000, MemoryMB: 700}) // two of 300 MB
	r.register(web(5, "v1", rolling(5)))
	r.pass(time.Second)
	must.Len(t, 2, r.Instances(ref()))
	evals := r.Evaluations(JobID{"default", "web"})
	must.Eq(t, EvalBlocked, evals[0].Status)
	must.Eq(t, map[string]int{"g": 3}, evals[0].Queued)
	must.Eq(t, Failure{Evaluated: 1, Exhausted: 1, Dimension: map[string]int{"memory": 1}, Coalesced: 2}, evals[0].Failed["g"])
	r.pass(time.Minute)
	kept := slices.Clone(r.Evaluations(JobID{"default", "web"}))
	for range 2 * keptEvaluations {
		r.AddNode(Node{CPU: 1000, MemoryMB: 1})
		r.pass(time.Second)
	}
	must.Eq(t, kept, r.Evaluations(JobID{"default", "web"}), must.Sprint("looked at again and again, it is the same evaluation"))
	must.Eq(t, EvalBlocked, evals[0].Status)
	r.AddNode(Node{CPU: 1000, MemoryMB: 10_000})
	r.pass(time.Second)
	must.Len(t, 5, r.Instances(ref()))
	must.Eq(t, EvalComplete, evals[0].Status)
}

func TestDeployment_KeepsTheFormerInstanceWithoutRoom(t *testing.T) {
	r := newRig(t, 1)
	r.settled(2, rolling(2))
	big := web(2, "v2", held(2, 0))
	big.Groups[0].Tasks[0].MemoryMB = 1_000_000
	plan, err := r.Plan(big)
	must.NoError(t, err)
	must.MapContainsKey(t, plan.Failed, "g")
	before := r.ids()
	r.register(big)
	r.pass(time.Minute)
	must.Eq(t, before, r.ids())
	must.Eq(t, DeployRunning, r.latest().Status)
}

func TestConstraints(t *testing.T) {
	r := newRig(t, 3)
	r.Nodes()[1].Meta = map[string]string{"rack": "r1"}
	cases := map[string]struct {
		c    Constraint
		want int // nodes in use
	}{
		"equal":     {Constraint{"${meta.rack}", "=", "r1"}, 1},
		"not equal": {Constraint{"${meta.rack}", "!=", "r1"}, 2},
		"set":       {Constraint{"${meta.rack}", "is_set", ""}, 1},
		"one node":  {Constraint{"${node.unique.id}", "=", r.Nodes()[2].ID}, 1},
		"regexp":    {Constraint{"${meta.rack}", "regexp", "^r[0-9]$"}, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			j := web(9, name, rolling(9))
			j.Constraints = []Constraint{c.c}
			r.register(j)
			r.pass(time.Minute)
			must.Eq(t, c.want, len(r.on()))
		})
	}
	j := web(9, "distinct", rolling(9))
	j.Constraints = []Constraint{{Operand: "distinct_hosts"}}
	j.ID = "spread"
	r.register(j)
	r.pass(time.Minute)
	must.Eq(t, map[string]int{"g": 6}, r.Evaluations(j.JobID)[0].Queued)
	j.Constraints = []Constraint{{"${meta.rack}", "nearly", "r1"}}
	_, err := r.Register(j, false, 0)
	must.ErrorContains(t, err, `operand "nearly"`)
}

func TestSystemJob_RunsOnEveryNode(t *testing.T) {
	r := newRig(t, 3)
	j := web(1, "v1", nil)
	j.Type = TypeSystem
	r.register(j)
	r.pass(time.Second)
	must.Eq(t, 3, len(r.on()))
	r.AddNode(Node{CPU: 1000, MemoryMB: 1000})
	r.pass(time.Second)
	must.Eq(t, 4, len(r.on()))
	n := r.Nodes()[0]
	must.NoError(t, r.DrainNode(n.ID, &Drain{IgnoreSystemJobs: true}, false))
	r.pass(time.Second)
	must.Eq(t, 4, len(r.on()))
	must.NoError(t, r.DrainNode(n.ID, nil, true))
	must.NoError(t, r.DrainNode(n.ID, &Drain{}, false))
	r.pass(time.Second)
	must.Eq(t, 3, len(r.on()))
}

func TestBatchJob_Ends(t *testing.T) {
	r := newRig(t, 1)
	r.Behave(func(Build) Behaviour { return Behaviour{Runs: time.Minute} })
	j := web(2, "v1", nil)
	j.Type = TypeBatch
	r.register(j)
	r.pass(30 * time.Second)
	must.Eq(t, "running", r.Status(j.JobID))
	r.pass(time.Minute)
	must.Eq(t, "dead", r.Status(j.JobID))
	must.Len(t, 2, r.Allocs(j.JobID))
	must.Eq(t, ClientComplete, r.Allocs(j.JobID)[0].Client)
}
