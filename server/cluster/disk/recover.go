package disk

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// peersFile replaces the membership when a majority is lost for good.
const peersFile = "peers.json"

const peersInfo = `If a majority of the servers is lost for good, no leader can be elected and no
server can be removed in the ordinary way. Then, and only then:

1. Stop every server that is left.
2. Write the same file peers.json next to this one on each of them. It names the
   servers that are left, with their names and the addresses between servers:

   [
     {"id": "oakum-1", "address": "10.0.0.1:4741"},
     {"id": "oakum-2", "address": "10.0.0.2:4741", "non_voter": true}
   ]

3. Start them. Each takes the membership from the file, once, and renames it.

Entries of the log that only the lost servers had are lost; entries that were
never confirmed may come to hold. A lost server that turns up again must be given
an empty data directory before it is started.
`

// Recover replaces the membership by the membership of peers.json, if there is one,
// and renames the file. The address is where the other servers reach this one. On an
// error the file and the state stay as they were.
func (d *Dir) Recover(config *raft.Config, address string, transport raft.Transport) (recovered bool, err error) {
	if d.cfg.Dir == "" {
		return false, nil
	}
	path := filepath.Join(d.cfg.Dir, peersFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	membership, err := raft.ReadConfigJSON(path)
	if err != nil {
		return false, api.Errorf(api.CodeInvalid, "%s: %v: see %s for what it looks like", path, err, infoFile)
	}
	if err := d.cfg.checkPeers(path, address, membership); err != nil {
		return false, err
	}
	existing, err := d.HasState()
	if err != nil {
		return false, err
	}
	if !existing {
		return false, api.Errorf(api.CodeConflict, "%s: this server has no state to recover: start the servers that have, and let this one join them without the file", path)
	}
	// RecoverCluster would be content with an older snapshot than the newest.
	if _, err := d.Restore(state.NewFSM(state.NewStore())); err != nil {
		return false, err
	}
	if err := raft.RecoverCluster(config, state.NewFSM(state.NewStore()), d.Log, d.Votes, d.Snapshots, transport, membership); err != nil {
		return false, api.Errorf(api.CodeConflict, "recover the cluster by %s: %v", path, err)
	}
	applied := path + ".applied-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(path, applied); err != nil {
		return false, fmt.Errorf("put %s away: %w", path, err)
	}
	d.cfg.Logger.Warn("membership replaced by an operator", "file", applied, "servers", len(membership.Servers))
	return true, nil
}

// HasState reports whether the directory holds anything of Raft.
func (d *Dir) HasState() (bool, error) {
	existing, err := raft.HasExistingState(d.Log, d.Votes, d.Snapshots)
	if err != nil {
		return false, fmt.Errorf("read raft state: %w", err)
	}
	return existing, nil
}

// checkPeers refuses a membership without this server, or with another address of
// it than the one where the other servers reach it.
func (c *Config) checkPeers(path, advertised string, membership raft.Configuration) error {
	i := slices.IndexFunc(membership.Servers, func(s raft.Server) bool { return string(s.ID) == c.Server })
	if i < 0 {
		return api.Errorf(api.CodeInvalid, "%s does not name this server: add {\"id\": %q, \"address\": %q}, or start it without the file", path, c.Server, advertised)
	}
	address := string(membership.Servers[i].Address)
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || resolved.String() != advertised {
		return api.Errorf(api.CodeInvalid, "%s says that server %q is at %s, and the others reach it at %s: write that address, with its port", path, c.Server, address, advertised)
	}
	return nil
}
