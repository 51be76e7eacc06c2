package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// fast makes elections as short as a busy machine allows. The tests don't count
// on a leader to stay: whoever leads is asked.
//
// Two looks of a server that comes back take longer than the ten seconds for
// which a leader that took it out may go on sending to it as if it had not.
func fast() cluster.Tuning {
	return cluster.Tuning{
		Heartbeat: 600 * time.Millisecond, Election: 600 * time.Millisecond, LeaderLease: 500 * time.Millisecond,
		Commit: 5 * time.Millisecond, Rejoin: 6 * time.Second, Join: 20 * time.Millisecond, Autopilot: 100 * time.Millisecond,
	}
}

// member is one server of a test's cluster.
type member struct {
	*cluster.Node
	store *state.Store
	cfg   cluster.Config
}

func start(t *testing.T, cfg cluster.Config) *member {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	mark := cfg.Tuning.Mark
	cfg.Tuning = fast()
	cfg.Tuning.Mark = mark
	if cfg.Autopilot == (api.AutopilotConfig{}) {
		cfg.Autopilot = hasty()
	}
	store := state.NewStore()
	node, err := cluster.Open(cfg, state.NewFSM(store))
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, node.Close()) })
	return &member{Node: node, store: store, cfg: cfg}
}

// nextPort is the last port that addresses tried. It begins below those that the
// kernel gives to whoever does not name one: such a port may be taken between
// the stop of a server and its next start.
var nextPort atomic.Int64

const firstPort = 23000

// addresses finds n ports that nobody has or will be given.
func addresses(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for len(out) < n {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody has it
		}
		must.NoError(t, l.Close())
		out = append(out, address)
	}
	return out
}

// three starts servers that found a cluster together.
func three(t *testing.T, dir string) []*member {
	t.Helper()
	addrs := addresses(t, 3)
	var out []*member
	for i, a := range addrs {
		cfg := cluster.Config{ID: fmt.Sprintf("oak-%d", i+1), Bind: a, BootstrapExpect: 3, RetryJoin: addrs, Version: "test"}
		if dir != "" {
			cfg.Dir = filepath.Join(dir, cfg.ID)
		}
		out = append(out, start(t, cfg))
	}
	return out
}

func leaderOf(t *testing.T, members []*member) *member {
	t.Helper()
	var leader *member
	wait.For(t, "a leader that all agree on", func() bool {
		leader = nil
		for _, m := range members {
			if m.IsLeader() {
				leader = m
			}
		}
		if leader == nil {
			return false
		}
		for _, m := range members {
			if id, _ := m.Leader(); id != leader.ID() {
				return false
			}
		}
		return true
	})
	return leader
}

// do asks whoever leads, again and again while leadership changes.
func do(t *testing.T, members []*member, what string, fn func(ctx context.Context, leader *member) error) *member {
	t.Helper()
	var leader *member
	wait.For(t, what, func() bool {
		i := slices.IndexFunc(members, func(m *member) bool { return m.IsLeader() })
		if i < 0 {
			return false
		}
		leader = members[i]
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := fn(ctx, leader)
		if api.IsCode(err, api.CodeNoLeader) || api.IsCode(err, api.CodeTimeout) || api.IsCode(err, api.CodeUnavailable) {
			return false
		}
		must.NoError(t, err)
		return true
	})
	return leader
}

// put applies a command and returns its index.
func put(t *testing.T, members []*member, name string) uint64 {
	t.Helper()
	var index uint64
	do(t, members, "policy "+name, func(ctx context.Context, leader *member) (err error) {
		index, err = leader.Apply(ctx, &state.PolicyPut{Policy: api.Policy{Name: name}}, "tester")
		return err
	})
	return index
}

func agree(t *testing.T, members []*member) {
	t.Helper()
	wait.For(t, "the same state everywhere", func() bool {
		for _, m := range members[1:] {
			if m.store.Hash() != members[0].store.Hash() {
				return false
			}
		}
		return true
	})
}

func TestNode_SurvivesTheLossOfTheLeader(t *testing.T) {
	t.Parallel()
	members := three(t, t.TempDir())
	leader := leaderOf(t, members)
	index := put(t, members, "before")
	must.Positive(t, index)
	agree(t, members)

	must.NoError(t, leader.Close())
	var rest []*member
	for _, m := range members {
		if m != leader {
			rest = append(rest, m)
		}
	}
	must.Greater(t, index, put(t, rest, "after"))
	agree(t, rest)

	t.Log("the former leader comes back with what it had and catches up")
	back := start(t, leader.cfg)
	agree(t, append(rest, back))
	_, found := back.store.Policy("after")
	must.True(t, found)
	must.Len(t, 3, back.Servers())
}

func TestNode_RestartsWhereItWas(t *testing.T) {
	t.Parallel()
	cfg := cluster.Config{ID: "oak", Dir: t.TempDir(), Bind: addresses(t, 1)[0], BootstrapExpect: 1}
	first := start(t, cfg)
	leaderOf(t, []*member{first})
	for i := range 20 {
		put(t, []*member{first}, fmt.Sprintf("policy-%02d", i))
	}
	risen(t, first)
	want := first.store.Hash()
	must.NoError(t, first.Close())

	second := start(t, cfg)
	leaderOf(t, []*member{second})
	must.NoError(t, second.Barrier(t.Context()))
	must.Eq(t, want, second.store.Hash())

	t.Log("a second process on the same directory is told so")
	cfg.Bind = "127.0.0.1:0"
	cfg.Logger = slog.New(slog.DiscardHandler)
	_, err := cluster.Open(cfg, state.NewFSM(state.NewStore()))
	must.ErrorContains(t, err, "another process uses this data directory")
}

func TestForward_KeepsTheCodesOfRefusals(t *testing.T) {
	t.Parallel()
	members := three(t, "")
	refused := func(err error, want api.ErrorCode) error {
		if api.IsCode(err, want) {
			return nil
		}
		must.Error(t, err)
		return err
	}
	leader := do(t, members, "a refusal by the state", func(ctx context.Context, leader *member) error {
		_, err := leader.Apply(ctx, &state.PolicyDelete{Name: "none"}, "")
		return refused(err, api.CodeNotFound)
	})
	follower := members[0]
	if follower == leader {
		follower = members[1]
	}
	wait.For(t, "a refusal by a follower", func() bool {
		_, err := follower.Apply(t.Context(), &state.PolicyPut{Policy: api.Policy{Name: "x"}}, "")
		return api.IsCode(err, api.CodeNoLeader) && api.IsCode(follower.VerifyLeader(t.Context()), api.CodeNoLeader)
	})
	do(t, members, "the leader's proof", func(ctx context.Context, leader *member) error { return leader.VerifyLeader(ctx) })
}

func TestForward_BringsRequestsToTheLeader(t *testing.T) {
	t.Parallel()
	members := three(t, "")
	for _, m := range members {
		m.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s", m.ID(), r.Method, r.URL.Path, body)
		}))
	}
	for _, m := range members {
		wait.For(t, "an answer of the leader", func() bool {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://any/v1/thing", strings.NewReader("hello"))
			must.NoError(t, err)
			response, err := m.LeaderTransport().RoundTrip(request)
			if err != nil {
				return false
			}
			body, err := io.ReadAll(response.Body)
			must.NoError(t, err)
			must.NoError(t, response.Body.Close())
			leader := leaderOf(t, members)
			return string(body) == leader.ID()+" PUT /v1/thing hello"
		})
	}

	t.Log("without a majority there is no leader to send to")
	last := members[0]
	for _, m := range members {
		if m != last {
			must.NoError(t, m.Close())
		}
	}
	wait.For(t, "no leader is known", func() bool { id, _ := last.Leader(); return id == "" })
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any/", nil)
	must.NoError(t, err)
	_, err = last.LeaderTransport().RoundTrip(request)
	must.True(t, api.IsCode(err, api.CodeNoLeader), must.Sprint(err))
}

func TestJoin_AddsAServerThatLaterLeaves(t *testing.T) {
	t.Parallel()
	first := start(t, cluster.Config{ID: "a", Bind: "127.0.0.1:0", BootstrapExpect: 1})
	put(t, []*member{first}, "old")
	second := start(t, cluster.Config{ID: "b", Bind: "127.0.0.1:0", RetryJoin: []string{first.Address()}})
	third := start(t, cluster.Config{ID: "c", Bind: "127.0.0.1:0", RetryJoin: []string{second.Address()}})
	agree(t, []*member{first, second, third})
	wait.For(t, "three voters", func() bool { return voters(third) == 3 })

	all := []*member{first, second, third}
	before := do(t, all, "a transfer", func(ctx context.Context, leader *member) error { return leader.Transfer(ctx) })
	wait.For(t, "another leader", func() bool {
		id, _ := third.Leader()
		return id != "" && id != before.ID()
	})
	do(t, all, "the first one's leave", func(ctx context.Context, leader *member) error {
		err := leader.RemovePeer(ctx, "a")
		if api.IsCode(err, api.CodeNotFound) { // an earlier attempt got through
			return nil
		}
		return err
	})
	wait.For(t, "two members", func() bool { return len(second.Servers()) == 2 && len(third.Servers()) == 2 })
}

func TestJoin_RefusesStrangers(t *testing.T) {
	t.Parallel()
	first := start(t, cluster.Config{ID: "a", Bind: "127.0.0.1:0", BootstrapExpect: 1, Cluster: "east"})
	leaderOf(t, []*member{first})
	start(t, cluster.Config{ID: "b", Bind: "127.0.0.1:0", RetryJoin: []string{first.Address()}, Cluster: "west"})
	namesake := start(t, cluster.Config{ID: "a", Bind: "127.0.0.1:0", RetryJoin: []string{first.Address()}, Cluster: "east"})
	friend := start(t, cluster.Config{ID: "d", Bind: "127.0.0.1:0", RetryJoin: []string{first.Address()}, Cluster: "east"})
	wait.For(t, "the friend is in", func() bool { return len(friend.Servers()) == 2 })
	must.Len(t, 2, first.Servers())
	must.SliceEmpty(t, namesake.Servers())
}

func TestBootstrap_WaitsForTheExpectedServers(t *testing.T) {
	t.Parallel()
	addrs := addresses(t, 3)
	var two []*member
	for i := range 2 {
		two = append(two, start(t, cluster.Config{ID: fmt.Sprint(i), Bind: addrs[i], BootstrapExpect: 3, RetryJoin: addrs}))
	}
	quiet := time.NewTimer(500 * time.Millisecond)
	<-quiet.C
	for _, m := range two {
		must.SliceEmpty(t, m.Servers())
	}
	third := start(t, cluster.Config{ID: "2", Bind: addrs[2], BootstrapExpect: 3, RetryJoin: addrs})
	leaderOf(t, append(two, third))
}

func TestRun_FollowsLeadership(t *testing.T) {
	t.Parallel()
	members := three(t, "")
	var mu sync.Mutex
	leading, ended := map[string]bool{}, map[string]bool{} // by server
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	for _, m := range members {
		runs.Go(func() {
			_ = m.Run(ctx, func(ctx context.Context) error {
				mu.Lock()
				leading[m.ID()] = true
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				delete(leading, m.ID())
				ended[m.ID()] = errors.Is(context.Cause(ctx), cluster.ErrLeadershipLost)
				mu.Unlock()
				return nil
			})
		})
	}
	defer runs.Wait()
	defer cancel()
	look := func(ok func() bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return ok()
		}
	}
	wait.For(t, "a leader at work", look(func() bool { return len(leading) > 0 }))
	former := do(t, members, "a transfer", func(ctx context.Context, leader *member) error {
		if !look(func() bool { return leading[leader.ID()] })() {
			return api.Errorf(api.CodeNoLeader, "it has not begun to work")
		}
		return leader.Transfer(ctx)
	})
	wait.For(t, "the former leader's end with its cause", look(func() bool { return ended[former.ID()] }))
	wait.For(t, "another leader at work", look(func() bool { return len(leading) > 0 }))
	cancel()
	runs.Wait()
	must.MapEmpty(t, leading)
	must.ErrorIs(t, closedRun(t, former), cluster.ErrClosed)
}

// closedRun is what Run returns on a node that was closed.
func closedRun(t *testing.T, m *member) error {
	t.Helper()
	must.NoError(t, m.Close())
	return m.Run(t.Context(), func(context.Context) error { return nil })
}

func TestSnapshot_MovesToAnotherCluster(t *testing.T) {
	t.Parallel()
	source := start(t, cluster.Config{ID: "a", Bind: "127.0.0.1:0", BootstrapExpect: 1})
	put(t, []*member{source}, "kept")
	var archive bytes.Buffer
	wait.For(t, "the newest level", func() bool { return source.store.Level() == levels.Supported })
	must.NoError(t, source.Snapshot(t.Context(), &archive))

	members := three(t, t.TempDir())
	put(t, members, "overwritten")
	do(t, members, "a refusal of half a snapshot", func(ctx context.Context, leader *member) error {
		err := leader.Restore(ctx, bytes.NewReader(archive.Bytes()[:archive.Len()/2]))
		if api.IsCode(err, api.CodeInvalid) {
			return nil
		}
		must.Error(t, err)
		return err
	})
	agree(t, members)
	_, found := members[0].store.Policy("overwritten")
	must.True(t, found)

	do(t, members, "the restore", func(ctx context.Context, leader *member) error {
		return leader.Restore(ctx, bytes.NewReader(archive.Bytes()))
	})
	agree(t, append(members, source))
	put(t, members, "new")
	agree(t, members)
}
