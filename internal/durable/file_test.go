package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/durable"
)

func TestWriteFile_PutsTheWholeInThePlaceOfTheFormer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "label")
	must.NoError(t, durable.WriteFile(path, []byte("former, and longer")))
	must.NoError(t, durable.WriteFile(path, []byte("new")))
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	must.EqOp(t, "new", string(text))
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.EqOp(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 1, left, must.Sprint("nothing else is left"))
}

func TestWriteFile_LeavesNothingOfWhatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "label")
	must.NoError(t, os.MkdirAll(filepath.Join(path, "full"), 0o700)) // a folder that nothing replaces
	must.Error(t, durable.WriteFile(path, []byte("new")))
	left, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 1, left)
}
