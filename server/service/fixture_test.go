package service

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// epoch is a Monday, in working hours.
func epoch() time.Time { return time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC) }

// ada asks for everything.
func ada() api.Identity { return api.Identity{Name: "ada"} }

// fixture is a Service with a state in memory and a fleet that answers from a
// list. There is no server, no Raft and no Nomad.
type fixture struct {
	*Service
	state *state.Store
	log   *log
	fleet *fleet
	// preflight is what the scheduler says of a patched job.
	preflight func(*planner.Input) (untried int, err error)
	dryRuns   []api.DryRun // what the preflight says of targets
	applied   func(api.TargetRef) (api.DryRun, error)
	versions  func() (map[api.TargetRef][]api.RunningVersion, error)
}

// log carries commands out at once, as a cluster of one server does.
type log struct {
	fsm   *state.FSM
	index uint64
	err   error                 // refuses every command when set
	meet  func(c state.Command) // called before each command, when set
	after time.Duration         // how much later than the epoch it is
}

func (l *log) now() time.Time { return epoch().Add(l.after) }

var _ Log = (*log)(nil)

func (l *log) Apply(_ context.Context, cmd state.Command, by string) (uint64, error) {
	if l.meet != nil {
		l.meet(cmd)
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.put(cmd, by)
}

// put applies a command whatever the fixture was told to do with commands.
func (l *log) put(cmd state.Command, by string) (uint64, error) {
	entry, err := l.fsm.Encode(cmd, l.now(), by)
	if err != nil {
		return 0, err
	}
	l.index++
	refused, _ := l.fsm.Apply(&raft.Log{Index: l.index, Data: entry}).(error)
	return l.index, refused
}

// fleet is what runs, as far as a list says.
type fleet struct {
	targets []api.Target
	idle    []api.Target
	nodes   []api.Node
	err     error
}

var _ Fleet = (*fleet)(nil)

func (f *fleet) Targets(context.Context) ([]api.Target, error) { return f.targets, f.err }

func (f *fleet) Idle(context.Context) ([]api.Target, error) { return f.idle, f.err }

func (f *fleet) Target(_ context.Context, ref api.TargetRef) (api.Target, error) {
	at := slices.IndexFunc(f.targets, func(t api.Target) bool { return t.TargetRef == ref })
	if at < 0 {
		return api.Target{}, api.Errorf(api.CodeNotFound, "no target %s", ref)
	}
	return f.targets[at], f.err
}

func (f *fleet) Nodes(context.Context) ([]api.Node, error) { return f.nodes, f.err }

// Preflight asks the fixture's preflight, and takes every job when it has none.
func (f *fixture) Preflight(_ context.Context, in *planner.Input) ([]api.DryRun, int, error) {
	if f.preflight == nil {
		return f.dryRuns, 0, nil
	}
	untried, err := f.preflight(in)
	return f.dryRuns, untried, err
}

// Applied asks the fixture's applied, and finds nothing applied when it has none.
func (f *fixture) Applied(_ context.Context, ref api.TargetRef, _ []api.Apply) (api.DryRun, error) {
	if f.applied == nil {
		return api.DryRun{Target: ref}, nil
	}
	return f.applied(ref)
}

// RunningVersions asks the fixture's versions, and finds no target whose instances differ when it has none.
func (f *fixture) RunningVersions(context.Context, []api.Target) (map[api.TargetRef][]api.RunningVersion, error) {
	if f.versions == nil {
		return nil, nil
	}
	return f.versions()
}

// schemas are those of the two strategies that the shipped policies name.
func schemas(strategy string) (api.ConfigSchema, bool) {
	switch strategy {
	case "phased":
		return api.ConfigSchema{Attributes: []api.ConfigAttribute{{Name: "stages", Type: "list(number)", Default: json.RawMessage("[10,50,100]")}}}, true
	case "blue_green":
		return api.ConfigSchema{}, true
	}
	return api.ConfigSchema{}, false
}

// forecast says how many instances it was asked about.
func forecast(p api.Profile, _ api.JudgeSpec, canary, stable int, _ time.Time) api.BakeTime {
	return api.BakeTime{Reason: fmt.Sprintf("%s: %d patched, %d not", p.Target, canary, stable)}
}

// ticker ticks by the clock of a bubble.
func ticker(interval time.Duration) (ticks <-chan time.Time, stop func()) {
	t := time.NewTicker(interval)
	return t.C, t.Stop
}

// newFixture returns a service of the newest level whose fleet runs these targets,
// with the shipped policies in force, and the targets in a graph without edges.
func newFixture(t *testing.T, targets ...api.Target) *fixture {
	t.Helper()
	store := state.NewStore()
	f := &fixture{state: store, log: &log{fsm: state.NewFSM(store)}, fleet: &fleet{targets: targets}}
	for level := store.Level() + 1; level <= levels.Supported; level++ {
		f.put(t, &state.LevelSet{Level: level})
	}
	for _, file := range policies.Builtin() {
		f.put(t, &state.PolicyPut{Policy: api.Policy{Name: policies.PolicyName(file.Name), File: file, Builtin: true}})
	}
	change := api.GraphChange{At: epoch(), Targets: targets, Sources: []api.SourceStatus{{Name: "nomad-placement", OK: true}}}
	for _, target := range targets {
		for _, name := range target.Services {
			change.Services = append(change.Services, api.Service{Name: name, Targets: []api.TargetRef{target.TargetRef}})
		}
	}
	f.put(t, &state.GraphChange{GraphChange: change})
	ids := 0
	f.Service = New(Options{
		Server: "s1", Version: "test", Store: store, Log: f.log, Fleet: f.fleet, Preflight: f, Ground: f, Forecast: forecast,
		Policies: NewPolicyCache(store, schemas), Graph: NewGraphCache(store), HalfLife: 24 * time.Hour,
		Now: f.log.now, Ticker: ticker, NewID: func() string { ids++; return fmt.Sprintf("id-%d", ids) }, Logger: slog.New(slog.DiscardHandler),
		Facts: FactsOptions{Plugins: func() []api.PluginInfo { return nil }},
	})
	return f
}

// put changes the state, as other servers and components do.
func (f *fixture) put(t *testing.T, cmd state.Command) {
	t.Helper()
	_, err := f.log.put(cmd, "test")
	must.NoError(t, err)
}

// end ends a rollout with a status.
func (f *fixture) end(t *testing.T, id string, status api.RolloutStatus, reason string) {
	t.Helper()
	r, ok := f.state.Rollout(id)
	must.True(t, ok)
	r.Status, r.Reason = status, reason
	f.put(t, &state.RolloutTransition{Kind: "end", Expect: r.ModifyIndex, Rollout: r})
}

// lead lets the service lead a term until the returned function is called, which
// waits for the end of the term. Unread names the sources that this leader has
// not read. The test runs in a synctest bubble.
func (f *fixture) lead(t *testing.T, sandbox Sandbox, unread ...string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	inherited := f.state.OpenSimulations()
	go func() {
		done <- f.Lead(ctx, Term{Sandbox: sandbox, Inherited: inherited, Unread: func() []string { return unread }})
	}()
	synctest.Wait()
	return func() { cancel(); must.ErrorIs(t, <-done, context.Canceled) }
}

// target is a group of two instances of one exec task, which registers a service
// of the job's name.
func target(job string) api.Target {
	return api.Target{
		TargetRef: api.TargetRef{Namespace: "prod", Job: job, Group: job}, Count: 2, Driver: "exec", Services: []string{job},
		Tasks: []api.Task{{Name: "server", Driver: "exec"}},
	}
}

// patch is a patch file for jobs.
func patch(jobs string) api.SourceFile {
	return api.SourceFile{Name: "p.hcl", Text: `patch "openssl" {
  severity = "high"
  target {
    namespace = "prod"
    jobs      = [` + jobs + `]
  }
  apply "job" {
    task = "server"
    env  = { VERSION = "2" }
  }
}
`}
}
