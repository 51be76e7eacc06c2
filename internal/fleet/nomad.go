package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Nomad gives Oakum's components in the same process the interface of
// internal/nomad. It answers from the fleet at its present time.
type Nomad struct{ *Fleet }

// twinPrefix begins the job ID of every twin of the sandbox.
const twinPrefix = "oakum-twin-"

func jobOf(ref api.TargetRef) JobID { return JobID{ref.Namespace, ref.Job} }

// Targets lists every group of every running service job, and of every job that has runs,
// sorted.
func (n Nomad) Targets(ctx context.Context) ([]api.Target, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []api.Target
	for _, id := range n.JobIDs() {
		j := n.jobs[id].current
		if j.Type != TypeService && j.Launch == "" || j.Stopped || strings.HasPrefix(id.ID, twinPrefix) {
			continue
		}
		for i := range j.Groups {
			out = append(out, target(j, &j.Groups[i]))
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
	return target(j, g), nil
}

// group is a target's group in the present version of its job.
func (n Nomad) group(ctx context.Context, ref api.TargetRef) (*Job, *Group, error) {
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
func target(j *Job, g *Group) api.Target {
	t := api.Target{
		TargetRef: api.TargetRef{Namespace: j.Namespace, Job: j.ID, Group: g.Name}, Count: wanted(j, g),
		JobVersion: j.Version, JobModifyIndex: j.ModifyIndex, Meta: map[string]string{}, Launch: j.Launch,
	}
	if j.Type != TypeService {
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
		if s.Provider != ProviderNomad && s.Checked {
			t.Checked = append(t.Checked, s.Name)
		}
	}
	t.Services, t.Checked = unique(t.Services), unique(t.Checked)
	return t
}

// wanted is how many instances the scheduler keeps of a group.
func wanted(j *Job, g *Group) int {
	if j.Launch != "" {
		return 0
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

func instance(a *Alloc) api.Instance {
	in := api.Instance{
		ID: a.ID, Name: a.Name, Node: a.Node.Name, JobVersion: a.Job.Version, Canary: a.Canary, Started: a.Created, Address: a.Address(),
	}
	in.Health, in.Because = health(a)
	return in
}

// health is Nomad's word: every task that runs as long as the allocation must be
// running.
func health(a *Alloc) (api.Health, string) {
	switch a.Client {
	case ClientFailed, ClientLost, ClientComplete:
		because := "allocation is " + a.Client
		for _, e := range slices.Backward(a.Events) {
			if e.Fails || e.ExitCode != 0 {
				return api.Unhealthy, because + ": " + e.Message
			}
		}
		return api.Unhealthy, because
	case ClientPending:
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
		Version: j.Version, ModifyIndex: j.ModifyIndex, Count: wanted(j, g), Digest: j.Digest(), Checked: target(j, g).Checked, Launch: j.Launch, Job: text,
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

// forms are the former and the patched job of a rollout. Both are shared, so a
// caller clones the one that it registers.
type forms struct{ former, patched *Job }

// forms decodes the former job and patches it. It does so once for each rollout,
// since a captured job never changes and each look needs both.
func (f *Fleet) forms(m rollout.Move) (forms, error) {
	if known, ok := f.moves[m.Former]; ok {
		return known, nil
	}
	var was Job
	if err := json.Unmarshal(m.Former.Job, &was); err != nil {
		return forms{}, fmt.Errorf("decode job: %w", err)
	}
	next, err := patched(&was, m.Target.Group, m.Apply)
	if err != nil {
		return forms{}, err
	}
	f.moves[m.Former] = forms{&was, next}
	return f.moves[m.Former], nil
}

// clone returns a job whose groups may be given other update blocks.
func (j *Job) clone() *Job {
	out := *j
	out.Groups = slices.Clone(j.Groups)
	return &out
}

// heldUpdate is an update block under which Nomad replaces instances and then
// waits. Its stagger makes two stages of the same size different jobs.
func heldUpdate(parallel, canaries int, expect uint64) *Update {
	return &Update{
		Stagger:     time.Minute + time.Duration(expect)*time.Microsecond, //nolint:gosec // an index is far below the range
		MaxParallel: parallel, HealthCheck: HealthManual, MinHealthyTime: time.Second, HealthyDeadline: time.Minute, Canary: canaries,
	}
}

// holdPace gives one group a held update block, and keeps the others from reverting the job.
func (j *Job) holdPace(target string, held *Update) {
	for i := range j.Groups {
		g := &j.Groups[i]
		switch {
		case g.Name == target:
			g.Update = held
		case g.Update != nil && g.Update.AutoRevert:
			update := *g.Update
			update.AutoRevert = false
			g.Update = &update
		}
	}
}

// Stage registers the patched job so that delta former instances are replaced,
// or so many patched ones start beside them, and then holds. The error is a
// [rollout.NoRoom], and nothing changes, when not all of them would be placed.
func (n Nomad) Stage(ctx context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*Job, error) {
		next := f.patched.clone()
		canaries := 0
		if mode == api.StageBeside {
			canaries = delta
		}
		next.holdPace(m.Target.Group, heldUpdate(delta, canaries, expect))
		n.KeepCounts(next)
		would, err := n.Plan(*next)
		if failed, full := would.Failed[m.Target.Group]; full {
			return nil, &rollout.NoRoom{Target: m.Target, Why: failed.String()}
		}
		return next, err
	})
}

// Rollback registers the former groups so that size instances of another build return.
func (n Nomad) Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*Job, error) {
		was := f.former.clone()
		if m.Former.Launch == "" {
			was.holdPace(m.Target.Group, heldUpdate(size, 0, expect))
		}
		return was, nil
	})
}

// Renew registers the patched job once more, so that a new deployment holds it.
func (n Nomad) Renew(ctx context.Context, m rollout.Move, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*Job, error) {
		next := f.patched.clone()
		next.holdPace(m.Target.Group, heldUpdate(1, 0, expect))
		return next, nil
	})
}

// Unpace registers a build with the update block that the job had before the
// rollout.
func (n Nomad) Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*Job, error) {
		if build != api.BuildPatched {
			return f.former, nil
		}
		return f.patched, nil
	})
}

// move registers what is made of the former job, by compare-and-set.
func (n Nomad) move(ctx context.Context, m rollout.Move, expect uint64, next func(forms) (*Job, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := n.forms(m)
	if err != nil {
		return err
	}
	j, err := next(f)
	if err != nil {
		return err
	}
	job := *j
	n.KeepCounts(&job)
	_, err = n.Register(job, true, expect)
	return err
}

// Tag marks the former version. Repeating it is harmless.
func (n Nomad) Tag(ctx context.Context, m rollout.Move) error {
	tagged, err := n.tagged(ctx, m)
	if err != nil || tagged {
		return err
	}
	return n.TagVersion(jobOf(m.Target), m.Former.Version, m.TagName(), "former version of rollout "+m.Rollout)
}

// Untag removes the mark.
func (n Nomad) Untag(ctx context.Context, m rollout.Move) error {
	tagged, err := n.tagged(ctx, m)
	if err != nil || !tagged {
		return err
	}
	return n.UntagVersion(jobOf(m.Target), m.TagName())
}

func (n Nomad) tagged(ctx context.Context, m rollout.Move) (bool, error) {
	versions, err := n.Versions(jobOf(m.Target))
	return slices.ContainsFunc(versions, func(j *Job) bool { return j.Tag.Name == m.TagName() }), cmp.Or(ctx.Err(), err)
}

// held is the latest deployment of a target's job that goes on, nil when none does, and the
// running instances of the target that it counts.
func (n Nomad) held(ctx context.Context, m rollout.Move) (*Deployment, []string, error) {
	d := n.Latest(jobOf(m.Target))
	if err := ctx.Err(); err != nil || d == nil || !d.Active() {
		return nil, nil, err
	}
	var ids []string
	for _, a := range n.Allocs(d.Job) {
		if a.Deployment == d.ID && a.Group.Name == m.Target.Group && a.Desired == DesiredRun && a.Client == ClientRunning {
			ids = append(ids, a.ID)
		}
	}
	return d, ids, nil
}

// Settle marks every running instance of the target in the latest deployment healthy. It
// does nothing when that is over.
func (n Nomad) Settle(ctx context.Context, m rollout.Move) error {
	d, ids, err := n.held(ctx, m)
	if len(ids) == 0 {
		return err
	}
	return n.SetAllocHealth(d.ID, ids, nil)
}

// EndStage ends the deployment of a stage, as failed, and marks its instances healthy unless
// it would be successful by that.
func (n Nomad) EndStage(ctx context.Context, m rollout.Move, expect uint64) error {
	d, ids, err := n.held(ctx, m)
	switch {
	case d == nil:
		return err
	case d.JobModifyIndex != expect:
		return api.Errorf(api.CodeConflict, "end the deployment of %s: it is of modify index %d, not %d", m.Target, d.JobModifyIndex, expect)
	}
	if g := d.Groups[m.Target.Group]; len(ids) > 0 && len(ids) < g.DesiredTotal {
		if err := errors.Join(n.PauseDeployment(d.ID, true), n.SetAllocHealth(d.ID, ids, nil)); err != nil {
			return err
		}
	}
	return n.FailDeployment(d.ID)
}

// Promote takes the former instances away: canaries become the target.
func (n Nomad) Promote(ctx context.Context, m rollout.Move) error {
	if err := n.Settle(ctx, m); err != nil {
		return err
	}
	d := n.Latest(jobOf(m.Target))
	if d == nil || !d.Active() {
		return api.Errorf(api.CodeConflict, "promote %s: its deployment is over", m.Target)
	}
	return n.PromoteDeployment(d.ID)
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
		return &rollout.JobView{ModifyIndex: n.TableIndex(TableJobs), Gone: gone}, nil
	}
	f, err := n.forms(m)
	if err != nil {
		return nil, err
	}
	was, next := f.former, f.patched
	j := n.jobs[jobOf(m.Target)].current
	g := j.Group(m.Target.Group)
	view := &rollout.JobView{ModifyIndex: j.ModifyIndex, Version: j.Version, Pace: rollout.PaceHeld, Promoted: true, Settled: true}
	view.Unchanged, view.Stable = next.Digest() == was.Digest(), j.Stable
	view.Reverts = slices.ContainsFunc(was.Groups, func(g Group) bool { return g.Update != nil && g.Update.AutoRevert })
	builds := map[uint64]api.Build{}
	for _, v := range n.jobs[j.JobID].versions {
		switch v.Digest() {
		case m.Former.Digest:
			builds[v.Version] = api.BuildFormer
		case next.Digest():
			builds[v.Version] = api.BuildPatched
		}
	}
	view.Build = cmp.Or(builds[j.Version], api.BuildForeign)
	if own := was.Group(m.Target.Group); own != nil {
		if g != nil && sameUpdate(own.Update, g.Update) {
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
	view.Count = wanted(j, g)
	if d := n.Latest(j.JobID); d != nil && d.JobVersion == j.Version && d.JobCreateIndex == j.CreateIndex {
		view.Settled, view.Failed = !d.Active(), d.Status == DeployFailed
		view.Others = d.others(m.Target.Group)
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
		a := n.allocs[in.ID]
		in.Build, view.Runs[in.ID] = cmp.Or(builds[in.JobVersion], api.BuildForeign), a.Started
		if in.Health == api.Healthy && !a.Ready && a.Group.nativelyChecked() {
			in.Health, in.Because = api.Pending, "0 of its checks in nomad have passed"
		}
		if a.Client == ClientLost {
			view.Excused[in.ID] = "its node " + a.Node.Name + " is lost"
		}
	}
	if e := n.jobs[j.JobID].blocked; e != nil {
		if failed, ok := e.Failed[m.Target.Group]; ok {
			view.Unplaced = fmt.Sprintf("%d nodes were looked at", failed.Evaluated)
		}
	}
	return view, nil
}
