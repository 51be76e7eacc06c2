package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/canary"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/policies"
)

// scene is what all plays of a rehearsal share. It does not change after the plays
// have begun.
type scene struct {
	facts      api.FleetFacts
	patch      api.Patch
	opt        Options
	input      planner.Input
	plan       api.Plan
	members    []*member // in the order of the plan's rollouts
	behaviours []behaviour
	neighbours map[[2]api.TargetRef]bool
	near       map[api.TargetRef][]string // services
	chained    map[[2]api.TargetRef]bool  // one depends on the other, directly or through others
	assumed    assumptions
}

// member is one target of the plan.
type member struct {
	planned   api.PlannedTarget
	wave      int
	known     kpi.Catalogue
	history   *profiler.Baselines
	kpiModels []map[string]kpiModel // by behaviour and KPI
	hours     [168]float64          // requests a second of the whole target, by hour of the week
	boots     []time.Duration       // how long instances took until they were healthy
	trials    []time.Duration       // how long a simulation takes
}

// stage is a stage of the target with the numbers of instances in each arm.
func (m *member) stage(spec api.JudgeSpec, canaries, stables int, at time.Time) canary.Stage {
	return canary.Stage{Target: m.planned.Target.TargetRef, Spec: spec, Canary: canaries, Stable: stables, At: at}
}

// newScene makes the plan of the patch from the facts.
func newScene(facts api.FleetFacts, patch api.Patch, o Options) (*scene, error) {
	if facts.Format != api.FleetFactsFormat {
		return nil, api.Errorf(api.CodeInvalid, "read facts: their format is %d, and this version reads %d; export them anew", facts.Format, api.FleetFactsFormat)
	}
	library, err := load(facts, o)
	if err != nil {
		return nil, err
	}
	viewed, analysis := graph.View(facts.Graph)
	s := &scene{facts: facts, patch: patch, opt: o, behaviours: []behaviour{harmless()}}
	if !o.Harmless {
		s.behaviours = append(s.behaviours, badPatches()...)
	}
	profiles := map[api.TargetRef]api.Profile{}
	for _, p := range facts.Profiles {
		profiles[p.Target] = p
	}
	s.input = planner.Input{
		ID: "rehearsal", Patch: patch, Targets: facts.Targets, Graph: viewed, Library: library, Open: facts.Open,
		Quarantines: facts.Quarantines, Now: o.At, Sources: viewed.Sources,
		Profile: func(ref api.TargetRef) (api.Profile, bool) { p, ok := profiles[ref]; return p, ok },
	}
	if len(o.Only) > 0 {
		s.input.Unchanged = map[api.TargetRef]int{}
		for _, t := range facts.Targets {
			if !slices.Contains(o.Only, t.TargetRef) {
				s.input.Unchanged[t.TargetRef] = 0
			}
		}
	}
	if s.plan, err = planner.Plan(s.input); err != nil {
		return nil, err
	}
	for _, w := range s.plan.Waves {
		for _, t := range w.Targets {
			if err := playable(t, o); err != nil {
				return nil, err
			}
			m := &member{planned: t, wave: w.Number}
			profile, ok := profiles[t.Target.TargetRef]
			if !ok {
				profile.Target = t.Target.TargetRef
			}
			m.known = kpi.Recorded(profile, facts.Metrics)
			m.history = profiler.Restore([]api.Profile{profile}, facts.Sampling.D(), nil)
			s.members = append(s.members, m)
		}
	}
	s.join(analysis)
	for _, m := range s.members {
		s.measure(m)
	}
	return s, nil
}

// load loads the policies of the facts. A given file replaces the policy file of
// the same name.
func load(facts api.FleetFacts, o Options) (*policies.Library, error) {
	files := slices.Clone(facts.Policies)
	for _, f := range o.Policies {
		name := policies.PolicyName(f.Name)
		files = slices.DeleteFunc(files, func(old api.SourceFile) bool { return policies.PolicyName(old.Name) == name })
		files = append(files, f)
	}
	library, diags := policies.Load(files, func(name string) (api.ConfigSchema, bool) {
		if schema, ok := o.schema(name); ok {
			return schema, true
		}
		i := slices.IndexFunc(facts.Plugins, func(p api.PluginInfo) bool { return p.Name == name })
		if i < 0 {
			return api.ConfigSchema{}, false
		}
		return facts.Plugins[i].Schema, true
	})
	if diags.HasErrors() {
		return nil, policies.DiagnosticsError(diags, files)
	}
	return library, nil
}

// playable says why a target can't be played.
func playable(t api.PlannedTarget, o Options) error {
	if _, ok := o.schema(t.Decision.Strategy.Name); ok {
		return nil
	}
	return api.Errorf(api.CodeInvalid, "rehearse %s: its strategy %q is a plugin that is not here; name it with -plugin",
		t.Target.TargetRef, t.Decision.Strategy.Name)
}

// neighbourhood answers the orchestrator's questions about the targets around one.
// The model has no mesh and no baselines of neighbours, so no neighbour gets worse
// and nothing tries a denied call.
type neighbourhood struct{ *scene }

func (n neighbourhood) Adjacent(a, b api.TargetRef) bool { return n.neighbours[[2]api.TargetRef{a, b}] }

func (n neighbourhood) Chained(a, b api.TargetRef) bool { return n.chained[[2]api.TargetRef{a, b}] }

func (n neighbourhood) Targets(api.TargetRef) []api.Target { return nil }

func (n neighbourhood) Services(ref api.TargetRef) []string { return n.near[ref] }

func (n neighbourhood) Attempts(api.TargetRef, time.Time) ([]api.Attempt, bool) { return nil, true }

func (n neighbourhood) Gone(api.TargetRef) bool { return false }

func (n neighbourhood) LastMinute(api.TargetRef, time.Time, time.Time, []api.KPISpec) []api.NeighbourEffect {
	return nil
}

// join finds the targets that an edge joins.
func (s *scene) join(analysis *graph.Analysis) {
	s.near, s.neighbours = map[api.TargetRef][]string{}, map[[2]api.TargetRef]bool{}
	s.chained = map[[2]api.TargetRef]bool{}
	chains := map[api.TargetRef]map[string]bool{}
	for _, m := range s.members {
		var names []string
		chain := map[string]bool{}
		chains[m.planned.Target.TargetRef] = chain
		for _, service := range m.planned.Target.Services {
			names = append(names, analysis.Neighbours(service)...)
			for _, name := range analysis.Chained(service) {
				chain[name] = true
			}
		}
		slices.Sort(names)
		s.near[m.planned.Target.TargetRef] = slices.Compact(names)
	}
	for _, a := range s.members {
		for _, b := range s.members {
			for _, service := range b.planned.Target.Services {
				if slices.Contains(s.near[a.planned.Target.TargetRef], service) {
					s.neighbours[[2]api.TargetRef{a.planned.Target.TargetRef, b.planned.Target.TargetRef}] = true
				}
				if chains[a.planned.Target.TargetRef][service] {
					s.chained[[2]api.TargetRef{a.planned.Target.TargetRef, b.planned.Target.TargetRef}] = true
				}
			}
		}
	}
}

// measure derives the behaviour of a target from the facts, and notes what it has
// to assume.
func (s *scene) measure(m *member) {
	ref := m.planned.Target.TargetRef
	monday := time.Date(2024, 1, 1, 0, 30, 0, 0, time.UTC)
	busy := false
	for hour := range m.hours {
		m.hours[hour] = m.history.Rate(ref, monday.Add(time.Duration(hour)*time.Hour)) * float64(m.planned.Target.Count)
		busy = busy || m.hours[hour] > 0
	}
	if !busy {
		s.assumed.quiet = append(s.assumed.quiet, ref.String())
	}
	_, spec, _ := canary.Judged(m.known, m.history, m.stage(m.planned.Decision.Judge, 1, 1, s.opt.At), nil)
	var unseen []string
	for _, b := range s.behaviours {
		all := map[string]kpiModel{}
		for _, want := range spec.KPIs {
			k, ok := m.known.Known(want)
			all[want.KPI] = newKPIModel(m.history.Describe(ref, k, spec.Interval.D(), s.opt.At), ok, b)
			if !all[want.KPI].known && spec.Enabled && !b.bad() {
				unseen = append(unseen, want.KPI)
			}
		}
		m.kpiModels = append(m.kpiModels, all)
	}
	if len(unseen) > 0 {
		s.assumed.unseen = append(s.assumed.unseen, fmt.Sprintf("%s of %s", strings.Join(unseen, ", "), ref))
	}
	m.boots = s.boots(m)
	if m.planned.Decision.Simulate.Required {
		m.trials = s.trials(m)
	}
}

// boots are the times from which a target's health times are drawn: the target's
// own times, else the times of targets with the same driver, else the assumed
// time.
func (s *scene) boots(m *member) []time.Duration {
	var alike []time.Duration
	drivers := map[api.TargetRef]string{}
	for _, t := range s.facts.Targets {
		drivers[t.TargetRef] = t.Driver
	}
	for _, h := range s.facts.Healthy {
		if h.Target == m.planned.Target.TargetRef && len(h.Seen) > 0 {
			return spans(h.Seen)
		}
		if driver, ok := drivers[h.Target]; ok && driver == m.planned.Target.Driver {
			alike = append(alike, spans(h.Seen)...)
		}
	}
	ref := m.planned.Target.String()
	if len(alike) > 0 {
		s.assumed.bootsAlike = append(s.assumed.bootsAlike, ref)
		return alike
	}
	s.assumed.boots = append(s.assumed.boots, ref)
	return []time.Duration{s.opt.Healthy}
}

// trials are the times from which a simulation's duration is drawn, chosen like
// boots. Without any recorded time a simulation takes the time of its load and of
// two boots after each other.
func (s *scene) trials(m *member) []time.Duration {
	for _, t := range s.facts.Trials {
		if t.Target == m.planned.Target.TargetRef && len(t.Seen) > 0 {
			return spans(t.Seen)
		}
	}
	s.assumed.trials = append(s.assumed.trials, m.planned.Target.String())
	return []time.Duration{m.planned.Decision.Simulate.Duration.D() + 2*slices.Max(m.boots)}
}

func spans(seen []api.Duration) []time.Duration {
	out := make([]time.Duration, len(seen))
	for i, d := range seen {
		out[i] = d.D()
	}
	return out
}
