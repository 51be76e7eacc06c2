package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

const (
	// retainSnapshots keeps one that is known to be good while the next is written.
	retainSnapshots = 2
	// cachedLogs holds the entries that followers usually ask for.
	cachedLogs = 512
	// lockTimeout is short, so that a second process on the same directory ends
	// soon.
	lockTimeout = 2 * time.Second
)

// Config says where a data directory is and whose it must be.
type Config struct {
	Dir     string // "" keeps everything in memory
	Server  string // name of the server
	Cluster string // name of its cluster
	Version string // of the program
	Logger  *slog.Logger
}

// Dir is an open data directory.
type Dir struct {
	Log       raft.LogStore
	Votes     raft.StableStore
	Snapshots raft.SnapshotStore
	// Cut has the reason when the end of the log was cut off and could not be written
	// again: Raft works on no more, and must be started again. nil in memory.
	Cut <-chan error

	cfg  Config
	bolt *raftboltdb.BoltStore // nil in memory
}

// Open opens a server's data directory, and makes a new one this server's. The
// error has code conflict when the directory can't be this server's or is
// damaged.
func Open(cfg Config) (*Dir, error) {
	if cfg.Dir == "" {
		memory := raft.NewInmemStore()
		return &Dir{cfg: cfg, Log: memory, Votes: memory, Snapshots: raft.NewInmemSnapshotStore()}, nil
	}
	owner, err := cfg.readLabel()
	if err != nil {
		return nil, err
	}
	d := &Dir{cfg: cfg}
	if err := d.openStores(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := cfg.claim(owner, d.Votes); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close closes the log. It may be called more than once.
func (d *Dir) Close() error {
	if d.bolt == nil {
		return nil
	}
	bolt := d.bolt
	d.bolt = nil
	return bolt.Close()
}

// openStores opens the log, the votes and the snapshots. The choice of the log
// is BenchmarkLogStore's.
func (d *Dir) openStores() error {
	dir, file := d.cfg.raftDir(), d.cfg.logFile()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := checkBolt(file); err != nil {
		return err
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: file, BoltOptions: &bbolt.Options{Timeout: lockTimeout}})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("open %s: another process uses this data directory", file)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	d.bolt, d.Votes = bolt, bolt
	cached, err := raft.NewLogCache(cachedLogs, bolt)
	if err != nil {
		return fmt.Errorf("make log cache: %w", err)
	}
	whole := newCutLog(cached)
	d.Log, d.Cut = whole, whole.stay
	d.Snapshots, err = raft.NewFileSnapshotStoreWithLogger(dir, retainSnapshots, log.HCLog(d.cfg.Logger).Named("snapshot"))
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	return d.refuseNewerLevel()
}

// refuseNewerLevel refuses a directory whose newest snapshot this program can't
// read, because the cluster is at a newer level. An entry of the log that is of a
// newer level halts the state machine when it is applied.
func (d *Dir) refuseNewerLevel() error {
	metas, err := d.Snapshots.List()
	if err != nil || len(metas) == 0 {
		return err
	}
	_, content, err := d.Snapshots.Open(metas[0].ID)
	if err != nil {
		return nil // it is damaged: Restore decides what follows from that
	}
	defer func() { _ = content.Close() }() // it was only read
	info, err := state.Peek(content)
	if err == nil && info.Level > levels.Supported {
		return api.Errorf(api.CodeConflict, "the data directory %s is of cluster level %d, and Oakum %s knows levels up to %d: run a newer version",
			d.cfg.Dir, info.Level, d.cfg.Version, levels.Supported)
	}
	return nil
}

func (c *Config) raftDir() string { return filepath.Join(c.Dir, "raft") }
func (c *Config) logFile() string { return filepath.Join(c.raftDir(), "raft.db") }
