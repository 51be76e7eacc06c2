package nomad_test

import (
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

// TestView_CountsNomadsOwnChecks: an instance is healthy when its checks pass, and not to
// blame while nobody can ask for them.
func TestView_CountsNomadsOwnChecks(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	s.model.Update(func(f *fleet.Fleet) {
		f.Behave(func(fleet.Build) fleet.Behaviour { return fleet.Behaviour{Boot: time.Hour, BootMost: 2 * time.Hour} })
	})
	s.ref = api.TargetRef{Namespace: "default", Job: "api", Group: "g"}
	job := &nomadapi.Job{ID: new("api"), Name: new("api"), Namespace: new("default"), Type: new("service"), TaskGroups: []*nomadapi.TaskGroup{{
		Name: new("g"), Count: new(1),
		Services: []*nomadapi.Service{{Name: "api", Provider: "nomad", PortLabel: "http", Checks: []nomadapi.ServiceCheck{{Name: "alive", Type: "http", Path: "/", Interval: time.Second, Timeout: time.Second}}}},
		Networks: []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}},
		Tasks:    []*nomadapi.Task{{Name: "server", Driver: "docker", Config: map[string]any{"image": "web:1"}}},
	}}}
	_, _, err := s.client.API().Jobs().Register(job, nil)
	must.NoError(t, err)
	m := s.move(t, image("web:2"))
	must.SliceEmpty(t, m.Former.Checked, must.Sprint("Consul is not asked for them"))
	look := func(after time.Duration) (api.Instance, string) {
		s.model.Update(func(f *fleet.Fleet) { f.Advance(f.Now().Add(after)) })
		v, err := s.client.View(t.Context(), m)
		must.NoError(t, err)
		must.Len(t, 1, v.Instances)
		return v.Instances[0], v.Excused[v.Instances[0].ID]
	}
	in, excused := look(time.Minute)
	must.EqOp(t, api.Pending, in.Health)
	must.EqOp(t, `its check "alive" in nomad is pending`, in.Because)
	must.EqOp(t, "", excused)
	in, _ = look(3 * time.Hour)
	must.EqOp(t, api.Healthy, in.Health)

	s.model.Update(func(f *fleet.Fleet) {
		for _, n := range f.Nodes() {
			must.NoError(t, f.LoseNode(n.ID))
		}
	})
	in, excused = look(0)
	must.EqOp(t, api.Pending, in.Health, must.Sprint("Nomad has not noticed yet, and nobody answers for the checks"))
	must.StrContains(t, in.Because, "nomad does not say whether its checks pass")
	must.StrContains(t, excused, "nomad does not say whether the checks of api.g[0] on "+in.Node+" pass")
}
