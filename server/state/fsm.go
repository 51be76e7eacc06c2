package state

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/oakumhq/oakum/server/state/readback"
)

// FSM applies the committed log to a store. When it meets what this binary
// can't apply, it halts: from there on it applies nothing, takes no snapshot,
// and refuses everything with the reason. Leaving one command out would make
// the state differ from the other servers', and a panic would come again with
// every start.
type FSM struct {
	store    *Store
	ahead    ahead
	readback readback.Reader

	mu     sync.Mutex
	reason error         // why it halted
	halted chan struct{} // closed when it halts
}

var _ raft.FSM = (*FSM)(nil)

// NewFSM returns the machine that changes store. Nothing else does.
func NewFSM(store *Store) *FSM { return &FSM{store: store, halted: make(chan struct{})} }

// Store returns what the machine changes.
func (f *FSM) Store() *Store { return f.store }

// Halted is closed when the machine has met what it can't apply; Err says why.
// The server must then leave Raft: it can neither lead nor vouch for the state.
func (f *FSM) Halted() <-chan struct{} { return f.halted }

// Err is why the machine halted, or nil. It has code unavailable.
func (f *FSM) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reason
}

// halt stops the machine for good. The first reason stays.
func (f *FSM) halt(index uint64, why error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reason == nil {
		f.reason = api.Errorf(api.CodeUnavailable, "this server stopped before log index %d: %v", index, why)
		close(f.halted)
	}
	return f.reason
}

// Encode makes the bytes of a log entry, as Entry does.
func (f *FSM) Encode(cmd Command, at time.Time, by string) ([]byte, error) {
	entry, err := f.Entry(cmd, at, by)
	return entry.Data, err
}

// Entry makes a log entry of cmd in the format of the present cluster level,
// without what servers of that level would not keep (level.go). A command that
// is newer than the level is refused here, so that no server meets one that it
// can't apply.
func (f *FSM) Entry(cmd Command, at time.Time, by string) (Entry, error) {
	if err := f.Err(); err != nil {
		return Entry{}, err
	}
	level := f.store.Level()
	cmd = fit(cmd, level)
	if level < levels.Supported && cmd.level() > level {
		return Entry{}, api.Errorf(api.CodeConflict, "command %d needs cluster level %d, the cluster is at %d: upgrade every server first", cmd.Type(), cmd.level(), level)
	}
	if l, ok := cmd.(*LevelSet); ok && l.Level > levels.Supported {
		return Entry{}, api.Errorf(api.CodeConflict, "cluster level %d is beyond this server, which knows up to %d", l.Level, levels.Supported)
	}
	if t, ok := cmd.(*RolloutTransition); ok && level >= levels.Two {
		// Made from a row that a later transition replaces: the state machine
		// then finds the index stale, as it would the whole rollout.
		if old := f.store.t.rollouts.get(f.store.read(), t.Rollout.ID); old != nil && old.ModifyIndex == t.Expect {
			change, err := changeOf(t, old)
			if err != nil {
				return Entry{}, fmt.Errorf("encode command %d: %w", cmd.Type(), err)
			}
			cmd = change
		}
	}
	return entryAt(level, cmd, at, by)
}

// Apply carries one log entry out and returns nil or its refusal, an *api.Error.
func (f *FSM) Apply(entry *raft.Log) any {
	if err := f.Err(); err != nil {
		return err
	}
	env, cmd, err := f.decode(entry.Data)
	if level := f.store.Level(); env.Level > level {
		// Servers that know the command refuse it too: it never gets applied.
		return api.Errorf(api.CodeConflict, "command %d needs cluster level %d, the cluster is at %d", env.Type, env.Level, level)
	}
	if err == nil {
		err = f.store.apply(entry.Index, env, cmd)
	}
	if unknown, ok := errors.AsType[*unknownError](err); ok {
		return f.halt(entry.Index, unknown)
	}
	if err != nil {
		return err
	}
	return nil
}

// Snapshot returns the state as it is now; it is written in the background
// while further commands are applied.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.Err(); err != nil {
		return nil, err // Raft believes that the entries since were applied
	}
	return f.store.snapshot(), nil
}

// Restore replaces the whole state and wakes everybody who watches it.
func (f *FSM) Restore(from io.ReadCloser) error {
	defer from.Close() // it was only read
	if err := f.Err(); err != nil {
		return err
	}
	return f.store.Restore(from)
}
