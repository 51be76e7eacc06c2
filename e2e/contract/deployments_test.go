package contract

import (
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"
)

// deploymentChecks are what people and Nomad itself do to deployments.
func deploymentChecks() []check {
	const area = "deployments"
	return []check{
		{area, "held for ever until marked", heldUntilMarked},
		{area, "failed by a person", failedByPerson},
		{area, "an instance marked unhealthy", markedUnhealthy},
		{area, "marked unhealthy with auto revert", autoReverted},
		{area, "paused and resumed", pausedAndResumed},
		{area, "cancelled by the next version", cancelled},
		{area, "canaries failed by a person", canariesFailed},
		{area, "a build that crashes", crashes},
		{area, "a build that crashes with auto revert", crashesAndReverts},
		{area, "canaries that promote themselves", autoPromoted},
		{area, "nonsense", deploymentNonsense},
	}
}

// next registers the job's next build in the held way.
func (s *script) next(job *nomadapi.Job, parallel, canaries int) {
	s.t.Helper()
	held(job, parallel, canaries)
	build(job, "v2")
	must.NoError(s.t, s.register(job))
}

// mark calls live instances of a version healthy or not.
func (s *script) mark(version uint64, healthy bool) {
	s.t.Helper()
	var ids []string
	for _, a := range s.live() {
		if a.JobVersion == version {
			ids = append(ids, a.ID)
		}
	}
	good, bad := ids, []string(nil)
	if !healthy {
		good, bad = nil, ids
	}
	resp, _, err := s.vendor.Deployments().SetAllocHealth(s.deployment().ID, good, bad, nil)
	s.say("mark %d instances of version %d, healthy %t: %s", len(ids), version, healthy, status(err))
	if err == nil && resp.RevertedJobVersion != nil {
		s.say("  reverted to version %d", *resp.RevertedJobVersion)
	}
}

func heldUntilMarked(s *script) {
	job := s.job(3)
	s.up(job)
	s.next(job, 2, 0)
	s.settled(map[uint64]int{0: 1, 1: 2})
	s.deployed(1, "running")
	s.mark(1, true)
	s.settled(map[uint64]int{1: 3})
	s.deployed(1, "running")
	s.mark(1, true)
	s.deployed(1, "successful")
	s.say("stable: %t", *s.info().Stable)
}

func failedByPerson(s *script) {
	job := s.job(3)
	s.up(job)
	s.next(job, 1, 0)
	s.settled(map[uint64]int{0: 2, 1: 1})
	id := s.deployment().ID
	_, _, err := s.vendor.Deployments().Fail(id, nil)
	s.say("fail: %s", status(err))
	s.deployed(1, "failed")
	s.settled(map[uint64]int{0: 2, 1: 1})
	_, _, err = s.vendor.Deployments().Fail(id, nil)
	s.say("fail once more: %s", status(err))
	_, _, err = s.vendor.Jobs().ForceEvaluate(s.id, nil)
	must.NoError(s.t, err)
	s.settled(map[uint64]int{0: 2, 1: 1})
	s.stop(0)
	s.settled(map[uint64]int{0: 1, 1: 2})
	s.sayDeployment()
}

func markedUnhealthy(s *script) {
	job := s.job(2)
	s.up(job)
	s.next(job, 1, 0)
	s.settled(map[uint64]int{0: 1, 1: 1})
	s.mark(1, false)
	s.deployed(1, "failed")
}

func autoReverted(s *script) {
	job := s.job(2)
	s.up(job)
	held(job, 1, 0)
	job.TaskGroups[0].Update.AutoRevert = new(true)
	build(job, "v2")
	must.NoError(s.t, s.register(job))
	s.settled(map[uint64]int{0: 1, 1: 1})
	s.mark(1, false)
	s.deployed(2, "successful")
	s.settled(map[uint64]int{2: 2})
	s.say("it runs build %s", s.info().TaskGroups[0].Tasks[0].Env["VERSION"])
	first, _, err := s.vendor.Jobs().Deployments(s.id, true, nil)
	must.NoError(s.t, err)
	for _, d := range first {
		s.say("version %d: %s, %s", d.JobVersion, d.Status, d.StatusDescription)
	}
}

func pausedAndResumed(s *script) {
	job := s.job(3)
	s.up(job)
	s.next(job, 1, 0)
	s.settled(map[uint64]int{0: 2, 1: 1})
	id := s.deployment().ID
	pause := func(on bool) {
		_, _, err := s.vendor.Deployments().Pause(id, on, nil)
		s.say("pause %t: %s", on, status(err))
	}
	pause(true)
	s.deployed(1, "paused")
	s.mark(1, true)
	s.await("it is marked", func() bool { return s.deployment().TaskGroups["g"].HealthyAllocs == 1 })
	s.settled(map[uint64]int{0: 2, 1: 1})
	pause(false)
	s.settled(map[uint64]int{0: 1, 1: 2})
	s.deployed(1, "running")
}

func cancelled(s *script) {
	job := s.job(2)
	s.up(job)
	s.next(job, 1, 0)
	s.settled(map[uint64]int{0: 1, 1: 1})
	held(job, 2, 0)
	must.NoError(s.t, s.register(job)) // the same build at another pace
	s.settled(map[uint64]int{2: 2})
	list, _, err := s.vendor.Jobs().Deployments(s.id, true, nil)
	must.NoError(s.t, err)
	for _, d := range list {
		s.say("version %d: %s, %s", d.JobVersion, d.Status, d.StatusDescription)
	}
	s.sayDeployment()
	_, _, err = s.vendor.Jobs().Deregister(s.id, false, nil)
	must.NoError(s.t, err)
	s.deployed(2, "cancelled")
}

func canariesFailed(s *script) {
	job := s.job(2)
	s.up(job)
	s.next(job, 1, 2)
	s.settled(map[uint64]int{0: 2, 1: 2})
	s.deployed(1, "running")
	_, _, err := s.vendor.Deployments().Fail(s.deployment().ID, nil)
	s.say("fail: %s", status(err))
	s.deployed(1, "failed")
	s.settled(map[uint64]int{0: 2})
}

func crashes(s *script) {
	job := s.job(2)
	s.up(job)
	crashing(job, "0.2")
	must.NoError(s.t, s.register(job))
	s.deployed(1, "failed")
	s.await("the crashed instance has failed", func() bool {
		for _, a := range s.stubs(s.id) {
			if a.JobVersion == 1 && a.ClientStatus == "failed" {
				return true
			}
		}
		return false
	})
	s.say("of version 0 run %d", len(s.live()))
}

func crashesAndReverts(s *script) {
	job := s.job(2)
	job.TaskGroups[0].Update.AutoRevert = new(true)
	s.up(job)
	crashing(job, "0.2")
	must.NoError(s.t, s.register(job))
	s.deployed(2, "successful")
	s.await("two instances run", func() bool { return s.running(map[uint64]int{2: 2}) })
	list, _, err := s.vendor.Jobs().Deployments(s.id, true, nil)
	must.NoError(s.t, err)
	for _, d := range list {
		s.say("version %d: %s, %s", d.JobVersion, d.Status, d.StatusDescription)
	}
	s.say("stable: %t", *s.info().Stable)
}

func autoPromoted(s *script) {
	job := s.job(2)
	s.up(job)
	build(job, "v2")
	u := job.TaskGroups[0].Update
	u.Canary, u.AutoPromote, u.MaxParallel, u.MinHealthyTime = new(1), new(true), new(2), new(100*time.Millisecond)
	must.NoError(s.t, s.register(job))
	s.deployed(1, "successful")
	s.settled(map[uint64]int{1: 2})
}

func deploymentNonsense(s *script) {
	const absent = "5a3c1b8e-0000-4000-8000-000000000000"
	_, _, err := s.vendor.Deployments().Info(absent, nil)
	s.say("read: %s", status(err))
	_, _, err = s.vendor.Deployments().Fail(absent, nil)
	s.say("fail: %s", status(err))
	_, _, err = s.vendor.Deployments().PromoteAll(absent, nil)
	s.say("promote: %s", status(err))
	_, _, err = s.vendor.Deployments().SetAllocHealth(absent, []string{absent}, nil, nil)
	s.say("mark: %s", status(err))
	job := s.job(1)
	s.up(job)
	id := s.deployment().ID
	_, _, err = s.vendor.Deployments().PromoteAll(id, nil)
	s.say("promote what is over: %s", status(err))
	_, _, err = s.vendor.Deployments().SetAllocHealth(id, []string{s.live()[0].ID}, nil, nil)
	s.say("mark what is over: %s", status(err))
	_, _, err = s.vendor.Deployments().Pause(id, true, nil)
	s.say("pause what is over: %s", status(err))
	s.next(job, 1, 0)
	s.settled(map[uint64]int{1: 1})
	id = s.deployment().ID
	_, _, err = s.vendor.Deployments().SetAllocHealth(id, []string{absent}, nil, nil)
	s.say("mark an instance that is not there: %s", status(err))
	_, _, err = s.vendor.Deployments().SetAllocHealth(id, nil, nil, nil)
	s.say("mark none: %s", status(err))
	_, _, err = s.vendor.Deployments().PromoteAll(id, nil)
	s.say("promote without canaries: %s", status(err))
	d, _, err := s.vendor.Jobs().LatestDeployment(s.id+"-absent", nil)
	s.say("of no job: %s, none %t", status(err), d == nil)
	ids, _, err := s.vendor.Deployments().Allocations(id, nil)
	s.say("its allocations: %s, %d", status(err), len(ids))
}
