package cluster

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

func TestADataDirectoryOfANewerLevelIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(dir, "raft"), 2, hclog.NewNullLogger())
	must.NoError(t, err)
	address, transport := raft.NewInmemTransport("")
	alone := raft.Configuration{Servers: []raft.Server{{ID: "oak", Address: address}}}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, 7, 1, alone, 1, transport)
	must.NoError(t, err)
	_, err = sink.Write([]byte(`{"kind":"oakum-state","format":1,"level":99,"index":7}` + "\n" + `{"table":"unheard_of","row":{}}` + "\n"))
	must.NoError(t, err)
	must.NoError(t, sink.Close())

	_, err = Open(Config{
		ID: "oak", Dir: dir, Bind: "127.0.0.1:0", BootstrapExpect: 1, Version: "1.2.3", Logger: slog.New(slog.DiscardHandler),
	}, state.NewFSM(state.NewStore()))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), fmt.Sprintf("%s is of cluster level 99, and Oakum 1.2.3 knows levels up to %d: run a newer version", dir, state.SupportedLevel))
}
