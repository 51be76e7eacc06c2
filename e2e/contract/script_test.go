package contract

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/internal/wait"
)

// script is one check as it goes on: it does something, waits until something is
// so, and writes down what it sees.
type script struct {
	t       *testing.T
	w       world
	id      string // of its job; others of its own begin with it
	said    bytes.Buffer
	vendor  *nomadapi.Client
	adapter *nomad.Client
	consul  *consulapi.Client
	names   map[string]string // what stands for an ID in the transcript
}

func newScript(t *testing.T, w world, c check) *script {
	t.Helper()
	s := &script{t: t, w: w, names: map[string]string{}}
	s.id = "ct-" + c.area + "-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(c.name))
	s.names[s.id] = "JOB"
	var err error
	s.vendor, err = nomadapi.NewClient(&nomadapi.Config{Address: w.nomad, SecretID: w.nomadToken})
	must.NoError(t, err)
	s.adapter, err = nomad.New(nomad.Config{Address: w.nomad, Token: func() string { return w.nomadToken }})
	must.NoError(t, err)
	s.consul, err = consulapi.NewClient(&consulapi.Config{Address: w.consul, Token: w.consulToken})
	must.NoError(t, err)
	return s
}

func (s *script) ctx() context.Context { return context.WithoutCancel(s.t.Context()) }

// say writes down a line; IDs and what changes from run to run are replaced.
func (s *script) say(format string, args ...any) {
	s.said.WriteString(s.plain(fmt.Sprintf(format, args...)) + "\n")
}

// plain replaces the IDs that have names.
func (s *script) plain(text string) string {
	// The longest first: one name may begin another.
	known := make([]string, 0, len(s.names))
	for id := range s.names {
		known = append(known, id)
	}
	slices.SortFunc(known, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, id := range known {
		text = strings.ReplaceAll(text, id, s.names[id])
	}
	return text
}

var (
	uuid   = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	number = regexp.MustCompile(`\d+`)
)

// status is an error as a caller sees it: its HTTP status and text, with
// indexes and IDs left out.
func status(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := err.(nomadapi.UnexpectedResponseError); ok { //nolint:errorlint // the vendor's client returns it bare
		text := uuid.ReplaceAllString(strings.TrimSpace(e.Body()), "ID")
		return fmt.Sprintf("%d %s", e.StatusCode(), number.ReplaceAllString(text, "N"))
	}
	return err.Error()
}

// until waits for a condition and writes down that it came about.
func (s *script) until(what string, ok func() bool) {
	s.t.Helper()
	s.await(what, ok)
	s.say("then %s", what)
}

// await waits for a condition.
func (s *script) await(what string, ok func() bool) {
	s.t.Helper()
	wait.Within(s.t, s.w.patience, func() string {
		return fmt.Sprintf("%s; instead:\n%s\nso far:\n%s", what, s.snapshot(), s.said.String())
	}, ok)
}

// snapshot is for a person whose check does not go on.
func (s *script) snapshot() string {
	var b strings.Builder
	b.WriteString(s.allocs(s.id))
	if d := s.deployment(); d != nil {
		fmt.Fprintf(&b, "\n%s %q %+v", d.Status, d.StatusDescription, d.TaskGroups["g"])
	}
	return b.String()
}

// job is a job of count cheap instances that do nothing, on the first node.
func (s *script) job(count int) *nomadapi.Job {
	job := nomadapi.NewServiceJob(s.id, s.id, "global", 50)
	job.Datacenters = []string{"*"}
	job.Constraints = []*nomadapi.Constraint{nomadapi.NewConstraint("${node.unique.name}", "=", s.w.nodes[0])}
	job.TaskGroups = []*nomadapi.TaskGroup{group("g", count)}
	return job
}

// group is a group of such instances. An instance that ends is not started again
// by its client, and by Nomad after five seconds.
func group(name string, count int) *nomadapi.TaskGroup {
	g := nomadapi.NewTaskGroup(name, count)
	task := nomadapi.NewTask("main", "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", []string{"-c", "exec sleep 100000"})
	task.Env = map[string]string{"VERSION": "v1"}
	task.Resources = &nomadapi.Resources{CPU: new(10), MemoryMB: new(10)}
	task.LogConfig = &nomadapi.LogConfig{Disabled: new(true)}
	task.KillTimeout = new(time.Second)
	g.Tasks = []*nomadapi.Task{task}
	g.RestartPolicy = &nomadapi.RestartPolicy{Attempts: new(0), Interval: new(time.Minute), Delay: new(time.Second), Mode: new("fail")}
	g.ReschedulePolicy = &nomadapi.ReschedulePolicy{
		Delay: new(5 * time.Second), DelayFunction: new("constant"), Unlimited: new(true), Attempts: new(0), Interval: new(time.Duration(0)),
	}
	g.Update = &nomadapi.UpdateStrategy{
		MaxParallel: new(1), MinHealthyTime: new(100 * time.Millisecond), HealthCheck: new("task_states"),
		HealthyDeadline: new(time.Minute), ProgressDeadline: new(2 * time.Minute),
	}
	return g
}

// held makes a job's group wait for people to call instances healthy.
func held(job *nomadapi.Job, parallel, canaries int) {
	job.TaskGroups[0].Update = &nomadapi.UpdateStrategy{
		MaxParallel: new(parallel), Canary: new(canaries), HealthCheck: new("manual"), MinHealthyTime: new(time.Second),
		HealthyDeadline: new(time.Minute), ProgressDeadline: new(time.Duration(0)), AutoRevert: new(false), AutoPromote: new(false),
	}
}

// build makes a job's first task another build.
func build(job *nomadapi.Job, version string) { job.TaskGroups[0].Tasks[0].Env["VERSION"] = version }

// crashing makes a job's first task end by itself after a while.
func crashing(job *nomadapi.Job, after string) {
	task := job.TaskGroups[0].Tasks[0]
	task.Config["args"] = []string{"-c", "sleep " + after + "; exit 7"}
	task.Env["CRASH_AFTER"] = after
	// It crashes before it is called healthy, and nothing waits for another try.
	u := job.TaskGroups[0].Update
	u.MinHealthyTime, u.ProgressDeadline = new(5*time.Second), new(time.Duration(0))
}

// register is the plain way, without compare-and-set. The job ends with the test.
func (s *script) register(job *nomadapi.Job) error {
	s.t.Helper()
	_, _, err := s.vendor.Jobs().Register(job, s.in(job))
	s.end(job)
	return err
}

func (s *script) in(job *nomadapi.Job) *nomadapi.WriteOptions {
	return &nomadapi.WriteOptions{Namespace: cmp.Or(deref(job.Namespace), "default")}
}

// end stops the job when the test ends. Nomad forgets it with the stack.
func (s *script) end(job *nomadapi.Job) {
	id, namespace := *job.ID, s.in(job)
	s.t.Cleanup(func() {
		_, _, err := s.vendor.Jobs().Deregister(id, false, namespace)
		if e, ok := err.(nomadapi.UnexpectedResponseError); ok && e.StatusCode() == 404 { //nolint:errorlint // the vendor's client returns it bare
			return
		}
		must.NoError(s.t, err)
	})
}

// up registers a job and waits until its deployment is over.
func (s *script) up(job *nomadapi.Job) {
	s.t.Helper()
	must.NoError(s.t, s.register(job))
	s.await("the job runs", func() bool {
		d := s.deployment()
		return d != nil && d.JobVersion == s.current().version && d.Status == "successful"
	})
}

// known is what is compared of a registered job.
type known struct{ version, modify, spec uint64 }

func (s *script) current() known {
	s.t.Helper()
	job, _, err := s.vendor.Jobs().Info(s.id, nil)
	must.NoError(s.t, err)
	return known{*job.Version, *job.ModifyIndex, *job.JobModifyIndex}
}

func (s *script) info() *nomadapi.Job {
	s.t.Helper()
	job, _, err := s.vendor.Jobs().Info(s.id, nil)
	must.NoError(s.t, err)
	return job
}

func (s *script) deployment() *nomadapi.Deployment {
	s.t.Helper()
	d, _, err := s.vendor.Jobs().LatestDeployment(s.id, nil)
	must.NoError(s.t, err)
	return d
}

// deployed waits until the latest deployment is of the given version and has the
// given status.
func (s *script) deployed(version uint64, status string) {
	s.t.Helper()
	s.await(fmt.Sprintf("the deployment of version %d is %s", version, status), func() bool {
		d := s.deployment()
		return d != nil && d.JobVersion == version && d.Status == status
	})
	s.sayDeployment()
}

// sayDeployment writes down the latest deployment.
func (s *script) sayDeployment() {
	s.t.Helper()
	d := s.deployment()
	if d == nil {
		s.say("no deployment")
		return
	}
	s.say("deployment of version %d is %s: %s", d.JobVersion, d.Status, d.StatusDescription)
	for _, name := range slices.Sorted(maps.Keys(d.TaskGroups)) {
		g := d.TaskGroups[name]
		s.say("  %s: desired %d, placed %d, healthy %d, unhealthy %d, canaries %d of %d, promoted %t, auto revert %t",
			name, g.DesiredTotal, g.PlacedAllocs, g.HealthyAllocs, g.UnhealthyAllocs, len(g.PlacedCanaries), g.DesiredCanaries, g.Promoted, g.AutoRevert)
	}
}

// stubs are all allocations of a job, by name and age. Each gets a name.
func (s *script) stubs(id string) []*nomadapi.AllocationListStub {
	s.t.Helper()
	list, _, err := s.vendor.Jobs().Allocations(id, false, nil)
	must.NoError(s.t, err)
	slices.SortFunc(list, func(a, b *nomadapi.AllocationListStub) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.CreateIndex, b.CreateIndex), strings.Compare(a.ID, b.ID))
	})
	for i, n := 0, 0; i < len(list); i++ {
		if n++; i == 0 || list[i-1].Name != list[i].Name {
			n = 1
		}
		short := strings.TrimPrefix(list[i].Name, id+".")
		s.names[list[i].ID] = fmt.Sprintf("%s#%d", short, n)
	}
	return list
}

// live are those that Nomad wants to run and that do.
func (s *script) live() []*nomadapi.AllocationListStub {
	s.t.Helper()
	return slices.DeleteFunc(s.stubs(s.id), func(a *nomadapi.AllocationListStub) bool {
		return a.DesiredStatus != "run" || a.ClientStatus != "running"
	})
}

// running is whether just so many live instances run each version, nothing is
// about to start or stop, and no other version runs.
func (s *script) running(versions map[uint64]int) bool {
	s.t.Helper()
	have := map[uint64]int{}
	for _, a := range s.stubs(s.id) {
		switch {
		case a.DesiredStatus == "run" && a.ClientStatus == "running":
			have[a.JobVersion]++
		case a.ClientStatus == "pending" || a.ClientStatus == "running":
			return false
		}
	}
	for v, n := range versions {
		if have[v] != n {
			return false
		}
		delete(have, v)
	}
	return len(have) == 0
}

// settled waits for running, and until clients have said of every instance that
// it is healthy, where they are the ones who say so. It writes down every
// allocation.
func (s *script) settled(versions map[uint64]int) {
	s.t.Helper()
	s.await(fmt.Sprintf("instances by version: %v", versions), func() bool { return s.running(versions) && s.judged() })
	s.sayAllocs()
}

// judged reports whether no client has yet to say how a live instance is.
func (s *script) judged() bool {
	s.t.Helper()
	return !slices.ContainsFunc(s.live(), func(stub *nomadapi.AllocationListStub) bool {
		if d := stub.DeploymentStatus; d != nil && d.Healthy != nil {
			return false
		}
		a, _, err := s.vendor.Allocations().Info(stub.ID, nil)
		must.NoError(s.t, err)
		u := a.Job.LookupTaskGroup(a.TaskGroup).Update
		return a.DeploymentID != "" && u != nil && deref(u.HealthCheck) != "manual"
	})
}

func (s *script) sayAllocs() {
	s.t.Helper()
	s.say("%s", s.allocs(s.id))
}

// allocs is a line for each allocation of a job.
func (s *script) allocs(id string) string {
	s.t.Helper()
	var lines []string
	for _, a := range s.stubs(id) {
		words := []string{fmt.Sprintf("  %s v%d %s/%s", a.ID, a.JobVersion, a.DesiredStatus, a.ClientStatus)}
		if d := a.DeploymentStatus; d != nil {
			if d.Healthy != nil {
				words = append(words, map[bool]string{true: "healthy", false: "unhealthy"}[*d.Healthy])
			}
			if d.Canary {
				words = append(words, "canary")
			}
		}
		if a.NextAllocation != "" {
			words = append(words, "followed by "+a.NextAllocation)
		}
		if a.DesiredDescription != "" {
			words = append(words, "("+a.DesiredDescription+")")
		}
		lines = append(lines, s.plain(strings.Join(words, " ")))
	}
	return strings.Join(lines, "\n")
}

// move is a rollout of the script's job to the build v2.
func (s *script) move() rollout.Move {
	s.t.Helper()
	m := rollout.Move{
		Target: api.TargetRef{Namespace: "default", Job: s.id, Group: "g"}, Rollout: "r-1",
		Apply: []api.Apply{{Kind: api.ApplyJob, Task: "main", Env: map[string]string{"VERSION": "v2"}}},
	}
	var err error
	m.Former, err = s.adapter.Capture(s.ctx(), m.Target)
	must.NoError(s.t, err)
	return m
}

func (s *script) view(m rollout.Move) *rollout.JobView {
	s.t.Helper()
	v, err := s.adapter.View(s.ctx(), m)
	must.NoError(s.t, err)
	return v
}

// viewed waits for a view and writes it down.
func (s *script) viewed(m rollout.Move, what string, ok func(*rollout.JobView) bool) {
	s.t.Helper()
	var v *rollout.JobView
	s.await(what, func() bool {
		// A view is made of several reads, and a deployment begins a moment after the
		// version that it is of.
		d, version := s.deployment(), s.current().version
		v = s.view(m)
		if !ok(v) || d == nil || d.JobVersion != version {
			return false
		}
		v = s.view(m)
		return ok(v)
	})
	n := v.Tally()
	s.say("view: build %s, pace %s, promoted %t, settled %t, tagged %t; former %d (%d healthy), patched %d (%d healthy), foreign %d",
		v.Build, v.Pace, v.Promoted, v.Settled, s.tagged(m), n.Former, formerHealthy(v), n.Patched, n.PatchedHealthy, n.Foreign)
}

// tagged reports whether a version of the job has the rollout's tag.
func (s *script) tagged(m rollout.Move) bool {
	s.t.Helper()
	versions, _, _, err := s.vendor.Jobs().Versions(m.Target.Job, false, nil)
	must.NoError(s.t, err)
	return slices.ContainsFunc(versions, func(j *nomadapi.Job) bool { return j.VersionTag != nil && j.VersionTag.Name == m.TagName() })
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

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
