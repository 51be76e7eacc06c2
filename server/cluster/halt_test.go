package cluster

import (
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// TestNode_LeavesRaftAtAnUnknownCommand writes a command of another
// version into the log, which a cluster of mixed versions never does.
func TestNode_LeavesRaftAtAnUnknownCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *Node {
		n, err := Open(Config{
			ID: "oak", Dir: dir, Bind: "127.0.0.1:0", Advertise: "127.0.0.1:4741", BootstrapExpect: 1, Logger: slog.New(slog.DiscardHandler),
			Tuning: Tuning{Heartbeat: 200 * time.Millisecond, Election: 200 * time.Millisecond, LeaderLease: 100 * time.Millisecond},
		}, state.NewFSM(state.NewStore()))
		must.NoError(t, err)
		return n
	}
	n := open()
	wait.For(t, "leadership", n.IsLeader)
	_, err := n.Apply(t.Context(), &state.PolicyPut{Policy: api.Policy{Name: "a"}}, "")
	must.NoError(t, err)
	future := n.raft.Apply([]byte(`{"type":4711,"level":1,"body":{}}`), time.Second)
	must.NoError(t, future.Error())
	refused, _ := future.Response().(error)
	must.True(t, api.IsCode(refused, api.CodeUnavailable), must.Sprint(refused))
	wait.For(t, "its leave", func() bool { return n.raft.State() == raft.Shutdown })
	_, err = n.Apply(t.Context(), &state.PolicyDelete{Name: "a"}, "")
	must.Eq(t, refused.Error(), err.Error())
	must.NoError(t, n.Close())

	t.Log("it starts again, meets the same entry, and has the state from before it")
	n = open()
	wait.For(t, "its leave", func() bool { return n.raft.State() == raft.Shutdown })
	_, there := n.fsm.Store().Policy("a")
	must.True(t, there)
	must.NoError(t, n.Close())
}
