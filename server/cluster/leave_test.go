package cluster

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/state"
)

// A leader whom nobody follows any more has taken a server out of the
// configuration, and is asked once more to let it go.
func TestLeave_IsNotDoneWithoutAgreement(t *testing.T) {
	t.Parallel()
	open := func(id string, change func(*Config)) *Node {
		cfg := Config{
			ID: id, Bind: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
			Autopilot: api.AutopilotConfig{LastContactThreshold: api.Duration(time.Second), MaxTrailingLogs: 100},
			// A lease that lasts for longer than the rest of the test takes.
			Tuning: Tuning{
				Heartbeat: 5 * time.Second, Election: 5 * time.Second, LeaderLease: 5 * time.Second,
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
	must.NoError(t, second.Close())
	must.NoError(t, third.Close())
	removal := first.raft.RemoveServer("c", 0, configTimeout)
	wait.For(t, "a configuration without it", func() bool {
		return !slices.ContainsFunc(first.members(), func(s raft.Server) bool { return s.ID == "c" })
	})
	must.Error(t, first.removeLeaver(t.Context(), gone))
	must.Error(t, removal.Error())
}
