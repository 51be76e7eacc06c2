package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/server/state"
)

const (
	// markEvery is how often the state is hashed. Hashing a state of 10,000 rollouts
	// and 20,000 services takes a tenth of a second of one core (BenchmarkMark), off
	// the path of commands. Without it a divergence could go unnoticed for weeks.
	markEvery = 5 * time.Minute
	// keptMarks are enough for the leader to find a common index with a server that
	// is some marks behind.
	keptMarks = 4
)

// mark is the hash of the state right after a log index was applied.
type mark struct {
	Index uint64 `json:"index"`
	Hash  string `json:"hash"`
}

// marker hashes the state on every server at the same indexes: after the first
// command of each period, by the time that the leader stamped on the entries. It
// stands between Raft and the state machine, so that nothing is applied between an
// entry and the snapshot that is hashed. The snapshot costs nothing, and run hashes
// it off the path of commands.
type marker struct {
	*state.FSM
	every time.Duration
	last  time.Time // period of the last command; Raft applies one at a time
	work  chan unhashed

	mu    sync.Mutex
	marks []mark // oldest first
}

var _ raft.FSM = (*marker)(nil)

type unhashed struct {
	index uint64
	state raft.FSMSnapshot
}

func newMarker(fsm *state.FSM, every time.Duration) *marker {
	if every == 0 {
		every = markEvery
	}
	return &marker{FSM: fsm, every: every, work: make(chan unhashed, 1)}
}

// Apply applies an entry, and has the state hashed after the first one of a period.
func (m *marker) Apply(entry *raft.Log) any {
	answer := m.FSM.Apply(entry)
	period := entry.AppendedAt.UTC().Truncate(m.every)
	former := m.last
	m.last = period
	// Nobody knows whether the first command after a start is the first of its period.
	// The clock of a new leader may be behind that of the former one.
	if former.IsZero() || !period.After(former) {
		return answer
	}
	snapshot, err := m.Snapshot()
	if err != nil {
		return answer // the state machine has halted, and says so itself
	}
	select {
	case m.work <- unhashed{index: entry.Index, state: snapshot}:
	default: // the last state is still being hashed: this one is left out
	}
	return answer
}

// run hashes until stop is closed.
func (m *marker) run(stop <-chan struct{}) {
	for {
		select {
		case job := <-m.work:
			m.hash(job)
		case <-stop:
			return
		}
	}
}

// hash notes the hash of a state.
func (m *marker) hash(job unhashed) {
	sink := &digest{Hash: sha256.New()}
	if job.state.Persist(sink) != nil {
		return // the snapshot can't be written: Raft's own snapshot fails too, and says so
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks = append(m.marks, mark{Index: job.index, Hash: hex.EncodeToString(sink.Sum(nil))})
	m.marks = m.marks[max(0, len(m.marks)-keptMarks):]
}

// kept returns the last marks.
func (m *marker) kept() []mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.marks)
}

// digest is a sink that only hashes what is written to it.
type digest struct{ hash.Hash }

var _ raft.SnapshotSink = (*digest)(nil)

// Close ends the snapshot.
func (*digest) Close() error { return nil }

// ID is the snapshot's name.
func (*digest) ID() string { return "hash" }

// Cancel gives the snapshot up.
func (*digest) Cancel() error { return nil }
