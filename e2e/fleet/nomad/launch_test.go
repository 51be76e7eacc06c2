package nomad_test

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// TestUnpace_GivesAJobWithRunsItsDefinition: one registration forward and one back, neither
// with an update block, which Nomad takes from no batch job.
func TestUnpace_GivesAJobWithRunsItsDefinition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start func(*nomadapi.Job)
		want  api.Launch
	}{
		"periodic": {func(j *nomadapi.Job) {
			j.Periodic = &nomadapi.PeriodicConfig{Enabled: new(true), Spec: new("0 3 * * *"), SpecType: new("cron")}
		}, api.LaunchPeriodic},
		"parameterized": {func(j *nomadapi.Job) { j.ParameterizedJob = &nomadapi.ParameterizedJobConfig{} }, api.LaunchParameterized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSmall(t)
			s.ref = api.TargetRef{Namespace: "default", Job: "report", Group: "main"}
			job := &nomadapi.Job{
				ID: new("report"), Name: new("report"), Namespace: new("default"), Type: new("batch"),
				TaskGroups: []*nomadapi.TaskGroup{{Name: new("main"), Count: new(2), Tasks: []*nomadapi.Task{
					{Name: "server", Driver: "docker", Config: map[string]any{"image": "report:1"}},
				}}},
			}
			c.start(job)
			_, _, err := s.client.API().Jobs().Register(job, nil)
			must.NoError(t, err)

			target, err := s.client.Target(t.Context(), s.ref)
			must.NoError(t, err)
			must.EqOp(t, c.want, target.Launch)
			must.EqOp(t, "batch", target.Type)
			must.EqOp(t, 0, target.Count)
			must.EqOp(t, "", target.Unfit)
			layout, err := s.client.Layout(t.Context())
			must.NoError(t, err)
			must.Len(t, 2, layout.Targets, must.Sprint("it has no instances that could be neighbours"))

			_, err = s.client.Check(t.Context(), s.ref, []api.Apply{image("report:2")})
			must.NoError(t, err)
			m := s.move(t, image("report:2"))
			must.EqOp(t, c.want, m.Former.Launch)
			must.EqOp(t, 0, m.Former.Count)
			must.NoError(t, s.client.Tag(t.Context(), m))
			s.shows(t, m, api.BuildFormer)
			must.NoError(t, s.client.Unpace(t.Context(), m, api.BuildPatched, m.Former.ModifyIndex))
			index := s.shows(t, m, api.BuildPatched)
			must.True(t, api.IsCode(s.client.Unpace(t.Context(), m, api.BuildPatched, m.Former.ModifyIndex), api.CodeConflict),
				must.Sprint("one that comes late changes nothing"))
			must.NoError(t, s.client.Rollback(t.Context(), m, 1, index))
			must.Greater(t, index, s.shows(t, m, api.BuildFormer))
		})
	}
}

// shows holds that a job with runs has a definition at its own pace, and no instances. It
// returns the job's modify index.
func (s *small) shows(t *testing.T, m rollout.Move, build api.Build) uint64 {
	t.Helper()
	v, err := s.client.View(t.Context(), m)
	must.NoError(t, err)
	must.EqOp(t, build, v.Build)
	must.EqOp(t, rollout.PaceOwn, v.Pace)
	must.EqOp(t, 0, v.Count)
	must.SliceEmpty(t, v.Instances)
	must.True(t, v.Settled)
	return v.ModifyIndex
}
