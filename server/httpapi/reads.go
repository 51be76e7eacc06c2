package httpapi

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/internal/stats"
)

func notFound(kind, name string) *api.Error {
	return api.Errorf(api.CodeNotFound, "%s %q: there is none of that name", kind, name)
}

func (a *API) policies(c *call) (any, error) {
	return list(c, a.opt.Store.Policies(), func(p api.Policy) string { return p.Name })
}

func (a *API) policy(c *call) (any, error) {
	name := c.r.PathValue("name")
	policy, ok := a.opt.Store.Policy(name)
	if !ok {
		return nil, notFound("policy", name)
	}
	return policy, nil
}

// policyHistory is what is kept of a policy's versions: nothing before cluster level 8.
func (a *API) policyHistory(name string) (api.PolicyHistory, error) {
	if _, ok := a.opt.Store.Policy(name); !ok {
		return api.PolicyHistory{}, notFound("policy", name)
	}
	history, _ := a.opt.Store.PolicyHistory(name)
	return history, nil
}

func (a *API) policyVersions(c *call) (any, error) {
	history, err := a.policyHistory(c.r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return list(c, history.Versions, func(v api.PolicyVersion) string { return fmt.Sprintf("%020d", v.Version) })
}

func (a *API) policyVersion(c *call) (any, error) {
	name, text := c.r.PathValue("name"), c.r.PathValue("version")
	history, err := a.policyHistory(name)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		return nil, api.Errorf(api.CodeInvalid, "version: %q is no number from 1", text)
	}
	policy, ok := history.Policy(number)
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "policy %q: version %d is not kept; of each policy the last %d are", name, number, api.PolicyVersionsMax)
	}
	return policy, nil
}

func (a *API) patches(c *call) (any, error) {
	v := a.view(c)
	goes := a.patchesSeen(v)
	kept := []api.Patch{}
	for _, p := range a.opt.Store.Patches() {
		if p, ok := v.Patch(p, goes[p.Name]); ok {
			kept = append(kept, p)
		}
	}
	kept, err := access.Redact(v, kept)
	if err != nil {
		return nil, err
	}
	return list(c, kept, func(p api.Patch) string { return p.Name })
}

func (a *API) patch(c *call) (any, error) {
	name := c.r.PathValue("name")
	v := a.view(c)
	patch, ok := a.opt.Store.Patch(name)
	if ok {
		patch, ok = v.Patch(patch, a.patchesSeen(v)[name])
	}
	if !ok {
		return nil, notFound("patch", name)
	}
	return shown(v, patch)
}

// patchStatus asks Nomad about the targets that the caller sees.
func (a *API) patchStatus(c *call) (any, error) {
	name := c.r.PathValue("name")
	v := a.view(c)
	patch, ok := a.opt.Store.Patch(name)
	if ok {
		_, ok = v.Patch(patch, a.patchesSeen(v)[name])
	}
	if !ok {
		return nil, notFound("patch", name)
	}
	status, err := a.opt.Control.PatchStatus(c.ctx(), name, v.Sees)
	if err != nil {
		return nil, err
	}
	return shown(v, status)
}

func (a *API) plan(c *call) (any, error) {
	id := c.r.PathValue("id")
	v := a.view(c)
	plan, ok := a.opt.Store.Plan(id)
	if ok {
		plan, ok = v.Plan(plan)
	}
	if !ok {
		return nil, notFound("plan", id)
	}
	return shown(v, plan)
}

func (a *API) quarantines(c *call) (any, error) {
	return listScoped(a, c, a.opt.Store.Quarantines(), func(q api.Quarantine) api.TargetRef { return q.Target },
		func(q api.Quarantine) string { return q.Patch + " " + q.Target.String() })
}

// public takes the former job out of a rollout. The job's environment may hold
// secrets, and the right to read Oakum is no right to read Nomad.
func public(r api.Rollout) api.Rollout {
	if r.Former != nil {
		former := *r.Former
		former.Job = nil
		r.Former = &former
	}
	if r.Judge != nil {
		judge := *r.Judge
		judge.Bank = nil // only the judge can read it
		r.Judge = &judge
	}
	return r
}

func (a *API) rollouts(c *call) (any, error) {
	all := a.opt.Store.Rollouts()
	for i := range all {
		all[i] = public(all[i])
	}
	return listScoped(a, c, all, func(r api.Rollout) api.TargetRef { return r.Target }, func(r api.Rollout) string { return r.ID })
}

func (a *API) rollout(c *call) (any, error) {
	id := c.r.PathValue("id")
	rollout, ok := a.opt.Store.Rollout(id)
	return oneScoped(a, c, public(rollout), ok, rollout.Target, notFound("rollout", id))
}

func (a *API) brake(c *call) (any, error) { return shown(a.view(c), a.opt.Store.Brake()) }

func (a *API) simulations(c *call) (any, error) {
	all := a.opt.Store.Simulations()
	for i := range all {
		all[i] = withoutConsoles(c, all[i])
	}
	return listScoped(a, c, all, func(s api.Simulation) api.TargetRef { return s.Target }, func(s api.Simulation) string { return s.ID })
}

func (a *API) simulation(c *call) (any, error) {
	id := c.r.PathValue("id")
	simulation, ok := a.opt.Store.Simulation(id)
	return oneScoped(a, c, withoutConsoles(c, simulation), ok, simulation.Target, notFound("simulation", id))
}

// withoutConsoles leaves out what machines wrote, for a caller who may not read it; see
// console.
func withoutConsoles(c *call, s api.Simulation) api.Simulation {
	if s.Impact == nil || access.Reaches(c.by, api.CapSimulate, s.Target) {
		return s
	}
	impact := *s.Impact
	impact.Twins = slices.Clone(impact.Twins)
	for i := range impact.Twins {
		impact.Twins[i].Console = ""
	}
	s.Impact = &impact
	return s
}

// console is what a machine of a simulation wrote. It may hold what the application
// prints, so it needs the right to run simulations.
func (a *API) console(c *call) (any, error) {
	role := cmp.Or(c.r.FormValue("role"), "treatment")
	if !slices.Contains([]string{"control", "treatment", "revert", "bake"}, role) {
		return nil, api.Errorf(api.CodeInvalid, "role: want control, treatment, revert or bake, not %q", role)
	}
	pair := 0
	if text := c.r.FormValue("pair"); text != "" {
		var err error
		if pair, err = strconv.Atoi(text); err != nil || pair < 1 {
			return nil, api.Errorf(api.CodeInvalid, "pair: want a number from 1, not %q", text)
		}
	}
	id := c.r.PathValue("id")
	if err := a.maySimulation(c, id); err != nil {
		return nil, err
	}
	out, err := a.opt.Control.Console(c.ctx(), id, role, pair)
	if err != nil {
		return nil, a.hide(c, err)
	}
	return out, nil
}

// maySimulation refuses a caller who may not do to a simulation what the route does.
func (a *API) maySimulation(c *call, id string) error {
	return a.mayTo(c, "simulation", id, func() (api.TargetRef, bool) {
		s, ok := a.opt.Store.Simulation(id)
		return s.Target, ok
	})
}

func (a *API) profiles(c *call) (any, error) {
	all := a.opt.Store.Profiles()
	for i := range all {
		// The list is for an overview; the sketches are in the single read.
		all[i].KPIs = slices.Clone(all[i].KPIs)
		for j := range all[i].KPIs {
			all[i].KPIs[j].Sketch, all[i].KPIs[j].HourSketches = nil, nil
		}
	}
	return listScoped(a, c, all, func(p api.Profile) api.TargetRef { return p.Target }, func(p api.Profile) string { return p.Target.String() })
}

// profile is the profile of one target, with its usual values at ?hour=, or now.
func (a *API) profile(c *call) (any, error) {
	ref := api.TargetRef{Namespace: c.r.PathValue("namespace"), Job: c.r.PathValue("job"), Group: c.r.PathValue("group")}
	v := a.view(c)
	profile, ok := a.opt.Store.Profile(ref)
	if !ok || !v.Sees(ref) {
		return nil, api.Errorf(api.CodeNotFound, "profile of %s: nothing was measured yet, or there is no such target", ref)
	}
	hour := stats.HourOfWeek(time.Now())
	if text := c.r.URL.Query().Get("hour"); text != "" {
		n, err := number(text, "hour")
		if err != nil || n > 167 {
			return nil, api.Errorf(api.CodeInvalid, "hour: want an hour of the week, 0 to 167, have %q", text)
		}
		hour = int(n)
	}
	at, err := profiler.AtHour(profile, hour)
	if err != nil {
		return nil, err
	}
	return shown(v, at)
}

func (a *API) plugins(c *call) (any, error) {
	var all []api.PluginInfo
	if a.opt.Plugins != nil {
		all = a.opt.Plugins()
	}
	return list(c, all, func(p api.PluginInfo) string { return p.Name })
}
