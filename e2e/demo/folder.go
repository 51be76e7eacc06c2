package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// folderPrefix begins the names of folders that are locked while their story is
	// reported, bornPrefix those of folders that are about to be locked.
	folderPrefix, bornPrefix = "oakum-model-", "oakum-born-"
	// folderRoom is what the servers of a story write, ten times over.
	folderRoom = 64 << 20 // bytes
	// fullBelow is where a server's next write may fail.
	fullBelow = 1 << 20 // bytes
)

// folder is where the servers of one story keep what they write. It is locked as
// long as its process lives.
type folder struct {
	path string
	lock *os.File
}

// newFolder removes what stories left that were killed, and makes a folder in dir.
func newFolder(dir string) (*folder, error) {
	left, err := filepath.Glob(filepath.Join(dir, folderPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("look for leftovers: %w", err)
	}
	for _, path := range left {
		if old, err := lockFolder(path); err == nil { // nobody's; others are in use, or not ours
			_ = old.remove() // it is in nobody's way
		}
	}
	if err := roomIn(dir); err != nil {
		return nil, err
	}
	born, err := os.MkdirTemp(dir, bornPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	f, err := lockFolder(born)
	if err != nil {
		return nil, err
	}
	// Under its final name it is locked from the first moment.
	f.path = filepath.Join(dir, folderPrefix+strings.TrimPrefix(filepath.Base(born), bornPrefix))
	if err := os.Rename(born, f.path); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	return f, nil
}

// roomIn refuses a folder in which the servers could not write.
func roomIn(dir string) error {
	free, err := freeIn(dir)
	if err != nil {
		return fmt.Errorf("make a folder in %s, which TMPDIR can change: %w", dir, err)
	}
	if free < folderRoom {
		return fmt.Errorf("%s has %d MiB left and the servers want %d MiB: make room, or set TMPDIR to another folder", dir, free>>20, folderRoom>>20)
	}
	return nil
}

// freeIn is how many bytes an ordinary process may still write in dir.
func freeIn(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// watchRoom breaks a story off when the disk of dir is full: servers that can't
// write wait until they can, and nobody would know what for.
func watchRoom(ctx context.Context, dir string, broken context.CancelCauseFunc) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if free, err := freeIn(dir); err == nil && free < fullBelow {
			broken(fmt.Errorf("the disk of %s is full: make room, or set TMPDIR to a folder of another disk: %w", filepath.Dir(dir), syscall.ENOSPC))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// lockFolder takes a folder that no other process has.
func lockFolder(path string) (*folder, error) {
	lock, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close() // nothing was written
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &folder{path: path, lock: lock}, nil
}

// remove ends the folder; a nil one is none.
func (f *folder) remove() error {
	if f == nil {
		return nil
	}
	defer f.lock.Close() //nolint:errcheck // the lock ends with it
	return os.RemoveAll(f.path)
}
