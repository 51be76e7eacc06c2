package adapter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
)

// forms are the former and the patched job of a rollout. Both are shared, so a
// caller clones the one that it registers.
type forms struct{ former, patched *fleet.Job }

// forms decodes the former job and patches it. It does so once for each rollout,
// since a captured job never changes and each look needs both.
func (n Nomad) forms(m rollout.Move) (forms, error) {
	if known, ok := n.moves[m.Former]; ok {
		return known, nil
	}
	var was fleet.Job
	if err := json.Unmarshal(m.Former.Job, &was); err != nil {
		return forms{}, fmt.Errorf("decode job: %w", err)
	}
	next, err := patched(&was, m.Target.Group, m.Apply)
	if err != nil {
		return forms{}, err
	}
	n.moves[m.Former] = forms{&was, next}
	return n.moves[m.Former], nil
}

// heldUpdate is an update block under which Nomad replaces instances and then
// waits. Its stagger makes two stages of the same size different jobs.
func heldUpdate(parallel, canaries int, expect uint64) *fleet.Update {
	return &fleet.Update{
		Stagger:     time.Minute + time.Duration(expect)*time.Microsecond, //nolint:gosec // an index is far below the range
		MaxParallel: parallel, HealthCheck: fleet.HealthManual, MinHealthyTime: time.Second, HealthyDeadline: time.Minute, Canary: canaries,
	}
}

// holdPace gives one group a held update block, and keeps the others from reverting the job.
func holdPace(j *fleet.Job, target string, held *fleet.Update) {
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
	return n.move(ctx, m, expect, func(f forms) (*fleet.Job, error) {
		next := f.patched.Copy()
		canaries := 0
		if mode == api.StageBeside {
			canaries = delta
		}
		if next.Type == fleet.TypeSystem && n.Latest(next.JobID) != nil {
			canaries = wholeShare
		}
		holdPace(next, m.Target.Group, heldUpdate(delta, canaries, expect))
		n.KeepCounts(next)
		would, err := n.Plan(*next)
		if failed, full := would.Failed[m.Target.Group]; full {
			return nil, &rollout.NoRoom{Target: m.Target, Why: failed.String()}
		}
		if why := onNodes(next, would.Groups[m.Target.Group], m.Target.Group); err == nil && why != "" {
			return nil, &rollout.NoRoom{Target: m.Target, Why: why}
		}
		return next, err
	})
}

// Rollback registers the former groups so that size instances of another build return.
func (n Nomad) Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*fleet.Job, error) {
		was := f.former.Copy()
		if m.Former.Launch == "" {
			holdPace(was, m.Target.Group, heldUpdate(size, 0, expect))
		}
		return was, nil
	})
}

// Renew registers the patched job once more, so that a new deployment holds it.
func (n Nomad) Renew(ctx context.Context, m rollout.Move, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*fleet.Job, error) {
		next := f.patched.Copy()
		holdPace(next, m.Target.Group, heldUpdate(1, 0, expect))
		return next, n.keepsNodes(next, m.Target)
	})
}

// Unpace registers a build with the update block that the job had before the
// rollout.
func (n Nomad) Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error {
	return n.move(ctx, m, expect, func(f forms) (*fleet.Job, error) {
		if build != api.BuildPatched {
			return f.former, nil
		}
		return f.patched, n.keepsNodes(f.patched, m.Target)
	})
}

// move registers what is made of the former job, by compare-and-set.
func (n Nomad) move(ctx context.Context, m rollout.Move, expect uint64, next func(forms) (*fleet.Job, error)) error {
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
	return slices.ContainsFunc(versions, func(j *fleet.Job) bool { return j.Tag.Name == m.TagName() }), cmp.Or(ctx.Err(), err)
}

// held is the latest deployment of a target's job that goes on, nil when none does, and the
// running instances of the target that it counts.
func (n Nomad) held(ctx context.Context, m rollout.Move) (*fleet.Deployment, []string, error) {
	d := n.Latest(jobOf(m.Target))
	if err := ctx.Err(); err != nil || d == nil || !d.Active() {
		return nil, nil, err
	}
	var ids []string
	for _, a := range n.Allocs(d.Job) {
		if a.Deployment == d.ID && a.Group.Name == m.Target.Group && a.Desired == fleet.DesiredRun && a.Client == fleet.ClientRunning {
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

// patched is the job with changes to the tasks of one group, as the adapter of a
// real Nomad makes them.
func patched(j *fleet.Job, group string, changes []api.Apply) (*fleet.Job, error) {
	out := j.Copy()
	g := out.Group(group)
	if g == nil {
		return nil, api.Errorf(api.CodeNotFound, "job %s has no group %q", j.ID, group)
	}
	g.Tasks = slices.Clone(g.Tasks)
	for i, c := range changes {
		at := slices.IndexFunc(g.Tasks, func(t fleet.Task) bool { return t.Name == c.Task })
		if at < 0 {
			return nil, api.Errorf(api.CodeInvalid, "apply[%d]: group %q has no task %q", i, group, c.Task)
		}
		if err := change(&g.Tasks[at], c); err != nil {
			return nil, api.Errorf(api.CodeInvalid, "apply[%d]: %s", i, err.Error())
		}
	}
	return out, nil
}

// change applies a change to a task, whose maps others have too.
func change(t *fleet.Task, c api.Apply) error {
	config := map[string]any{}
	maps.Copy(config, t.Config)
	switch c.Kind {
	case api.ApplyImage:
		key := "image"
		if t.Driver == "qemu" {
			key = "image_path"
		}
		config[key] = c.Image
	case api.ApplyJob:
		maps.Copy(config, c.Config)
		env := map[string]string{}
		maps.Copy(env, t.Env)
		maps.Copy(env, c.Env)
		t.Env = env
	case api.ApplyScript:
		return api.Errorf(api.CodeInvalid, "task %q: a script must be baked into an image before it is rolled out", c.Task)
	default:
		return api.Errorf(api.CodeInvalid, "unknown kind of change %q", c.Kind)
	}
	t.Config = config
	return nil
}
