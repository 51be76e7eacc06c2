package state

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-memdb"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/clone"
)

// Store is the readable state of one server. It stays the same for the life of
// the server, also when a snapshot replaces what it holds. All methods may be
// called at any time from any goroutine.
type Store struct {
	t        tables
	present  atomic.Pointer[version]
	watchers watchers
	outlines outlines
	planned  clone.Copier[api.PlannedTarget]
}

// version is the state after one command. It is replaced, never changed.
type version struct {
	rows *memdb.MemDB
	meta *meta
}

// NewStore returns an empty state of cluster level 1.
func NewStore() *Store {
	s := &Store{t: newTables(), planned: clone.New[api.PlannedTarget]()}
	s.replace(s.t.open(), newMeta())
	return s
}

// replace puts other rows in place, with their description.
func (s *Store) replace(rows *memdb.MemDB, m *meta) {
	s.present.Store(&version{rows: rows, meta: m})
	s.outlines.clear()
}

// now returns a transaction to read the present rows in, and their description.
func (s *Store) now() (*memdb.Txn, *meta) {
	v := s.present.Load()
	return v.rows.Txn(false), v.meta
}

func (s *Store) read() *memdb.Txn {
	txn, _ := s.now()
	return txn
}

func (s *Store) meta() *meta { return s.present.Load().meta }

// Index is the log index of the last command that changed anything.
func (s *Store) Index() uint64 { return s.meta().Index }

// IndexOf is the log index of the last change of any of the topics, or of
// anything when none is given.
func (s *Store) IndexOf(topics ...api.Topic) uint64 {
	m := s.meta()
	if len(topics) == 0 {
		return m.Index
	}
	var last uint64
	for _, t := range topics {
		last = max(last, m.Topics[t])
	}
	return last
}

// Level is the cluster level: commands that are newer are refused.
func (s *Store) Level() int { return s.meta().Level }

// Policies returns all policies by name.
func (s *Store) Policies() []api.Policy { return list(s.t.policies, s.t.policies.all(s.read())) }

// Policy returns one policy.
func (s *Store) Policy(name string) (api.Policy, bool) {
	return one(s.t.policies, s.t.policies.get(s.read(), name))
}

// PolicyHistory returns what is kept of a policy's versions.
func (s *Store) PolicyHistory(name string) (api.PolicyHistory, bool) {
	return one(s.t.histories, s.t.histories.get(s.read(), name))
}

// Patches returns all patches by name.
func (s *Store) Patches() []api.Patch { return list(s.t.patches, s.t.patches.all(s.read())) }

// Patch returns one patch.
func (s *Store) Patch(name string) (api.Patch, bool) {
	return one(s.t.patches, s.t.patches.get(s.read(), name))
}

// Plans returns all plans by ID.
func (s *Store) Plans() []api.Plan { return list(s.t.plans, s.t.plans.all(s.read())) }

// Plan returns one plan.
func (s *Store) Plan(id string) (api.Plan, bool) { return one(s.t.plans, s.t.plans.get(s.read(), id)) }

// Rollouts returns all rollouts by ID, which is by age.
func (s *Store) Rollouts() []api.Rollout { return list(s.t.rollouts, s.t.rollouts.all(s.read())) }

// Rollout returns one rollout.
func (s *Store) Rollout(id string) (api.Rollout, bool) {
	return one(s.t.rollouts, s.t.rollouts.get(s.read(), id))
}

// OpenRollouts returns the rollouts that have not ended, by ID.
func (s *Store) OpenRollouts() []api.Rollout {
	open := list(s.t.rollouts, s.t.rollouts.allBy(s.read(), indexOpen))
	slices.SortFunc(open, func(a, b api.Rollout) int { return strings.Compare(a.ID, b.ID) })
	return open
}

// BegunRollouts returns the rollouts that are under way and have a stage, by ID.
// They are few in a large plan, because most of the open ones wait for their turn.
func (s *Store) BegunRollouts() []api.Rollout {
	begun := []api.Rollout{}
	for r := range s.t.rollouts.allBy(s.read(), indexOpen) {
		if r.UnderWay() && len(r.Stages) > 0 {
			begun = append(begun, s.t.rollouts.clone(r))
		}
	}
	slices.SortFunc(begun, func(a, b api.Rollout) int { return strings.Compare(a.ID, b.ID) })
	return begun
}

// RestorableRollouts returns the complete rollouts that may be taken back at a time, by ID.
// Each has its ID, patch, target, status, indexes, drift and until when it may, and an
// empty former job: there may be thousands.
func (s *Store) RestorableRollouts(at time.Time) []api.Rollout {
	out := []api.Rollout{}
	for r := range s.t.rollouts.all(s.read()) {
		if r.Status != api.RolloutComplete || !r.Restorable.After(at) {
			continue
		}
		light := outline(r)
		light.CreateIndex, light.ModifyIndex, light.Restorable = r.CreateIndex, r.ModifyIndex, r.Restorable
		if r.Drift != nil {
			drift := *r.Drift
			light.Drift = &drift
		}
		out = append(out, light)
	}
	return out
}

// Later returns the rollouts that have touched the job of a complete one since, by any of its
// groups, and that were not taken back. They are without their stages, effects, decisions and
// former jobs.
func (s *Store) Later(r api.Rollout) []api.Rollout {
	var found []api.Rollout
	for o := range s.t.rollouts.all(s.read()) {
		if o.Former == nil || o.Target.Namespace != r.Target.Namespace || o.Target.Job != r.Target.Job {
			continue
		}
		// Of two groups, the one whose rollout was made first need not have gone first. Each
		// registration moves the index of the job.
		since := r.Former != nil && o.Former.ModifyIndex > r.Former.ModifyIndex
		if since && o.Status != api.RolloutRolledBack && o.Status != api.RolloutCancelled {
			found = append(found, outline(o))
		}
	}
	return found
}

// OpenRollout returns the target's rollout that has not ended.
func (s *Store) OpenRollout(target api.TargetRef) (api.Rollout, bool) {
	return one(s.t.rollouts, s.t.rollouts.getBy(s.read(), indexOpen, targetKey(target)))
}

// Simulations returns all simulations by ID, which is by age.
func (s *Store) Simulations() []api.Simulation {
	return list(s.t.simulations, s.t.simulations.all(s.read()))
}

// Simulation returns one simulation.
func (s *Store) Simulation(id string) (api.Simulation, bool) {
	return one(s.t.simulations, s.t.simulations.get(s.read(), id))
}

// OpenSimulations returns the simulations that run or own something, by ID.
func (s *Store) OpenSimulations() []api.Simulation {
	open := []api.Simulation{}
	for sim := range s.t.simulations.all(s.read()) {
		if sim.Status == api.SimulationRunning || len(sim.Owned) > 0 {
			open = append(open, s.t.simulations.clone(sim))
		}
	}
	return open
}

// Graph returns what the mapper recorded: services, edges, targets and sources.
// Criticality is empty and the targets carry no judgement; both are derived.
func (s *Store) Graph() api.Graph {
	txn, m := s.now()
	g := api.Graph{
		Index:       m.GraphIndex,
		At:          m.GraphAt,
		Services:    list(s.t.services, s.t.services.all(txn)),
		Edges:       list(s.t.edges, s.t.edges.all(txn)),
		Criticality: []api.Criticality{},
		Targets:     []api.TargetView{},
		Sources:     list(s.t.sources, s.t.sources.all(txn)),
	}
	for t := range s.t.targets.all(txn) {
		g.Targets = append(g.Targets, api.TargetView{Target: s.t.targets.clone(t)})
	}
	return g
}

// Target returns one target as the mapper last saw it.
func (s *Store) Target(ref api.TargetRef) (api.Target, bool) {
	return one(s.t.targets, s.t.targets.get(s.read(), targetKey(ref)))
}

// Sources returns how far each source of facts can be trusted, by name.
func (s *Store) Sources() []api.SourceStatus { return list(s.t.sources, s.t.sources.all(s.read())) }

// Profiles returns all profiles by target.
func (s *Store) Profiles() []api.Profile { return list(s.t.profiles, s.t.profiles.all(s.read())) }

// Profile returns the profile of one target.
func (s *Store) Profile(ref api.TargetRef) (api.Profile, bool) {
	return one(s.t.profiles, s.t.profiles.get(s.read(), targetKey(ref)))
}

// Quarantines returns all quarantines by patch and target.
func (s *Store) Quarantines() []api.Quarantine {
	return list(s.t.quarantines, s.t.quarantines.all(s.read()))
}

// Events returns the record from an index on, oldest first. When there are
// more than limit, the rest is left for the next call, which starts at the
// index after that of the last event returned: all events of one index come
// together, so there may be a few more than limit. A limit of 0 means all.
// Only the last 10,000 or so events are kept.
func (s *Store) Events(from uint64, limit int) []api.Event {
	events := []api.Event{}
	for e := range s.t.events.from(s.read(), eventKey(from, 0)) {
		if limit > 0 && len(events) >= limit && events[len(events)-1].Index != e.Index {
			break
		}
		events = append(events, s.t.events.clone(e))
	}
	return events
}

// Watch returns a channel that is closed at the next change of one of the
// topics, or of anything when none is given. Ask for it before reading: a
// change between the two then shows in either.
func (s *Store) Watch(topics ...api.Topic) <-chan struct{} { return s.watchers.watch(topics) }

func list[T any](t table[T], rows iter.Seq[*T]) []T {
	out := []T{}
	for r := range rows {
		out = append(out, t.clone(r))
	}
	return out
}

func one[T any](t table[T], r *T) (T, bool) {
	if r == nil {
		var none T
		return none, false
	}
	return t.clone(r), true
}
