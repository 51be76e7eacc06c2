package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// Bounds of what is kept of inventories.
const (
	// PieceMax bounds one piece of a packed inventory, in bytes: an entry of the log with
	// it disturbs no heartbeat.
	PieceMax = 512 << 10
	// inventoriesMax bounds the inventories. A fleet of ten thousand instances has some
	// hundreds of images.
	inventoriesMax = 10_000
	// inventoryBytesMax bounds all pieces, in bytes. They are in every server's memory and
	// in every snapshot.
	inventoryBytesMax = 256 << 20
	// loosePieceAge is how long a piece is kept that no inventory refers to: until then its
	// inventory may still come.
	loosePieceAge = time.Hour
	// inventoryTextMax bounds each text that an inventory's record has from elsewhere.
	inventoryTextMax = 1024
	// inventoryReleasesMax bounds the distributions that a record names. An image has one,
	// and a record of many would not count among the bytes of the pieces.
	inventoryReleasesMax = 64
)

// piece is a part of a packed inventory, by its own digest.
type piece struct {
	Sum  string    `json:"sum"` // hex SHA-256 of Data
	Data []byte    `json:"data"`
	At   time.Time `json:"at"`
}

// InventoryPiece stores a piece of a packed inventory, before the inventory itself.
type InventoryPiece struct {
	Data []byte `json:"data"`
}

// Type is the command's number.
func (*InventoryPiece) Type() Type { return TypeInventoryPiece }

func (*InventoryPiece) level() int { return levels.Seven }

func (p *InventoryPiece) apply(c *change) error {
	if n := len(p.Data); n == 0 || n > PieceMax {
		return api.Errorf(api.CodeInvalid, "a piece of an inventory has %d bytes, want 1 to %d", n, PieceMax)
	}
	c.dropLoosePieces()
	kept := 0
	for have := range c.t.pieces.all(c.txn) {
		kept += len(have.Data)
	}
	if kept+len(p.Data) > inventoryBytesMax {
		return api.Errorf(api.CodeConflict, "the inventories would have more than %d MiB: those that nothing runs any more are forgotten in time", inventoryBytesMax>>20)
	}
	c.t.pieces.put(c.txn, &piece{Sum: PieceSum(p.Data), Data: p.Data, At: c.at})
	c.touch(api.TopicInventory)
	return nil
}

// PieceSum is the digest that a piece is stored by: hex SHA-256.
func PieceSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// dropLoosePieces removes pieces whose inventory never came, or is forgotten.
func (c *change) dropLoosePieces() {
	used := map[string]bool{}
	for r := range c.t.inventories.all(c.txn) {
		for _, sum := range r.Pieces {
			used[sum] = true
		}
	}
	var loose []string
	for p := range c.t.pieces.all(c.txn) {
		if !used[p.Sum] && c.at.Sub(p.At) > loosePieceAge {
			loose = append(loose, p.Sum)
		}
	}
	for _, sum := range loose {
		c.t.pieces.remove(c.txn, sum)
	}
}

// InventoryPut keeps an inventory whose pieces are stored. Others of the same thing that
// have other packages stay beside it, unless the record names their hashes in Replaces.
type InventoryPut struct {
	Record api.InventoryRecord `json:"record"`
}

// Type is the command's number.
func (*InventoryPut) Type() Type { return TypeInventoryPut }

func (*InventoryPut) level() int { return levels.Seven }

func (p *InventoryPut) apply(c *change) error {
	next := &p.Record
	if err := checkInventory(next); err != nil {
		return err
	}
	next.Bytes = 0
	for _, sum := range next.Pieces {
		stored := c.t.pieces.get(c.txn, sum)
		if stored == nil {
			return api.Errorf(api.CodeConflict, "inventory of %s: piece %s is not stored: give the inventory again", next.Of, sum)
		}
		next.Bytes += len(stored.Data)
	}
	for _, hash := range next.Replaces {
		if hash != next.Hash {
			c.t.inventories.remove(c.txn, inventoryKey(next.Of, hash))
		}
	}
	next.PutAt, next.Differs = c.at, false
	next.CreateIndex, next.ModifyIndex = c.index, c.index
	old := c.t.inventories.get(c.txn, inventoryKey(next.Of, next.Hash))
	if old != nil {
		next.CreateIndex = old.CreateIndex
		next.Seen = latest(next.Seen, old.Seen)
	}
	count := 0
	for range c.t.inventories.all(c.txn) {
		count++
	}
	if old == nil && count >= inventoriesMax {
		return api.Errorf(api.CodeConflict, "%d inventories are kept, and no more fit: those that nothing runs any more are forgotten in time", count)
	}
	c.t.inventories.put(c.txn, next)
	c.markDiffering(next.Of)
	text := sentence("the inventory of %s is kept", next.Of, next.PutBy)
	if others := c.inventoriesOf(next.Of); len(others) > 1 {
		text += fmt.Sprintf("; %d inventories of it differ, so what is installed is unknown", len(others))
	}
	c.event(api.TopicInventory, "inventory_put", next.Of, text, nil)
	return nil
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// checkInventory refuses a record that says too little or too much.
func checkInventory(r *api.InventoryRecord) error {
	switch {
	case r.Of == "":
		return api.Errorf(api.CodeInvalid, "inventory: want what it describes, have nothing")
	case strings.ContainsRune(r.Of, 0): // its rows would stand among those of another thing, and part them
		return api.Errorf(api.CodeInvalid, "inventory: what it describes, %q, has a zero byte", r.Of)
	case len(r.Of) > inventoryTextMax, len(r.Source) > inventoryTextMax, len(r.Subject) > inventoryTextMax, len(r.Format) > inventoryTextMax:
		return api.Errorf(api.CodeInvalid, "inventory: a text in it has more than %d bytes", inventoryTextMax)
	case !api.IsSHA256(r.Hash):
		return api.Errorf(api.CodeInvalid, "inventory of %s: %q is no SHA-256", r.Of, r.Hash)
	case len(r.Releases) > inventoryReleasesMax, slices.ContainsFunc(r.Releases, func(name string) bool { return len(name) > inventoryTextMax }):
		return api.Errorf(api.CodeInvalid, "inventory of %s: want at most %d releases of at most %d bytes, have %d", r.Of, inventoryReleasesMax, inventoryTextMax, len(r.Releases))
	case len(r.Pieces) > inventoryBytesMax/PieceMax:
		return api.Errorf(api.CodeInvalid, "inventory of %s: it has %d pieces, want at most %d", r.Of, len(r.Pieces), inventoryBytesMax/PieceMax)
	case len(r.Pieces) == 0:
		return api.Errorf(api.CodeInvalid, "inventory of %s: it has no pieces", r.Of)
	}
	return nil
}

// inventoriesOf lists the inventories of one thing.
func (c *change) inventoriesOf(of string) []*api.InventoryRecord {
	var out []*api.InventoryRecord
	for r := range c.t.inventories.from(c.txn, inventoryKey(of, "")) {
		if r.Of != of {
			break
		}
		out = append(out, r)
	}
	return out
}

// markDiffering marks each inventory of a thing that has others beside it.
func (c *change) markDiffering(of string) {
	all := c.inventoriesOf(of)
	for _, r := range all {
		if differs := len(all) > 1; r.Differs != differs {
			next := *r
			next.Differs, next.ModifyIndex = differs, c.index
			c.t.inventories.put(c.txn, &next)
		}
	}
}

// InventoriesSeen says that something runs what inventories describe, at the time of the
// entry.
type InventoriesSeen struct {
	Of []string `json:"of"`
}

// Type is the command's number.
func (*InventoriesSeen) Type() Type { return TypeInventoriesSeen }

func (*InventoriesSeen) level() int { return levels.Seven }

func (s *InventoriesSeen) apply(c *change) error {
	for _, of := range s.Of {
		for _, r := range c.inventoriesOf(of) {
			next := *r
			next.Seen, next.ModifyIndex = latest(r.Seen, c.at), c.index
			c.t.inventories.put(c.txn, &next)
		}
	}
	c.touch(api.TopicInventory)
	return nil
}

// InventoriesForget drops inventories of what nothing was seen to run, and which nobody
// gave, for so long before the time of the entry.
type InventoriesForget struct {
	Of     []string     `json:"of"`
	Unseen api.Duration `json:"unseen"`
}

// Type is the command's number.
func (*InventoriesForget) Type() Type { return TypeInventoriesForget }

func (*InventoriesForget) level() int { return levels.Seven }

func (f *InventoriesForget) apply(c *change) error {
	if f.Unseen <= 0 {
		return api.Errorf(api.CodeInvalid, "forget inventories: want for how long nothing was seen to run them, have %s", f.Unseen.D())
	}
	limit := c.at.Add(-f.Unseen.D())
	for _, of := range f.Of {
		all := c.inventoriesOf(of)
		if len(all) == 0 || slices.ContainsFunc(all, func(r *api.InventoryRecord) bool { return !latest(r.Seen, r.PutAt).Before(limit) }) {
			continue
		}
		for _, r := range all {
			c.t.inventories.remove(c.txn, inventoryKey(r.Of, r.Hash))
		}
		c.event(api.TopicInventory, "inventory_forgotten", of, fmt.Sprintf("the inventory of %s is forgotten: nothing was seen to run it for %s", of, f.Unseen.D()), nil)
	}
	c.dropLoosePieces()
	return nil
}

// Inventories lists the inventories that are kept, by what they describe.
func (s *Store) Inventories() []api.InventoryRecord {
	return list(s.t.inventories, s.t.inventories.all(s.read()))
}

// InventoriesOf lists the inventories of one thing: a digest, or the name of an image.
// Several of them have different packages.
func (s *Store) InventoriesOf(of string) []api.InventoryRecord {
	out := []api.InventoryRecord{}
	for r := range s.t.inventories.from(s.read(), inventoryKey(of, "")) {
		if r.Of != of {
			break
		}
		out = append(out, s.t.inventories.clone(r))
	}
	return out
}

// InventoryPieces returns the pieces of an inventory, in order. The error has code
// not_found when one is not there any more.
func (s *Store) InventoryPieces(r api.InventoryRecord) ([][]byte, error) {
	txn := s.read()
	out := make([][]byte, len(r.Pieces))
	for i, sum := range r.Pieces {
		p := s.t.pieces.get(txn, sum)
		if p == nil {
			return nil, api.Errorf(api.CodeNotFound, "inventory of %s: piece %s is not stored any more", r.Of, sum)
		}
		out[i] = slices.Clone(p.Data)
	}
	return out, nil
}
