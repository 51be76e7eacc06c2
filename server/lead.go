package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/state"
)

// lead is one term of leadership: everything in it is made anew, and has ended
// when lead returns.
func (s *Server) lead(ctx context.Context) error {
	s.log.Info("term of leadership begins")
	if err := s.shipPolicies(ctx); err != nil {
		return err
	}
	tester := simulator.New(simulator.Options{
		Sandbox: s.out.nomad, Baker: s.out.nomad, Logger: s.log, RateMax: s.cfg.Simulator.Rate,
		HealthyWithin: s.cfg.Simulator.BootTimeout, Within: s.cfg.Simulator.Timeout,
	})
	if err := tester.Sweep(ctx, func(string) bool { return false }); err != nil {
		s.log.Warn("remove twins of an earlier term", "error", err)
	}
	learner := profiler.New(s.profilerOptions())
	mapping, err := s.mapperOptions()
	if err != nil {
		return fmt.Errorf("open mapper: %w", err)
	}
	maps, err := mapper.New(mapping)
	if err != nil {
		return fmt.Errorf("open mapper: %w", err)
	}
	orchestra, err := s.orchestrator(learner, tester)
	if err != nil {
		return fmt.Errorf("open orchestrator: %w", err)
	}
	s.control.begin(ctx, tester)
	defer s.control.end()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return maps.Run(ctx) })
	group.Go(func() error { return learner.Run(ctx) })
	group.Go(func() error { return orchestra.Run(ctx) })
	err = group.Wait()
	s.log.Info("term of leadership ends", "cause", err)
	return err
}

// shipPolicies puts the library that comes with this version into the state.
func (s *Server) shipPolicies(ctx context.Context) error {
	for _, file := range policies.Builtin() {
		name := policies.PolicyName(file.Name)
		if have, ok := s.store.Policy(name); ok && (have.File.Text == file.Text || !have.Builtin) {
			continue
		}
		parsed, diags := policies.ParsePolicy(file, s.host.Schema)
		if diags.HasErrors() {
			return policies.DiagnosticsError(diags, []api.SourceFile{file})
		}
		p := api.Policy{Name: name, File: file, Blocks: parsed.Blocks(), Builtin: true, AppliedBy: "oakum " + s.version}
		if _, err := s.node.Apply(ctx, &state.PolicyPut{Policy: p}, p.AppliedBy); err != nil {
			return fmt.Errorf("ship policy %s: %w", name, err)
		}
	}
	return nil
}

func (s *Server) mapperOptions() (mapper.Options, error) {
	m := s.cfg.Mapper
	sources := []mapper.Source{mapper.Placement(s.out.nomad), mapper.Directory(s.out.nomad), mapper.Declared(s.declared)}
	var watches []mapper.Watch
	if s.out.consul != nil {
		sources = append(sources, mapper.Intentions(s.out.consul), mapper.Upstreams(s.out.consul))
		watches = append(watches, s.out.consul.Watch)
	}
	if s.out.prometheus != nil {
		traffic, err := s.trafficSources()
		if err != nil {
			return mapper.Options{}, err
		}
		sources = append(sources, traffic...)
	}
	return mapper.Options{
		Sources: sources, Watches: watches, Recorder: recorder{s}, State: s.store, Logger: s.log, Interval: s.cfg.Intervals.Mapper,
		KeepObserved: m.KeepObserved, StaleAfter: m.StaleAfter, MinBytes: m.MinBytes, Ignore: s.ignored(), IgnoreEnds: m.IgnoreEnds, Collapse: m.LoadBalancers,
	}, nil
}

// trafficSources are the families of metrics that the configuration names, each
// a source of its own so that one that is broken does not hide the others; or
// those of a Consul mesh together when it names none.
func (s *Server) trafficSources() ([]mapper.Source, error) {
	if len(s.cfg.Mapper.Traffic) == 0 {
		proxy, err := prometheus.Preset("consul_proxy")
		if err != nil {
			return nil, err
		}
		envoy, err := prometheus.Preset("envoy")
		if err != nil {
			return nil, err
		}
		return []mapper.Source{mapper.Observed(mapper.SourceTraffic, s.out.prometheus.Traffic(proxy, envoy))}, nil
	}
	var out []mapper.Source
	for _, t := range s.cfg.Mapper.Traffic {
		family, err := t.Family()
		if err != nil {
			return nil, err
		}
		out = append(out, mapper.Observed(mapper.SourceTraffic+"-"+t.Name, s.out.prometheus.Traffic(family)))
	}
	return out, nil
}

// declared lists the dependency blocks of the policies in force.
func (s *Server) declared() ([]mapper.Dependency, error) {
	library, err := s.control.library()
	if err != nil {
		return nil, fmt.Errorf("read declared dependencies: %w", err)
	}
	var out []mapper.Dependency
	for _, d := range library.Dependencies() {
		out = append(out, mapper.Dependency{Name: d.Name, From: d.From, To: d.To})
	}
	return out, nil
}

func (s *Server) profilerOptions() profiler.Options {
	o := profiler.Options{
		Logger: s.log, Stats: usage{s.out.nomad}, Fleet: s.out.nomad, Recorder: recorder{s}, Queries: kpiQueries(s.cfg),
		Excluded: s.patched, Beside: s.beside, Profiles: s.store.Profiles,
		Interval: s.cfg.Intervals.Profiler, Checkpoint: s.cfg.Intervals.Checkpoint,
		Retention: s.cfg.Profiler.Retention,
	}
	if s.out.prometheus != nil {
		o.Metrics = metrics{s.out.prometheus}
	}
	return o
}

// patched names the instances that no baseline may be learned from: those that
// an open rollout has patched.
func (s *Server) patched() map[string]bool {
	ids := map[string]bool{}
	for _, r := range s.store.OpenRollouts() {
		for _, in := range r.Instances {
			if in.Build != api.BuildFormer {
				ids[in.ID] = true
			}
		}
	}
	return ids
}

// beside names the targets next to one that a rollout under way patches: what they
// show may be its doing.
func (s *Server) beside() map[api.TargetRef]bool {
	refs := map[api.TargetRef]bool{}
	for _, r := range s.store.OpenRollouts() {
		if !r.UnderWay() || len(r.Stages) == 0 {
			continue
		}
		for _, t := range s.control.around(r.Target) {
			refs[t.TargetRef] = true
		}
	}
	return refs
}

func (s *Server) orchestrator(learner *profiler.Profiler, tester *simulator.Simulator) (*orchestrator.Orchestrator, error) {
	margins, err := policies.DefaultMargins(s.host.Schema)
	if err != nil {
		return nil, err
	}
	o := orchestrator.Options{
		Store: s.store, Recorder: recorder{s}, Reader: s.out.nomad, Mover: s.out.nomad, Tagger: s.out.nomad,
		Judge: judge{learner}, Adviser: s.host, Simulator: twins{server: s, tester: tester},
		Adjacent: s.control.adjacent, Neighbours: s.control.neighbours, Opens: policies.Opens,
		Redecide: s.control.redecide, Graph: s.control, Surroundings: surroundings{s.control, learner}, Margins: margins,
		Interval: s.cfg.Intervals.Orchestrator, Logger: s.log,
	}
	if s.out.consul != nil {
		o.Checks = s.out.consul
	}
	return orchestrator.New(o), nil
}

// recorder writes what the components found out to the replicated state.
type recorder struct{ server *Server }

// Transition stores a rollout that has moved on.
func (r recorder) Transition(ctx context.Context, kind string, next api.Rollout, expect uint64) error {
	r.sign(&next)
	if r.server.store.Level() < neighbourLevel {
		next = withoutNeighbours(next)
	}
	return r.apply(ctx, &state.RolloutTransition{Kind: kind, Expect: expect, Rollout: next})
}

// sign notes on a new intent which server announces it, in which term. Servers
// below level 2 would not keep that.
func (r recorder) sign(next *api.Rollout) {
	if next.Effect == nil || next.Effect.By != "" || r.server.store.Level() < 2 {
		return
	}
	signed := *next.Effect
	signed.By, signed.Term = r.server.cfg.Name, r.server.node.Term()
	next.Effect = &signed
}

// neighbourLevel is the cluster level from which verdicts keep what got worse at
// neighbours.
const neighbourLevel = 2

// withoutNeighbours is a rollout whose verdicts lack what servers below that level
// would not keep.
func withoutNeighbours(r api.Rollout) api.Rollout {
	bare := func(v *api.Verdict) *api.Verdict {
		if v == nil || len(v.Neighbours) == 0 {
			return v
		}
		without := *v
		without.Neighbours = nil
		return &without
	}
	r.Verdict = bare(r.Verdict)
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].Verdict = bare(r.Stages[i].Verdict)
	}
	return r
}

// RecordSimulation stores a sandbox run.
func (r recorder) RecordSimulation(ctx context.Context, sim api.Simulation) error {
	return r.apply(ctx, &state.SimulationPut{Simulation: sim})
}

// graphLevel is the cluster level from which the record of the graph says in
// detail what changed, and sources can be forgotten.
const graphLevel = 2

// RecordGraph stores what changed in the graph.
func (r recorder) RecordGraph(ctx context.Context, change api.GraphChange) error {
	if r.server.store.Level() < graphLevel {
		change.Delta, change.RemoveSources = nil, nil
	}
	return r.apply(ctx, &state.GraphChange{GraphChange: change})
}

// profileLevel is the cluster level from which a record need not repeat the hours of
// the week, and profiles can be forgotten.
const profileLevel = 3

// RecordProfiles stores baselines.
func (r recorder) RecordProfiles(ctx context.Context, profiles []api.Profile) error {
	return r.apply(ctx, &state.ProfilesPut{Profiles: sayHours(profiles, r.server.store.Level() >= profileLevel)})
}

// sayHours returns the profiles with what a cluster of a level takes: with the means
// of all hours each time, or with means and sketches only when they are new.
func sayHours(profiles []api.Profile, whenNew bool) []api.Profile {
	out := slices.Clone(profiles)
	for i := range out {
		p := &out[i]
		p.KPIs = slices.Clone(p.KPIs)
		if !whenNew {
			p.Seen = time.Time{}
		}
		for j := range p.KPIs {
			b := &p.KPIs[j]
			switch {
			case !whenNew:
				b.HourSketches = nil
			case len(b.HourSketches) == 0:
				b.Hours = nil
			}
		}
	}
	return out
}

// ForgetProfiles drops baselines of targets that are gone. Before the cluster can, they
// stay.
func (r recorder) ForgetProfiles(ctx context.Context, targets []api.TargetRef, unseen time.Duration) error {
	return r.apply(ctx, &state.ProfilesForget{Targets: targets, Unseen: api.Duration(unseen)})
}

func (r recorder) apply(ctx context.Context, cmd state.Command) error {
	_, err := r.server.node.Apply(ctx, cmd, r.server.cfg.Name)
	return err
}

// judge lets the orchestrator ask the profiler.
type judge struct{ profiler *profiler.Profiler }

// Look takes one look at both arms.
func (j judge) Look(ctx context.Context, q orchestrator.Question) (api.Verdict, api.JudgeState, error) {
	return j.profiler.Judge(ctx, profiler.Request(q))
}

// surroundings lets the orchestrator ask the graph and the profiler.
type surroundings struct {
	control  *control
	profiler *profiler.Profiler
}

// Around lists the targets that an edge joins to one, its callers first.
func (s surroundings) Around(ref api.TargetRef) []api.Target { return s.control.around(ref) }

// Worse lists the KPIs of a target that are clearly worse now than its baseline.
func (s surroundings) Worse(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	return s.profiler.Worse(ref, began, now, margins)
}

// twins lets the orchestrator ask the simulator.
type twins struct {
	server *Server
	tester *simulator.Simulator
}

// Simulate tries a rollout's patch. A script is baked on the way: the changes
// that come back are those that production gets, with the very image that was
// tried.
func (t twins) Simulate(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, []api.Apply, error) {
	return t.tester.Try(ctx, t.request(id, r, target))
}

// request is what the simulator needs to know of a rollout.
func (t twins) request(id string, r api.Rollout, target api.Target) simulator.Request {
	req := simulator.Request{
		ID: id, Patch: r.Patch, Apply: slices.Clone(r.Apply), Target: target, Spec: r.Decision.Simulate, Judge: r.Decision.Judge,
	}
	if p, ok := t.server.store.Profile(r.Target); ok {
		req.Baseline = &p
	}
	return req
}
