package disk

import (
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// cutLog is the log as Raft writes it, and notices when it stays cut off. A follower
// whose last entries the leader does not have cuts them off, and appends the leader's in a
// second step. When the disk does not take those, Raft goes on as if it had the entries
// that it cut off, refuses all that the leader sends, and never catches up until it
// is started again.
type cutLog struct {
	raft.LogStore

	cut  atomic.Bool // its end was cut off, and nothing has been appended since
	stay chan error  // has the reason once the log has stayed cut off
}

func newCutLog(log raft.LogStore) *cutLog {
	return &cutLog{LogStore: log, stay: make(chan error, 1)}
}

// DeleteRange removes entries, at the beginning or at the end.
func (l *cutLog) DeleteRange(first, last uint64) error {
	end, err := l.LastIndex()
	if err != nil {
		return err
	}
	if err := l.LogStore.DeleteRange(first, last); err != nil {
		return err
	}
	if last >= end {
		l.cut.Store(true)
	}
	return nil
}

// StoreLog appends an entry.
func (l *cutLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries.
func (l *cutLog) StoreLogs(entries []*raft.Log) error {
	err := l.LogStore.StoreLogs(entries)
	switch {
	case err == nil:
		l.cut.Store(false)
	case l.cut.Load():
		select {
		case l.stay <- fmt.Errorf("the log was cut off and what follows could not be written: %w", err):
		default:
		}
	}
	return err
}
