package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestTagVersion_OutlivesTheOthers(t *testing.T) {
	r := newRig(t, 1)
	id := JobID{"default", "web"}
	r.register(web(1, "v0", rolling(1)))
	must.NoError(t, r.TagVersion(id, 0, "keep", "for later"))
	for i := range 10 {
		r.register(web(1, fmt.Sprintf("v%d", i+1), rolling(1)))
	}
	versions, err := r.Versions(id)
	must.NoError(t, err)
	must.Len(t, trackedVersions+1, versions)
	must.Eq(t, 0, versions[trackedVersions].Version)
	must.Eq(t, "keep", versions[trackedVersions].Tag.Name)
	must.ErrorContains(t, r.TagVersion(id, 10, "keep", ""), "already exists on a different version")
	must.NoError(t, r.TagVersion(id, 0, "keep", "again"))
	must.NoError(t, r.UntagVersion(id, "keep"))
	versions, err = r.Versions(id)
	must.NoError(t, err)
	must.Len(t, trackedVersions, versions)
	must.True(t, api.IsCode(r.UntagVersion(id, "keep"), api.CodeNotFound))
	must.True(t, api.IsCode(r.TagVersion(id, 0, "late", ""), api.CodeNotFound))
}

func TestStopAndPurge(t *testing.T) {
	r := newRig(t, 1)
	id := JobID{"default", "web"}
	r.settled(3, rolling(3))
	_, err := r.Deregister(id, false)
	must.NoError(t, err)
	r.pass(time.Second)
	must.SliceEmpty(t, r.Instances(ref()))
	must.Eq(t, "dead", r.Status(id))
	j, err := r.Job(id)
	must.NoError(t, err)
	must.True(t, j.Stopped)
	_, err = r.Deregister(id, true)
	must.NoError(t, err)
	_, err = r.Job(id)
	must.True(t, api.IsCode(err, api.CodeNotFound))
	must.SliceEmpty(t, r.JobIDs())
	must.Len(t, 3, r.Allocs(id), must.Sprint("what ended can still be read"))
	r.pass(2 * time.Hour)
	must.SliceEmpty(t, r.Allocs(id))
	again := r.register(web(2, "v1", rolling(2)))
	must.Eq(t, 0, again.Version, must.Sprint("it is another job"))
	r.pass(time.Minute)
	must.Len(t, 2, r.Instances(ref()))
}

func TestDeregister_PurgesWhileADeploymentHolds(t *testing.T) {
	r := newRig(t, 1)
	r.settled(3, rolling(3))
	r.register(web(3, "v2", held(1, 0)))
	r.pass(time.Second)
	d := r.latest()
	_, err := r.Deregister(JobID{"default", "web"}, true)
	must.NoError(t, err)
	r.register(web(3, "v3", rolling(3))) // before the scheduler has looked
	r.pass(time.Minute)
	must.Eq(t, map[string]int{"v3": 3}, r.images())
	_, err = r.Deployment(d.ID)
	must.True(t, api.IsCode(err, api.CodeNotFound))
}

func TestRegister_ReplacesInstancesForAnotherSpecification(t *testing.T) {
	same := func(*Job) {}
	cases := map[string]struct {
		change   func(*Job)
		replaced bool
	}{
		"nothing":      {same, false},
		"the services": {func(j *Job) { j.Groups[0].Services = []Service{{Name: "web"}} }, false},
		"the pace":     {func(j *Job) { j.Groups[0].Update = rolling(7) }, false},
		"an image":     {func(j *Job) { j.Groups[0].Tasks[0].Config["image"] = "v2" }, true},
		"job meta":     {func(j *Job) { j.Meta = map[string]string{"a": "b"} }, true},
		"environment":  {func(j *Job) { j.Groups[0].Tasks[0].Env = map[string]string{"A": "b"} }, true},
		"anything":     {func(j *Job) { j.Groups[0].Other = "x" }, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1)
			r.settled(5, rolling(5))
			before := r.ids()
			next := web(5, "v1", rolling(5))
			c.change(&next)
			plan, err := r.Plan(next)
			must.NoError(t, err)
			r.register(next)
			r.pass(time.Second)
			kept := 5
			if c.replaced {
				kept = 0
			}
			must.Eq(t, kept, shared(before, r.ids()))
			must.Eq(t, 5-kept, plan.Groups["g"].Destructive)
		})
	}
}

func TestPlan_TellsWhatARegistrationDoes(t *testing.T) {
	r := newRig(t, 3)
	plan, err := r.Plan(web(3, "v1", rolling(3)))
	must.NoError(t, err)
	must.Eq(t, PlannedGroup{Place: 3}, plan.Groups["g"])
	must.Zero(t, plan.ModifyIndex)
	r.settled(10, rolling(10))
	index, used := r.Index(), r.Nodes()[0].UsedMB
	for name, c := range map[string]struct {
		job  Job
		want PlannedGroup
	}{
		"the update block alone": {web(10, "v1", held(1, 0)), PlannedGroup{InPlace: 10}},
		"in place":               {web(10, "v2", held(4, 0)), PlannedGroup{Destructive: 4, Ignore: 6}},
		"beside":                 {web(10, "v2", held(3, 3)), PlannedGroup{Canary: 3, Ignore: 10}},
		"fewer":                  {web(7, "v1", rolling(10)), PlannedGroup{Stop: 3, InPlace: 7}},
		"more":                   {web(12, "v1", rolling(10)), PlannedGroup{Place: 2, InPlace: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := r.Plan(c.job)
			must.NoError(t, err)
			must.Eq(t, c.want, plan.Groups["g"])
			must.True(t, plan.New)
			must.Eq(t, index, r.Index(), must.Sprint("a dry run changes nothing"))
			must.Eq(t, used, r.Nodes()[0].UsedMB)
		})
	}
}

func TestEvents_TellOfEveryChange(t *testing.T) {
	r := newRig(t, 1)
	from := r.Index()
	r.settled(2, rolling(2))
	list, whole := r.Events(from)
	must.True(t, whole)
	topics := map[string]int{}
	last := from
	for _, e := range list {
		topics[e.Topic]++
		must.GreaterEq(t, last, e.Index)
		last = e.Index
	}
	for _, topic := range []string{TopicJob, TopicAllocation, TopicDeployment, TopicEvaluation} {
		must.Positive(t, topics[topic], must.Sprint(topic))
	}
	for range 3 * keptEvents {
		must.NoError(t, r.SetEligibility(r.Nodes()[0].ID, r.Nodes()[0].Ineligible))
	}
	_, whole = r.Events(from)
	must.False(t, whole, must.Sprint("some are no longer kept"))
	list, whole = r.Events(r.Index() - 5)
	must.True(t, whole)
	must.Len(t, 5, list)
}

func TestFleet_LetsOthersChangeJobs(t *testing.T) {
	r := newRig(t, 3)
	r.settled(4, rolling(4))
	r.Autoscale(Autoscaler{Target: ref(), Every: time.Minute, Want: func(_ time.Time, n int) int { return n + 1 }})
	r.pass(150 * time.Second)
	must.Len(t, 6, r.Instances(ref()))
	r.register(web(6, "v2", held(1, 0)))
	r.pass(10 * time.Minute)
	must.Len(t, 6, r.Instances(ref()), must.Sprint("blocked by the deployment"))
	r.Deliver(Pipeline{Job: JobID{"default", "web"}, Every: time.Hour, Next: func(now time.Time, j Job) Job {
		return web(j.Groups[0].Count, "of "+now.Format("15:04"), rolling(10))
	}})
	r.pass(time.Hour + time.Minute)
	must.Eq(t, map[string]int{"of 10:13": len(r.Instances(ref()))}, r.images())
}

// TestRegister_TakesAChangedCopy: a copy of the registered job, whose digest is known, is
// another job once it is changed.
func TestRegister_TakesAChangedCopy(t *testing.T) {
	f := New(1, time.Unix(0, 0))
	job := Job{JobID: JobID{Namespace: "default", ID: "web"}, Groups: []Group{{Name: "g", Count: 1, Tasks: []Task{{Name: "main", Env: map[string]string{"A": "1"}}}}}}
	first, err := f.Register(job, true, 0)
	must.NoError(t, err)
	must.NotEq(t, "", first.Job.Digest())
	changed := *first.Job
	changed.Groups = []Group{{Name: "g", Count: 1, Tasks: []Task{{Name: "main", Env: map[string]string{"A": "2"}}}}}
	second, err := f.Register(changed, false, 0)
	must.NoError(t, err)
	must.True(t, second.New)
	must.NotEq(t, first.Job.Digest(), second.Job.Digest())
}

// TestKeepCounts_LeavesOthersTheScaling: a registration keeps the present counts of the
// groups that are there, shares nothing with the job that was given, and a count alone is
// another version and the same build.
func TestKeepCounts_LeavesOthersTheScaling(t *testing.T) {
	f := New(1, time.Unix(0, 0))
	group := func(name string, count int) Group {
		return Group{Name: name, Count: count, Tasks: []Task{{Name: "main"}}}
	}
	job := Job{JobID: JobID{Namespace: "default", ID: "web"}, Groups: []Group{group("a", 2), group("b", 3)}}
	first, err := f.Register(job, true, 0)
	must.NoError(t, err)
	scaled := *first.Job
	scaled.Groups = []Group{group("a", 5), group("b", 7)}
	second, err := f.Register(scaled, false, 0)
	must.NoError(t, err)
	must.True(t, second.New)
	must.Eq(t, first.Job.Digest(), second.Job.Digest())

	next := job
	next.Groups = []Group{group("a", 2), group("b", 3), group("c", 1)}
	given := next.Groups
	f.KeepCounts(&next)
	must.Eq(t, []int{5, 7, 1}, []int{next.Groups[0].Count, next.Groups[1].Count, next.Groups[2].Count})
	must.Eq(t, 2, given[0].Count)
	fresh := Job{JobID: JobID{Namespace: "default", ID: "other"}, Groups: []Group{group("a", 4)}}
	f.KeepCounts(&fresh)
	must.Eq(t, 4, fresh.Groups[0].Count)
}
