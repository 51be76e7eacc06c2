package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/canary"
	"github.com/oakumhq/oakum/internal/feed"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/httpapi"
	"github.com/oakumhq/oakum/server/service"
	"github.com/oakumhq/oakum/server/state"
)

var _ httpapi.Control = (*service.Service)(nil)

// openService makes the use cases, with what they need of the world.
func (s *Server) openService() {
	s.policies = service.NewPolicyCache(s.store, s.host.Schema)
	s.graph = service.NewGraphCache(s.store)
	s.service = service.New(service.Options{
		Server: s.cfg.Name, Version: s.version, Store: s.store, Log: s.entries, Fleet: s.adapters.nomad, Preflight: preflight{s.adapters.nomad},
		Ground:   s.adapters.nomad,
		Forecast: s.forecast, Metrics: s.measurements(), Policies: s.policies, Graph: s.graph,
		HalfLife: cmp.Or(s.cfg.Mapper.HalfLife, mapper.DefaultHalfLife), Now: time.Now, Ticker: ticker, NewID: newID, Logger: s.log,
		MaxAge: s.cfg.Inventory.MaxAge, Bakes: s.cfg.Simulator.Appliance != nil,
		Advisories: s.advisories(),
		Facts: service.FactsOptions{
			Metrics: s.adapters.prometheus != nil, Sampling: s.cfg.Intervals.Profiler, Tick: s.cfg.Intervals.Orchestrator, Plugins: s.host.List,
		},
	})
}

// advisories is what reads the advisories of this server's directory; nil without one.
func (s *Server) advisories() service.Advisories {
	if s.cfg.Advisories == (config.Advisories{}) {
		return nil
	}
	s.feed = feed.New(feed.Options{
		Dir: s.cfg.Advisories.Dir, KEV: s.cfg.Advisories.KEV, EPSS: s.cfg.Advisories.EPSS,
		Installed: func() (*advisory.Names, error) { return s.service.InstalledNames() }, Ticker: ticker, Logger: s.log,
	})
	return s.feed
}

// measurements is what looks at the metrics, by the queries in force.
func (s *Server) measurements() measurements {
	return measurements{
		nomad: s.adapters.nomad, consul: s.adapters.consul, prometheus: s.adapters.prometheus,
		queries: kpi.NewReader(s.metrics(), nil, kpiQueries(s.cfg)).Catalogue().Queries,
	}
}

// forecast says how long a stage will be judged, from the recorded profile of its target.
func (s *Server) forecast(profile api.Profile, spec api.JudgeSpec, patched, former int, at time.Time) api.BakeTime {
	recorded := profiler.Restore([]api.Profile{profile}, s.cfg.Intervals.Profiler, s.log)
	return canary.Forecast(kpi.Recorded(profile, s.adapters.prometheus != nil), recorded,
		canary.Stage{Target: profile.Target, Spec: spec, Canary: patched, Stable: former, At: at})
}

// ticker ticks by the system's clock.
func ticker(interval time.Duration) (ticks <-chan time.Time, stop func()) {
	t := time.NewTicker(interval)
	return t.C, t.Stop
}

// newID mints an identifier that sorts by age.
func newID() string { return strings.ToLower(ulid.MustNew(ulid.Now(), rand.Reader).String()) }

// preflight asks Nomad by dry runs.
type preflight struct{ nomad *nomad.Client }

// twins lets the orchestrator and the use cases ask the simulator.
type twins struct {
	store     *state.Store
	simulator *simulator.Simulator
}

var _ service.Sandbox = twins{}

// Simulate tries a rollout's patch. A script is baked on the way: the changes
// that come back are the ones that production gets, with the very image that was
// tried.
func (t twins) Simulate(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, []api.Apply, error) {
	req, err := t.request(id, r, target)
	if err != nil {
		return api.Impact{}, nil, err
	}
	return t.simulator.Try(ctx, req)
}

// Try tries a patch that no rollout carries out, and keeps no image.
func (t twins) Try(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, error) {
	req, err := t.request(id, r, target)
	if err != nil {
		return api.Impact{}, err
	}
	return t.simulator.Run(ctx, req)
}

// Remove removes an object that a simulation left behind.
func (t twins) Remove(ctx context.Context, sim api.Simulation, object api.SandboxObject) error {
	return t.simulator.Remove(ctx, sim, object)
}

// request is what the simulator needs to know of a rollout. It is an error when the
// policies in force no longer have the workload, or the answers of a stub, that was decided on.
func (t twins) request(id string, r api.Rollout, target api.Target) (simulator.Request, error) {
	req := simulator.Request{
		ID: id, Rollout: r.ID, Plan: r.Plan, Again: simulatedBefore(r), Severity: t.severity(id, r), Patch: r.Patch, Apply: slices.Clone(r.Apply), Target: target, Spec: r.Decision.Simulate, Judge: r.Decision.Judge,
	}
	if p, ok := t.store.Patch(r.Patch); ok && p.Digest == r.PatchDigest {
		req.Affects = p.Affects
	} else if sim, ok := t.store.Simulation(id); ok {
		req.Affects = sim.Affects
	}
	if p, ok := t.store.Profile(r.Target); ok {
		req.Baseline = &p
	}
	req.Boots = t.boots(r.Target)
	var files []api.SourceFile
	for _, p := range t.store.Policies() {
		files = append(files, p.File)
	}
	for _, s := range r.Decision.Simulate.Stubs {
		answers, err := workload.StubFile(s, files)
		if err != nil {
			return req, err
		}
		req.Stubs = append(req.Stubs, twin.Stub{Name: s.Name, Port: s.Port, Answers: answers})
	}
	if r.Decision.Simulate.Recorded == "" {
		return req, nil
	}
	var err error
	req.Workload, err = workload.Find(r.Decision.Simulate.Recorded, files)
	return req, err
}

// severity is that of the patch: as it was submitted, or as a person's simulation has it.
func (t twins) severity(simulation string, r api.Rollout) api.Severity {
	if sim, ok := t.store.Simulation(simulation); ok && sim.Severity != "" {
		return sim.Severity
	}
	patch, _ := t.store.Patch(r.Patch)
	return patch.Severity
}
