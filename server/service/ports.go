package service

import (
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/state"
)

// PolicyStore reads the policies in force.
type PolicyStore interface {
	Policies() []api.Policy
	Policy(name string) (api.Policy, bool)
	// IndexOf is the log index of the last change of any of the topics.
	IndexOf(topics ...api.Topic) uint64
}

// PatchStore reads patches, their plans and quarantines.
type PatchStore interface {
	Patches() []api.Patch
	Patch(name string) (api.Patch, bool)
	// Planned returns one target of a plan.
	Planned(plan string, target api.TargetRef) (api.PlannedTarget, bool)
	Quarantines() []api.Quarantine
}

// RolloutStore reads rollouts, and the brake that holds them.
type RolloutStore interface {
	Brake() api.Brake
	Rollouts() []api.Rollout
	OpenRollouts() []api.Rollout
	// RestorableRollouts returns the complete rollouts that may be taken back at a time,
	// without their stages, effects, decisions and former jobs.
	RestorableRollouts(at time.Time) []api.Rollout
	// Later returns the rollouts that have touched the job of a complete one since, by any of
	// its groups, and that were not taken back. They are without their stages, effects,
	// decisions and former jobs.
	Later(r api.Rollout) []api.Rollout
	Rollout(id string) (api.Rollout, bool)
	// UnprovenRollouts returns the complete rollouts that ended after a time, were the last to
	// touch their target, and after which the fault of their patch is not known to be gone.
	// They are without their stages, effects, decisions and former jobs.
	UnprovenRollouts(after time.Time) []api.Rollout
	// Outlines returns the rollouts of a plan and all open ones, without their stages,
	// effects and decisions. The list is shared and must not be changed.
	Outlines(plan string) []api.Rollout
}

// FindingStore reads simulations and profiles.
type FindingStore interface {
	Simulations() []api.Simulation
	Simulation(id string) (api.Simulation, bool)
	// OpenSimulations returns the simulations that run or own something.
	OpenSimulations() []api.Simulation
	Profiles() []api.Profile
	Profile(target api.TargetRef) (api.Profile, bool)
}

// GraphStore reads the graph as the mapper recorded it.
type GraphStore interface {
	Graph() api.Graph
	Target(ref api.TargetRef) (api.Target, bool)
	Sources() []api.SourceStatus
	// IndexOf is the log index of the last change of any of the topics.
	IndexOf(topics ...api.Topic) uint64
}

// InventoryStore reads the inventories that are kept, and their pieces.
type InventoryStore interface {
	Inventories() []api.InventoryRecord
	InventoriesOf(of string) []api.InventoryRecord
	InventoryPieces(r api.InventoryRecord) ([][]byte, error)
	Readings() []api.InventoryReading
}

// Watcher tells of changes.
type Watcher interface {
	// Watch returns a channel that is closed at the next change of one of the topics.
	Watch(topics ...api.Topic) <-chan struct{}
	// Level is the cluster level.
	Level() int
}

// Store is the replicated state, as far as the use cases read it. What it
// returns is a copy, unless the method says otherwise.
type Store interface {
	PolicyStore
	PatchStore
	RolloutStore
	FindingStore
	GraphStore
	InventoryStore
	Watcher
}

// Log puts a command into the replicated log. Apply returns the index once the
// command was applied here, or the command's refusal; by is whoever asked for it.
type Log interface {
	Apply(ctx context.Context, cmd state.Command, by string) (uint64, error)
}

// Fleet lists what runs now. The error of Target has code not_found when there
// is no such target.
type Fleet interface {
	Targets(ctx context.Context) ([]api.Target, error)
	// Idle lists the jobs that run nothing, without their groups; Unfit says why.
	Idle(ctx context.Context) ([]api.Target, error)
	Target(ctx context.Context, ref api.TargetRef) (api.Target, error)
	// Nodes lists the client nodes.
	Nodes(ctx context.Context) ([]api.Node, error)
}

// Preflight asks the scheduler whether it would take the patched jobs of a
// plan's input. A job that it would not take is an error that names it. said is what the
// scheduler has to say of others, sorted, and untried is how many targets there was no
// time for. The plan is made meanwhile, from the same input, which must not be changed.
type Preflight interface {
	Preflight(ctx context.Context, in *planner.Input) (said []api.DryRun, untried int, err error)
}

// Forecast says how long a stage will be judged that begins at a time, with so
// many instances patched and so many not.
type Forecast func(profile api.Profile, spec api.JudgeSpec, canary, stable int, at time.Time) api.BakeTime

// Sandbox tries patches on twins, and removes what that has left behind.
type Sandbox interface {
	// Try tries a rollout's patch on twins of its target, and returns what the patch
	// changed. id names the simulation. It keeps no image of the twins.
	Try(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, error)
	// Remove removes an object of a simulation. It is no error when it is gone already.
	Remove(ctx context.Context, sim api.Simulation, object api.SandboxObject) error
}

// Measurements looks at the metrics behind the KPIs. Without a source of metrics its
// answers are errors with code unavailable.
type Measurements interface {
	// Discover says which KPIs the metrics of one target, or of all when it is nil, can
	// show. kpis names those of its own that the block to paste shall have.
	Discover(ctx context.Context, target *api.TargetRef, kpis []string, now time.Time) (api.KPIDiscovery, error)
	// Check asks the queries of the KPIs in force, or of those named, and looks at what is
	// behind the answers.
	Check(ctx context.Context, judged []policies.JudgedKPI, kpis []string) (api.KPICheck, error)
}

// Advisories are those that this server reads from a directory.
type Advisories interface {
	// Catalogue is what the last look at the files has found. It must not be changed.
	Catalogue() advisory.Catalogue
	// Named reads the advisories of an ID, an alias or a fault, whomever they are about.
	Named(name string) []advisory.Published
}
