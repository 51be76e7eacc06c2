package contract

import (
	"fmt"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// runs is what becomes of a periodic and of a parameterized job that is patched: a
// registration starts nothing, and neither takes an update block.
func runs(s *script) {
	for _, kind := range []api.Launch{api.LaunchPeriodic, api.LaunchParameterized} {
		id := fmt.Sprintf("%s-%s", s.id, kind)
		job := s.job(2)
		job.ID, job.Name, job.Type, job.Update = &id, &id, new("batch"), nil
		g := job.TaskGroups[0]
		g.Update, g.Migrate, g.ReschedulePolicy = nil, nil, nil
		if kind == api.LaunchPeriodic {
			job.Periodic = &nomadapi.PeriodicConfig{Enabled: new(true), Spec: new("0 0 1 1 *"), SpecType: new("cron"), TimeZone: new("UTC")}
		} else {
			job.ParameterizedJob = &nomadapi.ParameterizedJobConfig{}
		}
		resp, _, err := s.vendor.Jobs().Register(job, nil)
		must.NoError(s.t, err)
		s.end(job)
		s.say("%s: an evaluation: %t", kind, resp.EvalID != "")

		ref := api.TargetRef{Namespace: "default", Job: id, Group: "g"}
		target, err := s.adapter.Target(s.ctx(), ref)
		must.NoError(s.t, err)
		s.say("  as a target: type %s, launch %s, count %d, unfit %q", target.Type, target.Launch, target.Count, target.Unfit)
		m := rollout.Move{
			Target: ref, Rollout: "r-1", Apply: []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"VERSION": "v2"}}},
		}
		m.Former, err = s.adapter.Capture(s.ctx(), ref)
		must.NoError(s.t, err)
		_, err = s.adapter.Check(s.ctx(), ref, m.Apply)
		s.say("  the dry run of the patch: %s", status(err))
		see := func(when string) uint64 {
			v, err := s.adapter.View(s.ctx(), m)
			must.NoError(s.t, err)
			s.say("  %s: %s at pace %s, %d instances of %d", when, v.Build, v.Pace, len(v.Instances), v.Count)
			return v.ModifyIndex
		}
		see("before")
		must.NoError(s.t, s.adapter.Tag(s.ctx(), m))
		must.NoError(s.t, s.adapter.Unpace(s.ctx(), m, api.BuildPatched, m.Former.ModifyIndex))
		index := see("patched")
		late := s.adapter.Unpace(s.ctx(), m, api.BuildPatched, m.Former.ModifyIndex)
		s.say("  once more, by the index that it had: conflict %t", api.IsCode(late, api.CodeConflict))
		must.NoError(s.t, s.adapter.Rollback(s.ctx(), m, 1, index))
		s.say("  back: the index rose %t", see("taken back") > index)
		must.NoError(s.t, s.adapter.Untag(s.ctx(), m))

		read, _, err := s.vendor.Jobs().Info(id, nil)
		must.NoError(s.t, err)
		read.TaskGroups[0].Update = nomadapi.DefaultUpdateStrategy()
		said, _, err := s.vendor.Jobs().Validate(read, nil)
		must.NoError(s.t, err)
		s.say("  with an update block: refused %t", len(said.ValidationErrors) > 0)
	}
}
