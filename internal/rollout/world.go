package rollout

import (
	"time"

	"github.com/oakumhq/oakum/api"
)

// Pace says whose update block the registered job carries.
type Pace string

// Paces. Under PaceHeld nothing moves until Oakum says so.
const (
	PaceOwn  Pace = "own"  // the job's own, as before the rollout
	PaceHeld Pace = "held" // ours: manual health, no progress deadline
)

// Move is a target's job with its two forms: the one that it had before the
// rollout and the one that the patch makes of it.
type Move struct {
	Target  api.TargetRef
	Rollout string
	Former  *api.FormerJob
	Apply   []api.Apply
}

// TagName is the Nomad version tag that keeps the former job version from
// being collected, and tells who is moving the job.
func (m Move) TagName() string { return "oakum-" + m.Rollout }

// JobView is one look at a target's job in Nomad.
type JobView struct {
	ModifyIndex uint64
	Version     uint64
	Build       api.Build // what the registered job is
	Pace        Pace
	Count       int // instances that the registered group wants
	Tagged      bool
	Promoted    bool           // the latest deployment has no canaries left to promote
	Settled     bool           // the latest deployment is over, or nothing waits for it
	Failed      bool           // the deployment of this version has failed: Nomad replaces nothing more under it
	Instances   []api.Instance // sorted by name, health merged from Nomad and Consul
}

// Tally counts instances.
type Tally struct {
	Patched, PatchedHealthy int
	Former, FormerHealthy   int
	Foreign                 int
	Unhealthy               []api.Instance // patched ones that are lost or failed
}

// Tally counts the instances of a view by build and health.
func (v JobView) Tally() Tally {
	var t Tally
	for _, in := range v.Instances {
		switch in.Build {
		case api.BuildPatched:
			t.Patched++
			if in.Health == api.Healthy {
				t.PatchedHealthy++
			}
			if in.Health == api.Unhealthy {
				t.Unhealthy = append(t.Unhealthy, in)
			}
		case api.BuildFormer:
			t.Former++
			if in.Health == api.Healthy {
				t.FormerHealthy++
			}
		case api.BuildForeign:
			t.Foreign++
		}
	}
	return t
}

// Observation is everything that one tick knows about the world.
type Observation struct {
	Job     *JobView   // nil when Nomad did not answer
	Away    []api.Hold // sources that do not answer, with since when
	Verdict *api.Verdict
	Judge   *api.JudgeState
	Advice  *api.Advice
	Gate    Gate
	// Anew is what the policies decide with a whole graph, of a rollout that waits for
	// an approval which was asked for in doubt; nil while they do not.
	Anew *api.Decision
	// Denied is what the target's services try although it is denied, the oldest
	// first.
	Denied []api.Attempt
}

// Gate says what the rest of the cluster lets this rollout do.
type Gate struct {
	Open   bool
	Reason string // why it is closed
}

// EffectResult is what became of an effect.
type EffectResult struct {
	ID         string
	OK         bool
	Outcome    string
	Index      uint64         // job modify index at which it was seen
	Former     *api.FormerJob // of a tag
	Simulation string         // of a simulate
	Rejected   bool           // of a simulate: the impact is negative
	Apply      []api.Apply    // of a simulate that baked an image: what production gets
	Decision   *api.Decision  // of a simulate: what the policies say now that the impact is known
	At         time.Time
}
