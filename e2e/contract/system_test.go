package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// systemChecks are made in a world of their own, of systemNodes nodes: a system job has an
// instance on each, and which of them goes first is nobody's choice. So they count, and name
// no instance.
func systemChecks() []check {
	const area = "system"
	return []check{
		{area, "in place 1 3 4 and finish", systemForward},
		{area, "rollback of a stage", systemBack},
		{area, "a patched instance that fails", systemFails},
		{area, "nodes that close, drain and come back", systemOnNodes},
		{area, "what nomad says of it", systemSaid},
	}
}

// systemNodes is how many nodes the world of these checks has.
const systemNodes = 4

// onEach is a job of type system.
func (s *script) onEach() *nomadapi.Job {
	job := s.job(1)
	job.Type, job.Constraints = new("system"), nil
	g := job.TaskGroups[0]
	g.ReschedulePolicy, g.Migrate = nil, nil
	return job
}

// upOnEach registers a system job and waits until its deployment is over.
func (s *script) upOnEach() rollout.Move {
	s.t.Helper()
	must.NoError(s.t, s.register(s.onEach()))
	s.deployed(0, "successful")
	s.counted(map[uint64]int{0: systemNodes})
	return s.move()
}

// counted waits for so many live instances of each version, and writes down how many
// allocations there are of each kind.
func (s *script) counted(versions map[uint64]int) {
	s.t.Helper()
	s.await(fmt.Sprintf("instances by version: %v", versions), func() bool { return s.running(versions) })
	kinds := map[string]int{}
	for _, a := range s.stubs(s.id) {
		words := fmt.Sprintf("v%d %s/%s", a.JobVersion, a.DesiredStatus, a.ClientStatus)
		if a.NextAllocation != "" {
			words += " followed"
		}
		if a.DesiredDescription != "" {
			words += " (" + a.DesiredDescription + ")"
		}
		kinds[words]++
	}
	var lines []string
	for words, n := range kinds {
		lines = append(lines, fmt.Sprintf("  %d %s", n, words))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[4:], b[4:]) })
	s.say("%s", strings.Join(lines, "\n"))
}

// onView writes down what the adapter sees.
func (s *script) onView(m rollout.Move) *rollout.JobView {
	s.t.Helper()
	v := s.view(m)
	n := v.Tally()
	s.say("view: build %s, pace %s, promoted %t, settled %t, failed %t, of each node %t; former %d, patched %d of %d, lost %d",
		v.Build, v.Pace, v.Promoted, v.Settled, v.Failed, v.PerNode, n.Former, n.Patched, v.Count, v.Lost)
	return v
}

// killOne ends the task of a live instance of the given version from outside, whichever.
func (s *script) killOne(version uint64) {
	s.t.Helper()
	for _, stub := range s.live() {
		if stub.JobVersion != version {
			continue
		}
		a, _, err := s.vendor.Allocations().Info(stub.ID, nil)
		must.NoError(s.t, err)
		s.say("kill one of version %d: %s", version, status(s.vendor.Allocations().Signal(a, nil, "main", "SIGKILL")))
		s.await("it has failed", func() bool {
			now, _, err := s.vendor.Allocations().Info(stub.ID, nil)
			must.NoError(s.t, err)
			return now.ClientStatus == "failed"
		})
		return
	}
	s.t.Fatalf("no live instance of version %d", version)
}

func systemForward(s *script) {
	m := s.upOnEach()
	for i, want := range []int{1, 3, 4} {
		s.stage(m, api.StageInPlace, want-s.view(m).Tally().Patched)
		versions := map[uint64]int{uint64(i + 1): want}
		if want < systemNodes {
			versions[0] = systemNodes - want
		}
		s.counted(versions)
		s.deployed(uint64(i+1), "running")
		s.onView(m)
		s.say("settle: %v", s.adapter.Settle(s.ctx(), m))
		s.await("it is marked", func() bool { return s.deployment().TaskGroups["g"].HealthyAllocs == want })
		s.counted(versions)
	}
	must.NoError(s.t, s.adapter.Renew(s.ctx(), m, s.view(m).ModifyIndex))
	s.counted(map[uint64]int{4: systemNodes})
	s.deployed(4, "running")
	s.onView(m)
	s.say("settle: %v", s.adapter.Settle(s.ctx(), m))
	s.deployed(4, "successful")
	s.say("stable: %t", *s.info().Stable)
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildPatched, s.view(m).ModifyIndex))
	s.deployed(5, "successful")
	s.counted(map[uint64]int{5: systemNodes})
	s.onView(m)
}

func systemBack(s *script) {
	m := s.upOnEach()
	s.stage(m, api.StageInPlace, 3)
	s.counted(map[uint64]int{0: 1, 1: 3})
	for i, back := range []int{1, 2} {
		must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, back, s.view(m).ModifyIndex))
		versions := map[uint64]int{uint64(i + 2): 2 + 2*i}
		if i == 0 {
			versions[1] = 2
		}
		s.counted(versions)
		s.deployed(uint64(i+2), "running")
		s.onView(m)
	}
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildFormer, s.view(m).ModifyIndex))
	s.deployed(4, "successful")
	s.counted(map[uint64]int{4: systemNodes})
	s.onView(m)
}

// systemFails ends a patched instance. Its deployment fails, and holds all the same; so do the
// versions that come after, although none of them gets a deployment.
func systemFails(s *script) {
	m := s.upOnEach()
	s.stage(m, api.StageInPlace, 2)
	s.counted(map[uint64]int{0: 2, 1: 2})
	s.deployed(1, "running")
	s.killOne(1)
	// How many canaries the deployment names then depends on which of Nomad's evaluations
	// was first, and nothing reads it.
	s.await("the deployment of version 1 is failed", func() bool { return s.deployment().Status == "failed" })
	s.say("deployment of version 1 is failed: %s", s.deployment().StatusDescription)
	s.counted(map[uint64]int{0: 2, 1: 2})
	s.onView(m)
	must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, 1, s.view(m).ModifyIndex))
	s.counted(map[uint64]int{1: 1, 2: 3})
	must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, 1, s.view(m).ModifyIndex))
	s.counted(map[uint64]int{3: systemNodes})
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildFormer, s.view(m).ModifyIndex))
	s.counted(map[uint64]int{4: systemNodes})
	s.onView(m)
	s.say("of version %d is the newest deployment", s.deployment().JobVersion)
	s.stage(m, api.StageInPlace, 1)
	s.counted(map[uint64]int{4: systemNodes - 1, 5: 1})
	s.onView(m)
	id, _, err := s.vendor.Jobs().ForceEvaluate(s.id, nil)
	s.say("evaluate: %s", status(err))
	// An evaluation that came after the instance below has failed would replace it.
	s.await("the evaluation is complete", func() bool {
		e, _, err := s.vendor.Evaluations().Info(id, nil)
		must.NoError(s.t, err)
		return e.Status == "complete"
	})
	s.counted(map[uint64]int{4: systemNodes - 1, 5: 1})
	s.killOne(4)
	s.counted(map[uint64]int{4: systemNodes - 2, 5: 1})
	s.stage(m, api.StageInPlace, 1)
	s.counted(map[uint64]int{4: systemNodes - 3, 6: 3})
}

// systemOnNodes is what becomes of a stage when nodes close, drain and come back.
func systemOnNodes(s *script) {
	m := s.upOnEach()
	s.stage(m, api.StageInPlace, 1)
	s.counted(map[uint64]int{0: systemNodes - 1, 1: 1})
	nodeOf := func(version uint64, name string) string {
		for _, a := range s.live() {
			if a.JobVersion == version {
				s.names[a.NodeName] = name
				return a.NodeID
			}
		}
		s.t.Fatalf("no instance of version %d", version)
		return ""
	}
	former := nodeOf(0, "NODE A")
	_, err := s.vendor.Nodes().ToggleEligibility(former, false, nil)
	s.say("a former instance's node takes nothing new: %s", status(err))
	s.say("a stage: %v", s.adapter.Stage(s.ctx(), m, api.StageInPlace, 1, s.view(m).ModifyIndex))
	s.say("view: unplaced %t", s.view(m).Unplaced != "")
	s.counted(map[uint64]int{0: systemNodes - 1, 1: 1})
	_, err = s.vendor.Nodes().ToggleEligibility(former, true, nil)
	s.say("and takes again: %s", status(err))
	s.counted(map[uint64]int{0: systemNodes - 1, 1: 1})

	patched := nodeOf(1, "NODE B")
	_, err = s.vendor.Nodes().UpdateDrain(patched, &nomadapi.DrainSpec{Deadline: time.Minute}, false, nil)
	s.say("the patched instance's node drains: %s", status(err))
	s.counted(map[uint64]int{0: systemNodes - 2, 1: 1})
	s.onView(m)
	_, err = s.vendor.Nodes().UpdateDrain(patched, nil, true, nil)
	s.say("and comes back: %s", status(err))
	s.counted(map[uint64]int{0: systemNodes - 2, 1: 2})
	s.onView(m)
	s.sayDeployment()
}

// systemSaid is what a plan asks.
func systemSaid(s *script) {
	m := s.upOnEach()
	target, err := s.adapter.Target(s.ctx(), m.Target)
	must.NoError(s.t, err)
	s.say("as a target: type %s, count %d, unfit %q", target.Type, target.Count, target.Unfit)
	s.say("as captured: count %d", m.Former.Count)
	said, err := s.adapter.Check(s.ctx(), m.Target, m.Apply)
	s.say("the dry run of the patch: %v, no room %q", err, said.NoRoom)
	s.say("beside: %v", s.adapter.Stage(s.ctx(), m, api.StageBeside, 1, m.Former.ModifyIndex))
	job := s.onEach()
	job.TaskGroups[0].Count = new(2)
	_, _, err = s.vendor.Jobs().Register(job, nil)
	s.say("two on each: %s", status(err))
	job.TaskGroups[0].Count = new(1)
	job.TaskGroups[0].Tasks[0].Resources.MemoryMB = new(1_000_000)
	would, _, err := s.vendor.Jobs().Plan(job, false, nil)
	must.NoError(s.t, err)
	s.say("too large for each: destructive %d, without a place %t", would.Annotations.DesiredTGUpdates["g"].DestructiveUpdate, would.FailedTGAllocs["g"] != nil)
}
