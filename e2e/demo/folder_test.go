package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// TestFolder: a folder whose process is gone is removed by the next story, and one
// that is in use is not.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, folderPrefix+"killed")
	must.NoError(t, os.MkdirAll(filepath.Join(left, "oakum"), 0o700))
	first, err := newFolder(dir)
	must.NoError(t, err)
	must.DirNotExists(t, left)
	second, err := newFolder(dir)
	must.NoError(t, err)
	must.DirExists(t, first.path)
	must.NoError(t, first.remove())
	must.NoError(t, second.remove())
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.SliceEmpty(t, entries)

	_, err = newFolder(filepath.Join(dir, "nowhere"))
	must.ErrorContains(t, err, "which TMPDIR can change: no such file or directory")
	must.NoError(t, (*folder)(nil).remove())
}

// TestWatchRoom: a story ends with a sentence when its disk is full, and goes on
// while it is not.
func TestWatchRoom(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	watchRoom(ctx, "/proc/self", cancel) // a disk that never has room
	must.EqError(t, context.Cause(ctx), "the disk of /proc is full: make room, or set TMPDIR to a folder of another disk: no space left on device")
	must.ErrorIs(t, context.Cause(ctx), syscall.ENOSPC)

	ended, end := context.WithCancel(t.Context())
	end()
	watchRoom(ended, t.TempDir(), func(err error) { t.Errorf("it is broken off: %v", err) })
}

func TestOnlyScenesThatThereAre(t *testing.T) {
	scenes := []scene{{name: "graph"}, {name: "load"}}
	must.NoError(t, known("", scenes))
	must.NoError(t, known("load,graph", scenes))
	must.ErrorContains(t, known("load,nonsense", scenes), `-only: no scene "nonsense"; there are: graph, load`)
}
