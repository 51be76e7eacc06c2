package state

import (
	"fmt"
	"iter"

	"github.com/hashicorp/go-memdb"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/clone"
)

// Names of the indexes.
const (
	indexID   = "id"
	indexOpen = "open" // rollouts that have not ended, by target: at most one each
	indexPlan = "plan" // rollouts by plan
)

// row holds one value of a table. It is never changed once it was inserted:
// readers of older transactions share it.
type row[T any] struct {
	key   string
	value *T
}

func (r row[T]) rowKey() string { return r.key }

// keyed is any row, whatever it holds.
type keyed interface{ rowKey() string }

// keyIndex orders rows by their key.
type keyIndex struct{}

// FromArgs makes an index value of a key.
func (keyIndex) FromArgs(args ...any) ([]byte, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("want one key, have %d arguments", len(args))
	}
	key, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("want a string key, have %T", args[0])
	}
	return []byte(key), nil
}

// FromObject makes an index value of a row.
func (keyIndex) FromObject(object any) (bool, []byte, error) {
	r, ok := object.(keyed)
	if !ok {
		return false, nil, fmt.Errorf("want a row, have %T", object)
	}
	return true, []byte(r.rowKey()), nil
}

// openIndex holds rollouts that have not ended, by their target.
type openIndex struct{ keyIndex }

// FromObject leaves ended rollouts out.
func (openIndex) FromObject(object any) (bool, []byte, error) {
	r, ok := object.(row[api.Rollout])
	if !ok {
		return false, nil, fmt.Errorf("want a rollout, have %T", object)
	}
	if r.value.Status.Ended() {
		return false, nil, nil
	}
	return true, []byte(targetKey(r.value.Target)), nil
}

// planIndex holds rollouts by their plan. A byte that no name has ends the
// plan's, so that no other begins with it.
type planIndex struct{}

// FromArgs makes an index value of a plan.
func (planIndex) FromArgs(args ...any) ([]byte, error) {
	key, err := keyIndex{}.FromArgs(args...)
	return append(key, 0), err
}

// FromObject makes an index value of a rollout.
func (planIndex) FromObject(object any) (bool, []byte, error) {
	r, ok := object.(row[api.Rollout])
	if !ok {
		return false, nil, fmt.Errorf("want a rollout, have %T", object)
	}
	return true, append([]byte(r.value.Plan), 0), nil
}

// table is a typed view of one table of the store. Failures of the engine
// underneath can only be programming errors (a table or index that the schema
// lacks), so they panic.
type table[T any] struct {
	name   string
	key    func(*T) string
	copier clone.Copier[T]
}

func newTable[T any](name string, key func(*T) string) table[T] {
	return table[T]{name: name, key: key, copier: clone.New[T]()}
}

// clone returns a deep copy of a row's value.
func (t table[T]) clone(value *T) T { return t.copier.Copy(value) }

func (t table[T]) schema(extra ...*memdb.IndexSchema) *memdb.TableSchema {
	indexes := map[string]*memdb.IndexSchema{indexID: {Name: indexID, Unique: true, Indexer: keyIndex{}}}
	for _, x := range extra {
		indexes[x.Name] = x
	}
	return &memdb.TableSchema{Name: t.name, Indexes: indexes}
}

func (t table[T]) get(txn *memdb.Txn, key string) *T { return t.getBy(txn, indexID, key) }

func (t table[T]) getBy(txn *memdb.Txn, index, key string) *T {
	found, err := txn.First(t.name, index, key)
	t.check(err)
	if found == nil {
		return nil
	}
	return found.(row[T]).value
}

// put inserts value or replaces what has its key. The table owns value from now on.
func (t table[T]) put(txn *memdb.Txn, value *T) {
	t.check(txn.Insert(t.name, row[T]{key: t.key(value), value: value}))
}

// remove deletes the row with the key and reports whether there was one.
func (t table[T]) remove(txn *memdb.Txn, key string) bool {
	value := t.get(txn, key)
	if value == nil {
		return false
	}
	t.check(txn.Delete(t.name, row[T]{key: key, value: value}))
	return true
}

// all walks the rows in the order of their keys. The transaction must not be
// written to meanwhile.
func (t table[T]) all(txn *memdb.Txn) iter.Seq[*T] {
	return t.walk(func() (memdb.ResultIterator, error) { return txn.Get(t.name, indexID) })
}

// allBy walks the rows that an index holds.
func (t table[T]) allBy(txn *memdb.Txn, index string, args ...any) iter.Seq[*T] {
	return t.walk(func() (memdb.ResultIterator, error) { return txn.Get(t.name, index, args...) })
}

// from walks the rows whose keys are not below key.
func (t table[T]) from(txn *memdb.Txn, key string) iter.Seq[*T] {
	return t.walk(func() (memdb.ResultIterator, error) { return txn.LowerBound(t.name, indexID, key) })
}

func (t table[T]) walk(open func() (memdb.ResultIterator, error)) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		rows, err := open()
		t.check(err)
		for object := rows.Next(); object != nil; object = rows.Next() {
			if !yield(object.(row[T]).value) {
				return
			}
		}
	}
}

func (t table[T]) check(err error) {
	if err != nil {
		panic(fmt.Sprintf("state: table %s: %v", t.name, err)) //nolint:forbidigo // memdb fails only for a wrong schema
	}
}
