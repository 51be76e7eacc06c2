package state

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// FSM applies the committed log to a store. It panics when it meets a command
// that this binary does not know: leaving it out would make the state differ
// from the other servers', which is worse than stopping.
type FSM struct {
	store *Store
}

var _ raft.FSM = (*FSM)(nil)

// NewFSM returns the machine that changes store. Nothing else does.
func NewFSM(store *Store) *FSM { return &FSM{store: store} }

// Store returns what the machine changes.
func (f *FSM) Store() *Store { return f.store }

// Apply carries one log entry out and returns nil or its refusal, an *api.Error.
func (f *FSM) Apply(entry *raft.Log) any {
	env, cmd, err := decode(entry.Data)
	if err == nil {
		err = f.store.apply(entry.Index, env, cmd)
	}
	if unknown, ok := errors.AsType[*unknownTypeError](err); ok {
		panic(fmt.Sprintf("state: log index %d: %v", entry.Index, unknown)) //nolint:forbidigo // an older server must not skip what it does not know
	}
	if err != nil {
		return err
	}
	return nil
}

// Snapshot returns the state as it is now; it is written in the background
// while further commands are applied.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	return &snapshot{t: f.store.t, txn: f.store.read()}, nil
}

// Restore replaces the whole state and wakes everybody who watches it.
func (f *FSM) Restore(from io.ReadCloser) error {
	defer from.Close() // it was only read
	return f.store.Restore(from)
}
