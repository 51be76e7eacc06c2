package fleet

import (
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// loaded is a fleet whose web calls db, and gets 100 requests/s.
func loaded(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, 3)
	must.NoError(t, r.Load(load.Topology{Services: []load.Service{
		{Name: "web", Rate: 100, Calls: []load.Call{{To: "db"}}}, {Name: "db"},
	}}))
	must.ErrorContains(t, r.Load(load.Topology{Services: []load.Service{{}}}), "has no name")
	j := web(4, "web:1", held(1, 0))
	j.Groups[0].Services = []Service{{Name: "elsewhere"}, {Name: "web"}}
	r.register(j)
	j.JobID, j.Groups[0].Services = JobID{"default", "db"}, []Service{{Name: "db"}}
	r.register(j)
	r.pass(time.Minute)
	return r
}

// did is how many requests an instance has in a while, and how many of them fail.
func (r *rig) did(id string, while time.Duration) (requests, errors float64) {
	r.t.Helper()
	in, ok := r.Loads().Instance(id)
	must.True(r.t, ok)
	before, ok := r.Loads().At(in, r.Now())
	must.True(r.t, ok)
	r.pass(while)
	after, ok := r.Loads().At(in, r.Now())
	must.True(r.t, ok)
	return after.Requests - before.Requests, after.Errors - before.Errors
}

func TestLoad_IsSharedByInstances(t *testing.T) {
	t.Parallel()
	r := loaded(t)
	one := r.Instances(ref())[0]
	requests, _ := r.did(one.ID, time.Minute)
	must.Less(t, 300, math.Abs(requests-1500))
	must.NoError(t, r.LoseNode(one.Node.ID))
	other := r.Instances(ref())[1]
	must.NotEq(t, one.Node.ID, other.Node.ID)
	requests, _ = r.did(other.ID, 15*time.Second) // before Nomad knows
	_, _, ok := r.Usage(one.ID)
	must.False(t, ok, must.Sprint("it went with its node"))
	must.Between(t, 1.15*375, requests, 2.3*375, must.Sprint("fewer instances share the requests"))
	must.NoError(t, r.ReturnNode(one.Node.ID))
	r.pass(time.Second)
	cores, bytes, ok := r.Usage(r.Instances(ref())[0].ID)
	must.True(t, ok)
	must.Between(t, 0.01, cores, 0.2)
	must.Between(t, 100<<20, bytes, 160<<20)
}

// TestHarm_FollowsTheBuild: instances of the bad build fail, and so do those who
// call them; the others of the group do not. It ends with the build.
func TestHarm_FollowsTheBuild(t *testing.T) {
	t.Parallel()
	r := loaded(t)
	r.Behave(func(b Build) Behaviour {
		if b.Target.Job == "db" && b.Group.Tasks[0].Image() == "web:2" {
			return Behaviour{Harm: load.Harm{Errors: 0.4, After: 10 * time.Second, Above: 5}}
		}
		return Behaviour{}
	})
	db := api.TargetRef{Namespace: "default", Job: "db", Group: "g"}
	bad := func(n int) {
		j := web(4, "web:2", held(n, 0))
		j.JobID, j.Groups[0].Services = JobID{"default", "db"}, []Service{{Name: "db"}}
		r.register(j)
		r.pass(2 * time.Minute)
	}
	bad(1)
	for _, a := range r.Instances(db) {
		requests, errors := r.did(a.ID, time.Minute)
		if a.Group.Tasks[0].Image() == "web:2" {
			must.Between(t, 0.3, errors/requests, 0.5)
		} else {
			must.Less(t, 0.02, errors/requests)
		}
	}
	requests, errors := r.did(r.Instances(ref())[0].ID, time.Minute)
	must.Between(t, 0.06, errors/requests, 0.14, must.Sprint("a quarter of db fails two requests of five"))
	bad(3)
	j := web(4, "web:1", held(4, 0))
	j.JobID, j.Groups[0].Services = JobID{"default", "db"}, []Service{{Name: "db"}}
	r.register(j)
	r.pass(2 * time.Minute)
	requests, errors = r.did(r.Instances(ref())[0].ID, time.Minute)
	must.Less(t, 0.02, errors/requests)
}
