package contract

import (
	"net/url"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// goneTargets takes a target away in each way, and asks the adapter what became of it.
func goneTargets(s *script) {
	ref := api.TargetRef{Namespace: "default", Job: s.id, Group: "g"}
	longer := s.job(1) // the list by a prefix has both
	longer.ID, longer.Name = new(s.id+"-longer"), new(s.id+"-longer")
	must.NoError(s.t, s.register(longer))
	job := s.job(1)
	job.TaskGroups = append(job.TaskGroups, group("other", 1))
	s.up(job)
	m := s.move()
	s.sayGone("there", ref, &m)
	must.NoError(s.t, s.adapter.Tag(s.ctx(), m))

	job.TaskGroups = job.TaskGroups[1:]
	must.NoError(s.t, s.register(job))
	s.sayGone("without its group", ref, &m)
	_, _, err := s.vendor.Jobs().Revert(s.id, 0, nil, nil, "", "")
	s.say("reverted: %s", status(err))
	s.sayGone("with its group again", ref, &m)

	_, _, err = s.vendor.Jobs().Deregister(s.id, false, nil)
	must.NoError(s.t, err)
	s.sayGone("stopped", ref, &m)
	s.say("its version has our mark: %t", s.tagged(m))
	must.NoError(s.t, s.adapter.Untag(s.ctx(), m))
	s.say("which a stopped job loses when it is told so: %t", !s.tagged(m))
	_, _, err = s.vendor.Jobs().Revert(s.id, 0, nil, nil, "", "")
	s.say("reverted: %s", status(err))
	s.sayGone("which starts it", ref, &m)

	at := s.current().spec
	_, _, err = s.vendor.Jobs().Deregister(s.id, true, nil)
	must.NoError(s.t, err)
	var rows []struct{ ID string }
	meta, err := s.vendor.Raw().Query("/v1/jobs", &rows, &nomadapi.QueryOptions{Prefix: s.id, PerPage: 1})
	must.NoError(s.t, err)
	s.say("purged: the list begins with the longer name %t, its index is newer %t, its leader is known %t",
		len(rows) == 1 && rows[0].ID == *longer.ID, meta.LastIndex > at, meta.KnownLeader)
	s.sayGone("purged", ref, &m)
	s.say("a registration that expects it: %s", status(s.enforce(job, at)))

	code, _ := s.get("/v1/jobs?" + url.Values{"namespace": {s.id}, "prefix": {s.id}}.Encode())
	s.say("the list of a namespace that is not there: %d", code)
	elsewhere := ref
	elsewhere.Namespace = s.id
	s.sayGone("in a namespace that is not there", elsewhere, nil)
}

// sayGone says what the adapter says of a target, with a view of its job where the
// rollout has touched it.
func (s *script) sayGone(what string, ref api.TargetRef, m *rollout.Move) {
	s.t.Helper()
	_, err := s.adapter.Targets(s.ctx()) // the list of jobs that its answer may lean on is read
	must.NoError(s.t, err)
	gone, err := s.adapter.Gone(s.ctx(), ref)
	must.NoError(s.t, err)
	if gone == nil {
		gone = &rollout.Gone{Loss: "nothing"}
	}
	s.say("%s, a target lacks: %s", what, gone.Loss)
	if m == nil {
		return
	}
	v, err := s.adapter.View(s.ctx(), *m)
	must.NoError(s.t, err)
	if v.Gone == nil {
		s.say("  a view: there, %s at the pace %s", v.Build, v.Pace)
		return
	}
	s.say("  a view: %s, %q at the pace %q, no older than what it was: %t", v.Gone.Loss, v.Gone.Build, v.Gone.Pace, v.ModifyIndex >= m.Former.ModifyIndex)
}
