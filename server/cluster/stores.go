package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/oakumhq/oakum/server/state"
	"go.etcd.io/bbolt"
)

// openStores opens the log, the votes and the snapshots: in memory without a
// data directory. The choice of the log is BenchmarkLogStore's.
func (n *Node) openStores() (raft.LogStore, raft.StableStore, raft.SnapshotStore, error) {
	if n.cfg.Dir == "" {
		memory := raft.NewInmemStore()
		return memory, memory, raft.NewInmemSnapshotStore(), nil
	}
	dir := filepath.Join(n.cfg.Dir, "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("make data directory: %w", err)
	}
	file := filepath.Join(dir, "raft.db")
	if err := checkBolt(file); err != nil {
		return nil, nil, nil, err
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: file, BoltOptions: &bbolt.Options{Timeout: fileLockTimeout}})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, nil, nil, fmt.Errorf("open %s: another process uses this data directory", file)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open %s: %w", file, err)
	}
	n.stores = append(n.stores, bolt.Close)
	cache, err := raft.NewLogCache(cachedLogs, bolt)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make log cache: %w", err)
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, retainSnapshots, log.HCLog(n.logger).Named("snapshot"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open snapshots: %w", err)
	}
	if err := n.refuseNewer(snapshots); err != nil {
		return nil, nil, nil, err
	}
	return cache, bolt, snapshots, nil
}

// refuseNewer refuses a data directory whose newest snapshot this program can't
// read because the cluster has gone beyond it. What the log holds beyond it
// halts the state machine when it gets there.
func (n *Node) refuseNewer(snapshots raft.SnapshotStore) error {
	metas, err := snapshots.List()
	if err != nil || len(metas) == 0 {
		return err
	}
	_, content, err := snapshots.Open(metas[0].ID)
	if err != nil {
		return nil // damaged: what then is decided where it is read
	}
	defer func() { _ = content.Close() }() // it was only read
	info, err := state.Peek(content)
	if err == nil && info.Level > state.SupportedLevel {
		return api.Errorf(api.CodeConflict, "the data directory %s is of cluster level %d, and Oakum %s knows levels up to %d: run a newer version",
			n.cfg.Dir, info.Level, n.cfg.Version, state.SupportedLevel)
	}
	return nil
}
