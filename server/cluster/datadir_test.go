package cluster_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
	"go.etcd.io/bbolt"
)

// contents is every file of a directory with the sum of what it holds.
func contents(t *testing.T, dir string) map[string]string {
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

// refuses opens a server that must not start, and returns why it did not.
// Nothing on its disk may have changed.
func refuses(t *testing.T, cfg cluster.Config) error {
	t.Helper()
	before := contents(t, cfg.Dir)
	cfg.Logger, cfg.Tuning = slog.New(slog.DiscardHandler), fast()
	node, err := cluster.Open(cfg, state.NewFSM(state.NewStore()))
	if err == nil {
		must.NoError(t, node.Close())
	}
	must.Error(t, err)
	must.Eq(t, before, contents(t, cfg.Dir), must.Sprint(err))
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
		wait.For(t, "a snapshot", func() bool { return len(snapshotsOf(t, cfg.Dir)) > n })
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
		return !slices.ContainsFunc(members, func(m *member) bool { return m.store.Level() != state.SupportedLevel })
	})
}

// snapshotsOf are the folders of the snapshots, newest last.
func snapshotsOf(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "raft", "snapshots", "*-*-*[0-9]"))
	must.NoError(t, err)
	slices.SortFunc(found, func(a, b string) int { return int(indexOf(t, a)) - int(indexOf(t, b)) })
	return found
}

// indexOf is the log index in a snapshot's name.
func indexOf(t *testing.T, path string) (index uint64) {
	t.Helper()
	var term, at uint64
	_, err := fmt.Sscanf(filepath.Base(path), "%d-%d-%d", &term, &index, &at)
	must.NoError(t, err)
	return index
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

func TestADataDirectoryIsOfOneServerOfOneCluster(t *testing.T) {
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

func TestADataDirectoryOfANewerVersionIsLeftAlone(t *testing.T) {
	t.Parallel()
	cfg, hash := lived(t, 0)
	label := filepath.Join(cfg.Dir, "server.json")
	former, err := os.ReadFile(label)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(label, []byte(`{"format": 2, "server": "oak", "cluster": "east", "version": "9.0.0"}`), 0o600))
	must.ErrorContains(t, refuses(t, cfg), "has format 2, which Oakum 9.0.0 wrote, and this program reads formats up to 1: run that version or a newer one")
	for _, damaged := range []string{"", "{", `{"server": "oak"}`, "null"} {
		must.NoError(t, os.WriteFile(label, []byte(damaged), 0o600))
		must.ErrorContains(t, refuses(t, cfg), `server.json is damaged, so it is not known whose data directory this is: restore the file, or remove it`)
	}
	must.NoError(t, os.WriteFile(label, former, 0o600))
	resumes(t, cfg, hash)
}

func TestADataDirectoryWithoutALabelGetsOne(t *testing.T) {
	t.Parallel()
	cfg, hash := lived(t, 0)
	label := filepath.Join(cfg.Dir, "server.json")
	must.NoError(t, os.Remove(label))
	other := cfg
	other.ID = "ash"
	other.Logger, other.Tuning = slog.New(slog.DiscardHandler), fast()
	_, err := cluster.Open(other, state.NewFSM(state.NewStore()))
	must.ErrorContains(t, err, `belongs to server "oak", and this one is "ash"`)
	must.FileNotExists(t, label)
	resumes(t, cfg, hash)
	must.FileExists(t, label)
}

func TestALostLogIsNotReplacedByAnEmptyOne(t *testing.T) {
	t.Parallel()
	cfg, _ := lived(t, 0)
	log := filepath.Join(cfg.Dir, "raft", "raft.db")
	for _, lose := range []func() error{func() error { return os.Truncate(log, 0) }, func() error { return os.Remove(log) }} {
		must.NoError(t, lose())
		cfg.Logger, cfg.Tuning = slog.New(slog.DiscardHandler), fast()
		for range 2 { // and it does not go away by trying again
			_, err := cluster.Open(cfg, state.NewFSM(state.NewStore()))
			must.ErrorContains(t, err, `the log of server "oak" in `+cfg.Dir+" is gone: restore it, or move the directory away and have the server join anew")
		}
	}
}

func TestADamagedLogIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	cfg, _ := lived(t, 0)
	path := filepath.Join(cfg.Dir, "raft", "raft.db")
	sound, err := os.ReadFile(path)
	must.NoError(t, err)
	damaged := map[string][]byte{
		"garbage":          bytes.Repeat([]byte("oakum "), 20000),
		"a few bytes":      sound[:100],
		"one page":         sound[:4096],
		"a page is gone":   sound[:pagesOf(t, path)-4096],
		"half":             sound[:pagesOf(t, path)/2],
		"pages of nothing": blank(sound, 2*4096), // nothing but where to begin
	}
	for name, text := range damaged {
		t.Run(name, func(t *testing.T) {
			must.NoError(t, os.WriteFile(path, text, 0o600))
			must.ErrorContains(t, refuses(t, cfg), "is damaged and was left as it is")
		})
	}
	must.NoError(t, os.WriteFile(path, sound, 0o600))
	start(t, cfg)
}

// pagesOf is how much of the file bbolt has content in; it grows in larger
// steps, and its last pages may be free ones, which nobody would miss.
func pagesOf(t *testing.T, path string) int {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must.NoError(t, err)
	defer func() { must.NoError(t, db.Close()) }()
	tx, err := db.Begin(false)
	must.NoError(t, err)
	defer func() { must.NoError(t, tx.Rollback()) }()
	page := db.Info().PageSize
	last := int(tx.Size())/page - 1
	for {
		info, err := tx.Page(last)
		must.NoError(t, err)
		if info.Type != "free" {
			return (last + 1) * page
		}
		last--
	}
}

// blank keeps the first bytes and makes zeroes of the rest.
func blank(text []byte, keep int) []byte {
	out := make([]byte, len(text))
	copy(out, text[:keep])
	return out
}

// Whatever happens to a page, the server either refuses to start and leaves the
// file alone, or starts with what it had.
func TestADamagedPageNeitherCrashesNorLosesAnything(t *testing.T) {
	t.Parallel()
	cfg, hash := lived(t, 0)
	path := filepath.Join(cfg.Dir, "raft", "raft.db")
	sound, err := os.ReadFile(path)
	must.NoError(t, err)
	random := rand.New(rand.NewPCG(3, 5))
	refused, pages := 0, pagesOf(t, path)/4096
	for range 15 {
		broken := slices.Clone(sound)
		page := 2 + random.IntN(pages-2)
		for i := range 16 { // its header: what it is, and how much is on it
			broken[page*4096+i] = byte(random.Uint32())
		}
		binary.LittleEndian.PutUint16(broken[page*4096+8:], uint16(random.Uint32()))
		must.NoError(t, os.WriteFile(path, broken, 0o600))
		opened := cfg
		opened.Logger, opened.Tuning = slog.New(slog.DiscardHandler), fast()
		store := state.NewStore()
		node, err := cluster.Open(opened, state.NewFSM(store))
		if err != nil {
			refused++
			kept, readErr := os.ReadFile(path)
			must.NoError(t, readErr)
			must.True(t, bytes.Equal(broken, kept), must.Sprint(err))
			continue
		}
		m := &member{Node: node, store: store}
		leaderOf(t, []*member{m})
		must.NoError(t, m.Barrier(t.Context()))
		must.EqOp(t, hash, store.Hash(), must.Sprint("page ", page))
		must.NoError(t, node.Close())
	}
	must.Positive(t, refused)
	must.NoError(t, os.WriteFile(path, sound, 0o600))
}

func TestSnapshotsAndLogTogetherAreEnoughOrRefused(t *testing.T) {
	t.Parallel()
	spoil := func(t *testing.T, folder, file string) {
		t.Helper()
		path := filepath.Join(folder, file)
		text, err := os.ReadFile(path)
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(path, text[:len(text)/2], 0o600))
	}
	for _, file := range []string{"state.bin", "meta.json"} {
		t.Run("every "+file+" is damaged", func(t *testing.T) {
			t.Parallel()
			cfg, _ := lived(t, 2)
			folders := snapshotsOf(t, cfg.Dir)
			must.Len(t, 2, folders)
			for _, f := range folders {
				spoil(t, f, file)
			}
			opened := cfg
			opened.Logger, opened.Tuning = slog.New(slog.DiscardHandler), fast()
			before := contents(t, filepath.Join(cfg.Dir, "raft", "snapshots"))
			_, err := cluster.Open(opened, state.NewFSM(state.NewStore()))
			must.ErrorContains(t, err, `the snapshots of server "oak" in `+cfg.Dir+" can't be read and its log does not make up for them (no snapshot is left")
			must.ErrorContains(t, err, "nothing was changed: restore the directory from a copy, or move it away and have the server join anew")
			must.Eq(t, before, contents(t, filepath.Join(cfg.Dir, "raft", "snapshots")))
		})
	}
	t.Run("the newest is damaged and the log no longer reaches back to the other", func(t *testing.T) {
		t.Parallel()
		cfg, _ := lived(t, 2)
		folders := snapshotsOf(t, cfg.Dir)
		spoil(t, folders[1], "state.bin")
		opened := cfg
		opened.Logger, opened.Tuning = slog.New(slog.DiscardHandler), fast()
		_, err := cluster.Open(opened, state.NewFSM(state.NewStore()))
		must.ErrorContains(t, err, fmt.Sprintf("the newest that is left holds the state at entry %d, there was one of entry %d", indexOf(t, folders[0]), indexOf(t, folders[1])))
	})
	t.Run("both are good", func(t *testing.T) {
		t.Parallel()
		cfg, hash := lived(t, 2)
		resumes(t, cfg, hash)
	})
}

func TestAnOlderSnapshotServesWhenTheLogReachesBack(t *testing.T) {
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
		wait.For(t, "a snapshot", func() bool { return len(snapshotsOf(t, cfg.Dir)) > n })
	}
	put(t, []*member{m}, "last")
	risen(t, m)
	hash := store.Hash()
	must.NoError(t, node.Close())

	folders := snapshotsOf(t, cfg.Dir)
	must.NoError(t, os.Truncate(filepath.Join(folders[len(folders)-1], "state.bin"), 10))
	resumes(t, cfg, hash)
}

func TestPeersFileBringsBackAClusterThatLostItsMajority(t *testing.T) {
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

func TestPeersFileOfTwoServers(t *testing.T) {
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

func TestAWrongPeersFileChangesNothing(t *testing.T) {
	t.Parallel()
	cfg, hash := lived(t, 1)
	peers := filepath.Join(cfg.Dir, "peers.json")
	for text, want := range map[string]string{
		"{":                             "see peers.info for what it looks like",
		"[]":                            "see peers.info for what it looks like",
		fmt.Sprintf(`["%s"]`, cfg.Bind): "see peers.info for what it looks like",
		`[{"id": "ash", "address": "10.0.0.1:1"}]`:                                                      fmt.Sprintf(`does not name this server: add {"id": "oak", "address": %q}, or start it without the file`, cfg.Bind),
		`[{"id": "oak", "address": "10.0.0.1:1"}]`:                                                      fmt.Sprintf(`says that server "oak" is at 10.0.0.1:1, and the others reach it at %s: write that address, with its port`, cfg.Bind),
		fmt.Sprintf(`[{"id": "oak", "address": %q}, {"id": "oak", "address": "10.0.0.1:1"}]`, cfg.Bind): "see peers.info for what it looks like",
	} {
		must.NoError(t, os.WriteFile(peers, []byte(text), 0o600))
		opened := cfg
		opened.Logger, opened.Tuning = slog.New(slog.DiscardHandler), fast()
		_, err := cluster.Open(opened, state.NewFSM(state.NewStore()))
		must.ErrorContains(t, err, want, must.Sprint(text))
		kept, err := os.ReadFile(peers)
		must.NoError(t, err)
		must.EqOp(t, text, string(kept))
	}
	must.NoError(t, os.Remove(peers))
	resumes(t, cfg, hash)
}

func TestAPeersFileNeedsState(t *testing.T) {
	t.Parallel()
	cfg := cluster.Config{ID: "oak", Dir: t.TempDir(), Bind: addresses(t, 1)[0], BootstrapExpect: 1}
	must.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, "peers.json"), []byte(fmt.Sprintf(`[{"id": "oak", "address": %q}]`, cfg.Bind)), 0o600))
	cfg.Logger, cfg.Tuning = slog.New(slog.DiscardHandler), fast()
	_, err := cluster.Open(cfg, state.NewFSM(state.NewStore()))
	must.ErrorContains(t, err, "this server has no state to recover: start the servers that have, and let this one join them without the file")
}

// A restored snapshot leaves a gap in the log; every server comes back over it.
func TestARestoredClusterOfAnotherNameRestarts(t *testing.T) {
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
