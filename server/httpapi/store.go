package httpapi

import "github.com/oakumhq/oakum/api"

// These interfaces are what the API reads of the replicated state, by family. They
// return copies, which the API may keep and change.

// PolicyReader reads policies.
type PolicyReader interface {
	Policies() []api.Policy
	Policy(name string) (api.Policy, bool)
	PolicyHistory(name string) (api.PolicyHistory, bool)
}

// PatchReader reads patches, their plans and quarantines.
type PatchReader interface {
	Patches() []api.Patch
	Patch(name string) (api.Patch, bool)
	Plan(id string) (api.Plan, bool)
	Quarantines() []api.Quarantine
}

// RolloutReader reads rollouts, the brake that holds them, and simulations.
type RolloutReader interface {
	Brake() api.Brake
	Rollouts() []api.Rollout
	OpenRollouts() []api.Rollout
	Rollout(id string) (api.Rollout, bool)
	Simulations() []api.Simulation
	Simulation(id string) (api.Simulation, bool)
}

// ProfileReader reads profiles.
type ProfileReader interface {
	Profiles() []api.Profile
	Profile(target api.TargetRef) (api.Profile, bool)
}

// InventoryReader reads the inventories that are kept, without their packages.
type InventoryReader interface {
	Inventories() []api.InventoryRecord
}

// ChangeReader waits for changes and reads their events. Events returns the
// events whose index is at least from, oldest first. It returns about limit
// events, but always all of one index together.
type ChangeReader interface {
	Index() uint64
	IndexOf(topics ...api.Topic) uint64
	Watch(topics ...api.Topic) <-chan struct{}
	Events(from uint64, limit int) []api.Event
}

// SourceReader reads how far the graph's sources can be trusted.
type SourceReader interface {
	Sources() []api.SourceStatus
}

// GraphReader reads the graph as the mapper recorded it: which services and targets are
// known.
type GraphReader interface {
	Graph() api.Graph
}

// Replica reads the level and the hash of this server's copy of the state.
type Replica interface {
	Level() int
	Hash() string
}

// Store is the replicated state as the API reads it.
type Store interface {
	PolicyReader
	PatchReader
	RolloutReader
	ProfileReader
	InventoryReader
	ChangeReader
	SourceReader
	GraphReader
	Replica
}
