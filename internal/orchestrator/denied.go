package orchestrator

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Graph knows what the mesh refuses.
type Graph interface {
	// Attempts lists what a target's services began to try after since although
	// it is denied, the oldest first.
	Attempts(ref api.TargetRef, since time.Time) []api.Attempt
}

// denied asks the graph for the attempts that are new since the patch. The graph
// is in our own state, so it always answers; how old its evidence is, the
// sources say.
func (o *Orchestrator) denied(r api.Rollout) []api.Attempt {
	since, patched := rollout.AttemptsSince(r)
	if o.Graph == nil || !patched {
		return nil
	}
	return o.Graph.Attempts(r.Target, since)
}
