//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/rollout"
)

// TestStaging drives the effects of a rollout against a real Nomad and asks
// Nomad itself what runs.
func TestStaging(t *testing.T) {
	env := sharedStack(t)
	vendor, err := nomadapi.NewClient(&nomadapi.Config{Address: env.NomadAddr, SecretID: env.NomadToken})
	must.NoError(t, err)
	client, err := nomad.New(nomad.Config{Address: env.NomadAddr, Token: func() string { return env.NomadToken }})
	must.NoError(t, err)

	t.Run("in place, stage by stage, and finish", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "steps")
		before := s.allocs()
		for _, want := range []int{1, 2, 3, 5, 10} { // 1, 2, 3: the same number of instances each time
			v := s.view()
			must.NoError(t, client.Stage(t.Context(), s.move, api.StageInPlace, want-v.Tally().Patched, v.ModifyIndex))
			s.until(func(v *rollout.JobView) bool { return v.Tally().PatchedHealthy == want })
			// It holds: one more second changes nothing.
			s.steady(func(v *rollout.JobView) bool { return v.Tally().Patched == want && v.Tally().Former == 10-want })
			must.Eq(t, want, s.running("v2"))
		}
		must.Eq(t, 0, shared(before, s.allocs()))
		after := s.allocs()
		must.NoError(t, client.Settle(t.Context(), s.move))
		s.until(func(v *rollout.JobView) bool { return v.Settled })
		must.NoError(t, client.Unpace(t.Context(), s.move, api.BuildPatched, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn && v.Build == api.BuildPatched })
		must.Eq(t, 10, shared(after, s.allocs()), must.Sprint("restoring the update block restarts nothing"))
		must.Eq(t, 1, *s.job().TaskGroups[0].Update.MaxParallel)
	})

	t.Run("rollback of a stage returns the exact former job", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "back")
		former := s.job()
		must.NoError(t, client.Tag(t.Context(), s.move))
		must.NoError(t, client.Tag(t.Context(), s.move), must.Sprint("repeating a tag is harmless"))
		must.True(t, s.tagged())
		before := s.allocs()
		must.NoError(t, client.Stage(t.Context(), s.move, api.StageInPlace, 5, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Tally().PatchedHealthy == 5 })
		began := time.Now()
		must.NoError(t, client.Rollback(t.Context(), s.move, 10, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return formerHealthy(v) == 10 && v.Tally().Patched == 0 })
		t.Logf("rollback of 5 of 10 instances took %s", time.Since(began).Round(time.Millisecond))
		must.NoError(t, client.Unpace(t.Context(), s.move, api.BuildFormer, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn })
		must.Eq(t, 5, shared(before, s.allocs()), must.Sprint("former instances were never touched"))
		must.Eq(t, 10, s.running("v1"))
		must.Eq(t, specification(t, former), specification(t, s.job()))
		must.NoError(t, client.Untag(t.Context(), s.move))
		must.False(t, s.tagged())
	})

	t.Run("beside, promoted", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "green")
		before := s.allocs()
		must.NoError(t, client.Stage(t.Context(), s.move, api.StageBeside, 10, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Tally().PatchedHealthy == 10 })
		must.Eq(t, 10, shared(before, s.allocs()))
		must.False(t, s.view().Promoted)
		must.NoError(t, client.Promote(t.Context(), s.move))
		s.until(func(v *rollout.JobView) bool { return v.Promoted && v.Tally().Former == 0 && v.Tally().Patched == 10 })
		must.Eq(t, 10, s.running("v2"))
		s.until(func(v *rollout.JobView) bool { return v.Settled })
		after := s.allocs()
		must.NoError(t, client.Unpace(t.Context(), s.move, api.BuildPatched, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Pace == rollout.PaceOwn })
		must.Eq(t, 10, shared(after, s.allocs()))
	})

	t.Run("beside, in steps", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "growing")
		before := s.allocs()
		for _, want := range []int{1, 3, 10} { // the canaries of a step end when those of the next one are placed
			must.NoError(t, client.Stage(t.Context(), s.move, api.StageBeside, want, s.view().ModifyIndex))
			s.until(func(v *rollout.JobView) bool { return v.Tally().PatchedHealthy == want })
			s.steady(func(v *rollout.JobView) bool { return v.Tally().Patched == want && v.Tally().Former == 10 })
			must.Eq(t, 10, shared(before, s.allocs()), must.Sprint("no former instance was touched"))
			must.False(t, s.view().Promoted)
		}
		must.NoError(t, client.Promote(t.Context(), s.move))
		s.until(func(v *rollout.JobView) bool { return v.Promoted && v.Tally().Former == 0 && v.Tally().Patched == 10 })
		must.Eq(t, 10, s.running("v2"))
	})

	t.Run("beside, rolled back", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "blue")
		before := s.allocs()
		must.NoError(t, client.Stage(t.Context(), s.move, api.StageBeside, 10, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Tally().PatchedHealthy == 10 })
		must.NoError(t, client.Rollback(t.Context(), s.move, 10, s.view().ModifyIndex))
		s.until(func(v *rollout.JobView) bool { return v.Tally().Patched == 0 && formerHealthy(v) == 10 })
		must.Eq(t, 10, shared(before, s.allocs()))
	})

	t.Run("somebody else's change is a conflict and shows as foreign", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "foreign")
		index := s.view().ModifyIndex
		other := s.job()
		other.TaskGroups[0].Tasks[0].Env["VERSION"] = "theirs"
		_, _, err := vendor.Jobs().Register(other, nil)
		must.NoError(t, err)
		err = client.Stage(t.Context(), s.move, api.StageInPlace, 1, index)
		must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
		must.Eq(t, api.BuildForeign, s.view().Build)
	})

	t.Run("a patch is checked before anything is planned", func(t *testing.T) {
		s := newSleeper(t, vendor, client, "check")
		ref := s.move.Target
		said, err := client.Check(t.Context(), ref, s.move.Apply)
		must.NoError(t, err)
		must.Eq(t, api.DryRun{Target: ref}, said)
		_, err = client.Check(t.Context(), ref, []api.Apply{{Kind: api.ApplyJob, Task: "absent", Env: map[string]string{"A": "b"}}})
		must.ErrorContains(t, err, `has no task "absent"`)
		said, err = client.Check(t.Context(), ref, []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"VERSION": "v1"}}})
		must.NoError(t, err)
		must.True(t, said.Unchanged)
	})
}

// sleeper is a job of ten cheap instances that tell their version by an
// environment variable.
type sleeper struct {
	t      *testing.T
	vendor *nomadapi.Client
	client *nomad.Client
	move   rollout.Move
}

func newSleeper(t *testing.T, vendor *nomadapi.Client, client *nomad.Client, name string) *sleeper {
	t.Helper()
	id := "sleeper-" + name
	text := fmt.Sprintf(`job %q {
  group "g" {
    count = 10
    update {
      max_parallel     = 1
      min_healthy_time = "1s"
      auto_revert      = true
    }
    task "main" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["100000"]
      }
      env {
        VERSION = "v1"
      }
      logs {
        disabled = true
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`, id)
	job, err := vendor.Jobs().ParseHCL(text, true)
	must.NoError(t, err)
	_, _, err = vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, vendor, id)
	s := &sleeper{t: t, vendor: vendor, client: client}
	s.move = rollout.Move{
		Target: api.TargetRef{Namespace: "default", Job: id, Group: "g"}, Rollout: "r-" + name,
		Apply: []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"VERSION": "v2"}}},
	}
	eventually(t, "ten instances run", time.Minute, func() bool { return s.running("v1") == 10 })
	s.move.Former, err = client.Capture(t.Context(), s.move.Target)
	must.NoError(t, err)
	return s
}

func (s *sleeper) view() *rollout.JobView {
	s.t.Helper()
	v, err := s.client.View(context.WithoutCancel(s.t.Context()), s.move)
	must.NoError(s.t, err)
	return v
}

// tagged asks Nomad whether a version of the job has the rollout's tag.
func (s *sleeper) tagged() bool {
	s.t.Helper()
	versions, _, _, err := s.vendor.Jobs().Versions(s.move.Target.Job, false, nil)
	must.NoError(s.t, err)
	return slices.ContainsFunc(versions, func(j *nomadapi.Job) bool { return j.VersionTag != nil && j.VersionTag.Name == s.move.TagName() })
}

// formerHealthy counts the healthy instances of the former build.
func formerHealthy(v *rollout.JobView) int {
	n := 0
	for _, in := range v.Instances {
		if in.Build == api.BuildFormer && in.Health == api.Healthy {
			n++
		}
	}
	return n
}

func (s *sleeper) until(ok func(*rollout.JobView) bool) {
	s.t.Helper()
	var last *rollout.JobView
	eventuallySay(s.t, time.Minute, func() bool { last = s.view(); return ok(last) }, func() string {
		return fmt.Sprintf("%+v %+v", last.Tally(), *last)
	})
}

// steady asserts that ok holds at every look for a second.
func (s *sleeper) steady(ok func(*rollout.JobView) bool) {
	s.t.Helper()
	end := time.Now().Add(time.Second)
	for time.Now().Before(end) {
		v := s.view()
		must.True(s.t, ok(v), must.Sprintf("%+v", v.Tally()))
	}
}

func (s *sleeper) job() *nomadapi.Job {
	s.t.Helper()
	job, _, err := s.vendor.Jobs().Info(s.move.Target.Job, nil)
	must.NoError(s.t, err)
	return job
}

// allocs are the IDs of the allocations that Nomad runs now.
func (s *sleeper) allocs() map[string]bool {
	s.t.Helper()
	stubs, _, err := s.vendor.Jobs().Allocations(s.move.Target.Job, false, nil)
	must.NoError(s.t, err)
	ids := map[string]bool{}
	for _, a := range stubs {
		if a.DesiredStatus == "run" && a.ClientStatus == "running" {
			ids[a.ID] = true
		}
	}
	return ids
}

// running counts the running allocations whose own copy of the job has the
// given version in its environment.
func (s *sleeper) running(version string) int {
	s.t.Helper()
	n := 0
	for id := range s.allocs() {
		alloc, _, err := s.vendor.Allocations().Info(id, nil)
		must.NoError(s.t, err)
		if alloc.Job.TaskGroups[0].Tasks[0].Env["VERSION"] == version {
			n++
		}
	}
	return n
}
