package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/server/state"
)

// Snapshot writes the whole state, as it is on this server, to w.
func (n *Node) Snapshot(ctx context.Context, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return n.fsm.Store().Snapshot(w)
}

// Restore replaces the state of every server by a snapshot. The membership
// stays. A snapshot with an error changes nothing.
func (n *Node) Restore(ctx context.Context, from io.Reader) error {
	if !n.IsLeader() {
		return n.noLeader()
	}
	file, err := os.CreateTemp(n.cfg.Dir, "restore-*")
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	defer func() {
		err := errors.Join(file.Close(), os.Remove(file.Name()))
		if err != nil {
			n.logger.Warn("remove copy of restored snapshot", "error", err)
		}
	}()
	size, err := io.Copy(file, from)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	info, err := state.Inspect(io.NewSectionReader(file, 0, size))
	if err != nil {
		return err
	}
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: info.Index, Size: size}
	// Once begun it is not given up: Raft reads the file until it is done.
	return n.wait(context.WithoutCancel(ctx), func() error {
		return n.raft.Restore(meta, io.NewSectionReader(file, 0, size), 0)
	})
}
