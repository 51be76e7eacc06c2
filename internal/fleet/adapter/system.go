package adapter

import (
	"cmp"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
)

// What the door in the same process says of system jobs, as the adapter of a real Nomad does.

// wholeShare is the canary of a stage of a system job, in percent of the nodes.
const wholeShare = 100

// keepsNodes returns a [rollout.NoRoom] when the registration of a system job would stop an
// instance for good.
func (n Nomad) keepsNodes(j *fleet.Job, ref api.TargetRef) error {
	if j.Type != fleet.TypeSystem {
		return nil
	}
	would, err := n.Plan(*j)
	if err == nil && would.Groups[ref.Group].Stop > 0 {
		return &rollout.NoRoom{Target: ref, Why: fmt.Sprintf("%d instances would stop for good, of which the nodes take nothing new", would.Groups[ref.Group].Stop)}
	}
	return err
}

// onNodes says what keeps a stage of a system job from the nodes; empty when nothing does.
func onNodes(j *fleet.Job, would fleet.PlannedGroup, group string) string {
	u := j.Group(group).Update
	moves := min(u.MaxParallel, would.Destructive)
	switch {
	case j.Type != fleet.TypeSystem:
	case would.Stop > 0:
		return fmt.Sprintf("%d instances would stop for good, of which the nodes take nothing new", would.Stop)
	case u.Canary > 0 && would.Canary > moves:
		return fmt.Sprintf("%d instances would be replaced at once, and %d are asked for", would.Canary, moves)
	case u.Canary > 0 && would.Canary == 0 && would.Destructive > 0:
		return "no deployment would begin"
	}
	return ""
}

// viewNodes adds to the view of a system job what is unlike other jobs.
func (n Nomad) viewNodes(view *rollout.JobView, ref api.TargetRef) {
	view.PerNode = true
	if d := n.Latest(jobOf(ref)); d != nil && d.Status == fleet.DeployFailed && d.JobVersion != view.Version {
		view.Reverts = false // no later version gets a deployment that could fail
	}
	newest := map[string]*fleet.Alloc{}
	for _, a := range n.Allocs(jobOf(ref)) {
		if a.Group.Name == ref.Group {
			newest[a.Node.ID] = a
		}
	}
	closed := ""
	for _, node := range n.Nodes() {
		switch a := newest[node.ID]; {
		case a == nil:
		case a.Client == fleet.ClientLost && a.Next == "":
			view.Lost++
		case a.Current() && a.Job.Version != view.Version && !node.Takes():
			closed = cmp.Or(closed, "node "+node.Name+" takes nothing new")
		}
	}
	view.Unplaced = cmp.Or(view.Unplaced, closed)
}
