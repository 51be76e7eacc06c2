package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/discover"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state/levels"
)

// hasty makes voters of newcomers at once, and never gives a server up.
func hasty() api.AutopilotConfig {
	return api.AutopilotConfig{
		DeadServerThreshold: api.Duration(time.Hour), LastContactThreshold: api.Duration(5 * time.Second), MaxTrailingLogs: 1000,
	}
}

func voters(m *member) int {
	n := 0
	for _, s := range m.Servers() {
		if s.Voter {
			n++
		}
	}
	return n
}

// grow lets n servers join the first one, which founds the cluster alone.
func grow(t *testing.T, n int, change func(*cluster.Config)) []*member {
	t.Helper()
	cfg := cluster.Config{ID: "oak-0", Dir: t.TempDir(), Bind: addresses(t, 1)[0], BootstrapExpect: 1, Version: "test"}
	if change != nil {
		change(&cfg)
	}
	first := start(t, cfg)
	out := []*member{first}
	for i := 1; i < n; i++ {
		cfg := cluster.Config{
			ID: fmt.Sprint("oak-", i), Dir: t.TempDir(), Bind: addresses(t, 1)[0], RetryJoin: []string{first.Address()}, Version: "test",
		}
		if change != nil {
			change(&cfg)
		}
		out = append(out, start(t, cfg))
	}
	wait.For(t, fmt.Sprint(n, " voters"), func() bool { return voters(out[0]) == n })
	return out
}

func TestJoin_GrowsAndShrinksTheCluster(t *testing.T) {
	t.Parallel()
	members := grow(t, 3, nil)
	put(t, members, "with three")
	addr := members[1].Address()
	for i := 3; i < 5; i++ {
		members = append(members, start(t, cluster.Config{
			ID: fmt.Sprint("oak-", i), Dir: t.TempDir(), Bind: addresses(t, 1)[0], RetryJoin: []string{addr}, Version: "test",
		}))
	}
	wait.For(t, "five voters", func() bool { return voters(members[0]) == 5 })
	put(t, members, "with five")
	agree(t, members)

	t.Log("servers leave one after the other, whoever leads among them")
	for len(members) > 1 {
		leaver := leaderOf(t, members)
		if len(members)%2 == 0 {
			leaver = members[0]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		must.NoError(t, leaver.Leave(ctx))
		cancel()
		must.NoError(t, leaver.Close())
		members = slices.DeleteFunc(members, func(m *member) bool { return m == leaver })
		wait.For(t, fmt.Sprint(len(members), " voters"), func() bool { return voters(members[0]) == len(members) })
		put(t, members, fmt.Sprint("with ", len(members)))
	}
	err := members[0].Leave(t.Context())
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
}

func TestLeave_EndsWhenTheServerStartsAgain(t *testing.T) {
	t.Parallel()
	members := grow(t, 3, nil)
	leaver := members[2]
	must.NoError(t, leaver.Leave(t.Context()))
	must.NoError(t, leaver.Close())
	wait.For(t, "two members", func() bool { return len(members[0].Servers()) == 2 })
	put(t, members[:2], "meanwhile")

	t.Log("at another address, with the state that it had")
	cfg := leaver.cfg
	cfg.Bind, cfg.RetryJoin = addresses(t, 1)[0], []string{members[0].Address()}
	members[2] = start(t, cfg)
	wait.For(t, "three voters", func() bool { return voters(members[0]) == 3 })
	agree(t, members)
}

func TestJoin_KeepsTheVoteAtAnotherAddress(t *testing.T) {
	t.Parallel()
	members := grow(t, 3, nil)
	mover := members[2]
	must.NoError(t, mover.Close())
	cfg := mover.cfg
	cfg.Bind = addresses(t, 1)[0]
	members[2] = start(t, cfg)
	wait.For(t, "the new address", func() bool {
		return slices.ContainsFunc(members[0].Servers(), func(s api.ServerInfo) bool { return s.Address == cfg.Bind && s.Voter })
	})
	put(t, members, "moved")
	agree(t, members)
}

func TestAutopilot_NeverPromotesANonVoter(t *testing.T) {
	t.Parallel()
	members := grow(t, 3, nil)
	reader := start(t, cluster.Config{
		ID: "reader", Dir: t.TempDir(), Bind: "127.0.0.1:0", RetryJoin: []string{members[0].Address()}, NonVoter: true, Version: "test",
	})
	all := append(slices.Clone(members), reader)
	put(t, members, "read")
	agree(t, all)
	wait.For(t, "health of all four", func() bool {
		seen, err := leaderOf(t, members).Autopilot()
		return err == nil && len(seen.Servers) == 4 && seen.Healthy
	})
	last := members[:1]
	must.NoError(t, members[1].Close())
	must.NoError(t, members[2].Close())
	wait.For(t, "no leader without a majority of the voters", func() bool { id, _ := last[0].Leader(); return id == "" })
	quiet := time.NewTimer(3 * time.Second) // several elections' worth
	<-quiet.C
	must.False(t, reader.IsLeader())
	must.False(t, last[0].IsLeader())
	i := slices.IndexFunc(reader.Servers(), func(s api.ServerInfo) bool { return s.ID == "reader" })
	must.False(t, reader.Servers()[i].Voter)
}

func TestJoin_TakesTheVoteOfANonVoter(t *testing.T) {
	t.Parallel()
	members := grow(t, 3, nil)
	leader := leaderOf(t, members)
	must.NoError(t, leader.Close())
	rest := slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m == leader })
	cfg := leader.cfg
	cfg.NonVoter, cfg.BootstrapExpect, cfg.RetryJoin = true, 0, []string{rest[0].Address()}
	back := start(t, cfg)
	wait.For(t, "two voters of three members", func() bool { return voters(rest[0]) == 2 && len(rest[0].Servers()) == 3 })
	put(t, rest, "without its vote")
	agree(t, append(rest, back))
}

func TestAutopilot_PromotesANewcomerOnceItIsStable(t *testing.T) {
	t.Parallel()
	slow := func(c *cluster.Config) {
		c.Autopilot = hasty()
		c.Autopilot.ServerStabilizationTime = api.Duration(1500 * time.Millisecond)
	}
	cfg := cluster.Config{ID: "a", Bind: "127.0.0.1:0", BootstrapExpect: 1}
	slow(&cfg)
	first := start(t, cfg)
	leaderOf(t, []*member{first})
	// A leader that has watched for less than that doesn't know who is stable.
	watched := time.NewTimer(2 * time.Second)
	<-watched.C
	began := time.Now()
	start(t, cluster.Config{ID: "b", Bind: "127.0.0.1:0", RetryJoin: []string{first.Address()}})
	wait.For(t, "two members", func() bool { return len(first.Servers()) == 2 })
	wait.For(t, "two voters", func() bool { return voters(first) == 2 })
	must.GreaterEq(t, 1500*time.Millisecond, time.Since(began))
}

func TestAutopilot_RemovesDeadServersDownToTheQuorum(t *testing.T) {
	t.Parallel()
	members := grow(t, 5, func(c *cluster.Config) {
		c.Autopilot = hasty()
		c.Autopilot.CleanupDeadServers, c.Autopilot.MinQuorum, c.Autopilot.DeadServerThreshold = true, 3, api.Duration(3*time.Second)
	})
	leader := leaderOf(t, members)
	rest := slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m == leader })
	must.NoError(t, rest[0].Close())
	wait.For(t, "four members", func() bool { return len(leader.Servers()) == 4 })
	must.NoError(t, rest[1].Close())
	alive := []*member{leader, rest[2], rest[3]}
	wait.For(t, "three members", func() bool { return len(leaderOf(t, alive).Servers()) == 3 })
	put(t, alive, "three are left")

	t.Log("no further: three voters are the least")
	must.NoError(t, rest[2].Close())
	alive = []*member{leader, rest[3]}
	wait.For(t, "the third one is given up, but kept", func() bool {
		seen, err := leaderOf(t, alive).Autopilot()
		return err == nil && !seen.Healthy
	})
	quiet := time.NewTimer(5 * time.Second)
	<-quiet.C
	must.Eq(t, 3, voters(leaderOf(t, alive)))
	put(t, alive, "still a majority")

	t.Log("who was taken out comes back when it is started")
	back := start(t, rest[0].cfg)
	alive = append(alive, back)
	wait.For(t, "its vote instead of the dead one's", func() bool {
		seen, err := leaderOf(t, alive[:2]).Autopilot()
		return err == nil && seen.Healthy && slices.Contains(seen.Voters, back.ID()) && len(seen.Servers) == 3
	})
	agree(t, alive)
}

func TestPeers_IdentifyThemselves(t *testing.T) {
	t.Parallel()
	members := three(t, "")
	leaderOf(t, members)
	put(t, members, "x")
	agree(t, members)
	for _, m := range members {
		wait.For(t, "all versions", func() bool {
			peers := m.Peers(t.Context())
			return len(peers) == 3 && !slices.ContainsFunc(peers, func(p api.ServerInfo) bool {
				return p.Version != "test" || p.LastIndex == 0 || p.Level != levels.Supported || p.Silent != ""
			})
		})
	}
	var seen api.AutopilotState
	wait.For(t, "health", func() bool {
		var err error
		seen, err = leaderOf(t, members).Autopilot()
		return err == nil && seen.Healthy
	})
	must.Eq(t, 1, seen.FailureTolerance)
	must.Eq(t, []string{"oak-1", "oak-2", "oak-3"}, seen.Voters)
	must.True(t, *seen.Servers[0].Healthy)

	must.NoError(t, members[0].Close())
	wait.For(t, "one is silent", func() bool {
		seen, err := leaderOf(t, members[1:]).Autopilot()
		return err == nil && !seen.Healthy && seen.FailureTolerance == 0 && seen.Servers[0].Silent != ""
	})
	_, err := members[0].Autopilot()
	must.True(t, api.IsCode(err, api.CodeNoLeader))
}

func TestLevel_RisesWhenAllServersSupportIt(t *testing.T) {
	t.Parallel()
	members := three(t, "")
	risen(t, members...)
}

// phonebook is a provider whose answer changes.
type phonebook struct {
	mu    sync.Mutex
	found []discover.Server
	err   error
}

func (p *phonebook) set(err error, found ...discover.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.err = found, err
}

func (p *phonebook) list(context.Context, map[string]string) ([]discover.Server, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found, p.err
}

// founder is a server that asks the phonebook.
func (p *phonebook) founder(t *testing.T, id, bind string, expect int) *member {
	t.Helper()
	return start(t, cluster.Config{
		ID: id, Bind: bind, BootstrapExpect: expect, RetryJoin: []string{"provider=consul"},
		Providers: map[string]discover.Provider{"consul": p.list},
	})
}

func TestBootstrap_LooksForServersUntilAllAreThere(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 3)
	book := &phonebook{}
	members := []*member{book.founder(t, "a", addrs[0], 3), book.founder(t, "b", addrs[1], 3)}
	book.set(nil, discover.Server{Address: addrs[0]}, discover.Server{Address: addrs[1]})
	members = append(members, book.founder(t, "c", addrs[2], 3))
	book.set(nil, discover.Server{Address: addrs[0]}, discover.Server{Address: addrs[1]}, discover.Server{Address: addrs[2]})
	leaderOf(t, members)
	wait.For(t, "three voters", func() bool { return voters(members[0]) == 3 })
}

func TestBootstrap_WaitsWhileAnAnswerIsIncomplete(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 3)
	all := []discover.Server{{Address: addrs[0]}, {Address: addrs[1]}}
	nobody := discover.Server{Address: addrs[2], Member: true}
	book := &phonebook{}
	members := []*member{book.founder(t, "a", addrs[0], 2), book.founder(t, "b", addrs[1], 2)}
	for what, set := range map[string]func(){
		"a source that fails":          func() { book.set(errors.New("away"), all...) },
		"a silent member of a cluster": func() { book.set(nil, append(all, nobody)...) },
	} {
		set()
		quiet := time.NewTimer(500 * time.Millisecond)
		<-quiet.C
		must.SliceEmpty(t, members[0].Servers(), must.Sprint(what))
	}
	book.set(nil, all...)
	leaderOf(t, members)
}

func TestBootstrap_MakesOneClusterOfSetsThatShareAServer(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 5)
	// a, b, c are listed for some and c, d, e for others: c can only settle once.
	left := &phonebook{found: []discover.Server{{Address: addrs[0]}, {Address: addrs[1]}, {Address: addrs[2]}}}
	right := &phonebook{found: []discover.Server{{Address: addrs[2]}, {Address: addrs[3]}, {Address: addrs[4]}}}
	all := &phonebook{found: slices.Concat(left.found, right.found[1:])}
	members := []*member{
		left.founder(t, "a", addrs[0], 3), left.founder(t, "b", addrs[1], 3),
		right.founder(t, "d", addrs[3], 3), right.founder(t, "e", addrs[4], 3),
		// The last to start: before d and e answer it would see three, and settle.
		all.founder(t, "c", addrs[2], 3),
	}
	quiet := time.NewTimer(2 * time.Second)
	<-quiet.C
	founded := 0
	for _, m := range members {
		if len(m.Servers()) > 0 {
			founded++
		}
	}
	must.Eq(t, 0, founded, must.Sprint("the middle one sees five and settles with nobody"))

	t.Log("the middle one sees the left ones only: they found, and the right ones join")
	all.set(nil, left.found...)
	wait.For(t, "one cluster of five", func() bool { return voters(members[0]) == 5 })
	leaderOf(t, members)
}
