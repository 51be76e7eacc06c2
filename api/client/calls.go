package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
)

// seg escapes one path segment.
func seg(text string) string { return url.PathEscape(text) }

// Policies lists the applied and the built-in policies.
func (c *Client) Policies(ctx context.Context, q Query) ([]api.Policy, Meta, error) {
	var out []api.Policy
	meta, err := c.get(ctx, "/v1/policies", q, &out)
	return out, meta, err
}

// Policy reads one policy.
func (c *Client) Policy(ctx context.Context, name string, q Query) (api.Policy, Meta, error) {
	var out api.Policy
	meta, err := c.get(ctx, "/v1/policy/"+seg(name), q, &out)
	return out, meta, err
}

// PolicyVersions lists the versions of a policy that are kept.
func (c *Client) PolicyVersions(ctx context.Context, name string, q Query) ([]api.PolicyVersion, Meta, error) {
	var out []api.PolicyVersion
	meta, err := c.get(ctx, "/v1/policy/"+seg(name)+"/versions", q, &out)
	return out, meta, err
}

// PolicyVersion reads a policy as one of its versions was applied.
func (c *Client) PolicyVersion(ctx context.Context, name string, version int, q Query) (api.Policy, Meta, error) {
	var out api.Policy
	meta, err := c.get(ctx, "/v1/policy/"+seg(name)+"/version/"+strconv.Itoa(version), q, &out)
	return out, meta, err
}

// ValidatePolicy has the server check a policy file, with the strategies that
// it really has.
func (c *Client) ValidatePolicy(ctx context.Context, file api.SourceFile) error {
	return c.change(ctx, http.MethodPost, "/v1/policies/validate", file, nil)
}

// ApplyPolicy checks and stores a policy file.
func (c *Client) ApplyPolicy(ctx context.Context, file api.SourceFile) (api.Policy, error) {
	var out api.Policy
	err := c.change(ctx, http.MethodPost, "/v1/policies", file, &out)
	return out, err
}

// DeletePolicy removes a policy.
func (c *Client) DeletePolicy(ctx context.Context, name string) error {
	return c.change(ctx, http.MethodDelete, "/v1/policy/"+seg(name), nil, nil)
}

// Patches lists the submitted patches.
func (c *Client) Patches(ctx context.Context, q Query) ([]api.Patch, Meta, error) {
	var out []api.Patch
	meta, err := c.get(ctx, "/v1/patches", q, &out)
	return out, meta, err
}

// Patch reads one patch.
func (c *Client) Patch(ctx context.Context, name string, q Query) (api.Patch, Meta, error) {
	var out api.Patch
	meta, err := c.get(ctx, "/v1/patch/"+seg(name), q, &out)
	return out, meta, err
}

// PlanPatch says what a submission would do now, and does nothing.
func (c *Client) PlanPatch(ctx context.Context, file api.SourceFile) (api.PatchReceipt, error) {
	var out api.PatchReceipt
	err := c.change(ctx, http.MethodPost, "/v1/patches/plan", api.PatchSubmission{File: file}, &out)
	return out, err
}

// Facts are what is known of the fleet, for a rehearsal.
func (c *Client) Facts(ctx context.Context) (api.FleetFacts, error) {
	var out api.FleetFacts
	_, err := c.get(ctx, "/v1/rehearsal/facts", Query{}, &out)
	return out, err
}

// PatchStatus says where a patch is in force now.
func (c *Client) PatchStatus(ctx context.Context, name string, q Query) (api.PatchStatus, error) {
	var out api.PatchStatus
	_, err := c.get(ctx, "/v1/patch/"+seg(name)+"/status", q, &out)
	return out, err
}

// SubmitPatch starts a rollout for each target of the patch.
func (c *Client) SubmitPatch(ctx context.Context, file api.SourceFile) (api.PatchReceipt, error) {
	var out api.PatchReceipt
	err := c.change(ctx, http.MethodPost, "/v1/patches", api.PatchSubmission{File: file}, &out)
	return out, err
}

// Plan reads the plan of a submission.
func (c *Client) Plan(ctx context.Context, id string, q Query) (api.Plan, Meta, error) {
	var out api.Plan
	meta, err := c.get(ctx, "/v1/plan/"+seg(id), q, &out)
	return out, meta, err
}

// Quarantines lists the patches that may not go to a target again.
func (c *Client) Quarantines(ctx context.Context, q Query) ([]api.Quarantine, Meta, error) {
	var out []api.Quarantine
	meta, err := c.get(ctx, "/v1/quarantines", q, &out)
	return out, meta, err
}

// LiftQuarantine lets a patch be offered to a target again.
func (c *Client) LiftQuarantine(ctx context.Context, patch string, target api.TargetRef) error {
	return c.change(ctx, http.MethodPost, "/v1/quarantines/lift", api.QuarantineLift{Patch: patch, Target: target}, nil)
}

// Rollouts lists all rollouts.
func (c *Client) Rollouts(ctx context.Context, q Query) ([]api.Rollout, Meta, error) {
	var out []api.Rollout
	meta, err := c.get(ctx, "/v1/rollouts", q, &out)
	return out, meta, err
}

// Rollout reads one rollout.
func (c *Client) Rollout(ctx context.Context, id string, q Query) (api.Rollout, Meta, error) {
	var out api.Rollout
	meta, err := c.get(ctx, "/v1/rollout/"+seg(id), q, &out)
	return out, meta, err
}

// RolloutAction performs approve, pause, resume, promote, abort or rollback.
func (c *Client) RolloutAction(ctx context.Context, id, action, note string) (api.Rollout, error) {
	var out api.Rollout
	err := c.change(ctx, http.MethodPost, "/v1/rollout/"+seg(id)+"/"+seg(action), api.RolloutRequest{Note: note}, &out)
	return out, err
}

// Brake reads whether the brake is on.
func (c *Client) Brake(ctx context.Context, q Query) (api.Brake, Meta, error) {
	var out api.Brake
	meta, err := c.get(ctx, "/v1/brake", q, &out)
	return out, meta, err
}

// SetBrake puts the brake on or takes it off.
func (c *Client) SetBrake(ctx context.Context, want api.BrakeRequest) (api.Brake, error) {
	var out api.Brake
	err := c.change(ctx, http.MethodPost, "/v1/brake", want, &out)
	return out, err
}

// Simulations lists the sandbox runs.
func (c *Client) Simulations(ctx context.Context, q Query) ([]api.Simulation, Meta, error) {
	var out []api.Simulation
	meta, err := c.get(ctx, "/v1/simulations", q, &out)
	return out, meta, err
}

// Simulation reads one sandbox run.
func (c *Client) Simulation(ctx context.Context, id string, q Query) (api.Simulation, Meta, error) {
	var out api.Simulation
	meta, err := c.get(ctx, "/v1/simulation/"+seg(id), q, &out)
	return out, meta, err
}

// Console reads what a machine of a sandbox run wrote. A role is "control", "treatment"
// or "bake"; pair 0 means the newest.
func (c *Client) Console(ctx context.Context, id, role string, pair int) (api.Console, error) {
	values := url.Values{"role": {role}}
	if pair > 0 {
		values.Set("pair", strconv.Itoa(pair))
	}
	var out api.Console
	_, err := c.getBy(ctx, "/v1/simulation/"+seg(id)+"/console", values, 0, &out)
	return out, err
}

// CancelSimulation ends a sandbox run that a person asked for.
func (c *Client) CancelSimulation(ctx context.Context, id string) (api.Simulation, error) {
	var out api.Simulation
	err := c.change(ctx, http.MethodPost, "/v1/simulation/"+seg(id)+"/cancel", nil, &out)
	return out, err
}

// Simulate starts a sandbox run of a patch file on one target.
func (c *Client) Simulate(ctx context.Context, file api.SourceFile, target api.TargetRef) (api.Simulation, error) {
	var out api.Simulation
	err := c.change(ctx, http.MethodPost, "/v1/simulations", api.SimulationRequest{File: file, Target: target}, &out)
	return out, err
}

// Graph reads the application graph as the leader knows it.
func (c *Client) Graph(ctx context.Context, q Query) (api.Graph, Meta, error) {
	var out api.Graph
	meta, err := c.get(ctx, "/v1/graph", q, &out)
	return out, meta, err
}

// GraphImpact reads what would suffer without a service.
func (c *Client) GraphImpact(ctx context.Context, service string, q Query) (api.GraphImpact, Meta, error) {
	var out api.GraphImpact
	meta, err := c.get(ctx, "/v1/graph/impact/"+seg(service), q, &out)
	return out, meta, err
}

// GraphWithout reads what would suffer if a node, a rack ("rack/NAME") or a
// volume were lost.
func (c *Client) GraphWithout(ctx context.Context, place string, q Query) (api.GraphWithout, Meta, error) {
	var out api.GraphWithout
	meta, err := c.get(ctx, "/v1/graph/without/"+seg(place), q, &out)
	return out, meta, err
}

// GraphFindings reads what a person should look at in the graph.
func (c *Client) GraphFindings(ctx context.Context, q Query) (api.GraphFindings, Meta, error) {
	var out api.GraphFindings
	meta, err := c.get(ctx, "/v1/graph/findings", q, &out)
	return out, meta, err
}

// GraphDiff reads what changed in the graph between two moments: indexes of the
// record or RFC 3339 times. An empty from is the beginning of the record, an
// empty to is now.
func (c *Client) GraphDiff(ctx context.Context, from, to string, q Query) (api.GraphDiff, Meta, error) {
	values := q.values()
	for name, value := range map[string]string{"from": from, "to": to} {
		if value != "" {
			values.Set(name, value)
		}
	}
	var out api.GraphDiff
	meta, err := c.getBy(ctx, "/v1/graph/diff", values, q.Wait, &out)
	return out, meta, err
}

// Profiles lists the profiles of all targets.
func (c *Client) Profiles(ctx context.Context, q Query) ([]api.Profile, Meta, error) {
	var out []api.Profile
	meta, err := c.get(ctx, "/v1/profiles", q, &out)
	return out, meta, err
}

// Profile reads the profile of one target, with what is usual at this hour of the
// week.
func (c *Client) Profile(ctx context.Context, target api.TargetRef, q Query) (api.Profile, Meta, error) {
	return c.profile(ctx, target, q.values(), q.Wait)
}

// ProfileAt reads the same with what is usual at another hour of the week, 0 to 167.
func (c *Client) ProfileAt(ctx context.Context, target api.TargetRef, hour int, q Query) (api.Profile, Meta, error) {
	values := q.values()
	values.Set("hour", strconv.Itoa(hour))
	return c.profile(ctx, target, values, q.Wait)
}

func (c *Client) profile(ctx context.Context, target api.TargetRef, values url.Values, wait time.Duration) (api.Profile, Meta, error) {
	var out api.Profile
	path := "/v1/profile/" + seg(target.Namespace) + "/" + seg(target.Job) + "/" + seg(target.Group)
	meta, err := c.getBy(ctx, path, values, wait, &out)
	return out, meta, err
}

// Plugins lists the strategies that the server has.
func (c *Client) Plugins(ctx context.Context, q Query) ([]api.PluginInfo, Meta, error) {
	var out []api.PluginInfo
	meta, err := c.get(ctx, "/v1/plugins", q, &out)
	return out, meta, err
}

// Identity says who the caller is to the server, and what the rules give and deny.
func (c *Client) Identity(ctx context.Context) (api.Identity, error) {
	var out api.Identity
	_, err := c.get(ctx, "/v1/auth/self", Query{}, &out)
	return out, err
}

// CheckKPIs asks the queries of the KPIs in force, or of those named, and says what is
// behind the answers.
func (c *Client) CheckKPIs(ctx context.Context, kpis []string, q Query) (api.KPICheck, Meta, error) {
	values := q.values()
	for _, k := range kpis {
		values.Add("kpi", k)
	}
	var out api.KPICheck
	meta, err := c.getBy(ctx, "/v1/kpi/check", values, q.Wait, &out)
	return out, meta, err
}

// DiscoverKPIs says which KPIs the metrics of one target, or of every target when it is
// nil, can show. kpis names those that Oakum does not know by itself and that the block to
// paste shall have; "all" stands for every one.
func (c *Client) DiscoverKPIs(ctx context.Context, target *api.TargetRef, kpis []string, q Query) (api.KPIDiscovery, Meta, error) {
	values := q.values()
	if target != nil {
		values.Set("target", target.String())
	}
	for _, k := range kpis {
		values.Add("kpi", k)
	}
	var out api.KPIDiscovery
	meta, err := c.getBy(ctx, "/v1/kpi/discover", values, q.Wait, &out)
	return out, meta, err
}
