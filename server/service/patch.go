package service

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// PlanPatch says what a patch would do if the caller submitted it, and changes nothing.
// Targets that the patch may not go to are refused in the plan, each with its reason.
func (s *Service) PlanPatch(ctx context.Context, file api.SourceFile, by api.Identity) (api.PatchReceipt, error) {
	patch, err := parsePatch(file)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	patch.Submitter = by.Subject // policies may ask for it
	if !s.opt.Bakes && slices.ContainsFunc(patch.Apply, func(a api.Apply) bool { return a.Kind == api.ApplyScript }) {
		return api.PatchReceipt{}, api.Errorf(api.CodeInvalid,
			"patch %q has a script: it runs in an appliance, and this server has none (simulator.appliance)", patch.Name)
	}
	library, err := s.policies.Library()
	if err != nil {
		return api.PatchReceipt{}, err
	}
	targets, err := s.opt.Fleet.Targets(ctx)
	if err != nil {
		return api.PatchReceipt{}, fmt.Errorf("list targets: %w", err)
	}
	targets = s.below(targets)
	idle, err := s.opt.Fleet.Idle(ctx)
	if err != nil {
		return api.PatchReceipt{}, fmt.Errorf("list idle jobs: %w", err)
	}
	g, _ := s.graph.Current()
	in := planner.Input{
		ID: s.opt.NewID(), Patch: patch, Targets: targets, Idle: idle, Graph: g, Library: library,
		Open: s.store.OpenRollouts(), Quarantines: s.store.Quarantines(), Now: s.now(), Sources: s.Sources(),
		Profile: s.store.Profile,
	}
	if in.Installed, err = s.installed(ctx, patch, library, matching(patch, targets)); err != nil {
		return api.PatchReceipt{}, err
	}
	// The scheduler tries the jobs while the plan is made: each takes seconds for a large
	// fleet. A refused job is reported before an error of the plan.
	var said []api.DryRun
	var untried int
	var refused error
	var dryRuns sync.WaitGroup
	dryRuns.Go(func() {
		defer func() {
			if fault := recover(); fault != nil { // else it would end the server, and not only this request
				s.log.Error("preflight panicked", "patch", patch.Name, "error", fmt.Sprint(fault), "stack", string(debug.Stack()))
				refused = api.Errorf(api.CodeInternal, "try the patched jobs: the server met a fault of its own")
			}
		}()
		said, untried, refused = s.opt.Preflight.Preflight(ctx, &in)
	})
	plan, err := planner.Plan(in)
	dryRuns.Wait()
	if in.Unchanged = unchanged(said); refused == nil && err == nil && len(in.Unchanged) > 0 {
		plan, err = planner.Plan(in) // the first one could not know
	}
	if err = cmp.Or(refused, err); err != nil {
		return api.PatchReceipt{}, err
	}
	receipt := api.PatchReceipt{
		Patch: patch, Plan: plan, Bake: s.bake(plan, in.Now), Untried: untried, DryRuns: ofPlanned(plan, said),
	}
	if brake := s.store.Brake(); brake.On {
		receipt.Brake = &brake
	}
	return receipt, nil
}

// below marks the targets that servers of the cluster's level can't patch: those would look
// for instances of a job that has runs, or stage a system job as they do a service.
func (s *Service) below(targets []api.Target) []api.Target {
	level := s.store.Level()
	if level >= levels.Eight {
		return targets
	}
	out := slices.Clone(targets)
	for i := range out {
		t, kind := &out[i], ""
		switch {
		case t.Launch != "" && level < levels.Seven:
			kind = string(t.Launch)
		case t.Type == "system":
			kind = "of type system"
		}
		if kind != "" && t.Unfit == "" {
			t.Unfit = fmt.Sprintf("its job is %s, and the cluster is at level %d, which can't patch such jobs: upgrade every server first", kind, level)
		}
	}
	return out
}

// unchanged are the targets that the patch leaves as they are, for [planner.Input].
func unchanged(said []api.DryRun) map[api.TargetRef]int {
	out := map[api.TargetRef]int{}
	for _, d := range said {
		if d.Unchanged {
			out[d.Target] = d.Behind
		}
	}
	return out
}

// ofPlanned are the dry runs of targets that a plan goes to.
func ofPlanned(plan api.Plan, said []api.DryRun) []api.DryRun {
	if len(said) == 0 {
		return nil
	}
	planned := map[api.TargetRef]bool{}
	for _, wave := range plan.Waves {
		for i := range wave.Targets {
			planned[wave.Targets[i].Target.TargetRef] = true
		}
	}
	return slices.DeleteFunc(said, func(d api.DryRun) bool { return !planned[d.Target] })
}

// SubmitPatch plans a patch and puts it into the record with its plan and a
// pending rollout for each planned target. A patch that may go nowhere is an
// error with every target's reason.
func (s *Service) SubmitPatch(ctx context.Context, file api.SourceFile, by api.Identity) (api.PatchReceipt, error) {
	receipt, err := s.PlanPatch(ctx, file, by)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	if refused := planner.Refused(receipt.Plan); refused != nil {
		return api.PatchReceipt{}, refused
	}
	former, err := s.former(receipt.Patch.Name, by)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	now := s.now()
	receipt.Patch.SubmittedBy, receipt.Patch.Submitter, receipt.Patch.SubmittedAt = by.Name, by.Subject, now
	rollouts := planner.Rollouts(receipt.Plan, receipt.Patch, s.opt.NewID, now)
	for i := range rollouts {
		receipt.Rollouts = append(receipt.Rollouts, rollouts[i].ID)
	}
	cmd := &state.PatchSubmit{Patch: receipt.Patch, Plan: receipt.Plan, Rollouts: rollouts, Former: &former}
	if _, err := s.opt.Log.Apply(ctx, cmd, by.Name); err != nil {
		return api.PatchReceipt{}, err
	}
	return receipt, nil
}

// former is the index of the patch whose place one of that name would take, and 0 when there
// is none. Whoever does not reach all of it may not.
func (s *Service) former(name string, by api.Identity) (uint64, error) {
	former, ok := s.store.Patch(name)
	if !ok {
		return 0, nil
	}
	if err := access.MayReplace(by, former); err != nil {
		return 0, err
	}
	return former.ModifyIndex, nil
}

// LiftQuarantine lets a patch be offered to a target again.
func (s *Service) LiftQuarantine(ctx context.Context, patch string, target api.TargetRef, by api.Identity) error {
	_, err := s.opt.Log.Apply(ctx, &state.QuarantineLift{Patch: patch, Target: target}, by.Name)
	return err
}

// ReadPatch reads a patch file, and nothing else. The error has file, line and column.
func (s *Service) ReadPatch(file api.SourceFile) (api.Patch, error) { return parsePatch(file) }

// parsePatch reads a patch file. The error has file, line and column.
func parsePatch(file api.SourceFile) (api.Patch, error) {
	patch, diags := policies.ParsePatch(file)
	if diags.HasErrors() {
		return api.Patch{}, policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	return patch, nil
}
