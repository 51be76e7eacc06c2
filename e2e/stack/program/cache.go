package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// keepFor is how long an entry that no checkout asks for stays. Branches of
// work on other versions are rarely older.
const keepFor = 60 * 24 * time.Hour

// entryFile stands beside a program in the cache. It is written last, so that
// what was interrupted has none.
const entryFile = "entry.json"

// entry describes one program of the cache.
type entry struct {
	Version string `json:"version"`
	Size    int64  `json:"size"` // bytes of the program
}

// cache holds programs below one folder: KEY/NAME, where the key tells
// everything that the program was made from. Any number of processes may use
// it at once.
type cache struct{ root string }

// find returns the path of a program, or "" when the cache has none that is
// whole.
func (c cache) find(name, key string) string {
	var e entry
	text, err := os.ReadFile(filepath.Join(c.root, key, entryFile))
	if err != nil || json.Unmarshal(text, &e) != nil {
		return ""
	}
	path := filepath.Join(c.root, key, name)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != e.Size || info.Mode()&0o111 == 0 {
		return ""
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(c.root, key), now, now) // that it is used; a cache of somebody else keeps its times
	return path
}

// fill returns the path of a program, which produce makes in a folder of its
// own when no other process has made it meanwhile. wait is called when another
// one is at it.
func (c cache) fill(ctx context.Context, name, key, version string, wait func(), produce func(into string) error) (string, error) {
	if err := os.MkdirAll(c.root, 0o755); err != nil {
		return "", fmt.Errorf("open cache: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(c.root, key+".lock"), wait)
	if err != nil {
		return "", err
	}
	defer unlock()
	if path := c.find(name, key); path != "" {
		return path, nil
	}
	if err := c.sweep(key); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(c.root, unfinished(key))
	if err != nil {
		return "", fmt.Errorf("open cache: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // when all went well it is gone, and else the next one sweeps
	if err := produce(work); err != nil {
		return "", err
	}
	if err := seal(work, name, version); err != nil {
		return "", err
	}
	if err := os.Rename(work, filepath.Join(c.root, key)); err != nil {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	c.prune(name, key)
	return filepath.Join(c.root, key, name), nil
}

// unfinished begins the names of folders in which the program of a key is
// being made.
func unfinished(key string) string { return "." + key + "-" }

// sweep removes what was left of an entry by somebody who was interrupted; the
// caller holds the entry's lock.
func (c cache) sweep(key string) error {
	all, err := os.ReadDir(c.root)
	if err != nil {
		return fmt.Errorf("open cache: %w", err)
	}
	for _, e := range all {
		if e.Name() == key || strings.HasPrefix(e.Name(), unfinished(key)) {
			if err := os.RemoveAll(filepath.Join(c.root, e.Name())); err != nil {
				return fmt.Errorf("sweep cache: %w", err)
			}
		}
	}
	return nil
}

// seal describes the program in a folder, after all of it is on the disk.
func seal(dir, name, version string) error {
	path := filepath.Join(dir, name)
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	info, err := file.Stat()
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	text, err := json.Marshal(entry{Version: version, Size: info.Size()})
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, entryFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// prune removes the entries of a program that nobody has used for long. What
// it cannot remove stays: the cache is only larger than it need be.
func (c cache) prune(name, key string) {
	all, err := filepath.Glob(filepath.Join(c.root, name+"-*"))
	if err != nil {
		return // only a malformed pattern fails
	}
	for _, path := range all {
		info, err := os.Stat(path)
		if err == nil && info.IsDir() && filepath.Base(path) != key && time.Since(info.ModTime()) > keepFor {
			_ = os.RemoveAll(path)
		}
	}
}

// lock holds a file's lock until unlock, or until this process ends.
func lock(ctx context.Context, path string, wait func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return func() { _ = file.Close() }, nil // which unlocks it
	}
	wait()
	locked := make(chan error, 1)
	go func() {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock cache: %w", err), file.Close())
		}
		return func() { _ = file.Close() }, nil
	case <-ctx.Done(): // the goroutine ends with the process, which is about to
		return nil, fmt.Errorf("lock cache: %w", context.Cause(ctx))
	}
}
