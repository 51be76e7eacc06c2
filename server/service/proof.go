package service

import (
	"context"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

const (
	// proofsEvery is how often the record is looked at for something that could prove a fix.
	proofsEvery = 15 * time.Second
	// proofsFor is how long after its end a rollout is looked at that has proven nothing: an
	// inventory that nothing runs is kept no longer.
	proofsFor = unseenAfter
)

// watchProofs asks the inventories, after each rollout that was to fix a fault, whether that
// is gone, until ctx ends. It asks again when the record has more inventories, until it is.
func (s *Service) watchProofs(ctx context.Context) {
	ticks, stop := s.opt.Ticker(proofsEvery)
	defer stop()
	seen := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			now := s.store.IndexOf(api.TopicRollout, api.TopicInventory, api.TopicSimulation, api.TopicPatch)
			if now != seen && s.proveFixes(ctx) {
				seen = now
			}
		}
	}
}

// proveFixes looks once, and reports whether everything was recorded that it has found. A
// target that does not run now is left alone.
func (s *Service) proveFixes(ctx context.Context) bool {
	if s.store.Level() < levels.Eight {
		return false
	}
	open := s.store.UnprovenRollouts(s.now().Add(-proofsFor))
	if len(open) == 0 {
		return true
	}
	targets, err := s.opt.Fleet.Targets(ctx)
	if err != nil {
		return false // nobody answers
	}
	running := make(map[api.TargetRef]*api.Target, len(targets))
	for i := range targets {
		running[targets[i].TargetRef] = &targets[i]
	}
	var ended []api.Target
	for _, r := range open {
		if t := running[r.Target]; t != nil {
			ended = append(ended, *t)
		}
	}
	all, content, assessors := true, s.content(ctx, ended), map[string]*advisory.Assessor{}
	for _, r := range open {
		assessor, ok := assessors[r.Patch+" "+r.PatchDigest]
		if !ok {
			assessor = s.assessorOf(r)
			assessors[r.Patch+" "+r.PatchDigest] = assessor
		}
		if t := running[r.Target]; t != nil && assessor != nil {
			found := content.of(*t)
			if len(found.Parts) > 0 || content.unknown != "" {
				all = false // the record does not tell when they have come after
			}
			all = s.prove(ctx, r, assessor.AssessTarget(&found)) && all
		}
	}
	return all
}

// assessorOf compares inventories with what the patch of a rollout says of its fault. It is
// nil for a patch that names no packages, and for one whose content is another by now.
func (s *Service) assessorOf(r api.Rollout) *advisory.Assessor {
	patch, ok := s.store.Patch(r.Patch)
	if !ok || patch.Digest != r.PatchDigest || len(patch.Affects) == 0 && patch.Advisory == nil {
		return nil
	}
	advisories, statements, err := advisory.OfPatch(patch)
	if err != nil {
		s.log.Warn("read what a patch fixes", "patch", patch.Name, "error", err)
		return nil
	}
	return advisory.NewAssessor(advisories, advisory.Options{Now: s.now(), MaxAge: s.opt.MaxAge, Statements: statements})
}

// prove records what was found after a rollout, unless that is known already, and reports
// whether the record has it.
func (s *Service) prove(ctx context.Context, r api.Rollout, found api.TargetAssessment) bool {
	if len(found.Reason) > state.ProofReasonMax { // names of packages come from documents
		found.Reason = strings.ToValidUTF8(found.Reason[:state.ProofReasonMax], "")
	}
	if r.Proof != nil && r.Proof.Status == found.Status && r.Proof.Reason == found.Reason {
		return true
	}
	cmd := &state.RolloutProve{ID: r.ID, Expect: r.ModifyIndex, Status: found.Status, Reason: found.Reason}
	if _, err := s.opt.Log.Apply(ctx, cmd, s.opt.Server); err != nil {
		if !api.IsCode(err, api.CodeStaleIndex) && ctx.Err() == nil {
			s.log.Warn("record whether a patch has fixed its fault", "rollout_id", r.ID, "target", r.Target.String(), "error", err)
		}
		return false
	}
	if found.Status == api.AssessmentAffected {
		s.log.Warn("a target is affected after the patch", "rollout_id", r.ID, "patch", r.Patch, "target", r.Target.String(), "reason", found.Reason)
	}
	return true
}
