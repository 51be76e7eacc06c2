package disk_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/cluster/disk"
	"github.com/oakumhq/oakum/server/cluster/disk/disktest"
)

// recoverPeers opens a directory and applies its peers.json.
func recoverPeers(t *testing.T, cfg disk.Config) (members []raft.Server, recovered bool, err error) {
	t.Helper()
	d, err := disk.Open(cfg)
	must.NoError(t, err)
	defer func() { must.NoError(t, d.Close()) }()
	config := raft.DefaultConfig()
	config.LocalID, config.Logger = raft.ServerID(cfg.Server), hclog.NewNullLogger()
	_, transport := raft.NewInmemTransport(address)
	recovered, err = d.Recover(config, address, transport)
	metas, listErr := d.Snapshots.List()
	must.NoError(t, listErr)
	if len(metas) > 0 {
		members = metas[0].Configuration.Servers
	}
	return members, recovered, err
}

func TestRecover_ReplacesTheMembershipOnce(t *testing.T) {
	t.Parallel()
	s := lived(t, 1, 1)
	peers := s.path("peers.json")
	text := fmt.Sprintf(`[{"id": "oak", "address": %q}, {"id": "ash", "address": "10.0.0.2:4741", "non_voter": true}]`, address)
	must.NoError(t, os.WriteFile(peers, []byte(text), 0o600))
	members, recovered, err := recoverPeers(t, s.cfg)
	must.NoError(t, err)
	must.True(t, recovered)
	must.Eq(t, []raft.Server{{ID: "oak", Address: address}, {ID: "ash", Address: "10.0.0.2:4741", Suffrage: raft.Nonvoter}}, members)
	must.FileNotExists(t, peers)
	applied, err := filepath.Glob(peers + ".applied-*")
	must.NoError(t, err)
	must.Len(t, 1, applied)
	s.resumes(t)

	_, recovered, err = recoverPeers(t, s.cfg)
	must.NoError(t, err)
	must.False(t, recovered)
}

func TestRecover_LeavesAWrongFileAndTheStateAsTheyAre(t *testing.T) {
	t.Parallel()
	s := lived(t, 1, 1)
	peers := s.path("peers.json")
	for text, want := range map[string]string{
		"{":                            "see peers.info for what it looks like",
		"[]":                           "see peers.info for what it looks like",
		fmt.Sprintf(`["%s"]`, address): "see peers.info for what it looks like",
		`[{"id": "ash", "address": "10.0.0.1:1"}]`:                                                     fmt.Sprintf(`does not name this server: add {"id": "oak", "address": %q}, or start it without the file`, address),
		`[{"id": "oak", "address": "10.0.0.1:1"}]`:                                                     fmt.Sprintf(`says that server "oak" is at 10.0.0.1:1, and the others reach it at %s: write that address, with its port`, address),
		fmt.Sprintf(`[{"id": "oak", "address": %q}, {"id": "oak", "address": "10.0.0.1:1"}]`, address): "see peers.info for what it looks like",
	} {
		must.NoError(t, os.WriteFile(peers, []byte(text), 0o600))
		_, recovered, err := recoverPeers(t, s.cfg)
		must.False(t, recovered)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
		must.ErrorContains(t, err, want, must.Sprint(text))
		kept, err := os.ReadFile(peers)
		must.NoError(t, err)
		must.EqOp(t, text, string(kept))
	}
	must.NoError(t, os.Remove(peers))
	s.resumes(t)
}

func TestRecover_NeedsState(t *testing.T) {
	t.Parallel()
	cfg := disk.Config{Dir: t.TempDir(), Server: "oak", Logger: slog.New(slog.DiscardHandler)}
	must.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, "peers.json"), []byte(fmt.Sprintf(`[{"id": "oak", "address": %q}]`, address)), 0o600))
	_, recovered, err := recoverPeers(t, cfg)
	must.False(t, recovered)
	must.ErrorContains(t, err, "this server has no state to recover: start the servers that have, and let this one join them without the file")
}

func TestRecover_RefusesWhenTheStateIsIncomplete(t *testing.T) {
	t.Parallel()
	s := lived(t, 2, 1)
	folders := disktest.Snapshots(t, s.cfg.Dir)
	spoil(t, filepath.Join(folders[1], "state.bin"))
	peers := s.path("peers.json")
	must.NoError(t, os.WriteFile(peers, []byte(fmt.Sprintf(`[{"id": "oak", "address": %q}]`, address)), 0o600))
	_, recovered, err := recoverPeers(t, s.cfg)
	must.False(t, recovered)
	must.ErrorContains(t, err, "can't be read and its log does not make up for them")
	must.FileExists(t, peers)
}
