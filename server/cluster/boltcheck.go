package cluster

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/oakumhq/oakum/api"
	"go.etcd.io/bbolt"
)

// checkBolt reads a whole log without writing to it, and says in one sentence
// what is wrong. Opening it for use writes, and bbolt meets a damaged page with
// a panic or a fault, in the middle of whatever the server is doing then.
func checkBolt(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && info.Size() == 0) {
		return nil // whether there should be one, the label tells
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	err = guard(func() error { return checkPages(path, info.Size()) })
	if err == nil {
		err = guard(func() error { return checkEntries(path) })
	}
	if errors.Is(err, bbolt.ErrTimeout) {
		return fmt.Errorf("open %s: another process uses this data directory", path)
	}
	if err != nil {
		return api.Errorf(api.CodeConflict, "the log %s is damaged and was left as it is (%v): move the data directory away and have this server "+
			"join anew with an empty one (first, on another server: oakum operator raft remove-peer), or restore the directory from a copy", path, err)
	}
	return nil
}

// guard makes an error of a panic, and of a fault on a mapped page that the
// file does not have.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	return do()
}

// checkPages walks the tree: every page that it reaches must be in the file,
// and the pages that count as free must be the others. It opens the file as for
// writing, because only then are the free pages read where guard can help; it
// writes nothing.
func checkPages(path string, size int64) (err error) {
	var file *os.File // bbolt does not close it when it panics
	var db *bbolt.DB
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		} else if file != nil {
			// Open failed; if it panicked, the mapping stays and holds the lock.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
			_ = file.Close()
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: fileLockTimeout, OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
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
		var found error
		for err := range tx.Check() {
			found = errors.Join(found, err)
		}
		return found
	})
}

// checkHeads looks at the head of every page. bbolt's own check believes what
// they say, and counts for hours when they say billions.
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

// checkBucket reads everything in a bucket; a page that is missing shows when it
// is read.
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
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: fileLockTimeout}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return checkLog(store)
}

// checkLog reads every entry of a log. Gaps are no damage: a snapshot that was
// restored or sent by the leader leaves one behind it.
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
