package contract

import (
	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// stageChecks are what a rollout does to a job, by way of the adapter.
func stageChecks() []check {
	const area = "stages"
	return []check{
		{area, "in place 1 2 4 and finish", inPlace},
		{area, "rollback of a stage", rolledBack},
		{area, "beside and promoted", besidePromoted},
		{area, "beside and turned back", besideBack},
		{area, "a former instance stopped in mid stage", stoppedInPlace},
		{area, "instances stopped beside", stoppedBeside},
		{area, "a task killed in mid stage", killedInStage},
		{area, "a patched instance that crashes", crashedInStage},
		{area, "a task restarted in mid stage", restartedInStage},
		{area, "somebody registers in mid stage", foreignInStage},
		{area, "scaled between two stages", scaledBetween},
		{area, "ended and scaled in mid rollout", endedAndScaled},
	}
}

// stage opens a stage and waits until so many instances are patched.
func (s *script) stage(m rollout.Move, mode api.StageMode, delta int) {
	s.t.Helper()
	err := s.adapter.Stage(s.ctx(), m, mode, delta, s.view(m).ModifyIndex)
	must.NoError(s.t, err)
}

func patched(former, healthy int) func(*rollout.JobView) bool {
	return func(v *rollout.JobView) bool {
		n := v.Tally()
		return n.Former == former && formerHealthy(v) == former && n.Patched == healthy && n.PatchedHealthy == healthy
	}
}

func healthy(n int) func(*rollout.JobView) bool {
	return func(v *rollout.JobView) bool {
		t := v.Tally()
		return formerHealthy(v)+t.PatchedHealthy == n
	}
}

func inPlace(s *script) {
	s.up(s.job(4))
	m := s.move()
	for i, want := range []int{1, 2, 4} { // 1 and 2: as many instances each time
		was := s.view(m)
		s.stage(m, api.StageInPlace, want-was.Tally().Patched)
		s.viewed(m, "the stage", patched(4-want, want))
		s.deployed(uint64(i+1), "running")
		s.settled(s.byVersion(m))
	}
	s.say("settle: %v", s.adapter.Settle(s.ctx(), m))
	s.viewed(m, "settled", func(v *rollout.JobView) bool { return v.Settled })
	s.deployed(3, "successful")
	s.say("settle once more: %v", s.adapter.Settle(s.ctx(), m))
	s.say("stable: %t", *s.info().Stable)
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildPatched, s.view(m).ModifyIndex))
	s.viewed(m, "its own pace", func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn && v.Settled })
	s.deployed(4, "successful")
	s.settled(map[uint64]int{4: 4})
}

// byVersion counts the instances of a view by their job version: what they must
// have settled at.
func (s *script) byVersion(m rollout.Move) map[uint64]int {
	s.t.Helper()
	n := map[uint64]int{}
	for _, in := range s.view(m).Instances {
		n[in.JobVersion]++
	}
	return n
}

func rolledBack(s *script) {
	s.up(s.job(4))
	m := s.move()
	s.say("tag: %v", s.adapter.Tag(s.ctx(), m))
	s.say("tag once more: %v", s.adapter.Tag(s.ctx(), m))
	s.stage(m, api.StageInPlace, 2)
	s.viewed(m, "the stage", patched(2, 2))
	must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, 4, s.view(m).ModifyIndex))
	s.viewed(m, "all former", patched(4, 0))
	s.deployed(2, "running")
	s.settled(map[uint64]int{2: 4})
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildFormer, s.view(m).ModifyIndex))
	s.viewed(m, "its own pace", func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn && v.Settled })
	s.settled(map[uint64]int{3: 4})
	s.say("untag: %v", s.adapter.Untag(s.ctx(), m))
	s.viewed(m, "untagged", func(*rollout.JobView) bool { return !s.tagged(m) })
}

func besidePromoted(s *script) {
	s.up(s.job(3))
	m := s.move()
	s.stage(m, api.StageBeside, 3)
	s.viewed(m, "green stands beside blue", patched(3, 3))
	s.deployed(1, "running")
	s.settled(map[uint64]int{0: 3, 1: 3})
	_, _, err := s.vendor.Deployments().PromoteAll(s.deployment().ID, nil)
	s.say("promote before anybody called it healthy: %s", status(err))
	s.say("promote: %v", s.adapter.Promote(s.ctx(), m))
	s.viewed(m, "green alone", func(v *rollout.JobView) bool { return patched(0, 3)(v) && v.Promoted && v.Settled })
	s.deployed(1, "successful")
	s.settled(map[uint64]int{1: 3})
	err = s.adapter.Promote(s.ctx(), m)
	s.say("promote once more: conflict %t", api.IsCode(err, api.CodeConflict))
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildPatched, s.view(m).ModifyIndex))
	s.viewed(m, "its own pace", func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn && v.Settled })
	s.settled(map[uint64]int{2: 3})
}

func besideBack(s *script) {
	s.up(s.job(3))
	m := s.move()
	s.stage(m, api.StageBeside, 3)
	s.viewed(m, "green stands beside blue", patched(3, 3))
	must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, 3, s.view(m).ModifyIndex))
	s.viewed(m, "blue alone", patched(3, 0))
	s.settled(map[uint64]int{2: 3})
	s.sayDeployment()
}

// stop has Nomad stop and replace one live instance of the given version.
func (s *script) stop(version uint64) {
	s.t.Helper()
	s.finish(version, "stop", "complete", func(a *nomadapi.Allocation) error {
		_, err := s.vendor.Allocations().Stop(a, nil)
		return err
	})
}

// kill ends the task of a live instance of the given version from outside.
func (s *script) kill(version uint64) {
	s.t.Helper()
	s.finish(version, "kill", "failed", func(a *nomadapi.Allocation) error {
		return s.vendor.Allocations().Signal(a, nil, "main", "SIGKILL")
	})
}

// finish ends one live instance of the given version and waits for its status.
func (s *script) finish(version uint64, verb, ended string, do func(*nomadapi.Allocation) error) {
	s.t.Helper()
	for _, a := range s.live() {
		if a.JobVersion != version {
			continue
		}
		alloc, _, err := s.vendor.Allocations().Info(a.ID, nil)
		must.NoError(s.t, err)
		s.say("%s %s: %s", verb, a.ID, status(do(alloc)))
		s.await("it is "+ended, func() bool {
			now, _, err := s.vendor.Allocations().Info(a.ID, nil)
			must.NoError(s.t, err)
			return now.ClientStatus == ended
		})
		return
	}
	s.t.Fatalf("no live instance of version %d:\n%s", version, s.allocs(s.id))
}

func stoppedInPlace(s *script) {
	s.up(s.job(4))
	m := s.move()
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the stage", patched(3, 1))
	s.stop(0)
	s.viewed(m, "four instances again", healthy(4))
	s.settled(s.byVersion(m))
	s.stop(1)
	s.viewed(m, "four instances again", healthy(4))
	s.settled(s.byVersion(m))
	s.sayDeployment()
}

func stoppedBeside(s *script) {
	s.up(s.job(2))
	m := s.move()
	s.stage(m, api.StageBeside, 2)
	s.viewed(m, "green stands beside blue", patched(2, 2))
	s.stop(0)
	s.viewed(m, "a former one came back", patched(2, 2))
	s.settled(map[uint64]int{0: 2, 1: 2})
	s.stop(1)
	s.viewed(m, "a canary came back", patched(2, 2))
	s.settled(map[uint64]int{0: 2, 1: 2})
	s.say("promote: %v", s.adapter.Promote(s.ctx(), m))
	s.viewed(m, "green alone", patched(0, 2))
	s.settled(map[uint64]int{1: 2})
}

// killedInStage kills a former instance, which the deployment does not count.
func killedInStage(s *script) {
	s.up(s.job(3))
	m := s.move()
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the stage", patched(2, 1))
	s.kill(0)
	s.viewed(m, "three instances again", healthy(3))
	s.settled(s.byVersion(m))
	s.sayDeployment()
}

func crashedInStage(s *script) {
	s.up(s.job(3))
	m := s.move()
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the stage", patched(2, 1))
	s.kill(1)
	s.deployed(1, "failed")
	v := s.view(m)
	for _, in := range v.Tally().Unhealthy {
		s.say("unhealthy: %s %s", in.ID, in.Health)
	}
	s.say("settled %t", v.Settled)
	s.say("settle: %v", s.adapter.Settle(s.ctx(), m))
	must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, 4, s.view(m).ModifyIndex))
	s.viewed(m, "all former", patched(3, 0))
	s.settled(map[uint64]int{2: 3})
	s.sayDeployment()
}

// restartedInStage restarts a task in place: the instance is the same.
func restartedInStage(s *script) {
	s.up(s.job(2))
	m := s.move()
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the stage", patched(1, 1))
	for _, a := range s.live() {
		if a.JobVersion != 1 {
			continue
		}
		alloc, _, err := s.vendor.Allocations().Info(a.ID, nil)
		must.NoError(s.t, err)
		s.say("restart %s: %s", a.ID, status(s.vendor.Allocations().Restart(alloc, "main", nil)))
		s.await("its task has started again", func() bool {
			now, _, err := s.vendor.Allocations().Info(a.ID, nil)
			must.NoError(s.t, err)
			state := now.TaskStates["main"]
			return state.Restarts == 1 && state.State == "running"
		})
		stats, err := s.adapter.Stats(s.ctx(), a.ID)
		must.NoError(s.t, err)
		s.say("restarts as the adapter reads them: %d, killed for memory: %d", stats.Restarts, len(stats.OOMKills))
	}
	s.viewed(m, "the stage still", patched(1, 1))
	s.settled(map[uint64]int{0: 1, 1: 1})
	s.sayDeployment()
}

func foreignInStage(s *script) {
	job := s.job(3)
	s.up(job)
	m := s.move()
	index := s.view(m).ModifyIndex
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the stage", patched(2, 1))
	build(job, "theirs")
	must.NoError(s.t, s.register(job))
	s.deployed(2, "successful")
	s.viewed(m, "all foreign", func(v *rollout.JobView) bool { return v.Tally().Foreign == 3 && v.Settled })
	err := s.adapter.Stage(s.ctx(), m, api.StageInPlace, 1, index)
	s.say("a stage that expects the former index: conflict %t", api.IsCode(err, api.CodeConflict))
	s.settled(map[uint64]int{2: 3})
}

// scaledBetween scales a job whose stage's deployment is over.
func scaledBetween(s *script) {
	s.up(s.job(2))
	m := s.move()
	s.stage(m, api.StageInPlace, 2)
	s.viewed(m, "the stage", patched(0, 2))
	_, _, err := s.vendor.Jobs().Scale(s.id, "g", new(3), "because", false, nil, nil)
	s.say("scale while it is held: %s", status(err))
	s.say("settle: %v", s.adapter.Settle(s.ctx(), m))
	s.deployed(1, "successful")
	_, _, err = s.vendor.Jobs().Scale(s.id, "g", new(3), "because", false, nil, nil)
	s.say("scale when it is settled: %s", status(err))
	s.viewed(m, "three instances, patched all the same", patched(0, 3))
	s.settled(map[uint64]int{2: 3})
}

// endedAndScaled ends the deployments of stages of one instance, and scales the job in both
// directions then. What a scaled job places is of the registered build, and a job that is
// made smaller replaces as many former instances as its update block lets it.
func endedAndScaled(s *script) {
	s.up(s.job(4))
	m := s.move()
	scale := func(count int) {
		_, _, err := s.vendor.Jobs().Scale(s.id, "g", &count, "because", false, nil, nil)
		s.say("scale to %d: %s", count, status(err))
	}
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the stage", patched(3, 1))
	scale(5)
	err := s.adapter.EndStage(s.ctx(), m, s.view(m).ModifyIndex-1)
	s.say("end the deployment of another registration: conflict %t", api.IsCode(err, api.CodeConflict))
	end := func(version uint64) {
		s.say("end its deployment: %v", s.adapter.EndStage(s.ctx(), m, s.view(m).ModifyIndex))
		s.deployed(version, "failed")
		s.settled(s.byVersion(m))
	}
	end(1)
	s.say("end it once more: %v", s.adapter.EndStage(s.ctx(), m, s.view(m).ModifyIndex))
	s.say("stable: %t", *s.info().Stable)
	scale(5)
	s.viewed(m, "one more, and patched", patched(3, 2))
	scale(6)
	end(2)
	scale(3)
	s.viewed(m, "three, and another one patched", patched(1, 2))
	end(3)
	s.stage(m, api.StageInPlace, 1)
	s.viewed(m, "the last stage", patched(0, 3))
	end(4)
	must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildPatched, s.view(m).ModifyIndex))
	s.viewed(m, "its own pace", func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn && v.Settled })
	s.deployed(5, "successful")
	s.settled(map[uint64]int{5: 3})
}
