package disk_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/cluster/disk"
	"github.com/oakumhq/oakum/server/cluster/disk/disktest"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// address is where the server of the tests is a member.
const address = "127.0.0.1:4741"

// server is a server whose directory a test looks after.
type server struct {
	cfg  disk.Config
	hash string // of its state when it stopped
}

// machine is a state machine with its store.
func machine() (*state.FSM, *state.Store) {
	store := state.NewStore()
	return state.NewFSM(store), store
}

// lived makes the directory of a server that has applied 20 entries before each
// snapshot and 20 more after the last one. The log keeps some entries from before a
// snapshot.
func lived(t *testing.T, snapshots int, trailing uint64) server {
	t.Helper()
	s := server{cfg: disk.Config{Dir: t.TempDir(), Server: "oak", Cluster: "east", Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)}}
	d, err := disk.Open(s.cfg)
	must.NoError(t, err)
	fsm, store := machine()
	index := uint64(0)
	apply := func() {
		index++
		data, err := state.Encode(&state.PolicyPut{Policy: api.Policy{Name: fmt.Sprintf("policy-%03d", index)}}, time.Unix(1e9, 0), "tester")
		must.NoError(t, err)
		entry := &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data}
		must.NoError(t, d.Log.StoreLog(entry))
		refused, _ := fsm.Apply(entry).(error)
		must.NoError(t, refused)
	}
	for range snapshots {
		for range 20 {
			apply()
		}
		write(t, d.Snapshots, fsm, index)
		first, err := d.Log.FirstIndex()
		must.NoError(t, err)
		if index > trailing+first {
			must.NoError(t, d.Log.DeleteRange(first, index-trailing))
		}
	}
	for range 20 {
		apply()
	}
	must.NoError(t, d.Close())
	must.NoError(t, d.Close(), must.Sprint("a second time is no error"))
	s.hash = store.Hash()
	return s
}

// write takes a snapshot of the state at an index.
func write(t *testing.T, snapshots raft.SnapshotStore, fsm *state.FSM, index uint64) {
	t.Helper()
	snapshot, err := fsm.Snapshot()
	must.NoError(t, err)
	_, transport := raft.NewInmemTransport(address)
	alone := raft.Configuration{Servers: []raft.Server{{ID: "oak", Address: address}}}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, index, 1, alone, 1, transport)
	must.NoError(t, err)
	must.NoError(t, snapshot.Persist(sink))
	must.NoError(t, sink.Close())
}

// resume opens the directory, and applies what Raft would apply at its start. It
// returns the state, and what Restore said.
func (s server) resume(t *testing.T) (store *state.Store, restored bool) {
	t.Helper()
	d, err := disk.Open(s.cfg)
	must.NoError(t, err)
	defer func() { must.NoError(t, d.Close()) }()
	fsm, store := machine()
	restored, err = d.Restore(fsm)
	must.NoError(t, err)
	last, err := d.Log.LastIndex()
	must.NoError(t, err)
	for i := store.Index() + 1; i <= last; i++ {
		var entry raft.Log
		must.NoError(t, d.Log.GetLog(i, &entry))
		fsm.Apply(&entry)
	}
	return store, restored
}

// resumes has the server go on with all that it had.
func (s server) resumes(t *testing.T) {
	t.Helper()
	store, _ := s.resume(t)
	must.EqOp(t, s.hash, store.Hash())
}

// refused opens a directory that must be refused, and returns the reason. Nothing
// in the directory may have changed.
func refused(t *testing.T, cfg disk.Config) error {
	t.Helper()
	before := disktest.Contents(t, cfg.Dir)
	d, err := disk.Open(cfg)
	if err == nil {
		must.NoError(t, d.Close())
	}
	must.Error(t, err)
	must.Eq(t, before, disktest.Contents(t, cfg.Dir), must.Sprint(err))
	return err
}

func (s server) path(name string) string { return filepath.Join(s.cfg.Dir, name) }
func (s server) logPath() string         { return s.path("raft/raft.db") }

func TestOpen_RefusesTheDirectoryOfAnotherServerOrCluster(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	other := s.cfg
	other.Server = "ash"
	err := refused(t, other)
	must.True(t, api.IsCode(err, api.CodeConflict))
	must.ErrorContains(t, err, `belongs to server "oak", and this one is "ash": set name = "oak", or give this server a data directory of its own`)
	other = s.cfg
	other.Cluster = "west"
	must.ErrorContains(t, refused(t, other), `belongs to cluster "east", and this server to "west": set cluster = "east"`)
	s.resumes(t)
}

func TestOpen_RefusesANewerFormatAndADamagedLabel(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	label := s.path("server.json")
	former, err := os.ReadFile(label)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(label, []byte(`{"format": 2, "server": "oak", "cluster": "east", "version": "9.0.0"}`), 0o600))
	must.ErrorContains(t, refused(t, s.cfg), "has format 2, which Oakum 9.0.0 wrote, and this program reads formats up to 1: run that version or a newer one")
	for _, damaged := range []string{"", "{", `{"server": "oak"}`, "null"} {
		must.NoError(t, os.WriteFile(label, []byte(damaged), 0o600))
		must.ErrorContains(t, refused(t, s.cfg), `server.json is damaged, so it is not known whose data directory this is: restore the file, or remove it`)
	}
	must.NoError(t, os.WriteFile(label, former, 0o600))
	s.resumes(t)
}

func TestOpen_LabelsADirectoryThatHasNoLabel(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	label := s.path("server.json")
	must.NoError(t, os.Remove(label))
	other := s.cfg
	other.Server = "ash"
	_, err := disk.Open(other)
	must.ErrorContains(t, err, `belongs to server "oak", and this one is "ash"`)
	must.FileNotExists(t, label)
	s.resumes(t)
	must.FileExists(t, label)
}

func TestOpen_NeverReplacesALostLogByAnEmptyOne(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	for _, lose := range []func() error{func() error { return os.Truncate(s.logPath(), 0) }, func() error { return os.Remove(s.logPath()) }} {
		must.NoError(t, lose())
		for range 2 { // a second try changes nothing
			_, err := disk.Open(s.cfg)
			must.ErrorContains(t, err, `the log of server "oak" in `+s.cfg.Dir+" is gone: restore it, or move the directory away and have the server join anew")
		}
	}
}

func TestOpen_RefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	s := lived(t, 0, 0)
	d, err := disk.Open(s.cfg)
	must.NoError(t, err)
	_, err = disk.Open(s.cfg)
	must.ErrorContains(t, err, "another process uses this data directory")
	must.NoError(t, d.Close())
	s.resumes(t)
}

func TestOpen_RefusesANewerLevel(t *testing.T) {
	t.Parallel()
	cfg := disk.Config{Dir: t.TempDir(), Server: "oak", Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(cfg.Dir, "raft"), 2, hclog.NewNullLogger())
	must.NoError(t, err)
	at, transport := raft.NewInmemTransport("")
	alone := raft.Configuration{Servers: []raft.Server{{ID: "oak", Address: at}}}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, 7, 1, alone, 1, transport)
	must.NoError(t, err)
	_, err = sink.Write([]byte(`{"kind":"oakum-state","format":1,"level":99,"index":7}` + "\n" + `{"table":"unheard_of","row":{}}` + "\n"))
	must.NoError(t, err)
	must.NoError(t, sink.Close())

	_, err = disk.Open(cfg)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), fmt.Sprintf("%s is of cluster level 99, and Oakum 1.2.3 knows levels up to %d: run a newer version", cfg.Dir, levels.Supported))
}

func TestOpen_KeepsEverythingInMemoryWithoutADirectory(t *testing.T) {
	t.Parallel()
	d, err := disk.Open(disk.Config{Server: "oak", Logger: slog.New(slog.DiscardHandler)})
	must.NoError(t, err)
	has, err := d.HasState()
	must.NoError(t, err)
	must.False(t, has)
	must.NoError(t, d.Log.StoreLog(&raft.Log{Index: 1, Term: 1}))
	has, err = d.HasState()
	must.NoError(t, err)
	must.True(t, has)
	fsm, _ := machine()
	restored, err := d.Restore(fsm)
	must.NoError(t, err)
	must.False(t, restored)
	must.NoError(t, d.Close())
}
