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

// Move is a target's job with its two forms: before the rollout, and with the patch.
type Move struct {
	Target  api.TargetRef
	Rollout string
	Former  *api.FormerJob
	Apply   []api.Apply
}

// TagName is the Nomad version tag that keeps the former job version from being
// collected. It also says which rollout moves the job.
func (m Move) TagName() string { return "oakum-" + m.Rollout }

// JobView is a target's job as Nomad has it at one moment.
type JobView struct {
	ModifyIndex uint64
	Version     uint64
	Build       api.Build // what the registered job is
	Pace        Pace
	Parallel    int            // of a held update block: former instances that Nomad replaces at once when the job gets another version
	Expected    uint64         // job modify index that the registration of a held update block expected; 0 when nobody knows
	Count       int            // instances that the registered group wants
	JobPace                    // of the job's own update block, whatever the registered one is
	Unchanged   bool           // the patch leaves the job as it was: both builds are the same
	Promoted    bool           // the latest deployment has no canaries left to promote; false while it has
	Settled     bool           // the latest deployment is over, or nothing waits for it
	Others      string         // which other groups of the job keep the latest deployment from its end, or failed it; empty when none does
	Shared      bool           // other groups of the job have instances, which are in its deployments too
	Stable      bool           // the registered version is one that Nomad may go back to: its deployment was successful
	Reverts     bool           // a group's own update block has auto_revert: Nomad takes the job back when a deployment under it fails
	Failed      bool           // the deployment of this version has failed: Nomad replaces nothing more under it
	Instances   []api.Instance // sorted by name, health merged from Nomad and Consul
	// Runs is when the newest task of each instance began, by the instance's ID and its
	// node's clock. Another value is another run: a task was restarted.
	Runs map[string]time.Time
	// Early are the instances that are pending for nothing but the job's min_healthy_time,
	// by ID.
	Early map[string]bool
	// Fresh are the instances that are not healthy and that nobody has found healthy before,
	// by ID: one that replaces another needs its time to start.
	Fresh map[string]bool
	// Excused says of instances that are not healthy why that is not the doing of what they
	// run, by ID: their node is lost, for example.
	Excused map[string]string
	// PerNode says that the job has one instance on every node that takes it: nobody knows
	// which of them Nomad replaces next, and a node that joins gets the registered version.
	PerNode bool
	// Lost is how many instances of such a job are lost together with their nodes. They are
	// not among Instances, and Count does not count them.
	Lost int
	// Unplaced says why Nomad has not placed instances of the registered version that it
	// tries to; empty when it has placed all, or does not say.
	Unplaced string
	// Gone says that the target is not there any more; nil when it is. ModifyIndex is
	// then the job's, or that of Nomad's list of jobs, and nothing else is set.
	Gone *Gone
}

// Tally counts instances by build.
type Tally struct {
	Patched, PatchedHealthy int
	PatchedEarly            int // healthy, and not yet for long enough
	Former, Foreign         int
	Unhealthy               []api.Instance // patched ones that are lost or failed
}

// Tally counts the instances of a view.
func (v JobView) Tally() Tally {
	var t Tally
	for _, in := range v.Instances {
		switch in.Build {
		case api.BuildPatched:
			t.Patched++
			switch {
			case in.Health == api.Healthy:
				t.PatchedHealthy++
			case v.Early[in.ID]:
				t.PatchedEarly++
			case in.Health == api.Unhealthy:
				t.Unhealthy = append(t.Unhealthy, in)
			}
		case api.BuildFormer:
			t.Former++
		case api.BuildForeign:
			t.Foreign++
		}
	}
	return t
}

// Unhealthy is how many of the instances that the group wants are not healthy or not
// there. Canaries are beside them.
func Unhealthy(v JobView) int {
	n := v.Count
	for _, in := range v.Instances {
		if in.Health == api.Healthy && !in.Canary {
			n--
		}
	}
	return max(0, n)
}

// Observation is everything that one tick knows about the world. What was not asked
// for is nil.
type Observation struct {
	Job     *JobView        // nil when Nomad did not answer too
	Gone    *Gone           // the target is not there any more; Job is nil then
	Away    []api.Hold      // sources that do not answer; since when is stamped by Step
	Closed  []api.Hold      // why nothing may go forward now, such as the brake; likewise
	Verdict *api.Verdict    // of the judge, for the present stage
	Judge   *api.JudgeState // the judge's state after the verdict
	Advice  *api.Advice     // of the strategy
	Gate    Gate
	// Anew is the decision that the policies make with a whole graph, for a rollout that
	// waits for an approval which was asked for in doubt; nil while the doubt stands.
	Anew *api.Decision
	// Unproved keeps the first stage from its judgement while a patched instance is asked
	// whether the fix is there. Disproved says that it is not.
	Unproved  bool
	Disproved string
	// Denied are the attempts of the target's services at what is denied, the oldest
	// first.
	Denied []api.Attempt
	// DeniedUnknown says that nobody knows of such attempts: the graph lacks the target.
	DeniedUnknown bool
}

// Gate says what the rest of the cluster lets this rollout do.
type Gate struct {
	Open   bool
	Reason string     // why it is closed
	Holds  []api.Hold // where that is the failure of other rollouts, which does not end by itself
}
