package nomad

import (
	"context"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Settle marks every instance of the target in the latest deployment as healthy. When
// those of the job's other groups are healthy too, by their own checks, Nomad ends the
// deployment as successful and calls the job version stable. Settle does nothing when the
// deployment has ended, also when it ends during the call.
func (c *Client) Settle(ctx context.Context, m rollout.Move) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	dep, err := c.deployment(ctx, m.Target)
	if err != nil || dep == nil || !running(dep) {
		return err
	}
	ids, err := c.deploymentAllocs(ctx, m.Target, dep)
	if err != nil || len(ids) == 0 {
		return err
	}
	_, _, err = c.api.Deployments().SetAllocHealth(dep.ID, ids, nil, c.Write(ctx, m.Target.Namespace))
	if err != nil {
		if now, again := c.deployment(ctx, m.Target); again == nil && (now == nil || now.ID != dep.ID || !running(now)) {
			return nil
		}
	}
	return Explain("mark deployment healthy", err)
}

// EndStage ends the deployment of a stage in place, which waits, so that the job can be
// scaled and its nodes drained: Nomad refuses to scale a job whose deployment goes on, and
// no drain counts on instances that nobody has called healthy. They stay as they are. expect
// is the job modify index of the stage's registration; the error has code conflict when the
// deployment is of another one.
//
// A paused deployment replaces nothing while its instances are marked. It ends as failed: one
// that ends in another way replaces the next instances, or makes the version stable before
// its verdict. Where the marks would end it as successful, none is made.
func (c *Client) EndStage(ctx context.Context, m rollout.Move, expect uint64) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	dep, err := c.deployment(ctx, m.Target)
	if err != nil || dep == nil || !running(dep) {
		return err
	}
	if dep.JobSpecModifyIndex != expect {
		return api.Errorf(api.CodeConflict, "end the deployment of %s: it is of modify index %d, not %d", m.Target, dep.JobSpecModifyIndex, expect)
	}
	opts := c.Write(ctx, m.Target.Namespace)
	ids, err := c.deploymentAllocs(ctx, m.Target, dep)
	if err != nil {
		return err
	}
	if group := dep.TaskGroups[m.Target.Group]; group != nil && len(ids) > 0 && len(ids) < group.DesiredTotal {
		if _, _, err := c.api.Deployments().Pause(dep.ID, true, opts); err != nil {
			return Explain("pause deployment", err)
		}
		if _, _, err := c.api.Deployments().SetAllocHealth(dep.ID, ids, nil, opts); err != nil {
			return Explain("mark deployment healthy", err)
		}
	}
	_, _, err = c.api.Deployments().Fail(dep.ID, opts)
	return Explain("end deployment", err)
}

// deploymentAllocs lists the live allocations of the target that a deployment counts.
func (c *Client) deploymentAllocs(ctx context.Context, ref api.TargetRef, dep *nomadapi.Deployment) ([]string, error) {
	stubs, _, err := c.api.Deployments().Allocations(dep.ID, c.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, Explain("list allocations of deployment", err)
	}
	var ids []string
	for _, s := range stubs {
		if s.TaskGroup == ref.Group && s.DesiredStatus == nomadapi.AllocDesiredStatusRun && s.ClientStatus == nomadapi.AllocClientStatusRunning {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}
