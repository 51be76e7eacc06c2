package cluster_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/oakumhq/oakum/internal/log/logtest"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// logged starts a server whose log, from info on, is kept.
func logged(t *testing.T, cfg cluster.Config, book *logtest.Book) *member {
	t.Helper()
	cfg.Logger, cfg.Tuning = slog.New(slog.NewTextHandler(book, nil)), fast()
	store := state.NewStore()
	node, err := cluster.Open(cfg, state.NewFSM(store))
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, node.Close()) })
	return &member{Node: node, store: store, cfg: cfg}
}

func TestBootstrap_RefusesTwoServersOfOneName(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 3)
	book := &logtest.Book{}
	third := logged(t, cluster.Config{ID: "b", Bind: addrs[2], BootstrapExpect: 3, RetryJoin: addrs}, book)
	var twins []*member
	for _, a := range addrs[:2] {
		twins = append(twins, logged(t, cluster.Config{ID: "a", Bind: a, BootstrapExpect: 3, RetryJoin: addrs}, &logtest.Book{}))
	}
	wait.For(t, "the third says so", func() bool {
		return book.Count(`both have the name \"a\": give one of them another`) > 0
	})
	for _, m := range append(twins, third) {
		must.SliceEmpty(t, m.Servers())
	}
}

// A member that is away keeps its name: it may come back, and has a vote.
func TestJoin_KeepsTheNameOfAMemberThatIsAway(t *testing.T) {
	t.Parallel()
	for _, nonVoter := range []bool{false, true} {
		t.Run(fmt.Sprintf("non_voter=%v", nonVoter), func(t *testing.T) {
			t.Parallel()
			members := three(t, t.TempDir())
			leaderOf(t, members)
			away := members[2]
			if nonVoter {
				away = start(t, cluster.Config{ID: "reader", Dir: t.TempDir(), Bind: addresses(t, 1)[0], RetryJoin: []string{members[0].Address()}, NonVoter: true})
				wait.For(t, "it follows", func() bool { return len(away.Servers()) == 4 })
			}
			put(t, members, "p")
			cfg := away.cfg
			must.NoError(t, away.Close())
			var rest []*member
			for _, m := range members {
				if m != away {
					rest = append(rest, m)
				}
			}
			put(t, rest, "q")
			count := len(leaderOf(t, rest).Servers())

			book := &logtest.Book{}
			namesake := logged(t, cluster.Config{ID: cfg.ID, Dir: t.TempDir(), Bind: "127.0.0.1:0", RetryJoin: []string{rest[0].Address(), rest[1].Address()}}, book)
			wait.For(t, "the refusal", func() bool {
				return book.Count(fmt.Sprintf("a server named %s belongs to the cluster, at %s, and the one at %s has no state: give it another name", cfg.ID, cfg.Bind, namesake.Address())) > 0
			})
			must.SliceEmpty(t, namesake.Servers())
			must.Len(t, count, leaderOf(t, rest).Servers())

			t.Log("the one that was away comes back")
			back := start(t, cfg)
			agree(t, append(rest, back))
		})
	}
}
