package cluster

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// startRaft makes sure that nothing of what this server had is missing, carries
// out a recovery that an operator asks for, and starts Raft.
func (n *Node) startRaft(logs raft.LogStore, stable raft.StableStore, snapshots raft.SnapshotStore, transport *raft.NetworkTransport) error {
	config := n.raftConfig()
	recovered, err := n.recoverPeers(config, logs, stable, snapshots, transport)
	if err != nil {
		return err
	}
	existing, err := raft.HasExistingState(logs, stable, snapshots)
	if err != nil {
		return fmt.Errorf("read raft state: %w", err)
	}
	if !existing && !recovered && n.cfg.BootstrapExpect == 1 {
		alone := raft.Configuration{Servers: []raft.Server{{ID: config.LocalID, Address: transport.LocalAddr()}}}
		if err := raft.BootstrapCluster(config, logs, stable, snapshots, transport, alone); err != nil {
			return fmt.Errorf("found cluster: %w", err)
		}
	}
	// Restored here, Raft need not do it again.
	if config.NoSnapshotRestoreOnStart, err = n.restoreState(logs, snapshots, n.marks); err != nil {
		return err
	}
	err = guard(func() (err error) {
		n.raft, err = raft.NewRaft(config, n.marks, logs, stable, snapshots, transport)
		return err
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}
