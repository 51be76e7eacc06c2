package rehearsal

import (
	"context"
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/adapter"
	"github.com/oakumhq/oakum/internal/rollout"
)

// settling is how long before a play a target is registered, so that its own
// deployment has ended when the rollout begins.
const settling = time.Hour

// site is one target alone in a fleet in memory. Only the orchestrator connects
// the targets of a play, so they need no common fleet, and a fleet of one job
// shows when that job changes.
type site struct {
	adapter.Nomad
	ref     api.TargetRef
	former  string // what its instances run before the rollout
	started bool   // the former instances are there
	index   uint64 // of the fleet, when its instances were counted
	patched int    // that answer
	others  int
	reached map[string]bool // instances that have run the patch
	seen    *rollout.JobView
	seenAt  uint64 // index of the fleet then
	behave  behaviour
	boot    func() time.Duration
}

// newSite registers a target and waits until its deployment has ended. boot draws
// how long an instance takes from its placement until it is healthy.
func newSite(t *api.Target, seed uint64, now time.Time, boot func() time.Duration, b behaviour) (*site, error) {
	s := &site{
		Nomad: adapter.New(fleet.New(seed, now.Add(-settling))), ref: t.TargetRef,
		reached: map[string]bool{}, behave: b, boot: boot,
	}
	s.KeepNoEvents()
	s.Behave(s.behaviourOf)
	s.AddNode(fleet.Node{Name: "anywhere", CPU: roomCPU, MemoryMB: roomMB})
	registered, err := s.Register(jobOf(t), true, 0)
	if err != nil {
		return nil, fmt.Errorf("rehearse %s: %w", t.TargetRef, err)
	}
	s.former = registered.Job.Group(t.Group).Spec
	s.Advance(now)
	s.started = true
	s.count()
	return s, nil
}

// The single node of a site has room for every instance.
const roomCPU, roomMB = 1 << 40, 1 << 40

// jobOf is a job with the target's group alone. Its update block and its restart
// policy are Nomad's defaults, since the facts do not contain them.
func jobOf(t *api.Target) fleet.Job {
	g := fleet.Group{Name: t.Group, Count: t.Count, Update: &fleet.Update{
		Stagger: 30 * time.Second, MaxParallel: 1, HealthCheck: fleet.HealthTaskStates,
		MinHealthyTime: 10 * time.Second, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute,
	}}
	for _, k := range t.Tasks {
		key := "image"
		if k.Driver == "qemu" {
			key = "image_path"
		}
		g.Tasks = append(g.Tasks, fleet.Task{Name: k.Name, Driver: k.Driver, Lifecycle: k.Lifecycle, Config: map[string]any{key: k.Image}})
	}
	if len(g.Tasks) == 0 {
		g.Tasks = []fleet.Task{{Name: "main", Driver: t.Driver}}
	}
	return fleet.Job{JobID: fleet.JobID{Namespace: t.Namespace, ID: t.Job}, Groups: []fleet.Group{g}}
}

// behaviourOf is the behaviour of a build's instances.
func (s *site) behaviourOf(b fleet.Build) fleet.Behaviour {
	if !s.started {
		return fleet.Behaviour{}
	}
	boot := s.boot()
	out := fleet.Behaviour{Start: boot, StartMost: boot}
	if b.Group.Spec != s.former {
		out.CrashAfter = s.behave.dies
	}
	return out
}

// look is the orchestrator's view of the job. The orchestrator does not change it.
func (s *site) look(ctx context.Context, m rollout.Move) (*rollout.JobView, error) {
	if s.seen != nil && s.seenAt == s.Index() {
		return s.seen, nil
	}
	v, err := s.View(ctx, m)
	if err != nil {
		return nil, err
	}
	s.seen, s.seenAt = v, s.Index()
	return v, nil
}

// advance lets time go by.
func (s *site) advance(now time.Time) {
	s.Advance(now)
	s.count()
}

// count counts the instances again after a change.
func (s *site) count() {
	if s.index == s.Index() {
		return
	}
	s.index, s.patched, s.others = s.Index(), 0, 0
	for _, a := range s.Fleet.Instances(s.ref) {
		switch {
		case !a.Answers():
		case a.Group.Spec == s.former:
			s.others++
		default:
			s.patched++
			s.reached[a.ID] = true
		}
	}
}

// arms counts the instances that answer requests now.
func (s *site) arms() (patched, former int) { return s.patched, s.others }
