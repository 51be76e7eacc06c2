package operating

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func raftPeers(e *command.Env) *command.Command {
	c := command.New("operator raft list-peers", command.None(), "List the servers of the cluster", `
Lists the servers of the Raft cluster, and what each says of itself: its version,
how far its log is, and how long ago it heard of the leader. The leader also
tells who is healthy. With -stale any server answers, also without a leader.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, err := cl.Peers(ctx, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, all, func(w io.Writer) { view.Servers(w, all, e.Now()) })
	})
	return c
}

func raftRemove(e *command.Env) *command.Command {
	c := command.New("operator raft remove-peer", command.One("ID"), "Take a server out of the cluster", `
Takes a server out of the Raft cluster for good, for example because its machine
is lost. A server that only restarts must not be removed.`).Remote()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if err := cl.RemovePeer(ctx, args[0]); err != nil {
			return err
		}
		e.Printf("Removed %s.\n", args[0])
		return nil
	})
	return c
}

func raftTransfer(e *command.Env) *command.Command {
	c := command.New("operator raft transfer", command.None(), "Hand leadership to another server", `
Makes the leader hand over, for example before its machine is maintained.`).Remote()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if err := cl.TransferLeadership(ctx); err != nil {
			return err
		}
		e.Printf("Leadership was handed over.\n")
		return nil
	})
	return c
}

func raftLeave(e *command.Env) *command.Command {
	c := command.New("operator raft leave", command.None(), "Let a server leave the cluster and stop", `
The server at the address leaves the cluster: it hands leadership over if it
leads, is taken out of the configuration so that the others count without it,
and stops. A server that only restarts needs not leave. Started again, it asks
to be let in.`).Remote()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if err := cl.Leave(ctx); err != nil {
			return err
		}
		e.Printf("The server at %s has left the cluster and stops.\n", cl.Address())
		return nil
	})
	return c
}

func operatorState(e *command.Env) *command.Command {
	c := command.New("operator state", command.None(), "Show how far a server's replica is", `
Shows the index and the hash of the state of the server that is asked. Servers
at the same index must have the same hash.`).Remote().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		s, err := cl.State(ctx)
		if err != nil {
			return err
		}
		return e.Show(c.Out, s, func(w io.Writer) {
			view.Fields(w, "Server", s.Server, "Index", fmt.Sprint(s.Index), "Level", fmt.Sprint(s.Level), "Hash", s.Hash)
		})
	})
	return c
}

func snapshotSave(e *command.Env) *command.Command {
	c := command.New("operator snapshot save", command.Opt("FILE"), "Save the replicated state", `
Writes the replicated state to a file, oakum-<time>.snap by default. The file
appears only when it is complete. It may hold secrets of the jobs that rollouts
touched: it is made readable for you only.`).Remote()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		path := "oakum-" + e.Now().UTC().Format("20060102T150405Z") + ".snap"
		if len(args) == 1 {
			path = args[0]
		}
		var size int64
		err := input.Replace(path, func(w io.Writer) (err error) {
			size, err = cl.SnapshotSave(ctx, w)
			return err
		})
		if err != nil {
			return err
		}
		e.Printf("Saved %s (%s).\n", path, view.Amount(float64(size), "bytes"))
		return nil
	})
	return c
}

func snapshotRestore(e *command.Env) *command.Command {
	c := command.New("operator snapshot restore", command.One("FILE"), "Replace the replicated state", `
Replaces the whole replicated state by that of a snapshot. What happened since
the snapshot is forgotten; Nomad is not changed.`).Remote()
	c.Run = func(ctx context.Context, args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return api.Errorf(api.CodeInvalid, "read file: %s", input.Cause(err))
		}
		defer f.Close() //nolint:errcheck // it is only read
		cl, err := c.Dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		if err := cl.SnapshotRestore(ctx, f); err != nil {
			return err
		}
		e.Printf("Restored %s.\n", args[0])
		return nil
	}
	return c
}
