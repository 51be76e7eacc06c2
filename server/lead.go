package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
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
	machines := sandbox.New(s.out.nomad)
	tester := simulator.New(simulator.Options{
		Sandbox: machines, Baker: machines, Logger: s.log, RateMax: s.cfg.Simulator.Rate,
		Warmup: s.cfg.Simulator.Warmup, HealthyWithin: s.cfg.Simulator.BootTimeout, Within: s.cfg.Simulator.Timeout,
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
	s.control.begin(ctx, tester, maps)
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
		KeepObserved: m.KeepObserved, StaleAfter: m.StaleAfter, AwayAfter: m.AwayAfter, AwayTries: m.AwayTries, MinBytes: m.MinBytes, Ignore: s.ignored(), IgnoreEnds: m.IgnoreEnds, Collapse: m.LoadBalancers,
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
		Neighbourhood: neighbourhood{s.control, learner}, Margins: margins, Opens: policies.Opens,
		Redecide: s.control.redecide, Reconsider: s.control.reconsider,
		Interval: s.cfg.Intervals.Orchestrator, Logger: s.log,
	}
	if s.out.consul != nil {
		o.Checks = s.out.consul
	}
	return orchestrator.New(o), nil
}

// judge lets the orchestrator ask the profiler.
type judge struct{ profiler *profiler.Profiler }

// Look takes one look at both arms.
func (j judge) Look(ctx context.Context, q orchestrator.Question) (api.Verdict, api.JudgeState, error) {
	return j.profiler.Judge(ctx, profiler.Request(q))
}

// neighbourhood lets the orchestrator ask the graph and the profiler.
type neighbourhood struct {
	*control
	profiler *profiler.Profiler
}

// Adjacent reports whether an edge joins two targets.
func (n neighbourhood) Adjacent(a, b api.TargetRef) bool { return n.adjacent(a, b) }

// Targets lists the targets that an edge joins to one, its callers first.
func (n neighbourhood) Targets(ref api.TargetRef) []api.Target { return n.around(ref) }

// Services names the services that an edge joins to a target's.
func (n neighbourhood) Services(ref api.TargetRef) []string { return n.neighbours(ref) }

// Worse lists the KPIs of a target that are clearly worse now than its baseline.
func (n neighbourhood) Worse(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	return n.profiler.Worse(ref, began, now, margins)
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
