package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/cluster/disk"
	"github.com/oakumhq/oakum/server/cluster/disk/disktest"
)

// spoil cuts a file in half.
func spoil(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(path, text[:len(text)/2], 0o600))
}

// incomplete opens a directory that Restore must refuse, and returns the reason.
func (s server) incomplete(t *testing.T) error {
	t.Helper()
	d, err := disk.Open(s.cfg)
	must.NoError(t, err)
	defer func() { must.NoError(t, d.Close()) }()
	before := disktest.Contents(t, s.path("raft/snapshots"))
	fsm, _ := machine()
	_, err = d.Restore(fsm)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.Eq(t, before, disktest.Contents(t, s.path("raft/snapshots")))
	return err
}

func TestRestore_RefusesWhenEverySnapshotIsDamaged(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"state.bin", "meta.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := lived(t, 3, 1)
			folders := disktest.Snapshots(t, s.cfg.Dir)
			must.Len(t, 2, folders)
			for _, f := range folders {
				spoil(t, filepath.Join(f, file))
			}
			err := s.incomplete(t)
			must.ErrorContains(t, err, `the snapshots of server "oak" in `+s.cfg.Dir+" can't be read and its log does not make up for them (no snapshot is left")
			must.ErrorContains(t, err, "nothing was changed: restore the directory from a copy, or move it away and have the server join anew")
		})
	}
}

func TestRestore_RefusesWhenTheLogDoesNotReachBackToTheOlderSnapshot(t *testing.T) {
	t.Parallel()
	s := lived(t, 2, 1)
	folders := disktest.Snapshots(t, s.cfg.Dir)
	spoil(t, filepath.Join(folders[1], "state.bin"))
	must.ErrorContains(t, s.incomplete(t), fmt.Sprintf("the newest that is left holds the state at entry %d, there was one of entry %d", disktest.IndexOf(t, folders[0]), disktest.IndexOf(t, folders[1])))
}

func TestRestore_TakesAnOlderSnapshotWhenTheLogReachesBack(t *testing.T) {
	t.Parallel()
	s := lived(t, 2, 1000)
	folders := disktest.Snapshots(t, s.cfg.Dir)
	must.NoError(t, os.Truncate(filepath.Join(folders[1], "state.bin"), 10))
	store, restored := s.resume(t)
	must.EqOp(t, s.hash, store.Hash())
	must.False(t, restored, must.Sprint("Raft itself would take the newest snapshot"))
}

func TestRestore_TakesTheNewestSnapshotAndTheLog(t *testing.T) {
	t.Parallel()
	s := lived(t, 2, 1)
	store, restored := s.resume(t)
	must.EqOp(t, s.hash, store.Hash())
	must.True(t, restored)
}

// A restored snapshot leaves a gap in the log below it.
func TestRestore_AcceptsAGapBelowTheSnapshot(t *testing.T) {
	t.Parallel()
	s := lived(t, 1, 5)
	d, err := disk.Open(s.cfg)
	must.NoError(t, err)
	must.NoError(t, d.Log.DeleteRange(18, 19))
	must.NoError(t, d.Close())
	s.resumes(t)
}

func TestRestore_RefusesAGapAboveTheSnapshot(t *testing.T) {
	t.Parallel()
	s := lived(t, 1, 5)
	d, err := disk.Open(s.cfg)
	must.NoError(t, err)
	must.NoError(t, d.Log.DeleteRange(25, 26))
	must.NoError(t, d.Close())
	must.ErrorContains(t, s.incomplete(t), "the newest that is left holds the state at entry 20, the log holds the entries 16 to 40")
}
