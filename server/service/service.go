// Package service holds the use cases of an Oakum server: what people and
// pipelines ask for through the API (plan, submit and simulate a patch, steer a
// rollout, apply and delete policies, look at the graph), and what the
// orchestrator asks of the policies in the course of a rollout.
//
// A use case reads the replicated state, asks the pure packages (policies,
// planner, rollout, graph) to decide, and puts the decision into the log. The
// package knows the world only by the interfaces in ports.go, is given the
// time and the identifiers, and keeps nothing that the state does not hold: its
// two caches, PolicyCache and GraphCache, are worked out of the state.
//
// Goroutines: Lead runs one for each simulation that a person asked for with a watcher
// of its record, one that sweeps with a few more in each pass, one that notes which
// inventories are in use, one that looks for patches that are not in force any more and one
// for faults that are gone, and waits for all of them. PlanPatch runs the preflight in one, and waits for it.
package service

import (
	"log/slog"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// Options are what a Service needs. All of them are needed.
type Options struct {
	Server    string // this server's name, which the log has for what no person asked for
	Version   string
	Store     Store
	Log       Log
	Fleet     Fleet
	Preflight Preflight
	Ground    Ground
	Forecast  Forecast
	Metrics   Measurements
	Policies  *PolicyCache
	Graph     *GraphCache
	HalfLife  time.Duration    // after which an edge that is not seen any more has lost half of its confidence
	Now       func() time.Time // the clock
	// Ticker ticks in an interval until stop is called.
	Ticker func(interval time.Duration) (ticks <-chan time.Time, stop func())
	NewID  func() string // mints identifiers that sort by age
	Logger *slog.Logger
	MaxAge time.Duration // an inventory that is older never says that anything is safe; zero for any age
	Bakes  bool          // this server has an appliance, in which scripts run
	Facts  FactsOptions
	// Advisories are those of this server's directory; nil when it has none.
	Advisories Advisories
}

// FactsOptions are what a rehearsal must know of this server's configuration.
type FactsOptions struct {
	Metrics  bool          // Prometheus is configured
	Sampling time.Duration // between two samples of the profiler
	Tick     time.Duration // between two looks of the orchestrator
	Plugins  func() []api.PluginInfo
}

// Service is the use cases of one server. Its methods may be called at any time
// from any goroutine.
type Service struct {
	opt      Options
	store    Store
	log      *slog.Logger
	policies *PolicyCache
	graph    *GraphCache

	mu   sync.Mutex
	term *Term // nil while this server does not lead
	// suspects are the targets that are worse after a complete rollout: their baselines rest.
	suspects map[api.TargetRef]bool
	names    *advisory.Names // of what was installed at an index of the inventories
	named    uint64          // that index
}

// New returns the use cases. It starts nothing.
func New(opt Options) *Service {
	return &Service{opt: opt, store: opt.Store, log: opt.Logger, policies: opt.Policies, graph: opt.Graph}
}

// now is the present time, in UTC as the record has it.
func (s *Service) now() time.Time { return s.opt.Now().UTC() }
