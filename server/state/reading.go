package state

import (
	"github.com/oakumhq/oakum/api"

	"github.com/oakumhq/oakum/server/state/levels"
)

// Bounds of what is kept of readings.
const (
	// readingsMax bounds the readings: as many as there may be inventories.
	readingsMax = inventoriesMax
	// readingOwnsMax bounds the jobs that one reading may have left behind.
	readingOwnsMax = 64
)

// ReadingsChange keeps how far servers are with reading inventories, each in the place of
// what was kept by its key, and drops others. A reading that owns something stays.
type ReadingsChange struct {
	Put  []api.InventoryReading `json:"put,omitempty"`
	Drop []string               `json:"drop,omitempty"` // keys
}

// Type is the command's number.
func (*ReadingsChange) Type() Type { return TypeReadingsChange }

func (*ReadingsChange) level() int { return levels.Eight }

func (r *ReadingsChange) apply(c *change) error {
	for _, key := range r.Drop {
		if old := c.t.readings.get(c.txn, key); old != nil && len(old.Owned) == 0 {
			c.t.readings.remove(c.txn, key)
		}
	}
	count := 0
	for range c.t.readings.all(c.txn) {
		count++
	}
	for i := range r.Put {
		next := &r.Put[i]
		if c.t.readings.get(c.txn, next.Key) == nil {
			count++
		}
		switch {
		case next.Key == "", len(next.Key) > inventoryTextMax, len(next.Of) > inventoryTextMax, len(next.Error) > inventoryTextMax:
			return api.Errorf(api.CodeInvalid, "reading %.60q: want a key, and texts of at most %d bytes", next.Key, inventoryTextMax)
		case len(next.Owned) > readingOwnsMax:
			return api.Errorf(api.CodeConflict, "reading %s: it has left %d jobs behind, and no more fit", next.Key, len(next.Owned))
		case count > readingsMax:
			return api.Errorf(api.CodeConflict, "%d readings are kept, and no more fit", readingsMax)
		}
		next.ModifyIndex = c.index
		c.t.readings.put(c.txn, next)
	}
	c.touch(api.TopicInventory)
	return nil
}

// Readings lists how far servers are with reading inventories, by key.
func (s *Store) Readings() []api.InventoryReading {
	return list(s.t.readings, s.t.readings.all(s.read()))
}
