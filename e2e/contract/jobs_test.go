package contract

import (
	"fmt"
	"maps"
	"slices"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

func jobChecks() []check {
	const area = "jobs"
	return []check{
		{area, "register by compare-and-set", registerCAS},
		{area, "register the same again", registerSame},
		{area, "register nonsense", registerNonsense},
		{area, "what makes an instance new", updatedInPlace},
		{area, "plan", planned},
		{area, "versions and tags", versionsAndTags},
		{area, "revert", reverted},
		{area, "stop and purge", stopped},
		{area, "targets that go away", goneTargets},
		{area, "scale", scaled},
		{area, "several groups", severalGroups},
		{area, "namespaces", namespaces},
		{area, "lists", lists},
		{area, "as targets", asTargets},
		{area, "jobs with runs", runs},
	}
}

func (s *script) enforce(job *nomadapi.Job, expect uint64) error {
	s.t.Helper()
	_, _, err := s.vendor.Jobs().RegisterOpts(job, &nomadapi.RegisterOptions{EnforceIndex: true, ModifyIndex: expect}, s.in(job))
	return err
}

func registerCAS(s *script) {
	job := s.job(2)
	s.say("expecting 42 of a job that is not there: %s", status(s.enforce(job, 42)))
	s.say("expecting none: %s", status(s.enforce(job, 0)))
	s.end(job)
	s.deployed(0, "successful")
	first := s.current()
	s.say("expecting none once more: %s", status(s.enforce(job, 0)))
	build(job, "v2")
	s.say("expecting another index: %s", status(s.enforce(job, first.spec+1000)))
	s.say("nothing changed: %t", s.current() == first)
	s.say("expecting the index that it has: %s", status(s.enforce(job, first.spec)))
	s.deployed(1, "successful")
	next := s.current()
	s.say("version %d, the job's index rose: %t", next.version, next.spec > first.spec)
	s.settled(map[uint64]int{1: 2})
	s.say("a deployment moves the job's modify index and not its specification's: %t", s.current().spec == next.spec)
	s.say("expecting an index that it had: %s", status(s.enforce(job, first.spec)))
	err := s.adapterRegister(first.spec)
	s.say("as the adapter says it: conflict %t", api.IsCode(err, api.CodeConflict))
}

// adapterRegister has the adapter register with an expectation.
func (s *script) adapterRegister(expect uint64) error {
	s.t.Helper()
	return s.adapter.Stage(s.ctx(), s.move(), api.StageInPlace, 1, expect)
}

func registerSame(s *script) {
	job := s.job(1)
	s.up(job)
	was := s.current()
	resp, _, err := s.vendor.Jobs().Register(job, nil)
	must.NoError(s.t, err)
	s.say("an evaluation: %t", resp.EvalID != "")
	now := s.current()
	s.say("version %d, specification's index the same: %t", now.version, now.spec == was.spec)
	read := s.info()
	_, _, err = s.vendor.Jobs().Register(read, nil)
	s.say("registered as it was read: %s, version %d", status(err), s.current().version)
	s.sayAllocs()
	s.sayDeployment()
}

func registerNonsense(s *script) {
	try := func(what string, change func(*nomadapi.Job)) {
		job := s.job(1)
		change(job)
		err := s.enforce(job, 0)
		s.say("%s: %s", what, status(err))
	}
	try("no group", func(j *nomadapi.Job) { j.TaskGroups = nil })
	try("a negative count", func(j *nomadapi.Job) { j.TaskGroups[0].Count = new(-1) })
	try("two groups of one name", func(j *nomadapi.Job) { j.TaskGroups = append(j.TaskGroups, group("g", 1)) })
	try("no task", func(j *nomadapi.Job) { j.TaskGroups[0].Tasks = nil })
	try("an unknown namespace", func(j *nomadapi.Job) { j.Namespace = new("nowhere") })
	try("an unknown type", func(j *nomadapi.Job) { j.Type = new("odd") })
	_, _, err := s.vendor.Jobs().Info(s.id, nil)
	s.say("reading it: %s", status(err))
	_, err = s.adapter.Target(s.ctx(), api.TargetRef{Namespace: "default", Job: s.id, Group: "g"})
	s.say("as the adapter says it: not found %t", api.IsCode(err, api.CodeNotFound))
	_, _, err = s.vendor.Jobs().Info("", nil)
	s.say("of no name: %t", err != nil)
}

// updatedInPlace changes one thing at a time and tells whether the instance is
// another one afterwards.
func updatedInPlace(s *script) {
	job := s.job(1)
	task := job.TaskGroups[0].Tasks[0]
	s.up(job)
	for i, c := range []struct {
		what   string
		change func()
	}{
		{"environment", func() { task.Env["VERSION"] = "v2" }},
		{"driver configuration", func() { task.Config["args"] = []string{"-c", "exec sleep 200000"} }},
		{"resources", func() { task.Resources.MemoryMB = new(11) }},
		{"update block", func() { job.TaskGroups[0].Update.MaxParallel = new(3) }},
		{"count", func() { job.TaskGroups[0].Count = new(2) }},
		{"job meta", func() { job.Meta = map[string]string{"a": "b"} }},
		{"group meta", func() { job.TaskGroups[0].Meta = map[string]string{"c": "d"} }},
		{"restart policy", func() { job.TaskGroups[0].RestartPolicy.Attempts = new(1) }},
		{"kill timeout", func() { task.KillTimeout = nil }},
		{"priority", func() { job.Priority = new(60) }},
		{"a service", func() {
			job.TaskGroups[0].Services = []*nomadapi.Service{{Name: s.id + "-svc", Provider: "nomad", PortLabel: "8123", AddressMode: "auto"}}
		}},
	} {
		was := map[string]bool{}
		for _, a := range s.live() {
			was[a.ID] = true
		}
		version := uint64(i + 1) //nolint:gosec // a few
		c.change()
		must.NoError(s.t, s.register(job))
		s.await("the deployment of "+c.what, func() bool {
			d := s.deployment()
			return d.JobVersion == version && d.Status == "successful" && s.running(map[uint64]int{version: *job.TaskGroups[0].Count})
		})
		kept := 0
		for _, a := range s.live() {
			if was[a.ID] {
				kept++
			}
		}
		s.say("%s: version %d, %d of %d kept", c.what, s.current().version, kept, len(was))
	}
}

func planned(s *script) {
	plan := func(what string, job *nomadapi.Job) {
		resp, _, err := s.vendor.Jobs().Plan(job, false, nil)
		if err != nil {
			s.say("%s: %s", what, status(err))
			return
		}
		s.say("%s: index is the job's: %t", what, resp.JobModifyIndex == s.specIndex())
		for _, name := range slices.Sorted(maps.Keys(resp.Annotations.DesiredTGUpdates)) {
			u := resp.Annotations.DesiredTGUpdates[name]
			s.say("  %s: place %d, in place %d, destructive %d, canary %d, stop %d, ignore %d, migrate %d",
				name, u.Place, u.InPlaceUpdate, u.DestructiveUpdate, u.Canary, u.Stop, u.Ignore, u.Migrate)
		}
		for _, name := range slices.Sorted(maps.Keys(resp.FailedTGAllocs)) {
			s.sayPlacement("  "+name, resp.FailedTGAllocs[name])
		}
	}
	job := s.job(3)
	plan("a new job", job)
	s.up(job)
	plan("the same", job)
	build(job, "v2")
	plan("another build", job)
	held(job, 2, 0)
	plan("another build at another pace", job)
	held(job, 3, 3)
	plan("another build beside it", job)
	build(job, "v1")
	plan("another pace", job)
	job.TaskGroups[0].Count = new(5)
	plan("more", job)
	job.TaskGroups[0].Count = new(1)
	plan("fewer", job)
	job.TaskGroups[0].Count = new(3)
	job.TaskGroups[0].Tasks[0].Resources.MemoryMB = new(9_000_000)
	plan("more memory than there is", job)
	job.TaskGroups = nil
	plan("no group", job)
	s.say("nothing was registered: version %d", s.current().version)
}

// specIndex is the index of the job's specification, or 0 without a job.
func (s *script) specIndex() uint64 {
	job, _, err := s.vendor.Jobs().Info(s.id, nil)
	if err != nil {
		return 0
	}
	return *job.JobModifyIndex
}

// sayPlacement writes down why there was no room.
func (s *script) sayPlacement(what string, m *nomadapi.AllocationMetric) {
	// The second node is ruled out by a constraint of every job here, and is not
	// looked at while another check drains it.
	other := fmt.Sprintf("${node.unique.name} = %s", s.w.nodes[0])
	filtered := maps.Clone(m.ConstraintFiltered)
	delete(filtered, other)
	s.say("%s: exhausted %d, coalesced %d; by constraint %v; by dimension %v", what, m.NodesExhausted, m.CoalescedFailures, filtered, m.DimensionExhausted)
}

func versionsAndTags(s *script) {
	job := s.job(1)
	s.up(job)
	for i := range 3 {
		build(job, fmt.Sprintf("w%d", i))
		s.up(job)
	}
	list := func() {
		versions, _, _, err := s.vendor.Jobs().Versions(s.id, false, nil)
		must.NoError(s.t, err)
		for _, v := range versions {
			tag := "no tag"
			if v.VersionTag != nil {
				tag = fmt.Sprintf("tag %s %q", v.VersionTag.Name, v.VersionTag.Description)
			}
			s.say("  version %d: build %s, stable %t, %s", *v.Version, v.TaskGroups[0].Tasks[0].Env["VERSION"], *v.Stable, tag)
		}
	}
	list()
	tag := func(version uint64, name string) {
		_, err := s.vendor.Jobs().TagVersion(s.id, version, name, "said so", nil)
		s.say("tag version %d %s: %s", version, name, status(err))
	}
	tag(1, "one")
	tag(1, "one")
	tag(2, "one")
	tag(2, "two")
	tag(99, "no")
	list()
	tagged, _, err := s.vendor.Jobs().VersionByTag(s.id, "two", nil)
	must.NoError(s.t, err)
	s.say("by tag: version %d", *tagged.Version)
	untag := func(name string) {
		_, err := s.vendor.Raw().Delete("/v1/job/"+s.id+"/versions/"+name+"/tag", nil, nil)
		s.say("untag %s: %s", name, status(err))
	}
	untag("one")
	untag("one")
	for i := range 6 {
		build(job, fmt.Sprintf("x%d", i))
		s.up(job)
	}
	s.say("history keeps six versions, and tagged ones beside them:")
	list()
	_, _, _, err = s.vendor.Jobs().Versions(s.id+"-absent", false, nil)
	s.say("of no job: %s", status(err))
}

func reverted(s *script) {
	job := s.job(2)
	s.up(job)
	build(job, "v2")
	s.up(job)
	revert := func(to uint64, prior *uint64) {
		_, _, err := s.vendor.Jobs().Revert(s.id, to, prior, nil, "", "")
		s.say("revert to version %d: %s", to, status(err))
	}
	revert(1, nil)
	revert(99, nil)
	revert(0, new(uint64(7)))
	revert(0, new(uint64(1)))
	s.deployed(2, "successful")
	s.settled(map[uint64]int{2: 2})
	s.say("version 2 runs build %s", s.info().TaskGroups[0].Tasks[0].Env["VERSION"])
}

func stopped(s *script) {
	job := s.job(2)
	s.up(job)
	stop := func(purge bool) {
		eval, _, err := s.vendor.Jobs().Deregister(s.id, purge, nil)
		s.say("stop, purge %t: %s, an evaluation %t", purge, status(err), eval != "")
	}
	state := func() {
		job, _, err := s.vendor.Jobs().Info(s.id, nil)
		if err != nil {
			s.say("read: %s", status(err))
			return
		}
		s.say("read: version %d, stop %t, status %s", *job.Version, *job.Stop, *job.Status)
	}
	ended := func() {
		s.await("instances end", func() bool {
			return !slices.ContainsFunc(s.stubs(s.id), func(a *nomadapi.AllocationListStub) bool { return a.ClientStatus != "complete" })
		})
	}
	stop(false)
	ended()
	s.await("the job is dead", func() bool { return *s.info().Status == "dead" })
	state()
	s.sayAllocs()
	s.sayDeployment()
	_, err := s.adapter.Target(s.ctx(), api.TargetRef{Namespace: "default", Job: s.id, Group: "g"})
	s.say("as a target: not found %t", api.IsCode(err, api.CodeNotFound))
	stop(false)
	s.await("the job is dead again", func() bool { return *s.info().Version == 2 && *s.info().Status == "dead" })
	state()
	s.up(job)
	state()
	s.settled(map[uint64]int{*s.info().Version: 2})
	stop(false)
	ended()
	stop(true)
	state()
	stop(true)
	stop(false)
	s.say("allocations of it are kept: %t", len(s.stubs(s.id)) > 0)
	d, _, err := s.vendor.Jobs().LatestDeployment(s.id, nil)
	must.NoError(s.t, err)
	s.say("a deployment of it: %t", d != nil)
	must.NoError(s.t, s.register(job))
	s.await("it runs anew", func() bool { return s.running(map[uint64]int{0: 2}) })
	state()
}

func scaled(s *script) {
	job := s.job(2)
	s.up(job)
	scale := func(group string, count int) {
		resp, _, err := s.vendor.Jobs().Scale(s.id, group, &count, "because", false, nil, nil)
		s.say("scale %s to %d: %s", group, count, status(err))
		if err == nil {
			s.say("  an evaluation %t", resp.EvalID != "")
		}
	}
	scale("g", 3)
	s.deployed(1, "successful")
	s.settled(map[uint64]int{1: 3})
	scale("g", 1)
	s.deployed(2, "successful")
	s.settled(map[uint64]int{2: 1})
	scale("g", -1)
	scale("absent", 1)
	_, _, err := s.vendor.Jobs().Scale(s.id+"-absent", "g", new(1), "", false, nil, nil)
	s.say("no job: %s", status(err))
	status, _, err := s.vendor.Jobs().ScaleStatus(s.id, nil)
	must.NoError(s.t, err)
	g := status.TaskGroups["g"]
	s.say("status: stopped %t; desired %d, placed %d, running %d, healthy %d, unhealthy %d", status.JobStopped, g.Desired, g.Placed, g.Running, g.Healthy, g.Unhealthy)
	held(job, 1, 0)
	build(job, "v2")
	must.NoError(s.t, s.register(job))
	s.deployed(3, "running")
	scale("g", 4)
	s.sayDeployment()
}

func severalGroups(s *script) {
	job := s.job(2)
	job.TaskGroups = append(job.TaskGroups, group("other", 2))
	s.up(job)
	s.settled(map[uint64]int{0: 4})
	job.TaskGroups[1].Tasks[0].Env["VERSION"] = "v2"
	s.up(job)
	s.settled(map[uint64]int{1: 4})
	s.sayDeployment()
	held(job, 1, 0)
	build(job, "v2")
	must.NoError(s.t, s.register(job))
	s.await("one instance is new, and the other group's are healthy", func() bool {
		return s.running(map[uint64]int{1: 1, 2: 3}) && s.deployment().TaskGroups["other"].HealthyAllocs == 2
	})
	s.deployed(2, "running")
	s.sayAllocs()
	job.TaskGroups = job.TaskGroups[:1]
	must.NoError(s.t, s.register(job))
	s.await("the other group is gone", func() bool {
		return len(slices.DeleteFunc(s.live(), func(a *nomadapi.AllocationListStub) bool { return a.TaskGroup != "other" })) == 0
	})
}

func namespaces(s *script) {
	name := s.id
	_, _, err := s.vendor.Namespaces().Info(name, nil)
	s.say("not there: %s", status(err))
	_, err = s.vendor.Namespaces().Register(&nomadapi.Namespace{Name: name, Description: "for a check", Meta: map[string]string{"a": "b"}}, nil)
	s.say("made: %s", status(err))
	ns, _, err := s.vendor.Namespaces().Info(name, nil)
	must.NoError(s.t, err)
	s.say("read: %s %q %v", ns.Name, ns.Description, ns.Meta)
	job := s.job(1)
	job.Namespace = new(name)
	must.NoError(s.t, s.register(job))
	_, _, err = s.vendor.Jobs().Info(s.id, nil)
	s.say("its job in the default namespace: %s", status(err))
	q := &nomadapi.QueryOptions{Namespace: name}
	s.await("it runs", func() bool {
		d, _, err := s.vendor.Jobs().LatestDeployment(s.id, q)
		must.NoError(s.t, err)
		return d != nil && d.Status == "successful"
	})
	found := func(namespace string) int {
		stubs, _, err := s.vendor.Jobs().List(&nomadapi.QueryOptions{Namespace: namespace, Prefix: s.id})
		must.NoError(s.t, err)
		return len(stubs)
	}
	s.say("listed: %d in default, %d in its own, %d in all", found("default"), found(name), found("*"))
	_, err = s.vendor.Namespaces().Delete(name, nil)
	s.say("removed while a job runs: %t", err == nil)
	all, _, err := s.vendor.Namespaces().List(nil)
	must.NoError(s.t, err)
	s.say("default is listed: %t", slices.ContainsFunc(all, func(n *nomadapi.Namespace) bool { return n.Name == "default" }))
}
