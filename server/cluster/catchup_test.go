package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

func TestLeader_CatchesUpBeforeItAnswers(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 3)
	var members []*member
	cables := map[*member]*cable{}
	for i, a := range addrs {
		c, store := &cable{}, state.NewStore()
		cfg := cluster.Config{
			ID: fmt.Sprint("oak-", i), Dir: t.TempDir(), Bind: a, BootstrapExpect: 3, RetryJoin: addrs, Secure: c.plug(),
			Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Tuning: fast(),
		}
		// Followers have an entry at once, but hear late that it is committed.
		cfg.Tuning.Commit = time.Minute
		node, err := cluster.Open(cfg, state.NewFSM(store))
		must.NoError(t, err)
		t.Cleanup(func() { must.NoError(t, node.Close()) })
		m := &member{Node: node, store: store, cfg: cfg}
		members, cables[m] = append(members, m), c
	}
	old := do(t, members, "a change", func(ctx context.Context, leader *member) error {
		_, err := leader.Apply(ctx, &state.PolicyPut{Policy: api.Policy{Name: "confirmed"}}, "tester")
		return err
	})
	cables[old].pull()

	var next *member
	deadline := time.Now().Add(wait.Patience)
	for next == nil && time.Now().Before(deadline) { // without a pause: the moment matters
		for _, m := range members {
			if m != old && m.IsLeader() && m.CatchUp(t.Context()) == nil {
				next = m
			}
		}
	}
	must.NotNil(t, next)
	_, found := next.store.Policy("confirmed")
	must.True(t, found, must.Sprint("what the old leader confirmed is there"))
}
