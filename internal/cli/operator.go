package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func raftPeers(e *env) *command {
	c := newCommand("operator raft list-peers", none(), "List the servers of the cluster", `
Lists the servers of the Raft cluster, and what each says of itself: its version,
how far its log is, and how long ago it heard of the leader. The leader also
tells who is healthy. With -stale any server answers, also without a leader.`).remote().reads().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, err := cl.Peers(ctx, c.query())
		if err != nil {
			return err
		}
		return e.show(c.out, all, func(w io.Writer) { view.Servers(w, all, e.Now()) })
	})
	return c
}

func raftRemove(e *env) *command {
	c := newCommand("operator raft remove-peer", one("ID"), "Take a server out of the cluster", `
Takes a server out of the Raft cluster for good, for example because its machine
is lost. A server that only restarts must not be removed.`).remote()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if err := cl.RemovePeer(ctx, args[0]); err != nil {
			return err
		}
		e.printf("Removed %s.\n", args[0])
		return nil
	})
	return c
}

func raftTransfer(e *env) *command {
	c := newCommand("operator raft transfer", none(), "Hand leadership to another server", `
Makes the leader hand over, for example before its machine is maintained.`).remote()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if err := cl.TransferLeadership(ctx); err != nil {
			return err
		}
		e.printf("Leadership was handed over.\n")
		return nil
	})
	return c
}

func raftLeave(e *env) *command {
	c := newCommand("operator raft leave", none(), "Let a server leave the cluster and stop", `
The server at the address leaves the cluster: it hands leadership over if it
leads, is taken out of the configuration so that the others count without it,
and stops. A server that only restarts needs not leave. Started again, it asks
to be let in.`).remote()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if err := cl.Leave(ctx); err != nil {
			return err
		}
		e.printf("The server at %s has left the cluster and stops.\n", cl.Address())
		return nil
	})
	return c
}

func operatorState(e *env) *command {
	c := newCommand("operator state", none(), "Show how far a server's replica is", `
Shows the index and the hash of the state of the server that is asked. Servers
at the same index must have the same hash.`).remote().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		s, err := cl.State(ctx)
		if err != nil {
			return err
		}
		return e.show(c.out, s, func(w io.Writer) {
			view.Fields(w, "Server", s.Server, "Index", fmt.Sprint(s.Index), "Level", fmt.Sprint(s.Level), "Hash", s.Hash)
		})
	})
	return c
}

func snapshotSave(e *env) *command {
	c := newCommand("operator snapshot save", opt("FILE"), "Save the replicated state", `
Writes the replicated state to a file, oakum-<time>.snap by default. The file
appears only when it is complete. It may hold secrets of the jobs that rollouts
touched: it is made readable for you only.`).remote()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		path := "oakum-" + e.Now().UTC().Format("20060102T150405Z") + ".snap"
		if len(args) == 1 {
			path = args[0]
		}
		var size int64
		err := replaceFile(path, func(w io.Writer) (err error) {
			size, err = cl.SnapshotSave(ctx, w)
			return err
		})
		if err != nil {
			return err
		}
		e.printf("Saved %s (%s).\n", path, view.Amount(float64(size), "bytes"))
		return nil
	})
	return c
}

// replaceFile writes a file beside path and puts it there when it is complete.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return api.Errorf(api.CodeInvalid, "create file: %s", input.Cause(err))
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when all went well
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

func snapshotRestore(e *env) *command {
	c := newCommand("operator snapshot restore", one("FILE"), "Replace the replicated state", `
Replaces the whole replicated state by that of a snapshot. What happened since
the snapshot is forgotten; Nomad is not changed.`).remote()
	c.run = func(ctx context.Context, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return api.Errorf(api.CodeInvalid, "read file: %s", input.Cause(err))
		}
		defer f.Close() //nolint:errcheck // it is only read
		cl, err := c.dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		if err := cl.SnapshotRestore(ctx, f); err != nil {
			return err
		}
		e.printf("Restored %s.\n", args[0])
		return nil
	}
	return c
}
