package nomad

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// broughtBy are the tasks whose image a patch brings, or the configuration that names it. A
// wrong tag, path or checksum looks to Nomad as an image that is not there.
func broughtBy(changes []api.Apply) map[string]bool {
	out := map[string]bool{}
	for _, a := range changes {
		if a.Kind == api.ApplyImage || len(a.Config) > 0 {
			out[a.Task] = true
		}
	}
	return out
}

// excuse says why an allocation is not healthy without what it runs being to blame. It is
// empty for one that is healthy, or of which any task fails by what it runs, or for lack of
// what was brought for it.
func excuse(stub *nomadapi.AllocationListStub, brought map[string]bool) string {
	switch stub.ClientStatus {
	case nomadapi.AllocClientStatusLost:
		return "its node " + stub.NodeName + " is lost"
	case nomadapi.AllocClientStatusUnknown:
		return "its node " + stub.NodeName + " is disconnected"
	}
	var said string
	for _, name := range slices.Sorted(maps.Keys(stub.TaskStates)) {
		state := stub.TaskStates[name]
		if state.State == "running" {
			continue
		}
		switch why := excuseTask(state, brought[name]); {
		case why == "" && state.Failed:
			return "" // the others end with it, whatever they lacked
		case why != "" && said == "":
			said = fmt.Sprintf("task %s on %s: %s", name, stub.NodeName, why)
		}
	}
	return said
}

// aboutImage matches what drivers say of an image that a node has not got.
var aboutImage = regexp.MustCompile(`(?i)\b(pull|image)`)

// excuseTask reads the newest events of a task that does not run, back to its last start or
// to what went wrong last.
func excuseTask(state *nomadapi.TaskState, brought bool) string {
	for _, e := range slices.Backward(state.Events) {
		said := strings.TrimSpace(e.DisplayMessage)
		switch e.Type {
		case nomadapi.TaskStarted, nomadapi.TaskSetupFailure, nomadapi.TaskFailedValidation:
			return ""
		case nomadapi.TaskArtifactDownloadFailed:
			if brought {
				return ""
			}
			return "an artifact can't be downloaded: " + said
		case nomadapi.TaskDriverFailure:
			if brought || !aboutImage.MatchString(said) {
				return ""
			}
			return "its image is not there: " + said
		case nomadapi.TaskRestartSignal:
			if strings.HasPrefix(said, "Template") {
				return "it restarts for a template that has changed: " + said
			}
		}
	}
	return ""
}

// unplaced is why Nomad can't place instances of a target, as its blocked evaluation says;
// empty when there is none.
func (c *Client) unplaced(ctx context.Context, ref api.TargetRef) (string, error) {
	list, _, err := c.api.Jobs().Evaluations(ref.Job, c.Query(ctx, ref.Namespace))
	if err != nil {
		return "", Explain("list evaluations of "+ref.Job, err)
	}
	for _, e := range list {
		if failed := e.FailedTGAllocs[ref.Group]; e.Status == "blocked" && failed != nil {
			return noRoom(failed), nil
		}
	}
	return "", nil
}
