package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/oakumhq/oakum/internal/audit"
	"github.com/oakumhq/oakum/internal/feed"
	"github.com/oakumhq/oakum/plugins/host"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/httpapi"
	"github.com/oakumhq/oakum/server/service"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/ui"
)

// Server is one Oakum server.
type Server struct {
	cfg     *config.Config
	version string
	log     *slog.Logger

	store    *state.Store
	node     *cluster.Node
	entries  counted // node's log, through which all that moves rollouts goes
	host     *host.Host
	adapters *adapters
	audit    *audit.Log
	identity *identity
	policies *service.PolicyCache
	graph    *service.GraphCache
	service  *service.Service
	feed     *feed.Feed // nil without a directory of advisories
	api      *httpapi.API
	listener net.Listener

	life    lifecycle
	work    sync.WaitGroup
	mu      sync.Mutex    // guards identity, which Reload reads
	failed  chan error    // the first duty that ended before the stop
	left    chan struct{} // closed when the server has left the cluster
	leaving sync.Once
}

// electionTimeout is how long a server waits for its leader before it starts an
// election: a machine that is busy with its services for a second must not cost
// a term. A round of an election takes up to twice this time. One round may be
// lost to two servers that start at the same moment, so that failover stays below
// five seconds.
const electionTimeout = 1250 * time.Millisecond

// leaderLease is how long a leader leads without an answer from a majority: less
// than the others need to elect another one.
const leaderLease = time.Second

// New prepares a server. It opens nothing.
func New(cfg *config.Config, version string, log *slog.Logger) *Server {
	return &Server{cfg: cfg, version: version, log: log, failed: make(chan error, 1), left: make(chan struct{})}
}

// Start opens everything and returns once the API answers. There may be no leader
// yet; the API says so. On an error everything is closed again. A server starts
// once, and not after Stop.
func (s *Server) Start(ctx context.Context) error {
	if err := s.life.start(ctx, s.open); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	return nil
}

// Stop closes what Start opened, last first, and ends a Start that is under way.
// It returns after stopTimeout at the latest, with the name of the step that
// hangs. It may be called at any time and more than once: every call returns the
// same result.
func (s *Server) Stop() error { return s.life.stop(stopTimeout) }

// Stage is how far a run of a server is.
type Stage int

// Stages of a run.
const (
	Answering Stage = iota // the API answers
	Stopping
)

// Run starts the server, and stops it when ctx ends, when it has left the cluster,
// or when a duty fails. If ctx ends by a signal for which the configuration says
// so, the server leaves the cluster first. It calls report at each stage.
func (s *Server) Run(ctx context.Context, report func(Stage)) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	report(Answering)
	return s.serve(ctx, report)
}

// serve is the part of Run after the start.
func (s *Server) serve(ctx context.Context, report func(Stage)) error {
	var err error
	select {
	case <-ctx.Done():
		if leaves(s.cfg.Server, context.Cause(ctx)) {
			s.leave(context.WithoutCancel(ctx))
		}
	case <-s.left:
		s.log.Info("the server has left the cluster and stops")
	case err = <-s.failed:
	}
	report(Stopping)
	return errors.Join(err, s.Stop())
}

// Address is where the API listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// open goes through the steps of a start, and registers how each is closed.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.audit, err = openAudit(s.cfg, s.log); err != nil {
		return err
	}
	s.life.onStop("audit log", s.audit.Close)
	// Duties outlive the context of Start: they end with Stop.
	duties, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s.life.onStop("duties", func() error { cancel(errStopped); s.work.Wait(); return nil })

	if s.adapters, err = openAdapters(ctx, s.cfg, s.log); err != nil {
		return err
	}
	proof, err := openIdentity(s.cfg, s.adapters.vault, s.log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.identity = proof
	s.mu.Unlock()
	for _, d := range slices.Concat(s.adapters.duties, s.identity.duties) {
		s.duty(duties, d.what, d.run)
	}
	if s.host, err = host.New(ctx, host.Options{Logger: s.log, Plugins: pluginConfigs(s.cfg)}); err != nil {
		return fmt.Errorf("open plugins: %w", err)
	}
	s.life.onStop("plugins", s.host.Close)

	s.store = state.NewStore()
	if s.node, err = cluster.Open(s.clusterConfig(), state.NewFSM(s.store)); err != nil {
		return err
	}
	s.life.onStop("cluster", s.node.Close)
	s.entries = counted{Node: s.node, store: s.store, outcomes: newOutcomes()}

	s.openService()
	if s.feed != nil {
		s.duty(duties, "advisories", s.feed.Run)
	}
	ofRaft, err := raftMetrics()
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(s.identity.collectors()...)
	registry.MustRegister(newGauges(s), ofRaft)
	registry.MustRegister(s.entries.outcomes.collectors()...)
	page, err := ui.New(s.log)
	if err != nil {
		return err
	}
	s.api = httpapi.New(httpapi.Options{
		Page: page, Server: s.cfg.Name, Version: s.version, Store: s.store, Control: s.service, Cluster: s.node,
		LastContact: s.node.LastContact, Members: s.node, Snapshots: s.node, Plugins: s.host.List, Self: describe(s.cfg), Auth: s.adapters.auth,
		Logger: s.log, Metrics: registry, Audit: s.audit, Autopilot: autopilot{s}, Leave: s.Leave, ServerHealth: s.health,
		OpenMetrics: s.cfg.Telemetry.OpenMetrics, InClear: s.cfg.InClear(),
		Limits: httpapi.Limits{RequestsPerIdentity: s.cfg.Limits.HTTPMaxRequestsPerIdentity},
		Debug:  s.cfg.EnableDebug,
	})
	s.node.Serve(s.api)
	s.life.onStop("open requests", func() error { s.api.Close(); return nil })
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addresses.HTTP); err != nil {
		return err
	}
	s.duty(duties, "http api", func(ctx context.Context) error {
		return s.api.Serve(ctx, s.identity.https(httpapi.Limited(s.listener, s.cfg.Limits.HTTPMaxConnsPerClient)))
	})
	s.register(duties)
	s.duty(duties, "raft's log", s.node.Broken)
	s.duty(duties, "leadership", func(ctx context.Context) error { return s.node.Run(ctx, s.lead) })
	s.log.Info("server started", "name", s.cfg.Name, "http", s.Address(), "raft", s.node.Address(), "dev", s.cfg.Dev)
	if s.cfg.Dev {
		s.log.Warn("-dev: nothing is kept when the server stops", "authenticated", s.adapters.auth != nil)
	}
	return nil
}

// duty runs f until the server stops. The server stops when f ends before.
func (s *Server) duty(ctx context.Context, what string, f func(context.Context) error) {
	s.work.Go(func() {
		err := f(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case s.failed <- fmt.Errorf("%s ended: %w", what, err):
		default:
		}
	})
}

func (s *Server) clusterConfig() cluster.Config {
	dir := ""
	if !s.cfg.Dev {
		dir = filepath.Join(s.cfg.DataDir, "raft")
	}
	return cluster.Config{
		ID: s.cfg.Name, Dir: dir, Bind: s.cfg.Addresses.Raft, Advertise: s.cfg.Advertise.Raft, Cluster: s.cfg.Cluster,
		BootstrapExpect: s.cfg.Server.BootstrapExpect, RetryJoin: s.cfg.Server.RetryJoin, Providers: s.providers(),
		NonVoter: s.cfg.Server.NonVoter, Autopilot: autopilotConfig(s.cfg.Autopilot), Version: s.version, Logger: s.log,
		Secure: s.identity.secure(s.cfg.Cluster, s.log),
		Tuning: cluster.Tuning{Heartbeat: electionTimeout, Election: electionTimeout, LeaderLease: leaderLease},
	}
}

func pluginConfigs(cfg *config.Config) []host.Config {
	var out []host.Config
	for _, p := range cfg.Plugins {
		out = append(out, host.Config{Name: p.Name, Path: p.Path, SHA256: p.SHA256})
	}
	return out
}

// public is an address without the password that it may have. It has been checked.
func public(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "unreadable"
	}
	return u.Redacted()
}

// describe returns the configuration for an operator, without secrets.
func describe(cfg *config.Config) map[string]string {
	d := map[string]string{
		"name": cfg.Name, "cluster": cfg.Cluster, "data_dir": cfg.DataDir, "http": cfg.Addresses.HTTP,
		"raft": cfg.Advertise.Raft, "nomad": public(cfg.Nomad.Address),
	}
	if cfg.Consul != nil {
		d["consul"] = public(cfg.Consul.Address)
	}
	if cfg.Prometheus != nil {
		d["prometheus"] = public(cfg.Prometheus.Address)
	}
	if cfg.Vault != nil {
		d["vault"] = public(cfg.Vault.Address)
	}
	return d
}
