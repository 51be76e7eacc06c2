package cli

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func raftPeers(e *env) *command {
	c := newCommand("operator raft list-peers", none(), "List the servers of the cluster", `
Lists the servers of the Raft cluster.`).remote().reads().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, err := cl.Peers(ctx, c.query())
		if err != nil {
			return err
		}
		return e.show(c.out, all, func(w io.Writer) {
			t := newTable("ID", "Address", "State", "Voter", "Version")
			for _, s := range all {
				state := "follower"
				if s.Leader {
					state = "leader"
				}
				t.add(s.ID, s.Address, state, yesNo(s.Voter), s.Version)
			}
			t.print(w, "")
		})
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
			fields(w, "Server", s.Server, "Index", fmt.Sprint(s.Index), "Level", fmt.Sprint(s.Level), "Hash", s.Hash)
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
		e.printf("Saved %s (%s).\n", path, amount(float64(size), "bytes"))
		return nil
	})
	return c
}

// replaceFile writes a file beside path and puts it there when it is complete.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return api.Errorf(api.CodeInvalid, "create file: %s", cause(err))
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
			return api.Errorf(api.CodeInvalid, "read file: %s", cause(err))
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

func operatorDebug(e *env) *command {
	c := newCommand("operator debug", none(), "Collect what a bug report needs", `
Writes what the API tells into one .tar.gz: health, servers, rollouts, graph,
profiles, events and metrics. It holds no tokens and no job specifications.`).remote().reads()
	path := c.flags.String("output", "", "`Path` of the file. Default: oakum-debug-<time>.tar.gz.")
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		now := e.Now().UTC()
		name := *path
		if name == "" {
			name = "oakum-debug-" + now.Format("20060102T150405Z") + ".tar.gz"
		}
		missing := 0
		err := replaceFile(name, func(w io.Writer) (err error) {
			missing, err = collect(ctx, cl, c.query(), w, now)
			return err
		})
		if err != nil {
			return err
		}
		e.printf("Wrote %s.\n", name)
		if missing > 0 {
			e.warnf("%s could not be read; the file says why.\n", count(missing, "part"))
		}
		return nil
	})
	return c
}

// collect writes the archive. A part that cannot be read is replaced by the
// reason, so that the archive of a sick server is still worth something.
func collect(ctx context.Context, cl *client.Client, q client.Query, w io.Writer, now time.Time) (int, error) {
	parts := []struct {
		name string
		read func() (any, error)
	}{
		{"health", func() (any, error) { return cl.Health(ctx) }},
		{"self", func() (any, error) { return cl.Self(ctx) }},
		{"state", func() (any, error) { return cl.State(ctx) }},
		{"peers", func() (any, error) { return cl.Peers(ctx, q) }},
		{"policies", func() (any, error) { all, _, err := cl.Policies(ctx, q); return all, err }},
		{"rollouts", func() (any, error) { all, _, err := cl.Rollouts(ctx, q); return all, err }},
		{"simulations", func() (any, error) { all, _, err := cl.Simulations(ctx, q); return all, err }},
		{"quarantines", func() (any, error) { all, _, err := cl.Quarantines(ctx, q); return all, err }},
		{"graph", func() (any, error) { g, _, err := cl.Graph(ctx, q); return g, err }},
		{"profiles", func() (any, error) { all, _, err := cl.Profiles(ctx, q); return all, err }},
		{"plugins", func() (any, error) { all, _, err := cl.Plugins(ctx, q); return all, err }},
		{"events", func() (any, error) { return cl.Events(ctx, 0) }},
	}
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	missing := 0
	for _, part := range parts {
		answer, err := part.read()
		if err != nil {
			missing++
			answer = api.AsError(err)
		}
		text, err := json.MarshalIndent(answer, "", "  ")
		if err != nil {
			return missing, fmt.Errorf("encode %s: %w", part.name, err)
		}
		head := &tar.Header{Name: "oakum-debug/" + part.name + ".json", Mode: 0o600, Size: int64(len(text)), ModTime: now}
		if err := archive.WriteHeader(head); err != nil {
			return missing, fmt.Errorf("write archive: %w", err)
		}
		if _, err := archive.Write(text); err != nil {
			return missing, fmt.Errorf("write archive: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return missing, fmt.Errorf("write archive: %w", err)
	}
	return missing, zipped.Close()
}
