package state

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-memdb"
	"github.com/oakumhq/oakum/api"
)

// maxEvents is how many events are kept. At the busiest that the budgets
// allow, a few events a second, it is about an hour for a reader of the stream
// to come back in, and it keeps snapshots below ten megabytes of record.
const maxEvents = 10_000

// change is one command being applied: a write transaction, and what becomes
// of it when the command succeeds.
type change struct {
	t     tables
	txn   *memdb.Txn
	index uint64
	at    time.Time
	by    string
	old   *meta // before the command

	level     int                  // to be set, when not 0
	autopilot *api.AutopilotConfig // the same
	brake     *api.Brake           // the same
	graph     bool
	topics    []api.Topic
	events    []api.Event
}

// touch says that rows of the topic changed.
func (c *change) touch(topic api.Topic) {
	if !slices.Contains(c.topics, topic) {
		c.topics = append(c.topics, topic)
	}
}

// event writes a line of the record. Payload may be nil.
func (c *change) event(topic api.Topic, kind, key, text string, payload any) {
	c.touch(topic)
	e := api.Event{
		Index: c.index, Number: len(c.events), Topic: topic, Type: kind, Key: key, At: c.at, Text: text,
	}
	if payload != nil {
		raw, err := json.Marshal(payload)
		if err != nil {
			panic(fmt.Sprintf("state: event %s of %s: %v", kind, key, err)) //nolint:forbidigo // servers would differ from here on
		}
		e.Payload = raw
	}
	c.events = append(c.events, e)
}

// apply carries cmd out at a log index. Nothing changes unless it returns nil. The
// command writes to rows of its own, which share with the present ones what stays the
// same. memdb keeps its own watches, which nobody here uses, of the database that it
// opened, and not of a snapshot: a command costs less on one.
func (s *Store) apply(index uint64, env envelope, cmd Command) error {
	v := s.present.Load()
	rows := v.rows.Snapshot()
	txn := rows.Txn(true)
	c := &change{t: s.t, txn: txn, index: index, at: env.At, by: env.By, old: v.meta}
	if err := cmd.apply(c); err != nil {
		return err
	}
	next := c.finish()
	txn.Commit()
	s.present.Store(&version{rows: rows, meta: next})
	s.watchers.wake(c.topics)
	return nil
}

// finish writes the events, and returns the description of the state after them.
func (c *change) finish() *meta {
	next := *c.old
	next.Index = c.index
	if next.Topics = maps.Clone(c.old.Topics); next.Topics == nil {
		next.Topics = map[api.Topic]uint64{}
	}
	for _, topic := range c.topics {
		next.Topics[topic] = c.index
	}
	if c.level != 0 {
		next.Level = c.level
	}
	if c.autopilot != nil {
		next.Autopilot = c.autopilot
	}
	if c.brake != nil {
		next.Brake = c.brake
	}
	if c.graph {
		next.GraphIndex, next.GraphAt = c.index, c.at
	}
	for i := range c.events {
		if c.t.events.get(c.txn, eventKey(c.events[i].Index, c.events[i].Number)) == nil {
			next.Events++
		}
		c.t.events.put(c.txn, &c.events[i])
	}
	c.trim(&next)
	return &next
}

// trim drops the oldest events beyond the limit.
func (c *change) trim(m *meta) {
	if m.Events <= maxEvents {
		return
	}
	drop := make([]string, 0, m.Events-maxEvents)
	for e := range c.t.events.all(c.txn) {
		if len(drop) == cap(drop) {
			break
		}
		drop = append(drop, eventKey(e.Index, e.Number))
	}
	for _, key := range drop {
		c.t.events.remove(c.txn, key)
	}
	m.Events = maxEvents
}

// named refuses an empty name.
func named(what, name string) error {
	if name == "" {
		return api.Errorf(api.CodeInvalid, "%s: want a name, have none", what)
	}
	return nil
}

// checkTarget refuses a reference with an empty part.
func checkTarget(what string, r api.TargetRef) error {
	if r.Namespace == "" || r.Job == "" || r.Group == "" {
		return api.Errorf(api.CodeInvalid, "%s: target %q: want namespace/job/group", what, r)
	}
	return nil
}
