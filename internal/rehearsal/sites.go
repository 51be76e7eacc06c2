package rehearsal

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/rollout"
)

// sites are the orchestrator's Nomad: the one of each target.
type sites struct {
	at   map[api.TargetRef]*site
	open func(api.TargetRef) (*site, error)
}

var (
	_ orchestrator.Reader = sites{}
	_ orchestrator.Mover  = sites{}
	_ orchestrator.Tagger = sites{}
)

// of returns the site of a target; the first question opens it.
func (s sites) of(ref api.TargetRef) (*site, error) {
	if at := s.at[ref]; at != nil {
		return at, nil
	}
	at, err := s.open(ref)
	if err == nil {
		s.at[ref] = at
	}
	return at, err
}

// with asks the site of a target.
func (s sites) with(ref api.TargetRef, do func(*site) error) error {
	at, err := s.of(ref)
	if err != nil {
		return err
	}
	return do(at)
}

// View looks at a job. While nothing has changed it is the same one.
func (s sites) View(ctx context.Context, m rollout.Move) (v *rollout.JobView, err error) {
	err = s.with(m.Target, func(at *site) error { v, err = at.look(ctx, m); return err })
	return v, err
}

// Capture returns the job as it is before a rollout.
func (s sites) Capture(ctx context.Context, ref api.TargetRef) (f *api.FormerJob, err error) {
	err = s.with(ref, func(at *site) error { f, err = at.Capture(ctx, ref); return err })
	return f, err
}

// Target describes a target.
func (s sites) Target(ctx context.Context, ref api.TargetRef) (t api.Target, err error) {
	err = s.with(ref, func(at *site) error { t, err = at.Target(ctx, ref); return err })
	return t, err
}

// Gone is nil: in a rehearsal no target goes away.
func (sites) Gone(context.Context, api.TargetRef) (*rollout.Gone, error) {
	return nil, nil //nolint:nilnil // nothing is gone
}

// Stage lets further instances run the patch.
func (s sites) Stage(ctx context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	return s.with(m.Target, func(at *site) error { return at.Stage(ctx, m, mode, delta, expect) })
}

// Promote takes the former instances away.
func (s sites) Promote(ctx context.Context, m rollout.Move) error {
	return s.with(m.Target, func(at *site) error { return at.Promote(ctx, m) })
}

// EndStage ends the deployment of a stage.
func (s sites) EndStage(ctx context.Context, m rollout.Move, expect uint64) error {
	return s.with(m.Target, func(at *site) error { return at.EndStage(ctx, m, expect) })
}

// Settle marks the instances of a deployment as healthy.
func (s sites) Settle(ctx context.Context, m rollout.Move) error {
	return s.with(m.Target, func(at *site) error { return at.Settle(ctx, m) })
}

// Rollback returns the next instances to the former build.
func (s sites) Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error {
	return s.with(m.Target, func(at *site) error { return at.Rollback(ctx, m, size, expect) })
}

// Renew begins another deployment of the patched job.
func (s sites) Renew(ctx context.Context, m rollout.Move, expect uint64) error {
	return s.with(m.Target, func(at *site) error { return at.Renew(ctx, m, expect) })
}

// Unpace restores the job's own update block.
func (s sites) Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error {
	return s.with(m.Target, func(at *site) error { return at.Unpace(ctx, m, build, expect) })
}

// Tag marks the former job version.
func (s sites) Tag(ctx context.Context, m rollout.Move) error {
	return s.with(m.Target, func(at *site) error { return at.Tag(ctx, m) })
}

// Untag takes the mark away.
func (s sites) Untag(ctx context.Context, m rollout.Move) error {
	return s.with(m.Target, func(at *site) error { return at.Untag(ctx, m) })
}
