// Package adapter gives Oakum's components in the same process the interface of
// internal/nomad, for a fleet in memory.
package adapter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Nomad gives Oakum's components in the same process the interface of
// internal/nomad. It answers from the fleet at its present time.
type Nomad struct {
	*fleet.Fleet
	moves map[*api.FormerJob]forms // that it was asked about
}

// New returns what answers for a fleet.
func New(f *fleet.Fleet) Nomad { return Nomad{Fleet: f, moves: map[*api.FormerJob]forms{}} }

// twinPrefix begins the job ID of every twin of the sandbox.
const twinPrefix = "oakum-twin-"

// present is the latest version of a job that is not purged.
func (n Nomad) present(id fleet.JobID) *fleet.Job {
	j, err := n.Job(id)
	if err != nil {
		return &fleet.Job{Stopped: true} // nobody asks
	}
	return j
}

func jobOf(ref api.TargetRef) fleet.JobID { return fleet.JobID{Namespace: ref.Namespace, ID: ref.Job} }

// Targets lists every group of every running service and system job, and of every job that
// has runs, sorted.
func (n Nomad) Targets(ctx context.Context) ([]api.Target, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []api.Target
	for _, id := range n.JobIDs() {
		j := n.present(id)
		if j.Type != fleet.TypeService && j.Type != fleet.TypeSystem && j.Launch == "" || j.Stopped || strings.HasPrefix(id.ID, twinPrefix) {
			continue
		}
		for i := range j.Groups {
			out = append(out, n.target(j, &j.Groups[i]))
		}
	}
	slices.SortFunc(out, func(a, b api.Target) int { return a.Compare(b.TargetRef) })
	return out, nil
}

// Target reads one target; the error has code not_found when the job, the group
// or a running version of it does not exist.
func (n Nomad) Target(ctx context.Context, ref api.TargetRef) (api.Target, error) {
	j, g, err := n.group(ctx, ref)
	if err != nil {
		return api.Target{}, err
	}
	return n.target(j, g), nil
}

// group is a target's group in the present version of its job.
func (n Nomad) group(ctx context.Context, ref api.TargetRef) (*fleet.Job, *fleet.Group, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	j, err := n.Job(jobOf(ref))
	if err != nil {
		return nil, nil, err
	}
	g := j.Group(ref.Group)
	if g == nil || j.Stopped {
		return nil, nil, api.Errorf(api.CodeNotFound, "target %s: no such group in a running job", ref)
	}
	return j, g, nil
}

// target describes a group.
func (n Nomad) target(j *fleet.Job, g *fleet.Group) api.Target {
	t := api.Target{
		TargetRef: api.TargetRef{Namespace: j.Namespace, Job: j.ID, Group: g.Name}, Count: n.wanted(j, g),
		JobVersion: j.Version, JobModifyIndex: j.ModifyIndex, Meta: map[string]string{}, Launch: j.Launch,
	}
	if j.Type != fleet.TypeService {
		t.Type = j.Type
	}
	maps.Copy(t.Meta, j.Meta)
	maps.Copy(t.Meta, g.Meta)
	for _, task := range g.Tasks {
		t.Tasks = append(t.Tasks, api.Task{Name: task.Name, Driver: task.Driver, Lifecycle: task.Lifecycle, Image: task.Image()})
		if task.Driver == "qemu" || (t.Driver == "" && task.Lifecycle == "") {
			t.Driver = task.Driver
		}
	}
	for _, s := range g.Services {
		t.Services = append(t.Services, s.Name)
		if s.Provider != fleet.ProviderNomad && s.Checked {
			t.Checked = append(t.Checked, s.Name)
		}
	}
	t.Services, t.Checked = unique(t.Services), unique(t.Checked)
	return t
}

// wanted is how many instances the scheduler keeps of a group; of a system job's, how many
// there are.
func (n Nomad) wanted(j *fleet.Job, g *fleet.Group) int {
	switch {
	case j.Launch != "":
		return 0
	case j.Type == fleet.TypeSystem:
		return len(n.Fleet.Instances(api.TargetRef{Namespace: j.Namespace, Job: j.ID, Group: g.Name}))
	}
	return g.Count
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// Instances lists the current instances of a target by name. Health is Nomad's
// word alone.
func (n Nomad) Instances(ctx context.Context, ref api.TargetRef) ([]api.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := n.Fleet.Instances(ref)
	out := make([]api.Instance, 0, len(found))
	for _, a := range found {
		out = append(out, instance(a))
	}
	slices.SortFunc(out, func(a, b api.Instance) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

func instance(a *fleet.Alloc) api.Instance {
	in := api.Instance{
		ID: a.ID, Name: a.Name, Node: a.Node.Name, JobVersion: a.Job.Version, Canary: a.Canary, Started: a.Created, Address: a.Address(),
	}
	in.Health, in.Because = health(a)
	if a.Job.Type == fleet.TypeSystem {
		in.Name, in.Canary = a.Name+" on "+a.Node.Name, false
	}
	return in
}

// health is Nomad's word: every task that runs as long as the allocation must be
// running.
func health(a *fleet.Alloc) (api.Health, string) {
	switch a.Client {
	case fleet.ClientFailed, fleet.ClientLost, fleet.ClientComplete:
		because := "allocation is " + a.Client
		for _, e := range slices.Backward(a.Events) {
			if e.Fails || e.ExitCode != 0 {
				return api.Unhealthy, because + ": " + e.Message
			}
		}
		return api.Unhealthy, because
	case fleet.ClientPending:
		return api.Pending, "allocation is pending"
	}
	for _, t := range a.Group.Tasks {
		if state, _ := a.TaskState(t); state == "pending" {
			return api.Pending, "task " + t.Name + " is pending"
		}
	}
	return api.Healthy, ""
}

// Capture reads the job as it is now, to be what a rollback returns to.
func (n Nomad) Capture(ctx context.Context, ref api.TargetRef) (*api.FormerJob, error) {
	j, g, err := n.group(ctx, ref)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", ref.Job, err)
	}
	return &api.FormerJob{
		Version: j.Version, ModifyIndex: j.ModifyIndex, Count: n.wanted(j, g), Digest: j.Digest(), Checked: n.target(j, g).Checked, Launch: j.Launch, Job: text,
	}, nil
}

// Check says whether the patch can be applied to the target's job at all.
func (n Nomad) Check(ctx context.Context, ref api.TargetRef, changes []api.Apply) error {
	j, _, err := n.group(ctx, ref)
	if err != nil {
		return err
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(a api.Apply) bool { return a.Kind == api.ApplyScript })
	next, err := patched(j, ref.Group, changes)
	if err != nil {
		return err
	}
	if len(changes) > 0 && next.Digest() == j.Digest() {
		return api.Errorf(api.CodeConflict, "target %s already runs what the patch asks for", ref)
	}
	_, err = n.Plan(*next)
	return err
}

// Gone says what became of a target that is not there any more; nil when it is there.
// A fleet in the same process has no namespaces that could go.
func (n Nomad) Gone(ctx context.Context, ref api.TargetRef) (*rollout.Gone, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j, err := n.Job(jobOf(ref))
	switch {
	case err != nil:
		return &rollout.Gone{Loss: rollout.JobPurged}, nil
	case j.Stopped:
		return &rollout.Gone{Loss: rollout.JobStopped}, nil
	case j.Group(ref.Group) == nil:
		return &rollout.Gone{Loss: rollout.GroupRemoved}, nil
	}
	return nil, nil //nolint:nilnil // nothing is gone
}

// View looks at the job: which build is registered, at whose pace, and which
// build each instance runs.
func (n Nomad) View(ctx context.Context, m rollout.Move) (*rollout.JobView, error) {
	gone, err := n.Gone(ctx, m.Target)
	if err != nil {
		return nil, err
	}
	if gone != nil && gone.Loss == rollout.JobPurged {
		return &rollout.JobView{ModifyIndex: n.TableIndex(fleet.TableJobs), Gone: gone}, nil
	}
	f, err := n.forms(m)
	if err != nil {
		return nil, err
	}
	was, next := f.former, f.patched
	j := n.present(jobOf(m.Target))
	g := j.Group(m.Target.Group)
	view := &rollout.JobView{ModifyIndex: j.ModifyIndex, Version: j.Version, Pace: rollout.PaceHeld, Promoted: true, Settled: true}
	view.Unchanged, view.Stable = next.Digest() == was.Digest(), j.Stable
	view.Reverts = slices.ContainsFunc(was.Groups, func(g fleet.Group) bool { return g.Update != nil && g.Update.AutoRevert })
	builds, err := n.builds(j, m.Former.Digest, next.Digest())
	if err != nil {
		return nil, err
	}
	view.Build = cmp.Or(builds[j.Version], api.BuildForeign)
	if own := was.Group(m.Target.Group); own != nil {
		if g != nil && fleet.SameUpdate(own.Update, g.Update) {
			view.Pace = rollout.PaceOwn
		}
		view.JobPace = rollout.JobPace{MaxParallel: 1}
		if u := own.Update; u != nil {
			view.JobPace = rollout.JobPace{MaxParallel: u.MaxParallel, MinHealthyTime: u.MinHealthyTime, HealthyDeadline: u.HealthyDeadline}
		}
	}
	if g != nil && g.Update != nil && view.Pace == rollout.PaceHeld {
		view.Parallel = g.Update.MaxParallel
		view.Expected = uint64(max(0, g.Update.Stagger-time.Minute) / time.Microsecond) //nolint:gosec // it is not negative
	}
	if gone != nil {
		if g != nil {
			gone.Build, gone.Pace = view.Build, view.Pace
		}
		return &rollout.JobView{ModifyIndex: j.ModifyIndex, Gone: gone}, nil
	}
	view.Count = n.wanted(j, g)
	view.Shared = slices.ContainsFunc(j.Groups, func(g fleet.Group) bool { return g.Name != m.Target.Group && g.Count > 0 })
	if d := n.Latest(j.JobID); d != nil && d.JobVersion == j.Version && d.JobCreateIndex == j.CreateIndex {
		view.Settled, view.Failed = !d.Active(), d.Status == fleet.DeployFailed
		view.Others = d.Others(m.Target.Group)
		if s := d.Groups[m.Target.Group]; s != nil && s.DesiredCanaries > 0 {
			view.Promoted = s.Promoted
		}
	}
	if view.Instances, err = n.Instances(ctx, m.Target); err != nil {
		return nil, err
	}
	view.Runs, view.Excused = make(map[string]time.Time, len(view.Instances)), map[string]string{}
	for i := range view.Instances {
		in := &view.Instances[i]
		a, err := n.Alloc(in.ID)
		if err != nil {
			return nil, err
		}
		in.Build, view.Runs[in.ID] = cmp.Or(builds[in.JobVersion], api.BuildForeign), a.Started
		if in.Health == api.Healthy && !a.Ready && a.Group.NativelyChecked() {
			in.Health, in.Because = api.Pending, "0 of its checks in nomad have passed"
		}
		if a.Client == fleet.ClientLost {
			view.Excused[in.ID] = "its node " + a.Node.Name + " is lost"
		}
	}
	view.Unplaced = n.unplaced(m.Target)
	if j.Type == fleet.TypeSystem {
		n.viewNodes(view, m.Target)
	}
	return view, nil
}

// builds says which versions of a job are the former and the patched one, by their digests.
func (n Nomad) builds(j *fleet.Job, former, patched string) (map[uint64]api.Build, error) {
	versions, err := n.Versions(j.JobID)
	if err != nil {
		return nil, err
	}
	out := make(map[uint64]api.Build, len(versions))
	for _, v := range versions {
		switch v.Digest() {
		case former:
			out[v.Version] = api.BuildFormer
		case patched:
			out[v.Version] = api.BuildPatched
		}
	}
	return out, nil
}

// unplaced is why instances of a target wait for room; empty when none does.
func (n Nomad) unplaced(ref api.TargetRef) string {
	e := n.Blocked(jobOf(ref))
	if e == nil {
		return ""
	}
	failed, ok := e.Failed[ref.Group]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d nodes were looked at", failed.Evaluated)
}
