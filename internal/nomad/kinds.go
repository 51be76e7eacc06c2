package nomad

import (
	"fmt"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// typeOf is a job's type as a target has it: empty for a service job.
func typeOf(kind string) string {
	if kind == nomadapi.JobTypeService {
		return ""
	}
	return kind
}

// launchOf is how Nomad starts the runs of a job; empty when it has instances of its own.
// A job can be both periodic and parameterized, and is then started by its dispatches.
func launchOf(job *nomadapi.Job) api.Launch {
	switch {
	case job.IsParameterized():
		return api.LaunchParameterized
	case job.IsPeriodic():
		return api.LaunchPeriodic
	}
	return ""
}

// wanted is how many instances Nomad keeps of a group; of a system job, on each node.
func wanted(job *nomadapi.Job, group *nomadapi.TaskGroup) int {
	if launchOf(job) != "" {
		return 0
	}
	return *group.Count
}

// unfit says why no patch can change a job by way of a rollout; empty when one can.
func unfit(job *nomadapi.Job) string {
	switch kind := orElse(job.Type, nomadapi.JobTypeService); {
	case job.IsMultiregion():
		return "its job is multiregion: Nomad deploys it region by region, and a rollout moves the instances of one region"
	case launchOf(job) != "":
		return ""
	case kind == nomadapi.JobTypeSystem: // [Client.complete] knows more
		return ""
	case kind == nomadapi.JobTypeSysbatch:
		return "its job is of type sysbatch: a changed job runs once more on every node, and nothing takes that back"
	case kind != nomadapi.JobTypeService:
		return fmt.Sprintf("its job is of type %s and runs now: a changed job begins its work anew, and nothing takes that back; patch it when it is registered for its next run", kind)
	}
	return ""
}
