// Package disktest compares data directories in tests.
package disktest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// Snapshots are the folders of a directory's snapshots, the newest last.
func Snapshots(t *testing.T, dir string) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(dir, "raft", "snapshots", "*-*-*[0-9]"))
	must.NoError(t, err)
	slices.SortFunc(folders, func(a, b string) int { return int(IndexOf(t, a)) - int(IndexOf(t, b)) })
	return folders
}

// IndexOf is the log index in the name of a snapshot's folder.
func IndexOf(t *testing.T, folder string) (index uint64) {
	t.Helper()
	var term, at uint64
	_, err := fmt.Sscanf(filepath.Base(folder), "%d-%d-%d", &term, &index, &at)
	must.NoError(t, err)
	return index
}

// Contents is every file of a directory with the sum of what it holds.
func Contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		sum := sha256.Sum256(text)
		out[strings.TrimPrefix(path, dir)] = hex.EncodeToString(sum[:])
		return err
	}))
	return out
}
