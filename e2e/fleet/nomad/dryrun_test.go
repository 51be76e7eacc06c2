package nomad_test

import (
	"net/http/httptest"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	served "github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/rollout"
)

// small is a served fleet of three nodes with 1,000 MB each and a job of two groups.
type small struct {
	model  *door.Model
	door   *served.Door
	client *nomad.Client
	ref    api.TargetRef
}

func newSmall(t *testing.T) *small {
	t.Helper()
	f := fleet.New(1, time.Now())
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		f.AddNode(fleet.Node{Name: name, CPU: 4_000, MemoryMB: 1_000, Drivers: []string{"docker"}})
	}
	m := door.NewModel(f)
	sandbox := served.NewSandbox(m)
	s := &small{model: m, door: served.New(m, sandbox), ref: api.TargetRef{Namespace: "default", Job: "shop", Group: "web"}}
	server := httptest.NewServer(s.door)
	t.Cleanup(func() { server.Close(); sandbox.Close() })
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	s.client = client
	group := func(name string, parallel int) *nomadapi.TaskGroup {
		return &nomadapi.TaskGroup{
			Name: &name, Count: new(2), Update: &nomadapi.UpdateStrategy{MaxParallel: &parallel},
			Tasks: []*nomadapi.Task{{
				Name: "server", Driver: "docker", Config: map[string]any{"image": "web:1"},
				Resources: &nomadapi.Resources{CPU: new(100), MemoryMB: new(300)},
			}},
		}
	}
	job := &nomadapi.Job{
		ID: new("shop"), Name: new("shop"), Namespace: new("default"), Type: new("service"),
		TaskGroups: []*nomadapi.TaskGroup{group("web", 1), group("worker", 5)},
	}
	_, _, err = client.API().Jobs().Register(job, nil)
	must.NoError(t, err)
	return s
}

func (s *small) move(t *testing.T, changes ...api.Apply) rollout.Move {
	t.Helper()
	former, err := s.client.Capture(t.Context(), s.ref)
	must.NoError(t, err)
	return rollout.Move{Target: s.ref, Rollout: "r1", Former: former, Apply: changes}
}

func image(name string) api.Apply {
	return api.Apply{Kind: api.ApplyImage, Task: "server", Image: name}
}

// TestCheck_TellsWhatTheSchedulerSays: the first patched instance finds no place on any node.
func TestCheck_TellsWhatTheSchedulerSays(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	said, err := s.client.Check(t.Context(), s.ref, []api.Apply{image("web:2")})
	must.NoError(t, err)
	must.Eq(t, api.DryRun{Target: s.ref, Warnings: []string{`Group "worker" has warnings: 1 error occurred: * Update max parallel count is greater than task group count (5 > 2). ` +
		`A destructive change would result in the simultaneous replacement of all allocations.`}}, said)
	s.model.Update(func(f *fleet.Fleet) {
		for _, n := range f.Nodes()[1:] {
			must.NoError(t, f.SetEligibility(n.ID, false))
		}
	})
	s.fill(t)
	said, err = s.client.Check(t.Context(), s.ref, []api.Apply{image("web:2")})
	must.NoError(t, err)
	must.EqOp(t, "memory exhausted on 1 of 1 nodes; not counting node-2 (ineligible), node-3 (ineligible)", said.NoRoom)
}

// fill takes more than the room of the first node, whatever a former instance gives back.
func (s *small) fill(t *testing.T) {
	t.Helper()
	s.model.Update(func(f *fleet.Fleet) { n := f.Nodes()[0]; n.UsedMB = 2 * n.MemoryMB })
}

// TestStage_RegistersNothingThatFindsNoPlace, forward; the way back asks nobody for room.
func TestStage_RegistersNothingThatFindsNoPlace(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	m := s.move(t, image("web:2"))
	eligible := func(yes bool) {
		s.model.Update(func(f *fleet.Fleet) {
			for _, n := range f.Nodes() {
				must.NoError(t, f.SetEligibility(n.ID, yes))
			}
		})
	}
	eligible(false)
	err := s.client.Stage(t.Context(), m, api.StageBeside, 2, m.Former.ModifyIndex)
	must.EqError(t, err, "no room for default/shop/web: no node of its datacenters and node pool is ready and eligible; not counting node-1 (ineligible), node-2 (ineligible), node-3 (ineligible)")
	job, err := s.client.Job(t.Context(), "default", "shop")
	must.NoError(t, err)
	must.EqOp(t, m.Former.ModifyIndex, *job.JobModifyIndex)
	must.NoError(t, s.client.Rollback(t.Context(), m, 1, m.Former.ModifyIndex))
	eligible(true)
	job, err = s.client.Job(t.Context(), "default", "shop")
	must.NoError(t, err)
	must.NoError(t, s.client.Stage(t.Context(), m, api.StageBeside, 2, *job.JobModifyIndex))
}

// TestRegister_TellsARefusedJobFromAnAnswerThatIsMissing: both are an answer 500.
func TestRegister_TellsARefusedJobFromAnAnswerThatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	job, err := s.client.Job(t.Context(), "default", "shop")
	must.NoError(t, err)
	expect := *job.JobModifyIndex
	job.TaskGroups[0].Count = new(-1)
	err = s.client.Register(t.Context(), job, expect)
	must.EqError(t, err, "register job shop: nomad refuses the job: Task group web validation failed: 1 error occurred: * Task group count can't be negative")
	s.door.SetFault(door.Fault{Stale: time.Minute})
	err = s.client.Register(t.Context(), job, expect)
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
	must.ErrorContains(t, err, "No cluster leader")
	s.door.SetFault(door.Fault{})
	job.TaskGroups[0].Count = new(2)
	err = s.client.Register(t.Context(), job, expect+1)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
}

// TestRegister_HandsOnTheSubmission through every step of a rollout, forward and back
// (hashicorp/nomad#17806).
func TestRegister_HandsOnTheSubmission(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	job, err := s.client.Job(t.Context(), "default", "shop")
	must.NoError(t, err)
	source := &nomadapi.JobSubmission{Source: "job \"shop\" {}", Format: "hcl2", Variables: "tag = 1", VariableFlags: map[string]string{"a": "b"}}
	job.Meta = map[string]string{"submitted": "yes"}
	_, _, err = s.client.API().Jobs().RegisterOpts(job, &nomadapi.RegisterOptions{Submission: source}, nil)
	must.NoError(t, err)
	m := s.move(t, image("web:2"))
	index := func() (version, modify uint64) {
		job, err := s.client.Job(t.Context(), "default", "shop")
		must.NoError(t, err)
		return *job.Version, *job.JobModifyIndex
	}
	kept := func(step string) {
		version, _ := index()
		said, _, err := s.client.API().Jobs().Submission("shop", int(version), nil) //nolint:gosec // a few
		must.NoError(t, err, must.Sprint(step))
		must.Eq(t, source, said, must.Sprint(step))
	}
	was, expect := index()
	must.NoError(t, s.client.Stage(t.Context(), m, api.StageInPlace, 1, expect))
	kept("stage")
	_, expect = index()
	must.NoError(t, s.client.Rollback(t.Context(), m, 1, expect))
	kept("rollback")
	_, expect = index()
	must.NoError(t, s.client.Unpace(t.Context(), m, api.BuildFormer, expect))
	kept("unpace")
	now, _ := index()
	must.EqOp(t, was+3, now)
}

// TestRunningVersions_TellsApartWhatAHeldStageRuns: one instance of two has the patch.
func TestRunningVersions_TellsApartWhatAHeldStageRuns(t *testing.T) {
	t.Parallel()
	s := newSmall(t)
	of := func() []api.RunningVersion {
		targets, err := s.client.Targets(t.Context())
		must.NoError(t, err)
		found, err := s.client.RunningVersions(t.Context(), targets)
		must.NoError(t, err)
		must.MapNotContainsKey(t, found, api.TargetRef{Namespace: "default", Job: "shop", Group: "worker"})
		return found[s.ref]
	}
	pass := func() { s.model.Update(func(f *fleet.Fleet) { f.Advance(f.Now().Add(time.Minute)) }) }
	pass()
	must.SliceEmpty(t, of())
	m := s.move(t, image("web:2"))
	must.NoError(t, s.client.Stage(t.Context(), m, api.StageInPlace, 1, m.Former.ModifyIndex))
	pass()
	runs := func(version uint64, image string) api.RunningVersion {
		return api.RunningVersion{JobVersion: version, Instances: 1, Tasks: []api.Task{{Name: "server", Driver: "docker", Image: image}}}
	}
	must.Eq(t, []api.RunningVersion{runs(0, "web:1"), runs(1, "web:2")}, of())
}
