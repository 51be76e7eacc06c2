package httpapi

import "github.com/oakumhq/oakum/api"

func (c *call) file() (api.SourceFile, error) {
	var file api.SourceFile
	if err := c.decode(&file); err != nil {
		return file, err
	}
	return file, checkFile(file)
}

func checkFile(file api.SourceFile) error {
	if file.Name == "" {
		return api.Errorf(api.CodeInvalid, "request body: field name: want the file's name")
	}
	if file.Text == "" {
		return api.Errorf(api.CodeInvalid, "%s: the file is empty", file.Name)
	}
	return nil
}

func (a *API) policyValidate(c *call) (any, error) {
	file, err := c.file()
	if err != nil {
		return nil, err
	}
	return nil, a.opt.Control.ValidatePolicy(file)
}

func (a *API) policyApply(c *call) (any, error) {
	file, err := c.file()
	if err != nil {
		return nil, err
	}
	return a.opt.Control.ApplyPolicy(c.ctx(), file, c.by)
}

func (a *API) policyDelete(c *call) (any, error) {
	return nil, a.opt.Control.DeletePolicy(c.ctx(), c.r.PathValue("name"), c.by)
}

func (c *call) submission() (api.SourceFile, error) {
	var in api.PatchSubmission
	if err := c.decode(&in); err != nil {
		return in.File, err
	}
	return in.File, checkFile(in.File)
}

func (a *API) patchPlan(c *call) (any, error) {
	file, err := c.submission()
	if err != nil {
		return nil, err
	}
	if err := a.covers(c, file); err != nil {
		return nil, err
	}
	receipt, err := a.opt.Control.PlanPatch(c.ctx(), file, c.by)
	return a.receipt(c, receipt, err)
}

// rehearsalFacts changes nothing. Callers need no more rights for it than for a
// plan, which is made from the same facts.
func (a *API) rehearsalFacts(c *call) (any, error) { return a.opt.Control.Facts(c.ctx()) }

func (a *API) patchSubmit(c *call) (any, error) {
	file, err := c.submission()
	if err != nil {
		return nil, err
	}
	if err := a.covers(c, file); err != nil {
		return nil, err
	}
	receipt, err := a.opt.Control.SubmitPatch(c.ctx(), file, c.by)
	return a.receipt(c, receipt, err)
}

func (a *API) quarantineLift(c *call) (any, error) {
	var in api.QuarantineLift
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Patch == "" || in.Target.Job == "" {
		return nil, api.Errorf(api.CodeInvalid, "request body: want patch and target")
	}
	// The text is the state's own of a quarantine that is not there.
	missing := api.Errorf(api.CodeNotFound, "%s is not quarantined from patch %q", in.Target, in.Patch)
	if err := a.may(c, in.Target, missing); err != nil {
		return nil, err
	}
	return nil, a.opt.Control.LiftQuarantine(c.ctx(), in.Patch, in.Target, c.by)
}

// noteMax bounds a person's remark in the record.
const noteMax = 4096

func (a *API) rolloutAction(action string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		var in api.RolloutRequest
		if c.r.ContentLength != 0 {
			if err := c.decode(&in); err != nil {
				return nil, err
			}
		}
		if len(in.Note) > noteMax {
			return nil, api.Errorf(api.CodeInvalid, "request body: field note: longer than %d bytes", noteMax)
		}
		id := c.r.PathValue("id")
		if err := a.mayRollout(c, id); err != nil {
			return nil, err
		}
		done, err := a.opt.Control.Rollout(c.ctx(), id, action, c.by, in.Note)
		if err != nil {
			return nil, a.hide(c, err)
		}
		return shown(a.view(c), public(done))
	}
}

// mayRollout refuses a caller who may not do to a rollout what the route does.
func (a *API) mayRollout(c *call, id string) error {
	return a.mayTo(c, "rollout", id, func() (api.TargetRef, bool) {
		r, ok := a.opt.Store.Rollout(id)
		return r.Target, ok
	})
}

func (a *API) brakeSet(c *call) (any, error) {
	var in api.BrakeRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if !in.On && c.record.missed != nil { // on, it only holds
		return nil, c.record.missed
	}
	return a.opt.Control.Brake(c.ctx(), in, c.by)
}

func (a *API) simulate(c *call) (any, error) {
	var in api.SimulationRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := checkFile(in.File); err != nil {
		return nil, err
	}
	if in.Target.Job == "" || in.Target.Group == "" || in.Target.Namespace == "" {
		return nil, api.Errorf(api.CodeInvalid, "request body: field target: want namespace, job and group")
	}
	if err := a.may(c, in.Target, notFound("target", in.Target.String())); err != nil {
		return nil, err
	}
	sim, err := a.opt.Control.Simulate(c.ctx(), in.File, in.Target, c.by)
	if err != nil {
		return nil, a.hide(c, err)
	}
	return shown(a.view(c), sim)
}

func (a *API) simulationCancel(c *call) (any, error) {
	id := c.r.PathValue("id")
	if err := a.maySimulation(c, id); err != nil {
		return nil, err
	}
	sim, err := a.opt.Control.CancelSimulation(c.ctx(), id, c.by)
	if err != nil {
		return nil, a.hide(c, err)
	}
	return shown(a.view(c), sim)
}
