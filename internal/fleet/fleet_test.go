package fleet

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// rig is a fleet under test.
type rig struct {
	*Fleet
	t *testing.T
}

func start() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }

// newRig is a fleet of some nodes with much room.
func newRig(t *testing.T, nodes int) *rig {
	t.Helper()
	f := New(1, start())
	for range nodes {
		f.AddNode(Node{CPU: 100_000, MemoryMB: 100_000})
	}
	return &rig{Fleet: f, t: t}
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) { r.Advance(r.Now().Add(d)) }

// web is a job of one group whose image is given.
func web(count int, image string, u *Update) Job {
	return Job{JobID: JobID{"default", "web"}, Groups: []Group{{
		Name: "g", Count: count, Update: u,
		Tasks: []Task{{Name: "main", Driver: "docker", Config: map[string]any{"image": image}}},
	}}}
}

// held is an update block under which nothing goes on by itself.
func held(parallel, canaries int) *Update {
	return &Update{MaxParallel: parallel, Canary: canaries, HealthCheck: HealthManual}
}

// rolling is an update block of Nomad's own kind.
func rolling(parallel int) *Update {
	return &Update{
		MaxParallel: parallel, MinHealthyTime: 10 * time.Second, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute,
	}
}

// register registers a job over the present one.
func (r *rig) register(j Job) *Job {
	r.t.Helper()
	done, err := r.Register(j, false, 0)
	must.NoError(r.t, err)
	return done.Job
}

func ref() api.TargetRef { return api.TargetRef{Namespace: "default", Job: "web", Group: "g"} }

// images counts the current instances of web by image.
func (r *rig) images() map[string]int {
	out := map[string]int{}
	for _, a := range r.Instances(ref()) {
		out[a.Group.Tasks[0].Image()]++
	}
	return out
}

// ids are those of the current instances of web.
func (r *rig) ids() map[string]bool {
	out := map[string]bool{}
	for _, a := range r.Instances(ref()) {
		out[a.ID] = true
	}
	return out
}

func shared(a, b map[string]bool) int {
	n := 0
	for id := range a {
		if b[id] {
			n++
		}
	}
	return n
}

func (r *rig) latest() *Deployment { return r.Latest(JobID{"default", "web"}) }

// settled brings a job of n instances of image v1 to rest.
func (r *rig) settled(n int, u *Update) {
	r.t.Helper()
	r.register(web(n, "v1", u))
	r.pass(time.Minute)
	must.Eq(r.t, map[string]int{"v1": n}, r.images())
	must.Eq(r.t, DeploySuccessful, r.latest().Status)
}

func TestDeployment_HoldsStagesExactly(t *testing.T) {
	r := newRig(t, 3)
	r.settled(10, rolling(10))
	want := 0
	for _, delta := range []int{1, 4, 5} {
		want += delta
		before := r.ids()
		u := held(delta, 0)
		u.Stagger = time.Duration(want)
		r.register(web(10, "v2", u))
		r.pass(time.Hour)
		must.Eq(t, want, r.images()["v2"])
		must.Eq(t, 10-delta, shared(before, r.ids()), must.Sprint("those that run it already are updated in place"))
		must.Eq(t, DeployRunning, r.latest().Status)
	}
	var all []string
	for id := range r.ids() {
		all = append(all, id)
	}
	must.NoError(t, r.SetAllocHealth(r.latest().ID, all, nil))
	r.pass(time.Second)
	must.Eq(t, DeploySuccessful, r.latest().Status)
	j, err := r.Job(JobID{"default", "web"})
	must.NoError(t, err)
	must.True(t, j.Stable)
}

func TestDeployment_TakesTurnsInARollingUpdate(t *testing.T) {
	r := newRig(t, 3)
	r.settled(4, rolling(4))
	r.register(web(4, "v2", rolling(1)))
	r.pass(5 * time.Second)
	must.Eq(t, 1, r.images()["v2"])
	r.pass(12 * time.Second)
	must.Eq(t, 2, r.images()["v2"])
	r.pass(time.Minute)
	must.Eq(t, map[string]int{"v2": 4}, r.images())
	must.Eq(t, DeploySuccessful, r.latest().Status)
}

func TestDeployment_KeepsCanariesUntilTheirPromotion(t *testing.T) {
	r := newRig(t, 3)
	r.settled(5, rolling(5))
	before := r.ids()
	r.register(web(5, "v2", held(5, 5)))
	r.pass(time.Hour)
	must.Eq(t, map[string]int{"v1": 5, "v2": 5}, r.images())
	must.ErrorContains(t, r.PromoteDeployment(r.latest().ID), "0/5 healthy")
	must.NoError(t, r.SetAllocHealth(r.latest().ID, r.latest().Groups["g"].PlacedCanaries, nil))
	must.NoError(t, r.PromoteDeployment(r.latest().ID))
	r.pass(time.Second)
	must.Eq(t, map[string]int{"v2": 5}, r.images())
	must.Eq(t, 0, shared(before, r.ids()))
	must.Eq(t, DeploySuccessful, r.latest().Status)
}

func TestDeployment_TakesItsCanariesAlongWhenItFails(t *testing.T) {
	r := newRig(t, 3)
	r.settled(5, rolling(5))
	before := r.ids()
	r.register(web(5, "v2", held(5, 2)))
	r.pass(time.Second)
	must.Eq(t, 2, r.images()["v2"])
	must.NoError(t, r.Crash(r.latest().Groups["g"].PlacedCanaries[0], "Exceeded allowed attempts"))
	r.pass(time.Second)
	must.Eq(t, DeployFailed, r.latest().Status)
	must.Eq(t, before, r.ids())
}

func TestCompareAndSet(t *testing.T) {
	r := newRig(t, 1)
	r.settled(1, rolling(1))
	j, err := r.Job(JobID{"default", "web"})
	must.NoError(t, err)
	_, err = r.Register(web(1, "v2", nil), true, j.ModifyIndex+1)
	must.True(t, api.IsCode(err, api.CodeConflict))
	must.ErrorContains(t, err, "job exists with conflicting job modify index")
	_, err = r.Register(web(1, "v2", nil), true, 0)
	must.ErrorContains(t, err, "job already exists")
	done, err := r.Register(web(1, "v2", nil), true, j.ModifyIndex)
	must.NoError(t, err)
	must.True(t, done.New)
	must.Greater(t, j.ModifyIndex, done.Job.ModifyIndex)
	again, err := r.Register(web(1, "v2", nil), true, done.Job.ModifyIndex)
	must.NoError(t, err)
	must.False(t, again.New, must.Sprint("an identical registration is no new version"))
}
