package service

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
)

const (
	// driftEvery is how often the jobs of complete rollouts are looked at.
	driftEvery = time.Minute
	// driftMost is how many of them one look takes: after a change of leader it takes all
	// in turns.
	driftMost = 500
	// forceWidth is how many jobs are asked about at once, and forceFor for how long.
	forceWidth = 16
	forceFor   = 20 * time.Second
)

// Ground says whether the job of a target is what changes make of it. The error has code
// not_found when there is no such target in a running job.
type Ground interface {
	Applied(ctx context.Context, ref api.TargetRef, changes []api.Apply) (api.DryRun, error)
	// RunningVersions says what the instances of targets run, by job version, for each of the targets
	// of which some run another build than the version that it has.
	RunningVersions(ctx context.Context, targets []api.Target) (map[api.TargetRef][]api.RunningVersion, error)
}

// PatchStatus says where a patch is in force now, of all targets that it had a rollout for.
// Nomad is asked about each that the caller sees.
func (s *Service) PatchStatus(ctx context.Context, name string, sees func(api.TargetRef) bool) (api.PatchStatus, error) {
	if _, ok := s.store.Patch(name); !ok {
		return api.PatchStatus{}, api.Errorf(api.CodeNotFound, "no patch %q", name)
	}
	last := map[api.TargetRef]api.Rollout{}
	for _, r := range s.store.Rollouts() { // by age
		if r.Patch == name && sees(r.Target) {
			last[r.Target] = r
		}
	}
	out := api.PatchStatus{Patch: name, At: s.now(), Targets: make([]api.PatchedTarget, 0, len(last))}
	for _, r := range last {
		out.Targets = append(out.Targets, api.PatchedTarget{Target: r.Target, Rollout: r.ID, Status: r.Status, Ended: r.Ended, Restorable: r.Restorable, Automatic: r.Decision.Rollback.Automatic, Aftermath: r.Aftermath, Proof: r.Proof})
	}
	slices.SortFunc(out.Targets, func(a, b api.PatchedTarget) int { return a.Target.Compare(b.Target) })
	ctx, cancel := context.WithTimeout(ctx, forceFor)
	defer cancel()
	var asking sync.WaitGroup
	room := make(chan struct{}, forceWidth)
	for i := range out.Targets {
		room <- struct{}{}
		asking.Go(func() {
			defer func() { <-room }()
			t := &out.Targets[i]
			t.Force, t.Reason = s.force(ctx, last[t.Target])
		})
	}
	asking.Wait()
	return out, nil
}

// force asks how far a target is what its rollout makes of it, whatever became of the
// rollout: somebody else may have registered the same.
func (s *Service) force(ctx context.Context, r api.Rollout) (api.PatchForce, string) {
	found, err := s.opt.Ground.Applied(ctx, r.Target, r.Apply)
	switch {
	case api.IsCode(err, api.CodeNotFound):
		return api.ForceGone, api.AsError(err).Message
	case api.IsCode(err, api.CodeInvalid): // a task that it changes is not there any more
		return api.ForceNone, api.AsError(err).Message
	case err != nil:
		return api.ForceUnknown, api.AsError(err).Message
	case found.Unchanged && found.Behind == 0:
		return api.ForceWhole, "every instance runs it"
	case found.Unchanged:
		return api.ForcePartly, fmt.Sprintf("the job asks for it, and %s another version", runs(found.Behind))
	}
	version := "the job"
	if t, err := s.opt.Fleet.Target(ctx, r.Target); err == nil {
		version = fmt.Sprintf("job version %d (modify index %d)", t.JobVersion, t.JobModifyIndex)
	}
	if r.Status != api.RolloutComplete {
		return api.ForceNone, version + " does not ask for it"
	}
	return api.ForceNone, version + " does not ask for it any more: somebody has registered it since, or its auto_revert went back to an older version"
}

func runs(instances int) string {
	if instances == 1 {
		return "1 instance runs"
	}
	return fmt.Sprintf("%d instances run", instances)
}

// watchDrift looks at the jobs of complete rollouts for as long as those may be taken back,
// and records where the patch is not in force any more, and where it is again.
func (s *Service) watchDrift(ctx context.Context) {
	ticks, stop := s.opt.Ticker(driftEvery)
	defer stop()
	inForce := map[string]uint64{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			inForce = s.lookForDrifts(ctx, inForce)
		}
	}
}

// lookForDrifts looks at the jobs that have changed. InForce has the modify index of the job
// at which the patch of a rollout was found to be in force, by the rollout's ID, and so has
// what is returned. A drift is looked at until it is over.
func (s *Service) lookForDrifts(ctx context.Context, inForce map[string]uint64) map[string]uint64 {
	targets, err := s.opt.Fleet.Targets(ctx)
	if err != nil {
		return inForce // nobody answers
	}
	index := make(map[api.TargetRef]uint64, len(targets))
	for i := range targets {
		index[targets[i].TargetRef] = targets[i].JobModifyIndex
	}
	next, looks := map[string]uint64{}, 0
	for _, r := range s.store.RestorableRollouts(s.now()) {
		at, known := inForce[r.ID]
		switch {
		case known && at == index[r.Target]:
			next[r.ID] = at
		case looks < driftMost && ctx.Err() == nil:
			looks++
			if s.lookForDrift(ctx, r.ID) {
				next[r.ID] = index[r.Target]
			}
		}
	}
	return next
}

// lookForDrift records what one look at the job of a complete rollout has found, and reports
// whether its patch is in force. A target that another rollout changes, or has changed
// since, is no drift of this one. That nobody answers changes nothing.
func (s *Service) lookForDrift(ctx context.Context, id string) bool {
	r, ok := s.store.Rollout(id)
	if !ok {
		return false
	}
	if slices.ContainsFunc(s.store.Later(r), func(later api.Rollout) bool { return later.Target == r.Target }) {
		return true
	}
	force, reason := s.force(ctx, r)
	switch force {
	case api.ForceUnknown:
		return false
	case api.ForceWhole:
		reason = ""
	case api.ForcePartly, api.ForceNone, api.ForceGone:
	}
	next, err := rollout.Step(r, rollout.Found{Drift: reason}, s.now())
	if err != nil || (next.Drift == nil) == (r.Drift == nil) && (r.Drift == nil || *next.Drift == *r.Drift) {
		return reason == ""
	}
	cmd := &state.RolloutTransition{Kind: state.KindDrift, Expect: r.ModifyIndex, Rollout: next}
	if _, err := s.opt.Log.Apply(ctx, cmd, s.opt.Server); err != nil {
		if !api.IsCode(err, api.CodeStaleIndex) {
			s.log.Warn("record the drift of a target", "rollout_id", r.ID, "target", r.Target.String(), "error", err)
		}
		return false
	}
	if reason != "" {
		s.log.Warn("a patch is not in force any more", "rollout_id", r.ID, "target", r.Target.String(), "reason", reason)
	}
	return reason == ""
}
