// Package mapper keeps the application graph up to date. It asks every source for
// facts, folds the answers into services and edges with evidence, and gives the
// changes to a recorder.
//
// It runs on the leader. Each term begins with a full round on the graph in the
// replicated state. A source that does not answer keeps its last good evidence;
// its status in the graph says since when and why.
//
// Goroutines: Run starts one for each watch, and one for each source in each
// round. It waits for the sources before it folds, and for all of them before it
// returns.
package mapper

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// Defaults of Options.
const (
	// DefaultInterval finds a change in Consul within five seconds.
	DefaultInterval = 5 * time.Second
	// DefaultTimeout is how long a source may take. A source that does not answer
	// delays the round by this much.
	DefaultTimeout = 8 * time.Second
	// DefaultKeepObserved is how long observed traffic proves an edge. 90 days
	// cover what runs once in a quarter.
	DefaultKeepObserved = 90 * 24 * time.Hour
	// DefaultStaleAfter is how long a declaration may go without traffic. A month
	// covers what runs monthly.
	DefaultStaleAfter = 31 * 24 * time.Hour
	// DefaultHalfLife is how long an edge without traffic takes to lose half of
	// its confidence. A week covers what runs on certain weekdays.
	DefaultHalfLife = 7 * 24 * time.Hour
	// DefaultRefresh is how old a recorded rate or last sight may get.
	DefaultRefresh = time.Minute
	// DefaultAwayAfter is how long a source must have failed to be away. The
	// restart of an agent, an election among Consul's servers, and a busy minute
	// are shorter.
	DefaultAwayAfter = 30 * time.Second
	// DefaultAwayTries is how many tries in a row a source must have failed to be
	// away. One answer that is late says little.
	DefaultAwayTries = 3
	// DefaultMinBytes is the least traffic that counts, in bytes per second.
	DefaultMinBytes = 1
)

// restFactor is how many times the duration of a fold the mapper rests after it.
// So folding takes a fifth of one core at most, however large the graph is. To
// fold 20,000 services with 200,000 edges took 5 to 7 s on two busy cores. To see
// that nothing is new took 0.3 s.
const restFactor = 4

// chunk is the most edges, services or targets of one recorded change. Each takes
// about 500 bytes, so a command is about a megabyte.
const chunk = 2_000

// Facts is what one source knows now. Its evidence has no times: the mapper adds
// them.
type Facts struct {
	Evidence    map[graph.Pair][]api.Evidence
	Flows       []graph.Flow       // traffic, whose ends may be addresses
	Permissions *graph.Permissions // decides pairs that other sources name
	Services    []api.Service
	Targets     []api.Target
	Addresses   map[string]string // host:port or allocation → service
	Behind      map[string]string // service → the gateway before it
	Passing     []string          // gateways whose own edges are their callers'
	Transparent []string          // services that need no upstream for what an intention allows
	Traffic     bool              // the source watches traffic
	Silent      bool              // it answers, and reports nothing about any service
	Partial     string            // what is known to be missing, or ""
	Revision    uint64            // another one when anything but Partial is; 0 says nothing
}

// Source is a place that facts come from.
type Source interface {
	// Name identifies the source in evidence and statuses.
	Name() string
	// Collect returns all facts, within the context's deadline.
	Collect(ctx context.Context) (Facts, error)
}

// Recorder writes a change of the graph to the replicated state.
type Recorder interface {
	RecordGraph(ctx context.Context, change api.GraphChange) error
}

// State reads the recorded graph.
type State interface {
	Graph() api.Graph
}

// Watch calls wake whenever a source may have changed, until the context ends.
type Watch func(ctx context.Context, wake func())

// Options configure a Mapper. Sources, Recorder and State are needed.
type Options struct {
	Sources  []Source
	Recorder Recorder
	State    State
	Logger   *slog.Logger

	Interval     time.Duration // between rounds
	Timeout      time.Duration // of one source in one round
	KeepObserved time.Duration // how long traffic proves an edge, at most api.MaxDays
	StaleAfter   time.Duration // how long a declaration may go without traffic
	Collapse     []string      // load balancers: who calls one depends on what is behind it
	Refresh      time.Duration // how old a recorded rate may get
	AwayAfter    time.Duration // how long a source must have failed to be away
	AwayTries    int           // how many tries in a row it must have failed for that
	MinBytes     float64       // per second; less is no traffic
	Watches      []Watch       // wake the mapper before the interval is over
	Ignore       []string      // services that are not the application's; nil means DefaultIgnore
	IgnoreEnds   []string      // patterns, as ParseEnds takes them, of ends of traffic that are no services
}

// DefaultIgnore lists the services of the stack itself.
func DefaultIgnore() []string { return []string{"consul", "nomad", "nomad-client", "oakum"} }

// Mapper keeps the graph up to date. Each term of leadership uses a new one.
type Mapper struct {
	opt      Options
	log      *slog.Logger
	settings settings
	last     map[string]Facts // of each source that answered in this term
	recorded *recorded
	folding  time.Duration // how long the last round's answers took to fold
	rest     quiescence
	streaks  map[string]streak // of the sources that did not answer the last try

	mu   sync.Mutex
	read map[string]bool // sources whose answer of this term is in the record
}

// New returns a mapper. It starts nothing.
func New(opt Options) (*Mapper, error) {
	if opt.Recorder == nil || opt.State == nil {
		return nil, api.Errorf(api.CodeInvalid, "make mapper: recorder and state are needed")
	}
	names := make(map[string]bool)
	for _, s := range opt.Sources {
		if names[s.Name()] {
			return nil, api.Errorf(api.CodeInvalid, "make mapper: two sources are named %s", s.Name())
		}
		names[s.Name()] = true
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	opt.Interval = orDefault(opt.Interval, DefaultInterval)
	opt.Timeout = orDefault(opt.Timeout, DefaultTimeout)
	if opt.Ignore == nil {
		opt.Ignore = DefaultIgnore()
	}
	ignore := make(map[string]bool, len(opt.Ignore))
	for _, name := range opt.Ignore {
		ignore[name] = true
	}
	if opt.KeepObserved > api.MaxDays*24*time.Hour {
		return nil, api.Errorf(api.CodeInvalid, "make mapper: traffic can be kept for %d days at most", api.MaxDays)
	}
	outside, err := ParseEnds(opt.IgnoreEnds)
	if err != nil {
		return nil, err
	}
	return &Mapper{
		opt: opt, log: opt.Logger, last: make(map[string]Facts), rest: newQuiescence(),
		streaks: make(map[string]streak), read: make(map[string]bool),
		settings: settings{
			keepObserved: orDefault(opt.KeepObserved, DefaultKeepObserved),
			staleAfter:   orDefault(opt.StaleAfter, DefaultStaleAfter),
			collapse:     slices.Sorted(slices.Values(opt.Collapse)),
			refresh:      orDefault(opt.Refresh, DefaultRefresh),
			awayAfter:    orDefault(opt.AwayAfter, DefaultAwayAfter),
			awayTries:    orDefault(opt.AwayTries, DefaultAwayTries),
			minBytes:     orDefault(opt.MinBytes, DefaultMinBytes), ignore: ignore, outside: outside,
		},
	}, nil
}

func orDefault[N time.Duration | float64 | int](n, fallback N) N {
	if n <= 0 {
		return fallback
	}
	return n
}

// Run makes a round at once, then at every interval and whenever a watch wakes it.
// It runs until the context ends and returns the context's cause. When a change
// can't be recorded, the next round finds it again.
func (m *Mapper) Run(ctx context.Context) error {
	m.recorded = newRecorded(m.opt.State.Graph())
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default: // a round is due already
		}
	}
	var watches sync.WaitGroup
	defer watches.Wait()
	for _, watch := range m.opt.Watches {
		watches.Go(func() { watch(ctx, wake) })
	}
	ticker := time.NewTicker(m.opt.Interval)
	defer ticker.Stop()
	for {
		if err := m.round(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("record graph", "error", err)
		}
		rest := time.NewTimer(restFactor * m.folding)
		select {
		case <-ctx.Done():
			rest.Stop()
			return context.Cause(ctx)
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		case <-woken:
		}
	}
}

// round asks all sources once and records the changes.
func (m *Mapper) round(ctx context.Context) error {
	results := m.collect(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx) // a cancelled answer says nothing about its source
	}
	now := time.Now().UTC()
	m.countFailures(results, now)
	imprint := m.rest.imprintOf(results, m.settings)
	if m.rest.quiet(imprint, len(m.recorded.edges), now) {
		m.folding = time.Since(now)
		m.markRead(results)
		return nil
	}
	next := fold(m.recorded, results, now, m.settings)
	m.report(next)
	change := m.recorded.diff(next, now, m.settings)
	m.folding = time.Since(now)
	m.rest.note(imprint, total(change) > 0, now)
	for _, change := range split(change) {
		if err := m.opt.Recorder.RecordGraph(ctx, change); err != nil {
			return fmt.Errorf("record graph change: %w", err)
		}
		m.recorded.apply(change)
	}
	m.markRead(results)
	return nil
}

// result is the answer, or the failure, of one source in one round.
type result struct {
	name  string
	facts Facts
	fresh bool  // facts are of this round
	known bool  // facts are of this term
	err   error // why they are not fresh

	streak streak // of failures, where they are not fresh
	away   bool   // it has failed for so long that it counts as away
}

// collect asks all sources at the same time, each with its own deadline.
func (m *Mapper) collect(ctx context.Context) []result {
	results := make([]result, len(m.opt.Sources))
	var group sync.WaitGroup
	for i, source := range m.opt.Sources {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, m.opt.Timeout)
			defer cancel()
			facts, err := source.Collect(ctx)
			results[i] = result{name: source.Name(), facts: facts, fresh: err == nil, known: err == nil, err: err}
		})
	}
	group.Wait()
	for i, r := range results {
		if r.fresh {
			m.last[r.name] = r.facts
		} else if facts, ok := m.last[r.name]; ok {
			results[i].facts, results[i].known = facts, true
		}
	}
	return results
}

// report logs each source that has begun to fail, is away, or answers again.
func (m *Mapper) report(next *recorded) {
	for name, status := range next.sources {
		before, known := m.recorded.sources[name]
		switch {
		case status.OK && known && !before.OK:
			m.log.Info("source answers again", "source", name)
		case !status.OK && (!known || before.OK):
			m.log.Warn("source is away", "source", name, "since", status.Since, "failures", status.Failures, "error", status.Error)
		case status.OK && status.Failures > 0 && before.Failures == 0:
			m.log.Info("source failed a try", "source", name, "error", status.Error)
		}
	}
}
