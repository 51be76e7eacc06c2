package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

func lists(s *script) {
	job := s.job(2)
	job.Meta = map[string]string{"tier": "1"}
	job.TaskGroups[0].Services = []*nomadapi.Service{{Name: s.id, Provider: "nomad", PortLabel: "8123"}}
	s.up(job)
	list := func(what string, q *nomadapi.QueryOptions, o *nomadapi.JobListOptions) {
		stubs, _, err := s.vendor.Jobs().ListOptions(o, q)
		if err != nil {
			s.say("%s: %s", what, status(err))
			return
		}
		for _, j := range stubs {
			sum := j.JobSummary.Summary["g"]
			s.say("%s: %s/%s type %s, status %s, stop %t, meta %v; running %d, starting %d, queued %d, failed %d, lost %d, complete %d", what,
				j.Namespace, j.ID, j.Type, j.Status, j.Stop, j.Meta, sum.Running, sum.Starting, sum.Queued, sum.Failed, sum.Lost, sum.Complete)
		}
		s.say("%s: %d", what, len(stubs))
	}
	list("by prefix", &nomadapi.QueryOptions{Prefix: s.id}, nil)
	list("by prefix in all namespaces", &nomadapi.QueryOptions{Prefix: s.id, Namespace: "*"}, nil)
	list("with meta", &nomadapi.QueryOptions{Prefix: s.id}, &nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}})
	list("by filter", &nomadapi.QueryOptions{Filter: fmt.Sprintf(`ID == %q`, s.id)}, nil)
	list("by a filter that is none", &nomadapi.QueryOptions{Filter: `ID ==`}, nil)
	allocs, _, err := s.vendor.Allocations().List(&nomadapi.QueryOptions{Namespace: "*", Filter: fmt.Sprintf(`JobID == %q and DesiredStatus == "run"`, s.id)})
	must.NoError(s.t, err)
	s.say("allocations by filter: %d, their resources are left out: %t", len(allocs), allocs[0].AllocatedResources == nil)
	var pages, total int
	for next, first := "", true; first || next != ""; first = false {
		page, meta, err := s.vendor.Allocations().List(&nomadapi.QueryOptions{
			Namespace: "*", PerPage: 1, NextToken: next, Filter: fmt.Sprintf(`JobID == %q`, s.id), Params: map[string]string{"resources": "true"},
		})
		must.NoError(s.t, err)
		pages, total, next = pages+1, total+len(page), meta.NextToken
		s.say("page %d: %d, with resources %t, more %t", pages, len(page), page[0].AllocatedResources != nil, next != "")
	}
	deployments, _, err := s.vendor.Deployments().List(&nomadapi.QueryOptions{Namespace: "*", Filter: fmt.Sprintf(`JobID == %q`, s.id)})
	must.NoError(s.t, err)
	s.say("deployments by filter: %d", len(deployments))
	s.await("two instances are registered", func() bool { return len(s.registrations()) == 2 })
	services, _, err := s.vendor.Services().List(&nomadapi.QueryOptions{Namespace: "*"})
	must.NoError(s.t, err)
	listed := 0
	for _, space := range services {
		for _, svc := range space.Services {
			if svc.ServiceName == s.id {
				listed++
			}
		}
	}
	for _, r := range s.registrations() {
		s.say("service %s in %s of %s: job %s, port %d, id begins as Nomad's do: %t", r.ServiceName, r.Namespace, r.AllocID, r.JobID, r.Port, strings.HasPrefix(r.ID, "_nomad-task-"))
	}
	s.say("service listed: %d", listed)
	none, _, err := s.vendor.Services().Get(s.id+"-absent", nil)
	s.say("a service that is not there: %s, %d", status(err), len(none))
}

func (s *script) registrations() []*nomadapi.ServiceRegistration {
	s.t.Helper()
	s.stubs(s.id)
	list, _, err := s.vendor.Services().Get(s.id, nil)
	must.NoError(s.t, err)
	slices.SortFunc(list, func(a, b *nomadapi.ServiceRegistration) int {
		return strings.Compare(s.plain(a.AllocID), s.plain(b.AllocID))
	})
	return list
}

// asTargets is what Oakum makes of a job.
func asTargets(s *script) {
	job := s.job(2)
	job.Meta = map[string]string{"tier": "1"}
	job.TaskGroups[0].Meta = map[string]string{"oakum_paths": "/a,/b"}
	job.TaskGroups[0].Services = []*nomadapi.Service{{Name: s.id + "-svc", Provider: "nomad", PortLabel: "8123"}}
	s.up(job)
	ref := api.TargetRef{Namespace: "default", Job: s.id, Group: "g"}
	t, err := s.adapter.Target(s.ctx(), ref)
	must.NoError(s.t, err)
	s.say("target %s: count %d, version %d, driver %s, services %v, checked %v, meta %v, tasks %+v", t, t.Count, t.JobVersion, t.Driver, t.Services, t.Checked, t.Meta, t.Tasks)
	all, err := s.adapter.Targets(s.ctx())
	must.NoError(s.t, err)
	s.say("listed: %t", slices.ContainsFunc(all, func(o api.Target) bool { return o.TargetRef == ref }))
	s.stubs(s.id)
	instances, err := s.adapter.Instances(s.ctx(), ref)
	must.NoError(s.t, err)
	for _, in := range instances {
		s.say("instance %s of %s: version %d, %s %q, canary %t, node is the first %t, address %q", in.ID, in.Name, in.JobVersion, in.Health, in.Because, in.Canary, in.Node == s.w.nodes[0], in.Address)
	}
	layout, err := s.adapter.Layout(s.ctx())
	must.NoError(s.t, err)
	n := 0
	for _, in := range layout.Instances {
		if in.Target == ref && in.Healthy {
			n++
		}
	}
	s.say("healthy in the layout: %d", n)
	_, err = s.adapter.Check(s.ctx(), ref, s.move().Apply)
	s.say("check of a patch: %v", err)
	said, err := s.adapter.Check(s.ctx(), ref, []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"VERSION": "v1"}}})
	s.say("check of a patch that changes nothing: unchanged %t, %d behind, %v", said.Unchanged, said.Behind, err)
	one, err := s.adapter.Capture(s.ctx(), ref)
	must.NoError(s.t, err)
	read := s.info()
	must.NoError(s.t, s.register(read))
	two, err := s.adapter.Capture(s.ctx(), ref)
	must.NoError(s.t, err)
	s.say("captured twice: the same digest %t, the same text %t", one.Digest == two.Digest, string(one.Job) == string(two.Job))
}
