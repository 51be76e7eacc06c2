package cluster

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/state"
)

// A leader whom nobody follows any more has taken a server out of the
// configuration, and is asked once more to let it go.
func TestLeave_IsNotDoneWithoutAgreement(t *testing.T) {
	t.Parallel()
	// A busy machine may let a lease pass before the server is taken out: the leader
	// has stepped down then, and one with a longer lease is tried.
	for lease := 5 * time.Second; !leavesUnagreed(t, lease); lease *= 2 {
		must.Less(t, wait.Patience, lease, must.Sprint("no leader could take a server out within its lease"))
	}
}

// leavesUnagreed reports whether a leader took a server out of its configuration within
// its lease, while nobody followed it.
func leavesUnagreed(t *testing.T, lease time.Duration) bool {
	t.Helper()
	open := func(id string, change func(*Config)) *Node {
		cfg := Config{
			ID: id, Bind: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
			Autopilot: api.AutopilotConfig{LastContactThreshold: api.Duration(time.Second), MaxTrailingLogs: 100},
			Tuning: Tuning{
				Heartbeat: lease, Election: lease, LeaderLease: lease,
				Join: 20 * time.Millisecond, Autopilot: 50 * time.Millisecond,
			},
		}
		change(&cfg)
		n, err := Open(cfg, state.NewFSM(state.NewStore()))
		must.NoError(t, err)
		t.Cleanup(func() { must.NoError(t, n.Close()) })
		return n
	}
	first := open("a", func(c *Config) { c.BootstrapExpect = 1 })
	join := func(c *Config) { c.RetryJoin = []string{first.Address()} }
	second, third := open("b", join), open("c", join)
	wait.For(t, "three voters that agree", func() bool { return len(first.voters()) == 3 && first.Barrier(t.Context()) == nil })

	gone := member{ID: "c", Address: third.Address()}
	var closing errgroup.Group
	closing.Go(second.Close)
	closing.Go(third.Close)
	must.NoError(t, closing.Wait())
	removal := first.raft.RemoveServer("c", 0, configTimeout)
	wait.For(t, "a configuration without it, or a leader that has stepped down", func() bool {
		return first.raft.State() != raft.Leader || left(first, "c")
	})
	if !left(first, "c") {
		return false
	}
	must.Error(t, first.removeLeaver(t.Context(), gone))
	must.Error(t, removal.Error())
	return true
}

func left(n *Node, id raft.ServerID) bool {
	return !slices.ContainsFunc(n.members(), func(s raft.Server) bool { return s.ID == id })
}
