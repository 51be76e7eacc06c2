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

// excuses says of allocations that are not healthy why that is not the doing of what they
// run, by ID.
func excuses(stubs []*nomadapi.AllocationListStub) map[string]string {
	out := map[string]string{}
	for _, stub := range stubs {
		if why := excuse(stub); why != "" {
			out[stub.ID] = why
		}
	}
	return out
}

// excuse is empty for an allocation that is healthy, or fails by what it runs.
func excuse(stub *nomadapi.AllocationListStub) string {
	switch stub.ClientStatus {
	case nomadapi.AllocClientStatusLost:
		return "its node " + stub.NodeName + " is lost"
	case nomadapi.AllocClientStatusUnknown:
		return "its node " + stub.NodeName + " is disconnected"
	}
	for _, name := range slices.Sorted(maps.Keys(stub.TaskStates)) {
		if state := stub.TaskStates[name]; state.State != "running" {
			if why := excuseTask(state); why != "" {
				return fmt.Sprintf("task %s on %s: %s", name, stub.NodeName, why)
			}
		}
	}
	return ""
}

// aboutImage matches what drivers say of an image that a node has not got.
var aboutImage = regexp.MustCompile(`(?i)\b(pull|image)`)

// excuseTask reads the newest events of a task that does not run, back to its last start.
func excuseTask(state *nomadapi.TaskState) string {
	for _, e := range slices.Backward(state.Events) {
		said := strings.TrimSpace(e.DisplayMessage)
		switch e.Type {
		case nomadapi.TaskStarted:
			return ""
		case nomadapi.TaskArtifactDownloadFailed:
			return "an artifact can't be downloaded: " + said
		case nomadapi.TaskDriverFailure:
			if aboutImage.MatchString(said) {
				return "its image is not there: " + said
			}
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

// noRoom says why no node takes an instance.
func noRoom(m *nomadapi.AllocationMetric) string {
	said := []string{fmt.Sprintf("%d nodes were looked at", m.NodesEvaluated)}
	for _, of := range []struct {
		counts map[string]int
		text   string
	}{{m.DimensionExhausted, "%d have no room: %s"}, {m.ConstraintFiltered, "%d are ruled out: %s"}, {m.ClassFiltered, "%d are of class %s"}} {
		for _, key := range slices.Sorted(maps.Keys(of.counts)) {
			said = append(said, fmt.Sprintf(of.text, of.counts[key], key))
		}
	}
	for _, q := range m.QuotaExhausted {
		said = append(said, "the quota is used up: "+q)
	}
	return strings.Join(said, ", ")
}
