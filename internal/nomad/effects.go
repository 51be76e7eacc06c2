package nomad

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Capture reads the job as it is now. A rollback returns to this form.
func (c *Client) Capture(ctx context.Context, ref api.TargetRef) (*api.FormerJob, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	job, err := c.Job(ctx, ref.Namespace, ref.Job)
	if err != nil {
		return nil, err
	}
	group := job.LookupTaskGroup(ref.Group)
	if group == nil || *job.Stop {
		return nil, api.Errorf(api.CodeNotFound, "target %s: no such group in a running job", ref)
	}
	t := target(job, group)
	if perNode(job) {
		stubs, err := c.current(ctx, ref)
		if err != nil {
			return nil, err
		}
		t.Count = len(stubs)
	}
	sum, err := countedDigest(job)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(bareView(job))
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", ref.Job, err)
	}
	return &api.FormerJob{
		Version: *job.Version, ModifyIndex: *job.JobModifyIndex, Count: t.Count, Digest: sum,
		Checked: t.Checked, Launch: launchOf(job), Job: text,
	}, nil
}

// Tag marks the former version. Repeating it is harmless.
func (c *Client) Tag(ctx context.Context, m rollout.Move) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	tagged, err := c.tagged(ctx, m)
	if err != nil || tagged {
		return err
	}
	note := "former version of rollout " + m.Rollout
	_, err = c.api.Jobs().TagVersion(m.Target.Job, m.Former.Version, m.TagName(), note, c.Write(ctx, m.Target.Namespace))
	return Explain("tag job "+m.Target.Job, err)
}

func (c *Client) tagged(ctx context.Context, m rollout.Move) (bool, error) {
	versions, _, _, err := c.api.Jobs().Versions(m.Target.Job, false, c.Query(ctx, m.Target.Namespace))
	if err != nil {
		return false, Explain("list versions of "+m.Target.Job, err)
	}
	return slices.ContainsFunc(versions, func(j *nomadapi.Job) bool {
		return j.VersionTag != nil && j.VersionTag.Name == m.TagName()
	}), nil
}

// Untag removes the mark; the job's history may then collect the version.
func (c *Client) Untag(ctx context.Context, m rollout.Move) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	tagged, err := c.tagged(ctx, m)
	if err != nil || !tagged {
		return err
	}
	err = c.untag(ctx, m)
	return Explain("untag job "+m.Target.Job, err)
}

func (c *Client) untag(ctx context.Context, m rollout.Move) error {
	path := fmt.Sprintf("/v1/job/%s/versions/%s/tag", m.Target.Job, m.TagName())
	_, err := c.api.Raw().Delete(path, nil, c.Write(ctx, m.Target.Namespace))
	return err
}

// patchedJob is the former job with the patch.
func patchedJob(m rollout.Move) (*nomadapi.Job, error) {
	former, err := decodeJob(m.Former.Job)
	if err != nil {
		return nil, err
	}
	return Patched(former, m.Target.Group, m.Apply)
}

// Stage registers the patched job so that Nomad replaces exactly delta former
// instances, or starts the whole group beside them, and then holds. expect is
// the job modify index of the compare-and-set. The error is a [rollout.NoRoom], and
// nothing is registered, when Nomad would not place all of the new instances now, or would
// stop an instance of a system job whose node takes nothing new. It has code invalid for a
// system job beside its former instances.
func (c *Client) Stage(ctx context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	job, err := patchedJob(m)
	if err != nil {
		return err
	}
	canaries := 0
	if mode == api.StageBeside {
		canaries = delta
	}
	if holdPace(job, m.Target.Group, heldUpdate(delta, canaries, expect)); perNode(job) {
		if mode == api.StageBeside {
			return api.Errorf(api.CodeInvalid, "stage %s: its job is of type system, and a node has no place for a second instance of it", m.Target)
		}
		if err := c.holdNodes(ctx, job, m.Target, delta, expect); err != nil {
			return err
		}
	}
	if err := c.fits(ctx, job, m.Target.Group); err != nil {
		return err
	}
	return c.Register(ctx, job, expect)
}

// Rollback registers the former job so that Nomad replaces size instances of another
// build, at least 1, ends the canaries, and then holds. It touches no instance that
// still runs the former build.
func (c *Client) Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error {
	job, err := decodeJob(m.Former.Job)
	if err != nil {
		return err
	}
	if m.Former.Launch == "" { // else it has no instances, and Nomad takes no update block
		holdPace(job, m.Target.Group, heldUpdate(size, 0, expect))
	}
	return c.registerFormer(ctx, job, expect)
}

// Renew registers the patched job once more so that Nomad holds it in a new deployment. It
// moves no instance, and Nomad starts those that have failed under the deployment before. The
// error is a [rollout.NoRoom] when it would stop an instance of a system job.
func (c *Client) Renew(ctx context.Context, m rollout.Move, expect uint64) error {
	job, err := patchedJob(m)
	if err != nil {
		return err
	}
	holdPace(job, m.Target.Group, heldUpdate(1, 0, expect))
	if err := c.keepsNodes(ctx, job, m.Target); err != nil {
		return err
	}
	return c.Register(ctx, job, expect)
}

// Unpace registers the given build with the update block that the job had before
// the rollout. No instance restarts. The error is a [rollout.NoRoom] when the patched build
// of a system job would lose an instance by it; a rollback does not wait for that.
func (c *Client) Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error {
	job, err := decodeJob(m.Former.Job)
	if err != nil {
		return err
	}
	if build == api.BuildPatched {
		if job, err = Patched(job, m.Target.Group, m.Apply); err != nil {
			return err
		}
		if err := c.keepsNodes(ctx, job, m.Target); err != nil {
			return err
		}
		return c.Register(ctx, job, expect)
	}
	return c.registerFormer(ctx, job, expect)
}

// Promote promotes the canaries, and Nomad then stops the former instances.
func (c *Client) Promote(ctx context.Context, m rollout.Move) error {
	if err := c.Settle(ctx, m); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	dep, err := c.deployment(ctx, m.Target)
	if err != nil {
		return err
	}
	if dep == nil || !running(dep) {
		return api.Errorf(api.CodeConflict, "promote %s: its deployment is over", m.Target)
	}
	_, _, err = c.api.Deployments().PromoteAll(dep.ID, c.Write(ctx, m.Target.Namespace))
	return Explain("promote deployment", err)
}

// View reads the state of the job: which build is registered, with whose update
// block, and which build each instance runs.
func (c *Client) View(ctx context.Context, m rollout.Move) (*rollout.JobView, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	job, err := c.Job(ctx, m.Target.Namespace, m.Target.Job)
	if api.IsCode(err, api.CodeNotFound) {
		gone, index, err := c.purged(ctx, m.Target, err)
		if err != nil {
			return nil, err
		}
		return &rollout.JobView{ModifyIndex: index, Gone: gone}, nil
	}
	if err != nil {
		return nil, err
	}
	kinds, err := c.classify(ctx, m)
	if err != nil {
		return nil, err
	}
	group := job.LookupTaskGroup(m.Target.Group)
	if gone := lost(job, m.Target.Group); gone != nil {
		if group != nil {
			gone.Build, gone.Pace = kinds.of(job), kinds.pace(group)
		}
		return &rollout.JobView{ModifyIndex: *job.JobModifyIndex, Gone: gone}, nil
	}
	view := &rollout.JobView{
		ModifyIndex: *job.JobModifyIndex, Version: *job.Version, Count: wanted(job, group),
		Build: kinds.of(job), Pace: kinds.pace(group), Promoted: true, Settled: true,
		Unchanged: kinds.formerIs == kinds.patchIs, Stable: orElse(job.Stable, false), Reverts: reverts(kinds.former),
		JobPace: paceOf(kinds.former.LookupTaskGroup(m.Target.Group)), Shared: shared(job, m.Target.Group),
	}
	if view.Pace == rollout.PaceHeld {
		view.Parallel, view.Expected = parallel(group.Update), expected(group.Update)
	}
	dep, err := c.deployment(ctx, m.Target)
	if err != nil {
		return nil, err
	}
	if dep != nil && dep.JobVersion == *job.Version && dep.JobCreateIndex == *job.CreateIndex {
		view.Settled, view.Failed = !running(dep), dep.Status == nomadapi.DeploymentStatusFailed
		view.Others = othersOf(dep, m.Target.Group)
		if s := dep.TaskGroups[m.Target.Group]; s != nil && s.DesiredCanaries > 0 {
			view.Promoted = s.Promoted
		}
	}
	all, err := c.allocations(ctx, m.Target)
	if err != nil {
		return nil, err
	}
	stubs := currentOf(all)
	view.Instances, view.Runs, view.Excused = instances(stubs), runs(stubs), map[string]string{}
	if perNode(job) {
		viewNodes(view, dep, all)
	}
	behind := func(s *nomadapi.AllocationListStub) bool { return s.JobVersion != view.Version }
	if len(stubs) < view.Count || slices.ContainsFunc(stubs, behind) {
		if view.Unplaced, err = c.unplaced(ctx, m.Target); err != nil {
			return nil, err
		}
		if view.Unplaced == "" && view.PerNode {
			if view.Unplaced, err = c.closedTo(ctx, stubs, view.Version); err != nil {
				return nil, err
			}
		}
	}
	for i, stub := range stubs {
		in := &view.Instances[i]
		in.Build = kinds.version(in.JobVersion)
		var brought map[string]bool
		if in.Build == api.BuildPatched {
			brought = broughtBy(m.Apply)
		}
		if why := excuse(stub, brought); why != "" {
			view.Excused[in.ID] = why
		}
	}
	c.checked(ctx, view, group)
	return view, nil
}

// builds knows which job versions are the former and which the patched build.
type builds struct {
	former   *nomadapi.Job
	digests  map[uint64]string
	formerIs string
	patchIs  string
}

func (c *Client) classify(ctx context.Context, m rollout.Move) (*builds, error) {
	former, err := decodeJob(m.Former.Job)
	if err != nil {
		return nil, err
	}
	next, err := Patched(former, m.Target.Group, m.Apply)
	if err != nil {
		return nil, err
	}
	b := &builds{former: former, digests: map[uint64]string{}}
	// Not the recorded digest, which says the counts too.
	if b.formerIs, err = digest(former); err != nil {
		return nil, err
	}
	if b.patchIs, err = digest(next); err != nil {
		return nil, err
	}
	versions, _, _, err := c.api.Jobs().Versions(m.Target.Job, false, c.Query(ctx, m.Target.Namespace))
	if err != nil {
		return nil, Explain("list versions of "+m.Target.Job, err)
	}
	for _, v := range versions {
		if b.digests[*v.Version], err = digest(v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// pace says whose update block a group of the registered job has.
func (b *builds) pace(group *nomadapi.TaskGroup) rollout.Pace {
	if own := b.former.LookupTaskGroup(*group.Name); own != nil && reflect.DeepEqual(own.Update, group.Update) {
		return rollout.PaceOwn
	}
	return rollout.PaceHeld
}

func (b *builds) of(job *nomadapi.Job) api.Build { return b.version(*job.Version) }

// version classifies a job version. A version that Nomad's history no longer holds
// can't be recognised, so it counts as foreign.
func (b *builds) version(v uint64) api.Build {
	switch b.digests[v] {
	case b.formerIs:
		return api.BuildFormer
	case b.patchIs:
		return api.BuildPatched
	}
	return api.BuildForeign
}

// Register registers a job with a compare-and-set on its modify index. The groups of a job
// that is there keep their present counts, which are an autoscaler's, and its submission
// is handed on; all else is exactly as given. The error has code conflict when the index is
// another one, and invalid when Nomad would never take the job.
func (c *Client) Register(ctx context.Context, job *nomadapi.Job, expect uint64) error {
	var handed *nomadapi.JobSubmission
	if expect > 0 { // else it is a new job
		var err error
		if handed, err = c.submission(ctx, *job.Namespace, *job.ID); err != nil {
			return err
		}
	}
	return c.register(ctx, job, expect, handed)
}

// registerFormer is Register for a rollback, which does not fail for the sake of what people
// read of the job: where Nomad does not say what that was made of, it goes without.
func (c *Client) registerFormer(ctx context.Context, job *nomadapi.Job, expect uint64) error {
	handed, err := c.submission(ctx, *job.Namespace, *job.ID)
	if err != nil {
		handed = nil
	}
	return c.register(ctx, job, expect, handed)
}

func (c *Client) register(ctx context.Context, job *nomadapi.Job, expect uint64, handed *nomadapi.JobSubmission) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	opts := &nomadapi.RegisterOptions{EnforceIndex: true, ModifyIndex: expect, PreserveCounts: true, Submission: handed}
	_, _, err := c.api.Jobs().RegisterOpts(job, opts, c.Write(ctx, *job.Namespace))
	return c.refusal(ctx, "register job "+*job.ID, job, err)
}

// deployment returns the latest deployment, or nil when there is none.
func (c *Client) deployment(ctx context.Context, ref api.TargetRef) (*nomadapi.Deployment, error) {
	dep, _, err := c.api.Jobs().LatestDeployment(ref.Job, c.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, Explain("read deployment of "+ref.Job, err)
	}
	return dep, nil
}

// reverts reports whether Nomad takes a job back when a deployment of it fails.
func reverts(job *nomadapi.Job) bool {
	return slices.ContainsFunc(job.TaskGroups, func(g *nomadapi.TaskGroup) bool { return g.Update != nil && orElse(g.Update.AutoRevert, false) })
}

// shared reports whether a job keeps instances of another group than the target's.
func shared(job *nomadapi.Job, target string) bool {
	return slices.ContainsFunc(job.TaskGroups, func(g *nomadapi.TaskGroup) bool { return *g.Name != target && wanted(job, g) > 0 })
}

// othersOf says which other groups of a deployment that goes on, or has failed, have
// instances that Nomad does not call healthy.
func othersOf(dep *nomadapi.Deployment, target string) string {
	var said []string
	open := running(dep) || dep.Status == nomadapi.DeploymentStatusFailed
	for _, name := range slices.Sorted(maps.Keys(dep.TaskGroups)) {
		if s := dep.TaskGroups[name]; name != target && open && s != nil && s.HealthyAllocs < s.DesiredTotal {
			said = append(said, fmt.Sprintf("%d of %d instances of group %s are healthy", s.HealthyAllocs, s.DesiredTotal, name))
		}
	}
	return strings.Join(said, ", ")
}

func running(dep *nomadapi.Deployment) bool {
	return slices.Contains([]string{"running", "paused", "pending", "blocked", "unblocking", "initializing"}, dep.Status)
}

// holdPace gives the target's group an update block under which it holds. The other groups
// are in the same deployment, since each version of a job has one for all of them: one that
// gets unhealthy by itself must not take the job back to another version.
func holdPace(job *nomadapi.Job, target string, held *nomadapi.UpdateStrategy) {
	for _, g := range job.TaskGroups {
		switch {
		case *g.Name == target:
			g.Update = held
		case g.Update != nil && g.Update.AutoRevert != nil && *g.Update.AutoRevert:
			update := *g.Update
			update.AutoRevert = new(false)
			g.Update = &update
		}
	}
}

// heldUpdate is an update block that makes Nomad replace so many instances and
// then wait for ever. It waits because only Oakum marks instances as healthy and
// there is no progress deadline.
//
// Two stages that move the same number of instances would be the same job, and
// Nomad registers the same job without starting a deployment. So each registration
// has another stagger, which deployments ignore: it carries the modify index that
// the registration expects. A registration that is repeated after a crash
// therefore stays the same.
func heldUpdate(parallel, canaries int, expect uint64) *nomadapi.UpdateStrategy {
	manual, never, no := "manual", time.Duration(0), false
	minute := time.Minute
	second := time.Second
	stagger := heldStagger + time.Duration(expect)*time.Microsecond //nolint:gosec // an index is far below the range
	return &nomadapi.UpdateStrategy{
		Stagger: &stagger, MaxParallel: &parallel, HealthCheck: &manual, MinHealthyTime: &second,
		HealthyDeadline: &minute, ProgressDeadline: &never, Canary: &canaries, AutoRevert: &no, AutoPromote: &no,
	}
}

// heldStagger is the stagger of a held update block that expects index 0.
const heldStagger = time.Minute

// expected is the modify index that the registration of an update block expected; 0 when
// the block is none of ours.
func expected(update *nomadapi.UpdateStrategy) uint64 {
	if update == nil || update.Stagger == nil || *update.Stagger <= heldStagger {
		return 0
	}
	return uint64((*update.Stagger - heldStagger) / time.Microsecond) //nolint:gosec // it is positive
}
