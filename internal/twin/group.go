package twin

import (
	"time"

	"github.com/oakumhq/oakum/api"
)

// Group asks for a twin of a task group whose patched tasks are containers or programs.
// Its tasks share a network namespace that has no way out. What they are sent comes from
// a task of the same allocation.
type Group struct {
	Network string            // name of the nodes' CNI network without a way out
	Apply   []api.Apply       // the patch's changes, which the control is given as well: it decides what a twin keeps
	Env     map[string]string // stands in for production's environment
	Stubs   []Stub            // of what the group calls
	Load    Load
}

// Load says what a twin is sent, and by which program.
type Load struct {
	Source   string           // of oakum itself: a URL that Nomad can fetch, or an absolute path on the nodes
	Checksum string           // "sha256:" and 64 hex digits
	Requests []byte           // a workload's file; empty for the health check alone
	Program  *api.LoadProgram // sends requests in the place of a workload; nil without
	Rate     float64
	Seed     uint64
	WarmUp   time.Duration
	Duration time.Duration
}
