package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/cluster/disk/disktest"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// refuses opens a server that must not start, and returns why it did not.
// Nothing on its disk may have changed.
func refuses(t *testing.T, cfg cluster.Config) error {
	t.Helper()
	before := disktest.Contents(t, cfg.Dir)
	cfg.Logger, cfg.Tuning = slog.New(slog.DiscardHandler), fast()
	node, err := cluster.Open(cfg, state.NewFSM(state.NewStore()))
	if err == nil {
		must.NoError(t, node.Close())
	}
	must.Error(t, err)
	must.Eq(t, before, disktest.Contents(t, cfg.Dir), must.Sprint(err))
	return err
}

// lived is the configuration of a server that has state on disk and was
// stopped. Its snapshots, if it has to take any, are of the entries so far.
func lived(t *testing.T, snapshots int) (cluster.Config, string) {
	t.Helper()
	cfg := cluster.Config{ID: "oak", Cluster: "east", Dir: t.TempDir(), Bind: addresses(t, 1)[0], BootstrapExpect: 1, Version: "1.2.3"}
	store := state.NewStore()
	opened := cfg
	opened.Logger, opened.Tuning = slog.New(slog.DiscardHandler), fast()
	opened.Tuning.SnapshotThreshold, opened.Tuning.SnapshotInterval, opened.Tuning.TrailingLogs = 5, 20*time.Millisecond, 1
	node, err := cluster.Open(opened, state.NewFSM(store))
	must.NoError(t, err)
	m := &member{Node: node, store: store, cfg: cfg}
	for i := range 20 {
		put(t, []*member{m}, fmt.Sprintf("early-%02d", i))
	}
	for n := range snapshots {
		wait.For(t, "a snapshot", func() bool { return len(disktest.Snapshots(t, cfg.Dir)) > n })
		for i := range 20 {
			put(t, []*member{m}, fmt.Sprintf("later-%02d-%02d", n, i))
		}
	}
	risen(t, m)
	hash := store.Hash()
	must.NoError(t, node.Close())
	return cfg, hash
}

// risen waits until the cluster is at the newest level: no server writes
// anything more by itself then.
func risen(t *testing.T, members ...*member) {
	t.Helper()
	wait.For(t, "the newest level", func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool { return m.store.Level() != levels.Supported })
	})
}

// resumes starts a server that must have all that it had.
func resumes(t *testing.T, cfg cluster.Config, hash string) *member {
	t.Helper()
	m := start(t, cfg)
	leaderOf(t, []*member{m})
	must.NoError(t, m.Barrier(t.Context()))
	must.EqOp(t, hash, m.store.Hash())
	return m
}

func TestNode_RefusesTheDirectoryOfAnother(t *testing.T) {
	t.Parallel()
	cfg, hash := lived(t, 0)
	other := cfg
	other.ID = "ash"
	must.ErrorContains(t, refuses(t, other), `belongs to server "oak", and this one is "ash": set name = "oak", or give this server a data directory of its own`)
	other = cfg
	other.Cluster = "west"
	must.ErrorContains(t, refuses(t, other), `belongs to cluster "east", and this server to "west": set cluster = "east"`)
	resumes(t, cfg, hash)
}

func TestRestore_ContinuesFromSnapshots(t *testing.T) {
	t.Parallel()
	cfg, hash := lived(t, 2)
	resumes(t, cfg, hash)
}

func TestRestore_TakesAnOlderSnapshotWhenTheLogReachesBack(t *testing.T) {
	t.Parallel()
	cfg := cluster.Config{ID: "oak", Dir: t.TempDir(), Bind: addresses(t, 1)[0], BootstrapExpect: 1}
	store := state.NewStore()
	opened := cfg
	opened.Logger, opened.Tuning = slog.New(slog.DiscardHandler), fast()
	opened.Tuning.SnapshotThreshold, opened.Tuning.SnapshotInterval, opened.Tuning.TrailingLogs = 5, 20*time.Millisecond, 1000
	node, err := cluster.Open(opened, state.NewFSM(store))
	must.NoError(t, err)
	m := &member{Node: node, store: store}
	for n := range 2 {
		for i := range 20 {
			put(t, []*member{m}, fmt.Sprintf("p-%d-%02d", n, i))
		}
		wait.For(t, "a snapshot", func() bool { return len(disktest.Snapshots(t, cfg.Dir)) > n })
	}
	put(t, []*member{m}, "last")
	risen(t, m)
	hash := store.Hash()
	must.NoError(t, node.Close())

	folders := disktest.Snapshots(t, cfg.Dir)
	must.NoError(t, os.Truncate(filepath.Join(folders[len(folders)-1], "state.bin"), 10))
	resumes(t, cfg, hash)
}

func TestPeersFile_RecoversAClusterWithoutMajority(t *testing.T) {
	t.Parallel()
	members := three(t, t.TempDir())
	put(t, members, "kept")
	agree(t, members)
	for _, m := range members {
		must.NoError(t, m.Close())
	}
	left := members[0].cfg
	t.Log("one of three is left, which can't elect a leader")
	peers := filepath.Join(left.Dir, "peers.json")
	text := fmt.Sprintf(`[{"id": %q, "address": %q}]`, left.ID, left.Bind)
	must.NoError(t, os.WriteFile(peers, []byte(text), 0o600))
	alone := start(t, left)
	leaderOf(t, []*member{alone})
	_, found := alone.store.Policy("kept")
	must.True(t, found)
	must.Len(t, 1, alone.Servers())
	put(t, []*member{alone}, "after")
	must.FileNotExists(t, peers)
	applied, err := filepath.Glob(peers + ".applied-*")
	must.NoError(t, err)
	must.Len(t, 1, applied)

	t.Log("an empty server joins it, and a restart does not recover again")
	fresh := start(t, cluster.Config{ID: "fresh", Dir: t.TempDir(), Bind: "127.0.0.1:0", RetryJoin: []string{alone.Address()}})
	agree(t, []*member{alone, fresh})
	must.Len(t, 2, alone.Servers())
}

func TestPeersFile_RecoversTwoServers(t *testing.T) {
	t.Parallel()
	members := three(t, t.TempDir())
	put(t, members, "kept")
	agree(t, members)
	for _, m := range members {
		must.NoError(t, m.Close())
	}
	var text []string
	for _, m := range members[:2] {
		text = append(text, fmt.Sprintf(`{"id": %q, "address": %q}`, m.cfg.ID, m.cfg.Bind))
	}
	var back []*member
	for _, m := range members[:2] {
		must.NoError(t, os.WriteFile(filepath.Join(m.cfg.Dir, "peers.json"), []byte("["+strings.Join(text, ",")+"]"), 0o600))
		back = append(back, start(t, m.cfg))
	}
	put(t, back, "after")
	agree(t, back)
	must.Len(t, 2, back[0].Servers())
}

// A restored snapshot leaves a gap in the log; every server comes back over it.
func TestRestore_RestartsAClusterOfAnotherName(t *testing.T) {
	t.Parallel()
	source := start(t, cluster.Config{ID: "a", Cluster: "east", Bind: "127.0.0.1:0", BootstrapExpect: 1})
	put(t, []*member{source}, "from the east")
	var archive bytes.Buffer
	must.NoError(t, source.Snapshot(t.Context(), &archive))

	members := three(t, t.TempDir())
	put(t, members, "overwritten")
	do(t, members, "the restore", func(ctx context.Context, leader *member) error {
		return leader.Restore(ctx, bytes.NewReader(archive.Bytes()))
	})
	put(t, members, "after")
	risen(t, members...)
	agree(t, members)
	hash := members[0].store.Hash()
	var back []*member
	for _, m := range members {
		must.NoError(t, m.Close())
	}
	for _, m := range members {
		back = append(back, start(t, m.cfg))
	}
	leader := leaderOf(t, back)
	wait.For(t, "the leader's barrier", func() bool { return leader.Barrier(t.Context()) == nil })
	agree(t, back)
	must.EqOp(t, hash, leader.store.Hash())
	_, found := back[0].store.Policy("from the east")
	must.True(t, found)
	_, found = back[0].store.Policy("overwritten")
	must.False(t, found)
}
