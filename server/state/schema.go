package state

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-memdb"
	"github.com/oakumhq/oakum/api"
)

// meta describes the whole state. It is replaced, never changed in place. It stands
// beside the tables, not in one: every command replaces it, and a table of one row
// costs as much as the tables that a command is about.
type meta struct {
	Level      int                  `json:"level"`
	Index      uint64               `json:"index"` // of the last command that changed anything
	GraphIndex uint64               `json:"graph_index"`
	GraphAt    time.Time            `json:"graph_at,omitzero"`
	Events     int                  `json:"events"` // rows in the event table
	Topics     map[api.Topic]uint64 `json:"topics"` // index of the last change

	Autopilot *api.AutopilotConfig `json:"autopilot,omitempty"` // nil while none was recorded
	Brake     *api.Brake           `json:"brake,omitempty"`     // nil while it was never put on
}

// newMeta describes an empty state of cluster level 1.
func newMeta() *meta { return &meta{Level: 1, Topics: map[api.Topic]uint64{}} }

// metaTable is where the description stands in a snapshot: as the only row of a
// table, before all others.
const metaTable = "meta"

// tables names every table of the state. Whatever is added here must be added
// to each, which the schema and the snapshots are made from.
type tables struct {
	policies    table[api.Policy]
	histories   table[api.PolicyHistory]
	patches     table[api.Patch]
	plans       table[api.Plan]
	rollouts    table[api.Rollout]
	simulations table[api.Simulation]
	edges       table[api.Edge]
	services    table[api.Service]
	targets     table[api.Target]
	sources     table[api.SourceStatus]
	profiles    table[api.Profile]
	quarantines table[api.Quarantine]
	inventories table[api.InventoryRecord]
	pieces      table[piece]
	readings    table[api.InventoryReading]
	marks       table[api.NoticeMark]
	events      table[api.Event]
}

func newTables() tables {
	return tables{
		policies:    newTable("policies", func(p *api.Policy) string { return p.Name }),
		histories:   newTable("policy_histories", func(h *api.PolicyHistory) string { return h.Name }),
		patches:     newTable("patches", func(p *api.Patch) string { return p.Name }),
		plans:       newTable("plans", func(p *api.Plan) string { return p.ID }),
		rollouts:    newTable("rollouts", func(r *api.Rollout) string { return r.ID }),
		simulations: newTable("simulations", func(s *api.Simulation) string { return s.ID }),
		edges:       newTable("edges", func(e *api.Edge) string { return edgeKey(e.From, e.To) }),
		services:    newTable("services", func(s *api.Service) string { return s.Name }),
		targets:     newTable("targets", func(t *api.Target) string { return targetKey(t.TargetRef) }),
		sources:     newTable("sources", func(s *api.SourceStatus) string { return s.Name }),
		profiles:    newTable("profiles", func(p *api.Profile) string { return targetKey(p.Target) }),
		quarantines: newTable("quarantines", func(q *api.Quarantine) string { return quarantineKey(q.Patch, q.Target) }),
		inventories: newTable("inventories", func(r *api.InventoryRecord) string { return inventoryKey(r.Of, r.Hash) }),
		pieces:      newTable("inventory_pieces", func(p *piece) string { return p.Sum }),
		readings:    newTable("inventory_readings", func(r *api.InventoryReading) string { return r.Key }),
		marks:       newTable("notice_marks", func(m *api.NoticeMark) string { return m.Notifier }),
		events:      newTable("events", func(e *api.Event) string { return eventKey(e.Index, e.Number) }),
	}
}

// schema describes the tables to the engine.
func (t tables) schema() *memdb.DBSchema {
	open := &memdb.IndexSchema{Name: indexOpen, AllowMissing: true, Unique: true, Indexer: openIndex{}}
	plan := &memdb.IndexSchema{Name: indexPlan, Indexer: planIndex{}}
	schema := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, s := range []*memdb.TableSchema{
		t.policies.schema(), t.histories.schema(), t.patches.schema(), t.plans.schema(), t.rollouts.schema(open, plan),
		t.simulations.schema(), t.edges.schema(), t.services.schema(), t.targets.schema(), t.sources.schema(),
		t.profiles.schema(), t.quarantines.schema(), t.inventories.schema(), t.pieces.schema(), t.readings.schema(), t.marks.schema(), t.events.schema(),
	} {
		schema.Tables[s.Name] = s
	}
	return schema
}

// open makes an empty database.
func (t tables) open() *memdb.MemDB {
	db, err := memdb.NewMemDB(t.schema())
	if err != nil {
		panic(fmt.Sprintf("state: open tables: %v", err)) //nolint:forbidigo // only a wrong schema gets here
	}
	return db
}

// Keys of more than one part are joined by a byte that sorts before every
// other, so that they order as their parts do one after the other.

func targetKey(r api.TargetRef) string { return r.Namespace + "\x00" + r.Job + "\x00" + r.Group }

func edgeKey(from, to string) string { return from + "\x00" + to }

func quarantineKey(patch string, target api.TargetRef) string {
	return patch + "\x00" + targetKey(target)
}

func inventoryKey(of, hash string) string { return of + "\x00" + hash }

func eventKey(index uint64, number int) string { return fmt.Sprintf("%016x%08x", index, number) }
