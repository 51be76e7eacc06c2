package contract

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"
)

// placementChecks are jobs for which there is no room.
func placementChecks() []check {
	const area = "placement"
	return []check{
		{area, "more memory than there is", exhausted},
		{area, "a constraint that no node meets", filtered},
		{area, "a driver that no node has", noDriver},
		{area, "a stage for which there is no room", noRoomForStage},
	}
}

// nodeChecks use the second client one after the other.
func nodeChecks() []check {
	const area = "nodes"
	return []check{
		{area, "listed and read", nodesRead},
		{area, "ineligible drained and lost", nodeLife},
	}
}

// unplaced waits for an evaluation that found no room, and writes down why.
func (s *script) unplaced() {
	s.t.Helper()
	var failed *nomadapi.Evaluation
	s.await("an evaluation tells that there is no room", func() bool {
		evals, _, err := s.vendor.Jobs().Evaluations(s.id, nil)
		must.NoError(s.t, err)
		i := slices.IndexFunc(evals, func(e *nomadapi.Evaluation) bool {
			return len(e.FailedTGAllocs) > 0 && e.TriggeredBy == "job-register" && e.Status == "complete"
		})
		if i >= 0 {
			failed = evals[i]
		}
		return i >= 0
	})
	// What waits is looked at again whenever another check's job gives room back.
	s.say("evaluation: triggered by %s, %s, a blocked one %t, queued %v", failed.TriggeredBy, failed.Status, failed.BlockedEval != "", failed.QueuedAllocations)
	s.sayPlacement("  g", failed.FailedTGAllocs["g"])
	if failed.BlockedEval != "" {
		blocked, _, err := s.vendor.Evaluations().Info(failed.BlockedEval, nil)
		must.NoError(s.t, err)
		s.say("blocked: triggered by %s, %q", blocked.TriggeredBy, blocked.StatusDescription)
	}
	s.say("job is %s", *s.info().Status)
}

func exhausted(s *script) {
	job := s.job(1)
	job.TaskGroups[0].Tasks[0].Resources.MemoryMB = new(9_000_000)
	must.NoError(s.t, s.register(job))
	s.unplaced()
	s.sayAllocs()
	job.TaskGroups[0].Tasks[0].Resources.MemoryMB = new(10)
	must.NoError(s.t, s.register(job))
	s.deployed(1, "successful")
	s.settled(map[uint64]int{1: 1})
}

func filtered(s *script) {
	job := s.job(1)
	job.Constraints = append(job.Constraints, nomadapi.NewConstraint("${meta.colour}", "=", "green"))
	must.NoError(s.t, s.register(job))
	s.unplaced()
	s.sayAllocs()
	s.sayDeployment()
}

func noDriver(s *script) {
	job := s.job(1)
	job.TaskGroups[0].Tasks[0].Driver = "java"
	job.TaskGroups[0].Tasks[0].Config = map[string]any{"class": "x"}
	must.NoError(s.t, s.register(job))
	s.unplaced()
}

func noRoomForStage(s *script) {
	job := s.job(2)
	s.up(job)
	held(job, 1, 0)
	build(job, "v2")
	job.TaskGroups[0].Tasks[0].Resources.MemoryMB = new(9_000_000)
	must.NoError(s.t, s.register(job))
	s.unplaced()
	s.sayAllocs()
	s.sayDeployment()
}

func (s *script) node(i int) *nomadapi.NodeListStub {
	s.t.Helper()
	list, _, err := s.vendor.Nodes().List(nil)
	must.NoError(s.t, err)
	for _, n := range list {
		if n.Name == s.w.nodes[i] {
			return n
		}
	}
	s.t.Fatalf("node %s is not listed", s.w.nodes[i])
	return nil
}

func nodesRead(s *script) {
	list, _, err := s.vendor.Nodes().List(nil)
	must.NoError(s.t, err)
	s.say("%d nodes", len(list))
	n := s.node(0)
	s.say("the first: %s, %s, drain %t, pool %s, datacenter %s, address %s", n.Status, n.SchedulingEligibility, n.Drain, n.NodePool, n.Datacenter, n.Address)
	s.say("driver raw_exec: %t", n.Drivers["raw_exec"] != nil && n.Drivers["raw_exec"].Healthy)
	node, _, err := s.vendor.Nodes().Info(n.ID, nil)
	must.NoError(s.t, err)
	s.say("read: the same %t, attributes %t, modify index %t", node.Name == n.Name, node.Attributes["kernel.name"] != "", node.ModifyIndex == n.ModifyIndex)
	_, _, err = s.vendor.Nodes().Info("5a3c1b8e-0000-4000-8000-000000000000", nil)
	s.say("not there: %s", status(err))
	_, err = s.vendor.Nodes().ToggleEligibility("5a3c1b8e-0000-4000-8000-000000000000", false, nil)
	s.say("made ineligible: %s", status(err))
}

// nodeLife has the second node ineligible, drained, eligible again, lost and
// back, and an instance on it each time.
func nodeLife(s *script) {
	second := s.node(1).ID
	job := s.job(1)
	at := func(i int) { job.Constraints[0] = nomadapi.NewConstraint("${node.unique.name}", "=", s.w.nodes[i]) }
	anywhere := func() {
		job.Constraints[0] = nomadapi.NewConstraint("${node.unique.name}", "regexp", fmt.Sprintf("^(%s|%s)$", s.w.nodes[0], s.w.nodes[1]))
	}
	where := func() {
		for _, a := range s.live() {
			i := slices.Index(s.w.nodes[:], a.NodeName)
			s.say("%s runs on node %d", a.ID, i+1)
		}
	}
	sayNode := func() {
		n, _, err := s.vendor.Nodes().Info(second, nil)
		must.NoError(s.t, err)
		words := "no drain yet"
		if n.LastDrain != nil {
			words = "last drain " + string(n.LastDrain.Status)
		}
		s.say("node 2: %s, %s, drain %t, %s", n.Status, n.SchedulingEligibility, n.DrainStrategy != nil, words)
	}
	at(1)
	s.up(job)
	where()
	_, err := s.vendor.Nodes().ToggleEligibility(second, false, nil)
	s.say("made ineligible: %s", status(err))
	sayNode()
	job.TaskGroups[0].Count = new(2)
	must.NoError(s.t, s.register(job))
	s.unplaced()
	job.TaskGroups[0].Count = new(1)
	must.NoError(s.t, s.register(job))
	_, err = s.vendor.Nodes().ToggleEligibility(second, true, nil)
	s.say("made eligible: %s", status(err))
	sayNode()
	s.deployed(2, "successful")
	where()

	anywhere()
	s.up(job)
	where()
	_, err = s.vendor.Nodes().UpdateDrain(second, &nomadapi.DrainSpec{Deadline: time.Minute}, false, nil)
	s.say("drain: %s", status(err))
	s.await("the drain is complete", func() bool {
		n, _, err := s.vendor.Nodes().Info(second, nil)
		must.NoError(s.t, err)
		return n.DrainStrategy == nil && n.LastDrain != nil && n.LastDrain.Status == "complete" && s.running(map[uint64]int{3: 1})
	})
	sayNode()
	where()
	s.sayEnds()
	_, err = s.vendor.Nodes().UpdateDrain(second, nil, true, nil)
	s.say("end of the drain: %s", status(err))
	sayNode()
	s.lost(job, second, at, anywhere, sayNode, where)
}

// sayEnds writes down how allocations ended, and what follows them. What their
// health was then depends on who was faster.
func (s *script) sayEnds() {
	s.t.Helper()
	for _, a := range s.stubs(s.id) {
		s.say("%s v%d %s/%s, followed by another %t, %q", a.ID, a.JobVersion, a.DesiredStatus, a.ClientStatus, a.NextAllocation != "", a.DesiredDescription)
	}
}

// lost makes the second node fall silent while it runs an instance.
func (s *script) lost(job *nomadapi.Job, second string, at func(int), anywhere, sayNode, where func()) {
	s.t.Helper()
	at(1)
	build(job, "v2")
	s.up(job)
	anywhere()
	s.up(job)
	where()
	must.NoError(s.t, s.w.lose(s.ctx()))
	s.await("node 2 is down", func() bool { return s.node(1).Status == "down" })
	sayNode()
	s.await("its instance is replaced", func() bool { return len(s.live()) == 1 })
	s.await("its instance is called lost", func() bool {
		return slices.ContainsFunc(s.stubs(s.id), func(a *nomadapi.AllocationListStub) bool { return a.ClientStatus == "lost" })
	})
	where()
	s.sayEnds()
	must.NoError(s.t, s.w.regain(s.ctx()))
	s.await("node 2 is ready", func() bool { return s.node(1).Status == "ready" })
	sayNode()
	s.say("%d live instance", len(s.live()))
}
