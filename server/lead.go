package server

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/internal/canary"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/service"
)

// lead is one term of leadership: everything in it is made anew, and has ended
// when lead returns.
func (s *Server) lead(ctx context.Context) error {
	s.log.Info("term of leadership begins")
	if err := s.service.ShipPolicies(ctx, policies.Builtin()); err != nil {
		return err
	}
	machines := sandbox.New(s.adapters.nomad, sandbox.Options{Appliance: s.cfg.Simulator.Appliance, ImageRoots: s.cfg.Simulator.ImageRoots, DockerHost: s.cfg.Inventory.DockerHost})
	sim := simulator.New(simulator.Options{
		Sandbox: machines, Baker: machines, Contents: machines, Known: twins{store: s.store}.known, Ledger: ledger{s}, Progress: ledger{s}.progress, Installed: s.service.ImageInstalled, Logger: s.log, RateMax: s.cfg.Simulator.Rate,
		Warmup: s.cfg.Simulator.Warmup, HealthyWithin: s.cfg.Simulator.BootTimeout, Within: s.cfg.Simulator.Timeout,
		Inside: inside(machines, s.cfg.Simulator),
		Pairs:  s.cfg.Simulator.Pairs, PairsPerNode: s.cfg.Simulator.PairsPerNode,
	})
	reader := s.reader()
	baselines := profiler.RestoreLater(s.store.Profiles, s.cfg.Intervals.Profiler, s.log)
	prof := profiler.New(s.profilerOptions(reader, baselines))
	options, err := s.mapperOptions()
	if err != nil {
		return fmt.Errorf("open mapper: %w", err)
	}
	mapr, err := mapper.New(options)
	if err != nil {
		return fmt.Errorf("open mapper: %w", err)
	}
	tester := twins{store: s.store, simulator: sim}
	orch, err := s.orchestrator(canary.New(reader, baselines), baselines, tester, machines)
	if err != nil {
		return fmt.Errorf("open orchestrator: %w", err)
	}
	inherited := s.store.OpenSimulations() // before anything of this term makes more
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.service.Lead(ctx, service.Term{Sandbox: tester, Consoles: machines, Inherited: inherited, Unread: mapr.Unread, LastMinute: baselines.LastMinute})
	})
	group.Go(func() error { return mapr.Run(ctx) })
	group.Go(func() error { return prof.Run(ctx) })
	group.Go(func() error { return orch.Run(ctx) })
	group.Go(func() error { return s.collector(machines).Run(ctx) })
	group.Go(func() error { return s.notify(ctx) })
	err = group.Wait()
	s.log.Info("term of leadership ends", "cause", err)
	return err
}

func (s *Server) mapperOptions() (mapper.Options, error) {
	m := s.cfg.Mapper
	sources := []mapper.Source{mapper.Placement(s.adapters.nomad), mapper.Directory(s.adapters.nomad), mapper.Declared(s.declared)}
	var watches []mapper.Watch
	if s.adapters.consul != nil {
		sources = append(sources, mapper.Intentions(s.adapters.consul), mapper.Upstreams(s.adapters.consul))
		watches = append(watches, s.adapters.consul.Watch)
	}
	if s.adapters.prometheus != nil {
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
		return []mapper.Source{mapper.Observed(mapper.SourceTraffic, s.adapters.prometheus.Traffic(proxy, envoy))}, nil
	}
	var out []mapper.Source
	for _, t := range s.cfg.Mapper.Traffic {
		family, err := t.Family()
		if err != nil {
			return nil, err
		}
		out = append(out, mapper.Observed(mapper.SourceTraffic+"-"+t.Name, s.adapters.prometheus.Traffic(family)))
	}
	return out, nil
}

// declared lists the dependency blocks of the policies in force.
func (s *Server) declared() ([]mapper.Dependency, error) {
	library, err := s.policies.Library()
	if err != nil {
		return nil, fmt.Errorf("read declared dependencies: %w", err)
	}
	var out []mapper.Dependency
	for _, d := range library.Dependencies() {
		out = append(out, mapper.Dependency{Name: d.Name, From: d.From, To: d.To})
	}
	return out, nil
}

// metrics is where PromQL is asked, nil without Prometheus.
func (s *Server) metrics() kpi.Metrics {
	if s.adapters.prometheus == nil {
		return nil
	}
	return metrics{s.adapters.prometheus}
}

func (s *Server) profilerOptions(reader *kpi.Reader, baselines *profiler.Baselines) profiler.Options {
	return profiler.Options{
		Logger: s.log, Baselines: baselines, Sampler: kpi.NewSampler(reader, s.adapters.nomad, s.service.PatchedInstances, s.log), Recorder: recorder{s},
		Neighbours: s.service.NearRollouts, Checkpoint: s.cfg.Intervals.Checkpoint, Retention: s.cfg.Profiler.Retention,
	}
}

func (s *Server) orchestrator(stages *canary.Judge, baselines *profiler.Baselines, tester twins, images orchestrator.Images) (*orchestrator.Orchestrator, error) {
	margins, err := policies.DefaultMargins(s.host.Schema)
	if err != nil {
		return nil, err
	}
	o := orchestrator.Options{
		Store: s.store, Recorder: recorder{s}, Reader: s.adapters.nomad, Mover: mover{s.adapters.nomad, s.audit}, Tagger: tagger{s.adapters.nomad, s.audit},
		Judge: judge{stages}, Adviser: s.host, Simulator: recordedSimulator{tester, s.audit}, Images: images, Terminal: terminal{s.adapters.nomad, s.audit}, Audited: s.audit.Ready,
		Neighbourhood: neighbourhood{s.graph, baselines}, Margins: margins, Opens: calendar.Opens,
		Redecide: s.service.Redecide, Reconsider: s.service.Reconsider, Calendar: s.service.Calendar,
		Interval: s.cfg.Intervals.Orchestrator, Logger: s.log,
	}
	if s.adapters.consul != nil {
		o.Checks = s.adapters.consul
	}
	return orchestrator.New(o), nil
}

// judge lets the orchestrator ask the judge of a stage.
type judge struct{ canary *canary.Judge }

// Look takes one look at both arms.
func (j judge) Look(ctx context.Context, q orchestrator.Question) (api.Verdict, api.JudgeState, error) {
	return j.canary.Look(ctx, canary.Request(q))
}

// neighbourhood lets the orchestrator ask the graph and the profiler.
type neighbourhood struct {
	*service.GraphCache
	baselines *profiler.Baselines
}

// Targets lists the targets that an edge joins to a target, its callers first.
func (n neighbourhood) Targets(ref api.TargetRef) []api.Target { return n.Around(ref) }

// Services names the services that an edge joins to a target's services.
func (n neighbourhood) Services(ref api.TargetRef) []string { return n.Neighbours(ref) }

// LastMinute lists what the last minute of a target shows of the KPIs that have margins.
func (n neighbourhood) LastMinute(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	return n.baselines.LastMinute(ref, began, now, margins)
}
