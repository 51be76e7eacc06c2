package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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

// snapshotName is how Raft's file store names a snapshot: term, index, time.
const snapshotName = `^\d+-(\d+)-\d+$`

// recoverPeers replaces the membership by that of peers.json, if there is one,
// and renames the file. On an error the file and the state stay as they were.
func (n *Node) recoverPeers(config *raft.Config, logs raft.LogStore, stable raft.StableStore, snapshots raft.SnapshotStore, transport raft.Transport) (bool, error) {
	if n.cfg.Dir == "" {
		return false, nil
	}
	path := filepath.Join(n.cfg.Dir, peersFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	membership, err := raft.ReadConfigJSON(path)
	if err != nil {
		return false, api.Errorf(api.CodeInvalid, "%s: %v: see %s for what it looks like", path, err, infoFile)
	}
	if err := n.checkPeers(path, membership); err != nil {
		return false, err
	}
	existing, err := raft.HasExistingState(logs, stable, snapshots)
	if err != nil {
		return false, fmt.Errorf("read raft state: %w", err)
	}
	if !existing {
		return false, api.Errorf(api.CodeConflict, "%s: this server has no state to recover: start the servers that have, and let this one join them without the file", path)
	}
	// RecoverCluster would make do with an older snapshot than the newest.
	if _, err := n.restoreState(logs, snapshots, state.NewFSM(state.NewStore())); err != nil {
		return false, err
	}
	if err := raft.RecoverCluster(config, state.NewFSM(state.NewStore()), logs, stable, snapshots, transport, membership); err != nil {
		return false, api.Errorf(api.CodeConflict, "recover the cluster by %s: %v", path, err)
	}
	applied := path + ".applied-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(path, applied); err != nil {
		return false, fmt.Errorf("put %s away: %w", path, err)
	}
	n.logger.Warn("membership replaced by an operator", "file", applied, "servers", len(membership.Servers))
	return true, nil
}

// checkPeers refuses a file that would leave this server alone or unreachable.
func (n *Node) checkPeers(path string, membership raft.Configuration) error {
	i := slices.IndexFunc(membership.Servers, func(s raft.Server) bool { return string(s.ID) == n.cfg.ID })
	if i < 0 {
		return api.Errorf(api.CodeInvalid, "%s does not name this server: add {\"id\": %q, \"address\": %q}, or start it without the file", path, n.cfg.ID, n.advertise)
	}
	address := string(membership.Servers[i].Address)
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || resolved.String() != n.advertise {
		return api.Errorf(api.CodeInvalid, "%s says that server %q is at %s, and the others reach it at %s: write that address, with its port", path, n.cfg.ID, address, n.advertise)
	}
	return nil
}

// restoreState puts the newest snapshot that can be read into the state
// machine, and makes sure that with the log it leads to all that this server
// had. It reports whether Raft may take the state machine as it is. A server
// that would have to start with less is refused: it has promised the others to
// keep what it confirmed.
func (n *Node) restoreState(logs raft.LogStore, snapshots raft.SnapshotStore, fsm raft.FSM) (restored bool, err error) {
	first, err := logs.FirstIndex()
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	newest, err := n.newestSnapshot()
	if err != nil {
		return false, err
	}
	metas, err := snapshots.List()
	if err != nil {
		return false, fmt.Errorf("list snapshots: %w", err)
	}
	var index uint64
	for i, meta := range metas {
		if err := load(meta, snapshots, fsm); err != nil {
			n.logger.Error("a snapshot can't be read", "id", meta.ID, "index", meta.Index, "error", err)
			continue
		}
		index, restored = meta.Index, i == 0 && meta.Index == newest
		break
	}
	// Raft goes on from the snapshot with the entries that follow it, without a
	// gap. What the log holds from before is of no use.
	gap := false
	for i := index + 1; i <= last && !gap; i++ {
		gap = logs.GetLog(i, &raft.Log{}) != nil
	}
	if gap || max(index, last) < newest || (index == 0 && len(metas) > 0) {
		return false, api.Errorf(api.CodeConflict, "the snapshots of server %q in %s can't be read and its log does not make up for them (%s); nothing was changed: "+
			"restore the directory from a copy, or move it away and have the server join anew (first, on another server: oakum operator raft remove-peer %s)",
			n.cfg.ID, n.cfg.Dir, holes(index, newest, first, last), n.cfg.ID)
	}
	if index < newest {
		n.logger.Warn("the newest snapshot can't be read; an older one and the log make up for it", "newest", newest, "used", index)
	}
	return restored, nil
}

// holes says what there is and what there should be.
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

// newestSnapshot is the index of the newest snapshot on disk, readable or not:
// Raft's store does not list those whose description it can't read.
func (n *Node) newestSnapshot() (uint64, error) {
	if n.cfg.Dir == "" {
		return 0, nil
	}
	found, err := os.ReadDir(filepath.Join(n.cfg.Dir, "raft", "snapshots"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list snapshots: %w", err)
	}
	name := regexp.MustCompile(snapshotName)
	var newest uint64
	for _, f := range found {
		if parts := name.FindStringSubmatch(f.Name()); parts != nil {
			index, err := strconv.ParseUint(parts[1], 10, 64)
			if err == nil {
				newest = max(newest, index)
			}
		}
	}
	return newest, nil
}
