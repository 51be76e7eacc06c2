package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
)

// snapshotName is how Raft's file store names a snapshot: term, index, time.
const snapshotName = `^\d+-(\d+)-\d+$`

// Restore puts the newest snapshot that can be read into the state machine. It
// makes sure that this snapshot and the log together lead to the whole state that
// this server had; the error has code conflict when they do not. It reports
// whether Raft may take the state machine as it is then.
func (d *Dir) Restore(fsm raft.FSM) (restored bool, err error) {
	first, err := d.Log.FirstIndex()
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	last, err := d.Log.LastIndex()
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	newest, err := d.cfg.newestSnapshot()
	if err != nil {
		return false, err
	}
	metas, err := d.Snapshots.List()
	if err != nil {
		return false, fmt.Errorf("list snapshots: %w", err)
	}
	var index uint64
	for i, meta := range metas {
		if err := load(meta, d.Snapshots, fsm); err != nil {
			d.cfg.Logger.Error("a snapshot can't be read", "id", meta.ID, "index", meta.Index, "error", err)
			continue
		}
		index, restored = meta.Index, i == 0 && meta.Index == newest
		break
	}
	// Raft goes on from the snapshot with the entries that follow it, so there may
	// be no gap among those. Older entries are of no use.
	gap := false
	for i := index + 1; i <= last && !gap; i++ {
		gap = d.Log.GetLog(i, &raft.Log{}) != nil
	}
	if gap || max(index, last) < newest || (index == 0 && len(metas) > 0) {
		return false, api.Errorf(api.CodeConflict, "the snapshots of server %q in %s can't be read and its log does not make up for them (%s); nothing was changed: "+
			"restore the directory from a copy, or move it away and have the server join anew (first, on another server: oakum operator raft remove-peer %s)",
			d.cfg.Server, d.cfg.Dir, holes(index, newest, first, last), d.cfg.Server)
	}
	if index < newest {
		d.cfg.Logger.Warn("the newest snapshot can't be read; an older one and the log make up for it", "newest", newest, "used", index)
	}
	return restored, nil
}

// holes says which snapshot and entries are there, and which should be.
func holes(index, newest, first, last uint64) string {
	have := "no snapshot is left"
	if index > 0 {
		have = fmt.Sprintf("the newest that is left holds the state at entry %d", index)
	}
	if newest > index {
		have += fmt.Sprintf(", there was one of entry %d", newest)
	}
	if last == 0 {
		return have + ", the log is empty"
	}
	return have + fmt.Sprintf(", the log holds the entries %d to %d", first, last)
}

// load restores one snapshot. A failure leaves the state machine as it was.
func load(meta *raft.SnapshotMeta, snapshots raft.SnapshotStore, fsm raft.FSM) error {
	_, source, err := snapshots.Open(meta.ID) // checks its sum
	if err != nil {
		return err
	}
	return fsm.Restore(source) // closes it
}

// newestSnapshot is the log index of the newest snapshot on disk, readable or not.
// Raft's own list leaves out the snapshots whose description it can't read.
func (c *Config) newestSnapshot() (uint64, error) {
	if c.Dir == "" {
		return 0, nil
	}
	files, err := os.ReadDir(filepath.Join(c.raftDir(), "snapshots"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list snapshots: %w", err)
	}
	name := regexp.MustCompile(snapshotName)
	var newest uint64
	for _, f := range files {
		if parts := name.FindStringSubmatch(f.Name()); parts != nil {
			index, err := strconv.ParseUint(parts[1], 10, 64)
			if err == nil {
				newest = max(newest, index)
			}
		}
	}
	return newest, nil
}
