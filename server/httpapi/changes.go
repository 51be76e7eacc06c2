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
	return a.opt.Control.PlanPatch(c.ctx(), file)
}

// rehearsalFacts changes nothing. Callers need no more rights for it than for a
// plan, which is made from the same facts.
func (a *API) rehearsalFacts(c *call) (any, error) { return a.opt.Control.Facts(c.ctx()) }

func (a *API) patchSubmit(c *call) (any, error) {
	file, err := c.submission()
	if err != nil {
		return nil, err
	}
	return a.opt.Control.SubmitPatch(c.ctx(), file, c.by)
}

func (a *API) quarantineLift(c *call) (any, error) {
	var in api.QuarantineLift
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Patch == "" || in.Target.Job == "" {
		return nil, api.Errorf(api.CodeInvalid, "request body: want patch and target")
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
		done, err := a.opt.Control.Rollout(c.ctx(), c.r.PathValue("id"), action, c.by, in.Note)
		if err != nil {
			return nil, err
		}
		return public(done), nil
	}
}

func (a *API) brakeSet(c *call) (any, error) {
	var in api.BrakeRequest
	if err := c.decode(&in); err != nil {
		return nil, err
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
	return a.opt.Control.Simulate(c.ctx(), in.File, in.Target, c.by)
}

func (a *API) simulationCancel(c *call) (any, error) {
	return a.opt.Control.CancelSimulation(c.ctx(), c.r.PathValue("id"), c.by)
}
