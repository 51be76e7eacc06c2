package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/discover"
	"github.com/oakumhq/oakum/internal/log"
	"github.com/oakumhq/oakum/server/cluster/disk"
	"github.com/oakumhq/oakum/server/cluster/port"
	"github.com/oakumhq/oakum/server/state"
)

const (
	// transferTimeout bounds the handing over of leadership in Close.
	transferTimeout = 5 * time.Second
	// drainTimeout bounds the wait for requests of other servers in Close.
	drainTimeout = 2 * time.Second
)

// Config says how a server belongs to its cluster.
type Config struct {
	ID              string   // name of the server, unique in the cluster and kept for its life
	Dir             string   // of the log and snapshots; "" keeps them in memory
	Bind            string   // host:port to listen at
	Advertise       string   // host:port that the other servers reach this one at; "" means Bind
	Cluster         string   // name of the cluster; servers of another one are not let in
	BootstrapExpect int      // servers that bootstrap the cluster together; 1 does so at once, 0 only joins
	RetryJoin       []string // servers to bootstrap it with or to join, as package discover reads them
	Providers       map[string]discover.Provider
	NonVoter        bool                // never to vote
	Autopilot       api.AutopilotConfig // while the cluster keeps none
	Version         string              // of the binary
	Logger          *slog.Logger
	Tuning          Tuning
	Secure          port.Secure
}

// Tuning overrides Raft's timing; zero means Raft's own default.
type Tuning struct {
	Heartbeat         time.Duration // without word from the leader for this long, a server stands for election
	Election          time.Duration
	LeaderLease       time.Duration // a leader without a majority for this long steps down
	Commit            time.Duration
	SnapshotInterval  time.Duration
	SnapshotThreshold uint64
	TrailingLogs      uint64
	Join              time.Duration // first pause between attempts to become a member
	Rejoin            time.Duration // without a leader for this long after a start, a member asks to be let in again
	Autopilot         time.Duration // between two rounds of autopilot
	Mark              time.Duration // between two hashes of the state
}

// Node is one server's part of the cluster.
type Node struct {
	cfg          Config
	logger       *slog.Logger
	fsm          *state.FSM
	marks        *marker
	port         *port.Port
	disk         *disk.Dir
	raft         *raft.Raft
	leadership   *leadership
	bootstrapper *bootstrapper
	autopilot    *delegate
	client       http.RoundTripper // to other servers
	internal     *http.Server      // for other servers
	handler      atomic.Pointer[http.Handler]

	nonce    string        // distinguishes this process from another one of the same name
	leads    chan bool     // from Raft: every gain and loss of leadership
	caughtUp atomic.Uint64 // the term in which CatchUp succeeded last

	life    context.Context // ends when Close begins
	end     context.CancelFunc
	stopped chan struct{} // closed when Raft has ended
	loops   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	waiting sync.WaitGroup // calls into Raft; grows only under mu while not closed
}

// Open starts the server's part in the cluster. It returns before there is a
// leader.
func Open(cfg Config, fsm *state.FSM) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, logger: cfg.Logger.With("server", cfg.ID), fsm: fsm, nonce: rand.Text(),
		leads: make(chan bool, 1), stopped: make(chan struct{}),
	}
	n.life, n.end = context.WithCancel(context.Background())
	n.leadership = newLeadership(n.logger, n.stopped)
	n.marks = newMarker(fsm, cfg.Tuning.Mark)
	n.autopilot = newDelegate(n)
	if err := n.open(); err != nil {
		n.end()
		return nil, errors.Join(fmt.Errorf("open cluster: %w", err), n.release())
	}
	n.loops.Go(func() { n.marks.run(n.stopped) })
	n.loops.Go(func() { _ = n.internal.Serve(n.port.Listener()) }) // always ErrServerClosed or the port's end
	n.loops.Go(func() { n.leadership.watch(n.leads, n.raft.CurrentTerm) })
	n.loops.Go(n.watchHalt)
	n.loops.Go(func() { n.bootstrapper.run(n.life, cfg.Tuning) })
	n.loops.Go(func() { n.autopilot.run(n.life) })
	return n, nil
}

func (c *Config) check() error {
	switch {
	case c.ID == "":
		return api.Errorf(api.CodeInvalid, "server: want a name, have none")
	case c.Logger == nil:
		return api.Errorf(api.CodeInvalid, "server: want a logger, have none")
	case c.BootstrapExpect < 0:
		return api.Errorf(api.CodeInvalid, "server.bootstrap_expect: want 0 or more, have %d", c.BootstrapExpect)
	case c.BootstrapExpect > 1 && len(c.RetryJoin) == 0:
		return api.Errorf(api.CodeInvalid, "server.retry_join: want the addresses of the %d servers that bootstrap the cluster, have none", c.BootstrapExpect)
	}
	return nil
}

// open brings up the parts from the bottom. What it opened is closed by release.
func (n *Node) open() error {
	finder, err := discover.New(n.cfg.RetryJoin, discover.Options{Port: defaultPort, Providers: n.cfg.Providers})
	if err != nil {
		return api.Errorf(api.CodeInvalid, "server.retry_join: %v", err)
	}
	if n.port, err = port.Listen(port.Config{Bind: n.cfg.Bind, Advertise: n.cfg.Advertise, Secure: n.cfg.Secure, Logger: n.logger}); err != nil {
		return err
	}
	n.client = n.port.Client()
	n.disk, err = disk.Open(disk.Config{Dir: n.cfg.Dir, Server: n.cfg.ID, Cluster: n.cfg.Cluster, Version: n.cfg.Version, Logger: n.logger})
	if err != nil {
		return err
	}
	if err := n.startRaft(); err != nil {
		return err
	}
	n.bootstrapper = &bootstrapper{
		self: n.self(), nonce: n.nonce, expect: n.cfg.BootstrapExpect, retryJoin: n.cfg.RetryJoin,
		finder: finder, via: n.client, raft: n, logger: n.logger,
	}
	n.internal = n.newInternalServer()
	return nil
}

func (n *Node) raftConfig() *raft.Config {
	config, t := raft.DefaultConfig(), n.cfg.Tuning
	config.LocalID = raft.ServerID(n.cfg.ID)
	config.Logger = log.HCLog(n.logger).Named("raft")
	config.NotifyCh = n.leads
	config.HeartbeatTimeout = cmp.Or(t.Heartbeat, config.HeartbeatTimeout)
	config.ElectionTimeout = cmp.Or(t.Election, config.ElectionTimeout)
	config.LeaderLeaseTimeout = cmp.Or(t.LeaderLease, config.LeaderLeaseTimeout)
	config.CommitTimeout = cmp.Or(t.Commit, config.CommitTimeout)
	config.SnapshotInterval = cmp.Or(t.SnapshotInterval, config.SnapshotInterval)
	config.SnapshotThreshold = cmp.Or(t.SnapshotThreshold, config.SnapshotThreshold)
	config.TrailingLogs = cmp.Or(t.TrailingLogs, config.TrailingLogs)
	return config
}

// Close hands leadership over where another server can take it, stops everything in
// the reverse of the order of Open, and waits for it. The server stays a member of
// the cluster.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()
	n.end()
	n.handOver()
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := n.internal.Shutdown(drain); err != nil {
		_ = n.internal.Close() // a caller holds on to a request: it ends now
	}
	ended := n.raft.Shutdown().Error()
	close(n.stopped)
	n.waiting.Wait()
	return errors.Join(ended, n.release())
}

// handOver gives leadership away, so that the others need not wait for an election.
// A failure is only logged.
func (n *Node) handOver() {
	if n.raft.State() != raft.Leader || len(n.voters()) < 2 {
		return
	}
	future := n.raft.LeadershipTransfer()
	done := make(chan error, 1)
	n.waiting.Go(func() { done <- future.Error() })
	limit := time.NewTimer(transferTimeout)
	defer limit.Stop()
	select {
	case err := <-done:
		if err != nil {
			n.logger.Warn("hand over leadership", "error", err)
		}
	case <-limit.C:
		n.logger.Warn("hand over leadership", "error", "no other server took it in time")
	}
}

// release closes what lies below Raft.
func (n *Node) release() error {
	var errs []error
	if n.disk != nil {
		errs = append(errs, n.disk.Close())
	}
	if n.port != nil {
		errs = append(errs, n.port.Close())
	}
	n.loops.Wait()
	return errors.Join(errs...)
}

// Address is where the other servers reach this one.
func (n *Node) Address() string { return n.port.Address() }

// ID is the server's name.
func (n *Node) ID() string { return n.cfg.ID }

// self is this server as a member.
func (n *Node) self() member {
	return member{ID: n.cfg.ID, Address: n.Address(), Cluster: n.cfg.Cluster}
}
