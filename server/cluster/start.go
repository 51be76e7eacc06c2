package cluster

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/server/cluster/disk"
)

// startRaft carries out a recovery that an operator asks for, makes sure that the
// data directory holds everything that this server had, and starts Raft.
func (n *Node) startRaft() error {
	config, transport := n.raftConfig(), n.port.Raft()
	recovered, err := n.disk.Recover(config, n.Address(), transport)
	if err != nil {
		return err
	}
	existing, err := n.disk.HasState()
	if err != nil {
		return err
	}
	if !existing && !recovered && n.cfg.BootstrapExpect == 1 {
		alone := raft.Configuration{Servers: []raft.Server{{ID: config.LocalID, Address: transport.LocalAddr()}}}
		if err := raft.BootstrapCluster(config, n.disk.Log, n.disk.Votes, n.disk.Snapshots, transport, alone); err != nil {
			return fmt.Errorf("bootstrap cluster: %w", err)
		}
	}
	// What is restored here Raft need not restore again.
	if config.NoSnapshotRestoreOnStart, err = n.disk.Restore(n.marks); err != nil {
		return err
	}
	err = disk.Guard(func() (err error) {
		n.raft, err = raft.NewRaft(config, n.marks, n.disk.Log, n.disk.Votes, n.disk.Snapshots, transport)
		return err
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}
