package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/rollout"
)

// instance is one allocation of a target in the model.
type instance struct {
	id, name string
	slot     int
	patched  bool
	canary   bool
	healthy  time.Time // from then on
	dies     time.Time // zero: never
}

// up reports whether it answers requests at a time.
func (i *instance) up(now time.Time) bool {
	return !now.Before(i.healthy) && (i.dies.IsZero() || now.Before(i.dies))
}

// site is one target in the model: what Nomad does about its job when the
// orchestrator registers it. A registration replaces instances at once, and each
// new one becomes healthy after a time that boot gives it. A patched one that dies
// is not replaced: the orchestrator turns back, or the deadline does.
type site struct {
	target    *api.Target
	now       time.Time
	index     uint64
	version   uint64
	build     api.Build
	pace      rollout.Pace
	settled   bool
	promoted  bool
	instances []*instance
	serial    int
	boot      func() time.Duration
	// dies is how long after it became healthy a patched instance dies; 0 for
	// never.
	dies    time.Duration
	reached int // instances that were started with the patch
}

func newSite(target *api.Target, now time.Time, boot func() time.Duration, dies time.Duration) *site {
	s := &site{
		target: target, now: now, index: max(target.JobModifyIndex, 1), version: target.JobVersion, build: api.BuildFormer,
		pace: rollout.PaceOwn, settled: true, promoted: true, boot: boot, dies: dies,
	}
	for slot := range target.Count {
		s.place(slot, false)
	}
	for _, in := range s.instances {
		in.healthy = now
	}
	return s
}

func (s *site) place(slot int, patched bool) *instance {
	s.serial++
	name := fmt.Sprintf("%s.%s[%d]", s.target.Job, s.target.Group, slot)
	in := &instance{id: fmt.Sprintf("%s-%d", name, s.serial), name: name, slot: slot, patched: patched, healthy: s.now.Add(s.boot())}
	if patched {
		s.reached++
		if s.dies > 0 {
			in.dies = in.healthy.Add(s.dies)
		}
	}
	s.instances = append(s.instances, in)
	return in
}

// replace puts another instance in the place of one.
func (s *site) replace(old *instance, patched bool) {
	s.instances = slices.DeleteFunc(s.instances, func(in *instance) bool { return in == old })
	s.place(old.slot, patched)
}

// next is when an instance becomes healthy or dies; false when none will.
func (s *site) next() (time.Time, bool) {
	var first time.Time
	for _, in := range s.instances {
		for _, at := range []time.Time{in.healthy, in.dies} {
			if at.After(s.now) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first, !first.IsZero()
}

// arms counts the instances that answer requests now.
func (s *site) arms() (patched, former int) {
	for _, in := range s.instances {
		switch {
		case !in.up(s.now):
		case in.patched:
			patched++
		default:
			former++
		}
	}
	return patched, former
}

func (s *site) view() *rollout.JobView {
	v := &rollout.JobView{
		ModifyIndex: s.index, Version: s.version, Build: s.build, Pace: s.pace, Count: s.target.Count,
		Tagged: true, Promoted: s.promoted, Settled: s.settled, Instances: make([]api.Instance, 0, len(s.instances)),
	}
	for _, in := range s.instances {
		out := api.Instance{ID: in.id, Name: in.name, JobVersion: s.version, Build: api.BuildFormer, Canary: in.canary, Health: api.Healthy}
		if in.patched {
			out.Build = api.BuildPatched
		}
		switch {
		case s.now.Before(in.healthy):
			out.Health, out.Because = api.Pending, "it is starting"
		case !in.up(s.now):
			out.Health, out.Because = api.Unhealthy, "allocation is failed"
		}
		v.Instances = append(v.Instances, out)
	}
	slices.SortFunc(v.Instances, func(a, b api.Instance) int {
		if a.Name != b.Name {
			return compare(a.Name, b.Name)
		}
		return compare(a.ID, b.ID)
	})
	return v
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// register is the compare-and-set of a registration; expect is the job's modify
// index.
func (s *site) register(build api.Build, pace rollout.Pace, expect uint64) error {
	if expect != s.index {
		return api.Errorf(api.CodeConflict, "the job's modify index is %d, not %d", s.index, expect)
	}
	s.index++
	s.version++
	s.build, s.pace, s.settled = build, pace, pace == rollout.PaceOwn
	return nil
}

// stage lets delta further instances run the patch, in place of the former ones
// of the lowest slots or beside all of them.
func (s *site) stage(mode api.StageMode, delta int, expect uint64) error {
	if err := s.register(api.BuildPatched, rollout.PaceHeld, expect); err != nil {
		return err
	}
	if mode == api.StageBeside {
		s.promoted = false
		for slot := range delta {
			s.place(slot, true).canary = true
		}
		return nil
	}
	for _, in := range s.lowest(false, delta) {
		s.replace(in, true)
	}
	return nil
}

// lowest are the first instances of a build by slot, at most n.
func (s *site) lowest(patched bool, n int) []*instance {
	var out []*instance
	for _, in := range s.instances {
		if in.patched == patched {
			out = append(out, in)
		}
	}
	slices.SortStableFunc(out, func(a, b *instance) int { return a.slot - b.slot })
	return out[:min(n, len(out))]
}

// promote takes the former instances away.
func (s *site) promote() {
	s.promoted = true
	s.instances = slices.DeleteFunc(s.instances, func(in *instance) bool { return !in.patched })
	for _, in := range s.instances {
		in.canary = false
	}
}

// rollback returns every instance to the former build.
func (s *site) rollback(expect uint64) error {
	if err := s.register(api.BuildFormer, rollout.PaceHeld, expect); err != nil {
		return err
	}
	s.promoted = true
	s.instances = slices.DeleteFunc(s.instances, func(in *instance) bool { return in.canary })
	for _, in := range s.lowest(true, len(s.instances)) {
		s.replace(in, false)
	}
	return nil
}

// sites are the orchestrator's Nomad.
type sites map[api.TargetRef]*site

var (
	_ orchestrator.Reader = sites(nil)
	_ orchestrator.Mover  = sites(nil)
	_ orchestrator.Tagger = sites(nil)
)

// View looks at a job.
func (s sites) View(_ context.Context, m rollout.Move) (*rollout.JobView, error) {
	return s[m.Target].view(), nil
}

// Capture returns the job as it is before a rollout.
func (s sites) Capture(_ context.Context, ref api.TargetRef) (*api.FormerJob, error) {
	at := s[ref]
	return &api.FormerJob{Version: at.version, ModifyIndex: at.index, Count: at.target.Count}, nil
}

// Target describes a target.
func (s sites) Target(_ context.Context, ref api.TargetRef) (api.Target, error) {
	return *s[ref].target, nil
}

// Stage lets further instances run the patch.
func (s sites) Stage(_ context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	return s[m.Target].stage(mode, delta, expect)
}

// Promote takes the former instances away.
func (s sites) Promote(_ context.Context, m rollout.Move) error {
	s[m.Target].promote()
	return nil
}

// Settle ends the deployment.
func (s sites) Settle(_ context.Context, m rollout.Move) error {
	s[m.Target].settled = true
	return nil
}

// Rollback returns every instance to the former build.
func (s sites) Rollback(_ context.Context, m rollout.Move, expect uint64) error {
	return s[m.Target].rollback(expect)
}

// Unpace restores the job's own update block.
func (s sites) Unpace(_ context.Context, m rollout.Move, build api.Build, expect uint64) error {
	return s[m.Target].register(build, rollout.PaceOwn, expect)
}

// Tag marks the former job version.
func (sites) Tag(context.Context, rollout.Move) error { return nil }

// Untag takes the mark away.
func (sites) Untag(context.Context, rollout.Move) error { return nil }
