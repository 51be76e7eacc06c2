package mesh

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

func start() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }

func target() api.TargetRef {
	return api.TargetRef{Namespace: "default", Job: "web", Group: "g"}
}

func web(count int, image string) fleet.Job {
	return fleet.Job{JobID: fleet.JobID{Namespace: "default", ID: "web"}, Groups: []fleet.Group{{
		Name: "g", Count: count, Update: &fleet.Update{MaxParallel: 1, HealthCheck: fleet.HealthManual}, Ports: []string{"http"},
		Services: []fleet.Service{
			{Name: "web", Port: "http", Checked: true, Connect: true, Upstreams: []string{"db"}, Tags: []string{"a"}},
			{Name: "inner", Provider: "nomad"},
		},
		Tasks: []fleet.Task{{Name: "main", Driver: "docker", Config: map[string]any{"image": image}}},
	}}}
}

// rig is a fleet of three nodes with three instances of web, which take ten
// seconds to answer.
func rig(t *testing.T) (*fleet.Fleet, *Mesh) {
	t.Helper()
	f := fleet.New(1, start())
	for range 3 {
		f.AddNode(fleet.Node{CPU: 10_000, MemoryMB: 10_000})
	}
	f.Behave(func(fleet.Build) fleet.Behaviour { return fleet.Behaviour{Boot: 10 * time.Second} })
	m := New(f)
	register(t, f, web(3, "web:1"))
	f.Advance(start().Add(5 * time.Second))
	return f, m
}

func register(t *testing.T, f *fleet.Fleet, j fleet.Job) {
	t.Helper()
	_, err := f.Register(j, false, 0)
	must.NoError(t, err)
}

// status counts the checks of web by what they say.
func (m *Mesh) status(service string) map[string]int {
	out := map[string]int{}
	for _, r := range m.Registrations(service) {
		worst := Passing
		for _, c := range m.Checks(r) {
			if c.Status != Passing {
				worst = c.Status
			}
		}
		out[worst]++
	}
	return out
}

func TestMesh_RegistersInstancesWhileTheyRun(t *testing.T) {
	t.Parallel()
	f, m := rig(t)
	must.Eq(t, []string{"web", "web-sidecar-proxy"}, slices.Sorted(maps.Keys(m.Services())))
	must.Eq(t, map[string]int{Critical: 3}, m.status("web"))
	catalog, checks := f.TableIndex(fleet.TableCatalog), f.TableIndex(fleet.TableChecks)
	f.Advance(start().Add(time.Minute))
	must.Eq(t, map[string]int{Passing: 3}, m.status("web"))
	must.Eq(t, catalog, f.TableIndex(fleet.TableCatalog), must.Sprint("a check is no registration"))
	must.Greater(t, checks, f.TableIndex(fleet.TableChecks))

	proxy := m.Registrations("web-sidecar-proxy")[0]
	must.Eq(t, KindProxy, proxy.Kind)
	must.Eq(t, "web", proxy.ProxyFor)
	must.Eq(t, []string{"db"}, proxy.Upstreams)
	one := m.Registrations("web")[0]
	must.Eq(t, one.ID+"-sidecar-proxy", proxy.ID)
	must.Positive(t, one.Port)

	t.Log("an update in place registers nothing anew, one of the services does")
	register(t, f, web(4, "web:1"))
	f.Advance(start().Add(61 * time.Second))
	must.Eq(t, one, m.Registrations("web")[slices.IndexFunc(m.Registrations("web"), func(r *Registration) bool { return r.ID == one.ID })])
	j := web(4, "web:1")
	j.Groups[0].Services[0].Tags = []string{"b"}
	register(t, f, j)
	f.Advance(start().Add(2 * time.Minute))
	must.Eq(t, map[string][]string{"web": {"b"}, "web-sidecar-proxy": {"b"}}, m.Services())
	must.Len(t, 4, m.Registrations("web"))

	_, err := f.Deregister(fleet.JobID{Namespace: "default", ID: "web"}, true)
	must.NoError(t, err)
	f.Advance(start().Add(3 * time.Minute))
	must.MapEmpty(t, m.Services())
	must.MapEmpty(t, m.allocs)
}

func TestMesh_KeepsTheServicesOfLostNodes(t *testing.T) {
	t.Parallel()
	f, m := rig(t)
	f.Advance(start().Add(time.Minute))
	lost := f.Instances(target())[0]
	gone := len(lost.Node.Allocs())
	must.NoError(t, f.LoseNode(lost.Node.ID))
	must.Eq(t, gone, m.status("web")[Critical])
	f.Advance(start().Add(3 * time.Minute)) // Nomad has replaced them
	must.Eq(t, map[string]int{Critical: gone, Passing: 3}, m.status("web"))
	must.NoError(t, f.ReturnNode(lost.Node.ID))
	must.Eq(t, map[string]int{Passing: 3}, m.status("web"))
	must.Len(t, 3, m.Registrations("web-sidecar-proxy"))
	// Three nodes, and the one check of each of three instances; proxies have none.
	checks := m.AllChecks()
	must.Len(t, len(m.Registrations("web"))*2+nodesOf(m), checks)
}

func nodesOf(m *Mesh) int {
	nodes := map[string]bool{}
	for _, r := range m.Registrations("web") {
		nodes[r.Node] = true
	}
	return len(nodes)
}

func TestRegister_TakesRegistrationsByHand(t *testing.T) {
	t.Parallel()
	f, m := rig(t)
	m.Register(Registration{Service: "oakum", ID: "oakum-1", Port: 4740}, []Check{{ID: "service:oakum-1", Name: "ready"}})
	must.Eq(t, map[string]int{Critical: 1}, m.status("oakum"))
	index := f.TableIndex(fleet.TableChecks)
	must.NoError(t, m.Report("service:oakum-1", Passing, "ready"))
	must.Greater(t, index, f.TableIndex(fleet.TableChecks))
	must.Eq(t, map[string]int{Passing: 1}, m.status("oakum"))
	must.True(t, api.IsCode(m.Report("nonesuch", Passing, ""), api.CodeNotFound))
	m.Register(Registration{Service: "oakum", ID: "oakum-1", Port: 4741}, nil)
	r, err := m.Registered("oakum-1")
	must.NoError(t, err)
	must.Eq(t, 4741, r.Port)
	must.Len(t, 1, m.Registrations("oakum"))
	must.NoError(t, m.Deregister("oakum-1"))
	must.True(t, api.IsCode(m.Deregister("oakum-1"), api.CodeNotFound))
	_, err = m.Registered("oakum-1")
	must.True(t, api.IsCode(err, api.CodeNotFound))
	must.SliceEmpty(t, m.Registrations("oakum"))
}

func TestSetEntry_ComparesAndSets(t *testing.T) {
	t.Parallel()
	f, m := rig(t)
	at := func(v uint64) *uint64 { return &v }
	e := Entry{Kind: "service-intentions", Name: "web", Body: []byte("1")}
	must.False(t, m.SetEntry(e, at(7)))
	must.True(t, m.SetEntry(e, at(0)))
	first := m.Entries(e.Kind)[0]
	must.Eq(t, f.TableIndex(fleet.TableEntries), first.ModifyIndex)
	must.True(t, m.SetEntry(e, nil))
	must.Eq(t, first, m.Entries(e.Kind)[0], must.Sprint("the same again is no change"))
	e.Body = []byte("2")
	must.False(t, m.SetEntry(e, at(0)))
	must.True(t, m.SetEntry(e, at(first.ModifyIndex)))
	second := m.Entries(e.Kind)[0]
	must.Eq(t, first.CreateIndex, second.CreateIndex)
	must.Greater(t, first.ModifyIndex, second.ModifyIndex)
	must.False(t, m.DeleteEntry(e.Kind, "web", at(first.ModifyIndex)))
	must.False(t, m.DeleteEntry(e.Kind, "other", at(1)))
	must.True(t, m.DeleteEntry(e.Kind, "other", nil))
	must.True(t, m.DeleteEntry(e.Kind, "web", at(second.ModifyIndex)))
	must.SliceEmpty(t, m.Entries(e.Kind))
}
