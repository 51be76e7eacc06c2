package main

import (
	"os"
	"path/filepath"
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

func TestOnlyScenesThatThereAre(t *testing.T) {
	scenes := []scene{{name: "graph"}, {name: "load"}}
	must.NoError(t, known("", scenes))
	must.NoError(t, known("load,graph", scenes))
	must.ErrorContains(t, known("load,nonsense", scenes), `-only: no scene "nonsense"; there are: graph, load`)
}
