package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/httpapi"
	"github.com/oakumhq/oakum/server/state"
)

// commandTries is how often a person's command is tried against a rollout that
// moves on at the same time: it moves about once a second.
const commandTries = 10

// control does for the API what goes beyond reading the state.
type control struct {
	*Server

	mu       sync.Mutex
	compiled *policies.Library
	at       uint64 // index of the policies in compiled
	analysed *graph.Analysis
	viewed   api.Graph
	targets  []api.Target // of viewed; nil until somebody asks
	viewedAt uint64
	term     context.Context //nolint:containedctx // the present term of leadership; nil outside of one
	tester   *simulator.Simulator
	maps     *mapper.Mapper
	work     sync.WaitGroup // simulations asked for by people
}

var _ httpapi.Control = (*control)(nil)

func newControl(s *Server) *control { return &control{Server: s} }

// begin and end frame a term of leadership, in which people may ask for
// simulations.
func (c *control) begin(ctx context.Context, tester *simulator.Simulator, maps *mapper.Mapper) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term, c.tester, c.maps = ctx, tester, maps
}

func (c *control) end() {
	c.mu.Lock()
	c.term, c.tester, c.maps = nil, nil, nil
	c.mu.Unlock()
	c.work.Wait()
}

// library is the policies in force, compiled once for each change of them.
func (c *control) library() (*policies.Library, error) {
	index := c.store.IndexOf(api.TopicPolicy)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.compiled != nil && c.at == index {
		return c.compiled, nil
	}
	library, err := c.compile(c.store.Policies())
	if err != nil {
		return nil, err
	}
	c.compiled, c.at = library, index
	return library, nil
}

func (c *control) compile(list []api.Policy) (*policies.Library, error) {
	var files []api.SourceFile
	for _, p := range list {
		files = append(files, p.File)
	}
	library, diags := policies.Load(files, c.host.Schema)
	if diags.HasErrors() {
		return nil, policies.DiagnosticsError(diags, files)
	}
	return library, nil
}

// ValidatePolicy checks a file by itself and beside all others in force.
func (c *control) ValidatePolicy(file api.SourceFile) error {
	_, err := c.checked(file)
	return err
}

func (c *control) checked(file api.SourceFile) (api.Policy, error) {
	parsed, diags := policies.ParsePolicy(file, c.host.Schema)
	if diags.HasErrors() {
		return api.Policy{}, policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	p := api.Policy{Name: policies.PolicyName(file.Name), File: file, Blocks: parsed.Blocks()}
	others := slices.DeleteFunc(c.store.Policies(), func(o api.Policy) bool { return o.Name == p.Name })
	if _, err := c.compile(append(others, p)); err != nil {
		return api.Policy{}, err
	}
	return p, nil
}

// ApplyPolicy puts a policy file in force.
func (c *control) ApplyPolicy(ctx context.Context, file api.SourceFile, by api.Identity) (api.Policy, error) {
	p, err := c.checked(file)
	if err != nil {
		return api.Policy{}, err
	}
	p.AppliedBy, p.AppliedAt = by.Name, time.Now().UTC()
	if _, err := c.node.Apply(ctx, &state.PolicyPut{Policy: p}, by.Name); err != nil {
		return api.Policy{}, err
	}
	p, _ = c.store.Policy(p.Name)
	return p, nil
}

// DeletePolicy takes a policy file out of force. What ships with Oakum stays,
// so that every target always has an answer.
func (c *control) DeletePolicy(ctx context.Context, name string, by api.Identity) error {
	p, ok := c.store.Policy(name)
	if !ok {
		return api.Errorf(api.CodeNotFound, "no policy %q", name)
	}
	if p.Builtin {
		return api.Errorf(api.CodeConflict, "policy %q ships with oakum; apply a file of the same name to replace it", name)
	}
	_, err := c.node.Apply(ctx, &state.PolicyDelete{Name: name}, by.Name)
	return err
}

// PlanPatch says what a patch would do, and changes nothing.
func (c *control) PlanPatch(ctx context.Context, file api.SourceFile) (api.PatchReceipt, error) {
	patch, diags := policies.ParsePatch(file)
	if diags.HasErrors() {
		return api.PatchReceipt{}, policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	library, err := c.library()
	if err != nil {
		return api.PatchReceipt{}, err
	}
	targets, err := c.out.nomad.Targets(ctx)
	if err != nil {
		return api.PatchReceipt{}, fmt.Errorf("list targets: %w", err)
	}
	in := planner.Input{
		ID: newID(), Patch: patch, Targets: targets, Graph: c.Graph(), Library: library,
		Open: c.store.OpenRollouts(), Quarantines: c.store.Quarantines(), Now: time.Now().UTC(), Sources: c.sources(),
		Profiles: c.store.Profiles(),
	}
	untried, err := c.preflight(ctx, &in)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	plan, err := planner.Plan(in)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	return api.PatchReceipt{Patch: patch, Plan: plan, Bake: c.bake(plan, in.Now), Untried: untried}, nil
}

// redecide asks the policies in force about a rollout whose patch was tried.
func (c *control) redecide(r api.Rollout, impact api.Impact) (api.Decision, error) {
	library, err := c.library()
	if err != nil {
		return api.Decision{}, err
	}
	plan, _ := c.store.Plan(r.Plan)
	patch, _ := c.store.Patch(r.Patch)
	in := planner.Input{
		Patch: patch, Graph: c.Graph(), Library: library, Open: c.store.OpenRollouts(), Now: time.Now().UTC(), Sources: c.sources(),
	}
	for _, t := range in.Graph.Targets {
		in.Targets = append(in.Targets, t.Target)
	}
	for _, w := range plan.Waves {
		for _, t := range w.Targets {
			if t.Target.TargetRef == r.Target {
				return planner.Redecide(in, t, r.Decision, impact)
			}
		}
	}
	return api.Decision{}, api.Errorf(api.CodeInternal, "rollout %s is not in its plan %s", r.ID, r.Plan)
}

// SubmitPatch plans a patch and starts its rollouts.
func (c *control) SubmitPatch(ctx context.Context, file api.SourceFile, by api.Identity) (api.PatchReceipt, error) {
	receipt, err := c.PlanPatch(ctx, file)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	if refused := planner.Refused(receipt.Plan); refused != nil {
		return api.PatchReceipt{}, refused
	}
	now := time.Now().UTC()
	receipt.Patch.SubmittedBy, receipt.Patch.SubmittedAt = by.Name, now
	rollouts := planner.Rollouts(receipt.Plan, receipt.Patch, newID, now)
	for i := range rollouts {
		rollouts[i].SubmittedBy = by.Name
		receipt.Rollouts = append(receipt.Rollouts, rollouts[i].ID)
	}
	cmd := &state.PatchSubmit{Patch: receipt.Patch, Plan: receipt.Plan, Rollouts: rollouts}
	if c.store.Level() < state.Level4 {
		cmd.WithoutDoubt()
	}
	if _, err := c.node.Apply(ctx, cmd, by.Name); err != nil {
		return api.PatchReceipt{}, err
	}
	return receipt, nil
}

// LiftQuarantine lets a patch be offered to a target again.
func (c *control) LiftQuarantine(ctx context.Context, patch string, target api.TargetRef, by api.Identity) error {
	_, err := c.node.Apply(ctx, &state.QuarantineLift{Patch: patch, Target: target}, by.Name)
	return err
}

// Rollout does what a person asks of a rollout.
func (c *control) Rollout(ctx context.Context, id, action string, by api.Identity, note string) (api.Rollout, error) {
	for range commandTries {
		r, ok := c.store.Rollout(id)
		if !ok {
			return api.Rollout{}, api.Errorf(api.CodeNotFound, "no rollout %q", id)
		}
		next, err := rollout.Step(r, rollout.Command{Action: action, By: by, Note: note}, time.Now().UTC())
		if err != nil {
			return api.Rollout{}, err
		}
		cmd := &state.RolloutTransition{Kind: action, Expect: r.ModifyIndex, Rollout: next}
		_, err = c.node.Apply(ctx, cmd, by.Name)
		if api.IsCode(err, api.CodeStaleIndex) {
			continue
		}
		if err != nil {
			return api.Rollout{}, err
		}
		r, _ = c.store.Rollout(id)
		return r, nil
	}
	return api.Rollout{}, api.Errorf(api.CodeConflict, "rollout %s keeps moving on; try again", id)
}

// Simulate starts a sandbox run that belongs to no rollout, and returns while
// it runs.
func (c *control) Simulate(ctx context.Context, file api.SourceFile, target api.TargetRef, by api.Identity) (api.Simulation, error) { //nolint:contextcheck // the run belongs to the term, not to the call
	patch, diags := policies.ParsePatch(file)
	if diags.HasErrors() {
		return api.Simulation{}, policies.DiagnosticsError(diags, []api.SourceFile{file})
	}
	library, err := c.library()
	if err != nil {
		return api.Simulation{}, err
	}
	t, err := c.out.nomad.Target(ctx, target)
	if err != nil {
		return api.Simulation{}, err
	}
	decision, err := library.Decide(policies.Facts{
		Target: t, Patch: patch, Criticality: planner.CriticalityOf(t, c.Graph().Criticality), Now: time.Now().UTC(),
	})
	if err != nil {
		return api.Simulation{}, err
	}
	c.mu.Lock()
	term, tester := c.term, c.tester
	if term == nil {
		c.mu.Unlock()
		return api.Simulation{}, api.Errorf(api.CodeNoLeader, "this server does not lead")
	}
	c.work.Add(1)
	c.mu.Unlock()
	sim := api.Simulation{
		ID: newID(), Patch: patch.Name, Target: target, Status: api.SimulationRunning, Started: time.Now().UTC(),
		Reason: "asked for by " + by.Name,
	}
	if err := (recorder{c.Server}).RecordSimulation(ctx, sim); err != nil {
		c.work.Done()
		return api.Simulation{}, err
	}
	go func() {
		defer c.work.Done()
		r := api.Rollout{Patch: patch.Name, Target: target, Apply: patch.Apply, Decision: decision}
		c.tryOut(term, twins{server: c.Server, tester: tester}, sim, r, t)
	}()
	return sim, nil
}

// tryOut runs a simulation and records how it ended.
func (c *control) tryOut(ctx context.Context, t twins, sim api.Simulation, r api.Rollout, target api.Target) {
	impact, err := t.tester.Run(ctx, t.request(sim.ID, r, target)) // keeps no image: nothing follows
	sim.End(time.Now().UTC(), impact, err)
	if err := (recorder{c.Server}).RecordSimulation(context.WithoutCancel(ctx), sim); err != nil {
		c.log.Warn("record a simulation", "simulation_id", sim.ID, "error", err)
	}
}

// Graph is the graph with its analysis and the policies' view of the targets.
func (c *control) Graph() api.Graph {
	var g api.Graph
	c.view(func(viewed api.Graph, _ *graph.Analysis) { g = viewed })
	g.Edges = graph.Age(g.Edges, time.Now(), cmp.Or(c.cfg.Mapper.HalfLife, mapper.DefaultHalfLife))
	library, err := c.library()
	if err != nil {
		c.log.Warn("rate targets", "error", err)
		return g
	}
	var targets []api.Target
	for _, t := range g.Targets {
		targets = append(targets, t.Target)
	}
	g.Targets = planner.Views(library, targets, g, time.Now().UTC())
	return g
}

// Impact says what would suffer without a service.
func (c *control) Impact(service string) (api.GraphImpact, bool) {
	var out api.GraphImpact
	var ok bool
	c.view(func(_ api.Graph, a *graph.Analysis) { out, ok = a.Impact(service) })
	return out, ok
}

// Without says what would suffer if a node, a rack or a volume were lost.
func (c *control) Without(place string) (api.GraphWithout, bool) {
	var out api.GraphWithout
	var ok bool
	c.view(func(_ api.Graph, a *graph.Analysis) { out, ok = a.Without(place) })
	return out, ok
}

// view calls use with the graph and its analysis, which is brought up to date
// once for each change of it. use must keep neither the analysis nor the time.
func (c *control) view(use func(g api.Graph, a *graph.Analysis)) {
	index := c.store.IndexOf(api.TopicGraph)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.analysed == nil:
		c.viewed, c.analysed = graph.View(c.store.Graph())
		c.targets = nil
	case c.viewedAt != index:
		c.viewed = c.analysed.Review(c.viewed, c.store.Graph())
		c.targets = nil
	}
	c.viewedAt = index
	use(c.viewed, c.analysed)
}

// neighbours names the services that are joined to a target's.
func (c *control) neighbours(ref api.TargetRef) []string {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil
	}
	var names []string
	c.view(func(_ api.Graph, a *graph.Analysis) {
		for _, s := range t.Services {
			names = append(names, a.Neighbours(s)...)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// adjacent reports whether two targets are joined by an edge.
func (c *control) adjacent(a, b api.TargetRef) bool {
	other, ok := c.store.Target(b)
	if !ok {
		return false
	}
	near := c.neighbours(a)
	return slices.ContainsFunc(other.Services, func(s string) bool { return slices.Contains(near, s) })
}

// around lists the targets that an edge joins to one, its callers first.
func (c *control) around(ref api.TargetRef) []api.Target {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil
	}
	var refs []api.TargetRef
	c.view(func(_ api.Graph, a *graph.Analysis) {
		for _, s := range t.Services {
			refs = append(refs, a.Around(s)...)
		}
	})
	var out []api.Target
	seen := map[api.TargetRef]bool{ref: true}
	for _, near := range refs {
		if target, ok := c.store.Target(near); ok && !seen[near] {
			seen[near] = true
			out = append(out, target)
		}
	}
	return out
}

// Attempts lists what a target's services began to try after since although it
// is denied.
func (c *control) Attempts(ref api.TargetRef, since time.Time) []api.Attempt {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil
	}
	var out []api.Attempt
	c.view(func(g api.Graph, _ *graph.Analysis) { out = graph.Attempts(g.Edges, t.Services, since) })
	return out
}

// newID mints an identifier that sorts by time.
func newID() string { return strings.ToLower(ulid.MustNew(ulid.Now(), rand.Reader).String()) }
