package disk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/oakumhq/oakum/api"
)

// checkBolt reads a whole log without writing to it, and says in one sentence
// what is wrong. Without it, a damaged page would show as a panic or a fault of
// bbolt while the server is at work, after the file was written to.
func checkBolt(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && info.Size() == 0) {
		return nil // claim knows from the label whether there should be a log
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	err = Guard(func() error { return checkPages(path, info.Size()) })
	if err == nil {
		err = Guard(func() error { return checkEntries(path) })
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("open %s: another process uses this data directory", path)
	}
	if err != nil {
		return api.Errorf(api.CodeConflict, "the log %s is damaged and was left as it is (%v): move the data directory away and have this server "+
			"join anew with an empty one (first, on another server: oakum operator raft remove-peer), or restore the directory from a copy", path, err)
	}
	return nil
}

// Guard runs do, and returns a panic as an error, or a fault on a mapped page that
// the file does not have.
func Guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	return do()
}

// checkPages walks the tree: every page that the tree reaches must be in the file,
// and all other pages must count as free. It opens the file for writing, because
// only then does bbolt read the list of free pages here, where Guard catches a
// panic. It writes nothing.
func checkPages(path string, size int64) (err error) {
	var file *os.File // bbolt leaves it open when it panics
	var db *bbolt.DB
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		} else if file != nil {
			// Open failed. If it panicked, the mapping stays and holds the lock.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			_ = file.Close()
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}})
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("it is cut off: %d of %d bytes are there", size, tx.Size())
		}
		if err := checkHeads(tx, int(tx.Size())/db.Info().PageSize, db.Stats().FreePageN); err != nil {
			return err
		}
		if err := tx.ForEach(checkBucket); err != nil {
			return err
		}
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// checkHeads checks the head of every page. bbolt's own check believes the counts
// in the heads, and runs for hours when one of them is in the billions.
func checkHeads(tx *bbolt.Tx, pages, free int) error {
	seen := 0
	for id := 0; id < pages; id++ {
		page, err := tx.Page(id)
		if err != nil {
			return err
		}
		switch page.Type {
		case "free":
			seen++
			continue
		case "meta", "branch", "leaf", "freelist":
		default:
			return fmt.Errorf("page %d is of no known kind", id)
		}
		if page.OverflowCount >= pages-id {
			return fmt.Errorf("page %d reaches beyond the end", id)
		}
		id += page.OverflowCount
	}
	if seen != free {
		return fmt.Errorf("%d pages are free, and %d are said to be", seen, free)
	}
	return nil
}

// checkBucket reads every key and value of a bucket: a missing page shows only when
// it is read.
func checkBucket(name []byte, bucket *bbolt.Bucket) error {
	return bucket.ForEach(func(k, v []byte) error {
		if len(k) == 0 {
			return fmt.Errorf("bucket %s has an empty key", name)
		}
		_ = crc32.ChecksumIEEE(v)
		return nil
	})
}

// checkEntries reads every entry as Raft would.
func checkEntries(path string) (err error) {
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: lockTimeout}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return checkLog(store)
}

// checkLog reads every entry of a log. A gap is no damage: a snapshot that was
// restored, or sent by the leader, leaves one.
func checkLog(store raft.LogStore) error {
	first, err := store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := store.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	for i := first; i <= last; i++ {
		var entry raft.Log
		err := store.GetLog(i, &entry)
		if errors.Is(err, raft.ErrLogNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("entry %d of %d to %d can't be read: %w", i, first, last, err)
		}
		if entry.Index != i {
			return fmt.Errorf("entry %d says that it is entry %d", i, entry.Index)
		}
	}
	return nil
}
