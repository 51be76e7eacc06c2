package nomad

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Check tries the patch on the target's job by a dry run of Nomad's scheduler, as a stage
// of one instance in place would be registered. It returns an error when the patch can't
// be applied: a task does not exist, or Nomad refuses the result. That Nomad would not
// place the instance now is no error, since it may place it when the turn comes. Nor is
// a job that the patch leaves as it is: Nomad is not asked then.
func (c *Client) Check(ctx context.Context, ref api.TargetRef, changes []api.Apply) (api.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	out, job, next, err := c.applied(ctx, ref, changes)
	if err != nil || out.Unchanged {
		return out, err
	}
	group := next.LookupTaskGroup(ref.Group)
	if launchOf(job) == "" {
		group.Update = heldUpdate(1, 0, *job.JobModifyIndex)
	}
	if perNode(job) {
		group.Update.Canary = new(wholeShare) // so that every node is tried
	}
	would, err := c.dryRun(ctx, next)
	if err != nil {
		return out, err
	}
	out.Warnings = warnings(would.Warnings)
	out.NoRoom = noRoom(would.FailedTGAllocs[ref.Group])
	if out.NoRoom == "" && perNode(job) {
		out.NoRoom = onNodes(would, ref.Group, &nomadapi.UpdateStrategy{})
	}
	if out.NoRoom != "" {
		out.NoRoom += c.closedNodes(ctx, next)
	}
	return out, nil
}

// Applied says whether the target's job is what the changes make of it already, and how
// many of its instances are not. The error has code not_found when there is no such
// target in a running job. Nothing is tried.
func (c *Client) Applied(ctx context.Context, ref api.TargetRef, changes []api.Apply) (api.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	out, job, _, err := c.applied(ctx, ref, changes)
	if err == nil && *job.Stop {
		err = api.Errorf(api.CodeNotFound, "job %s was stopped", ref.Job)
	}
	return out, err
}

// applied compares a target's job with what the changes make of it, and returns both.
func (c *Client) applied(ctx context.Context, ref api.TargetRef, changes []api.Apply) (out api.DryRun, job, next *nomadapi.Job, err error) {
	out.Target = ref
	if job, err = c.Job(ctx, ref.Namespace, ref.Job); err != nil {
		return out, nil, nil, err
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(a api.Apply) bool { return a.Kind == api.ApplyScript })
	if next, err = Patched(job, ref.Group, changes); err != nil {
		return out, nil, nil, err
	}
	same, err := equal(job, next)
	if err == nil && same && len(changes) > 0 {
		out.Unchanged = true
		out.Behind, err = c.behind(ctx, ref, job)
	}
	return out, job, next, err
}

// behind is how many instances of a target run another build than the registered one.
func (c *Client) behind(ctx context.Context, ref api.TargetRef, job *nomadapi.Job) (int, error) {
	now, err := digest(job)
	if err != nil {
		return 0, err
	}
	versions, _, _, err := c.api.Jobs().Versions(ref.Job, false, c.Query(ctx, ref.Namespace))
	if err != nil {
		return 0, Explain("list versions of "+ref.Job, err)
	}
	same := map[uint64]bool{}
	for _, v := range versions {
		is, err := digest(v)
		if err != nil {
			return 0, err
		}
		same[*v.Version] = is == now
	}
	stubs, err := c.current(ctx, ref)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range stubs {
		if !same[s.JobVersion] {
			n++
		}
	}
	return n, nil
}

// fits returns a [rollout.NoRoom] when Nomad would not place all instances of a group that
// the job's registration asks for, with the present counts of its groups.
func (c *Client) fits(ctx context.Context, job *nomadapi.Job, group string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	now, err := c.Job(ctx, *job.Namespace, *job.ID)
	if api.IsCode(err, api.CodeNotFound) {
		return nil // the compare-and-set says so
	}
	if err != nil {
		return err
	}
	tried := *job
	tried.TaskGroups = slices.Clone(job.TaskGroups)
	for i, g := range tried.TaskGroups {
		if own := now.LookupTaskGroup(*g.Name); own != nil {
			counted := *g
			counted.Count = own.Count
			tried.TaskGroups[i] = &counted
		}
	}
	would, err := c.dryRun(ctx, &tried)
	if err != nil {
		return err
	}
	why := noRoom(would.FailedTGAllocs[group])
	if why == "" && perNode(job) {
		why = onNodes(would, group, job.LookupTaskGroup(group).Update)
	}
	if why != "" {
		ref := api.TargetRef{Namespace: *job.Namespace, Job: *job.ID, Group: group}
		return &rollout.NoRoom{Target: ref, Why: why + c.closedNodes(ctx, job)}
	}
	return nil
}

func (c *Client) dryRun(ctx context.Context, job *nomadapi.Job) (*nomadapi.JobPlanResponse, error) {
	would, _, err := c.api.Jobs().Plan(job, false, c.Write(ctx, *job.Namespace))
	return would, c.refusal(ctx, "dry run of "+*job.ID, job, err)
}

// noRoom says why no node takes an instance; empty when one does.
func noRoom(m *nomadapi.AllocationMetric) string {
	switch {
	case m == nil:
		return ""
	case m.NodesEvaluated == 0 && len(m.QuotaExhausted) == 0:
		return "no node of its datacenters and node pool is ready and eligible"
	}
	var said []string
	for _, of := range []struct {
		counts map[string]int
		text   string
	}{
		{m.DimensionExhausted, "%s exhausted on %d of %d nodes"},
		{m.ConstraintFiltered, "the constraint %s rules out %d of %d nodes"},
		{m.ClassFiltered, "the class %s rules out %d of %d nodes"},
	} {
		for _, key := range slices.Sorted(maps.Keys(of.counts)) {
			said = append(said, fmt.Sprintf(of.text, key, of.counts[key], m.NodesEvaluated))
		}
	}
	for _, q := range m.QuotaExhausted {
		said = append(said, "the quota is used up: "+q)
	}
	if len(said) == 0 {
		return fmt.Sprintf("none of %d nodes takes it", m.NodesEvaluated)
	}
	return strings.Join(said, ", ")
}

// closedMost is how many nodes a hold names: it is in the record, and a fleet has thousands.
const closedMost = 5

// closedNodes names the nodes of a job's datacenters and node pool that take nothing new, and
// why, as the end of a sentence: Nomad's scheduler does not look at them, and says nothing of
// them. It is empty when there are none, or when Nomad does not say.
func (c *Client) closedNodes(ctx context.Context, job *nomadapi.Job) string {
	stubs, _, err := c.api.Nodes().List(c.Query(ctx, ""))
	if err != nil {
		return ""
	}
	var said []string
	slices.SortFunc(stubs, func(a, b *nomadapi.NodeListStub) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range stubs {
		if why := closed(n); why != "" && offered(n, job) {
			said = append(said, n.Name+" "+why)
		}
	}
	if more := len(said) - closedMost; more > 0 {
		said = append(said[:closedMost], fmt.Sprintf("and %d more", more))
	}
	if len(said) == 0 {
		return ""
	}
	return "; not counting " + strings.Join(said, ", ")
}

// closed says why a node takes nothing new; empty when it does.
func closed(n *nomadapi.NodeListStub) string {
	switch {
	case n.Status != nomadapi.NodeStatusReady:
		return "(" + n.Status + ")"
	case n.Drain:
		return "(draining)"
	case n.SchedulingEligibility == nomadapi.NodeSchedulingIneligible:
		return "(ineligible)"
	}
	return ""
}

// offered reports whether a node is in a job's datacenters and node pool.
func offered(n *nomadapi.NodeListStub, job *nomadapi.Job) bool {
	pool := orElse(job.NodePool, nomadapi.NodePoolDefault)
	if pool != nomadapi.NodePoolAll && n.NodePool != "" && n.NodePool != pool {
		return false
	}
	return len(job.Datacenters) == 0 || slices.ContainsFunc(job.Datacenters, func(pattern string) bool {
		ok, err := path.Match(pattern, n.Datacenter)
		return err == nil && ok
	})
}

// warnings takes Nomad's list of warnings apart, a line each.
func warnings(text string) []string {
	var out []string
	for _, part := range strings.Split("\n"+text, "\n* ")[1:] {
		out = append(out, strings.Join(strings.Fields(part), " "))
	}
	return out
}
