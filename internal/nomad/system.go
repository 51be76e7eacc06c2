package nomad

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/mod/semver"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// A job of type system has an instance on every node that takes one. Nomad has deployments
// for such jobs since 1.11, and a stage holds by them alone: the scheduler replaces as many
// instances as there may be canaries, and leaves the others until a promotion that nobody
// asks for. Its canaries stand in the place of former instances. Without canaries the
// scheduler replaces one more instance for each that somebody calls healthy and for each that
// fails, whatever became of the deployment.

// wholeShare is the canary of a stage, in percent of the nodes: max_parallel says how many of
// them there are.
const wholeShare = 100

// systemSince is the first version of Nomad whose system jobs have deployments.
const systemSince = "1.11.0"

// perNode reports whether a job has one instance on every node.
func perNode(job *nomadapi.Job) bool {
	return orElse(job.Type, nomadapi.JobTypeService) == nomadapi.JobTypeSystem
}

// complete adds to a target of a system job what its specification does not say: how many
// instances there are, and whether this Nomad is too old for a rollout of it.
func (c *Client) complete(ctx context.Context, t *api.Target) error {
	if t.Type != nomadapi.JobTypeSystem {
		return nil
	}
	stubs, err := c.current(ctx, t.TargetRef)
	if err != nil {
		return err
	}
	t.Count = len(stubs)
	t.Unfit = cmp.Or(t.Unfit, c.tooOld(ctx))
	return nil
}

// tooOld says why a rollout of a system job is not possible on this Nomad; empty when one is.
// A server of an earlier version replaces the instances by itself, at the job's own stagger.
// Beside a client of an earlier version none of them makes deployments for system jobs. What
// Nomad does not say is not taken for new enough.
func (c *Client) tooOld(ctx context.Context) string {
	const why = "its job is of type system, of which nomad stages an update since version " // of servers and clients
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	members, err := c.api.Agent().MembersOpts(c.Query(ctx, ""))
	if err != nil {
		return why + systemSince + ", and nomad does not say of which its servers are: " + api.AsError(Explain("list servers", err)).Message
	}
	for _, m := range members.Members {
		if said := m.Tags["build"]; m.Status == "alive" && older(said) {
			return fmt.Sprintf("%s%s, and server %s has %s", why, systemSince, m.Name, orUnknown(said))
		}
	}
	q := c.Query(ctx, "")
	q.Filter = `Status != "down"`
	stubs, _, err := c.api.Nodes().List(q)
	if err != nil {
		return why + systemSince + ", and nomad does not say of which its clients are: " + api.AsError(Explain("list nodes", err)).Message
	}
	for _, n := range stubs {
		if older(n.Version) {
			return fmt.Sprintf("%s%s, and client %s has %s", why, systemSince, n.Name, orUnknown(n.Version))
		}
	}
	return ""
}

// older reports whether a version is before systemSince, or is none. A pre-release of that
// counts as older.
func older(text string) bool {
	return !semver.IsValid("v"+text) || semver.Compare("v"+text, "v"+systemSince) < 0
}

func orUnknown(text string) string { return cmp.Or(text, "an unknown version") }

// holdNodes gives a system job's group the update block of a stage. Where the job has no
// deployment at all, which canaries need, the stage goes without: Nomad may then not begin
// one, and would take canaries of every node.
func (c *Client) holdNodes(ctx context.Context, job *nomadapi.Job, ref api.TargetRef, delta int, expect uint64) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	dep, err := c.deployment(ctx, ref)
	if err != nil {
		return err
	}
	canaries := 0
	if dep != nil {
		canaries = wholeShare
	}
	holdPace(job, ref.Group, heldUpdate(delta, canaries, expect))
	if why := c.tooOld(ctx); why != "" {
		return &rollout.NoRoom{Target: ref, Why: why}
	}
	return nil
}

// keepsNodes returns a [rollout.NoRoom] when the registration of a system job would stop an
// instance for good. What ends a rollout is not urgent, and every registration stops the
// instances whose nodes take nothing new.
func (c *Client) keepsNodes(ctx context.Context, job *nomadapi.Job, ref api.TargetRef) error {
	if !perNode(job) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	would, err := c.dryRun(ctx, job)
	if err != nil {
		return err
	}
	if why := stops(would, ref.Group); why != "" {
		return &rollout.NoRoom{Target: ref, Why: why + c.closedNodes(ctx, job)}
	}
	return nil
}

// desired is what the scheduler would do to a group.
func desired(would *nomadapi.JobPlanResponse, group string) nomadapi.DesiredUpdates {
	if would.Annotations == nil || would.Annotations.DesiredTGUpdates[group] == nil {
		return nomadapi.DesiredUpdates{}
	}
	return *would.Annotations.DesiredTGUpdates[group]
}

// stops says how many instances of a group the scheduler would stop for good; empty when none.
func stops(would *nomadapi.JobPlanResponse, group string) string {
	n := desired(would, group).Stop
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("nomad would stop %d instances whose nodes take nothing new, and start none in their place", n)
}

// onNodes says what keeps the scheduler from carrying out a stage of a system job on the
// nodes without harm; empty when nothing does. It tries every node, since nobody knows which
// it will take. An instance whose node takes nothing new is stopped by each registration.
func onNodes(would *nomadapi.JobPlanResponse, group string, u *nomadapi.UpdateStrategy) string {
	if why := stops(would, group); why != "" {
		return why
	}
	d := desired(would, group)
	moves := min(uint64(max(0, orElse(u.MaxParallel, 0))), d.DestructiveUpdate) //nolint:gosec // it is not negative
	switch {
	case d.Preemptions > 0:
		return fmt.Sprintf("nomad would take %d instances of other jobs away for it", d.Preemptions)
	case orElse(u.Canary, 0) > 0 && d.Canary > moves:
		return fmt.Sprintf("nomad would replace %d instances at once, and %d are asked for", d.Canary, moves)
	case orElse(u.Canary, 0) > 0 && d.Canary == 0 && d.DestructiveUpdate > 0:
		return "nomad would begin no deployment, without which nothing holds"
	}
	return ""
}

// viewNodes adds to the view of a system job what is unlike other jobs: how many instances
// there are is how many it wants. last is the newest deployment, of whichever version.
func viewNodes(view *rollout.JobView, last *nomadapi.Deployment, all []*nomadapi.AllocationListStub) {
	view.PerNode, view.Count = true, len(view.Instances)
	view.Lost = lostOf(all)
	if last != nil && last.Status == nomadapi.DeploymentStatusFailed && last.JobVersion != view.Version {
		view.Reverts = false // no later version gets a deployment that could fail
	}
}

// lostOf is how many instances are lost together with their nodes: nothing came after them
// there.
func lostOf(all []*nomadapi.AllocationListStub) int {
	newest := map[string]*nomadapi.AllocationListStub{}
	for _, s := range all {
		if have := newest[s.NodeID]; have == nil || have.CreateIndex < s.CreateIndex {
			newest[s.NodeID] = s
		}
	}
	n := 0
	for _, s := range newest {
		if s.ClientStatus == nomadapi.AllocClientStatusLost && s.NextAllocation == "" {
			n++
		}
	}
	return n
}

// closedTo names the nodes of instances of another version that take nothing new now, and so
// no newer version either; empty when there are none.
func (c *Client) closedTo(ctx context.Context, stubs []*nomadapi.AllocationListStub, version uint64) (string, error) {
	q := c.Query(ctx, "")
	q.Filter = `Status != "ready" or SchedulingEligibility != "eligible"`
	nodes, _, err := c.api.Nodes().List(q)
	if err != nil {
		return "", Explain("list nodes", err)
	}
	var said []string
	for _, n := range nodes {
		if slices.ContainsFunc(stubs, func(s *nomadapi.AllocationListStub) bool { return s.NodeID == n.ID && s.JobVersion != version }) {
			said = append(said, "node "+n.Name+" takes nothing new "+closed(n))
		}
	}
	slices.Sort(said)
	if more := len(said) - closedMost; more > 0 {
		said = append(said[:closedMost], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, ", "), nil
}
