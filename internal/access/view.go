package access

import (
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Hidden stands in a sentence in the place of a name that the caller may not see.
const Hidden = "(hidden)"

// Known are the services and targets that the record knows.
type Known struct {
	Services []api.Service
	Targets  []api.TargetRef
}

// View is what one caller may see of the fleet. What it returns is filtered, and what it
// was given is unchanged; lists and their backing arrays are the caller's to keep.
type View struct {
	by       api.Identity
	also     api.Capability  // seen is what the caller may read, or has this capability on
	all      bool            // nothing is hidden
	services map[string]bool // services that are shown
	hidden   map[string]bool // bare names of services and jobs: whether they are not shown
	odd      *strings.Replacer
}

// All is the view of those from whom nothing is hidden.
func All() *View { return &View{all: true} }

// Whole reports whether nothing is hidden from a caller who uses a capability.
func Whole(by api.Identity, c api.Capability) bool {
	return Everywhere(by, api.CapRead) || Everywhere(by, c)
}

// New returns the view of a caller who uses a capability. A service is shown when a
// target behind it is; one of which no target is known is not.
func New(by api.Identity, c api.Capability, known Known) *View {
	v := &View{by: by, also: c, all: Whole(by, c), services: map[string]bool{}, hidden: map[string]bool{}}
	if v.all {
		return v
	}
	jobs := map[string]bool{}
	note := func(ref api.TargetRef) { jobs[ref.Job] = jobs[ref.Job] || v.Sees(ref) }
	for _, ref := range known.Targets {
		note(ref)
	}
	for _, s := range known.Services {
		for _, ref := range s.Targets {
			note(ref)
		}
		v.services[s.Name] = slices.ContainsFunc(s.Targets, v.Sees)
	}
	for name, shown := range jobs {
		v.hidden[name] = !shown && !v.services[name]
	}
	for name, shown := range v.services {
		v.hidden[name] = !shown && !jobs[name]
	}
	v.odd = v.oddNames(known)
	return v
}

// All reports whether nothing is hidden.
func (v *View) All() bool { return v.all }

// Sees reports whether the caller may know of a target.
func (v *View) Sees(ref api.TargetRef) bool {
	return v.all || Reaches(v.by, api.CapRead, ref) || Reaches(v.by, v.also, ref)
}

// SeesService reports whether the caller may know of a service.
func (v *View) SeesService(name string) bool { return v.all || v.services[name] }

// seesSelector reports whether every name that a selector has is of what the caller may
// see.
func (v *View) seesSelector(s api.TargetSelector) bool {
	return v.all || Covers(v.by, api.CapRead, s) || Covers(v.by, v.also, s)
}

// Kept returns the items of targets that the caller may see: the given list itself when
// nothing is hidden, and else a new one that is never nil.
func Kept[T any](v *View, items []T, of func(T) api.TargetRef) []T {
	if v.all {
		return items
	}
	kept := make([]T, 0, len(items))
	for _, item := range items {
		if v.Sees(of(item)) {
			kept = append(kept, item)
		}
	}
	return kept
}

// names are the services of a list that the caller may see.
func (v *View) names(list []string) []string {
	if list == nil {
		return nil
	}
	kept := make([]string, 0, len(list))
	for _, name := range list {
		if v.SeesService(name) {
			kept = append(kept, name)
		}
	}
	return kept
}

// Patch returns a patch as the caller may see it, and whether at all: it goes to a target
// that they may see, or all that it selects is theirs. Its file, its description and the
// selectors that reach further are left out where some of it does.
func (v *View) Patch(p api.Patch, goes bool) (api.Patch, bool) {
	whole := !slices.ContainsFunc(p.Targets, func(s api.TargetSelector) bool { return !v.seesSelector(s) })
	if whole {
		return p, true
	}
	if !goes {
		return api.Patch{}, false
	}
	p.File, p.Description = api.SourceFile{Name: p.File.Name}, ""
	p.Targets = slices.DeleteFunc(slices.Clone(p.Targets), func(s api.TargetSelector) bool { return !v.seesSelector(s) })
	return p, true
}

// SeesPlan reports whether the plan has a target that the caller may see.
func (v *View) SeesPlan(p api.Plan) bool {
	p = v.Plan(p)
	return v.all || len(p.Waves)+len(p.Refusals)+len(p.NothingToDo) > 0
}

// Plan returns what a plan says of targets that the caller may see. Sums over all
// targets, and why they are in their order, are left out where others are.
func (v *View) Plan(p api.Plan) api.Plan {
	if v.all {
		return p
	}
	whole := true
	waves := make([]api.Wave, 0, len(p.Waves))
	for _, w := range p.Waves {
		kept := Kept(v, w.Targets, func(t api.PlannedTarget) api.TargetRef { return t.Target.TargetRef })
		whole = whole && len(kept) == len(w.Targets)
		if w.Targets = kept; len(kept) == 0 {
			continue
		}
		for i := range w.Targets {
			w.Targets[i].Criticality = v.criticality(w.Targets[i].Criticality)
		}
		waves = append(waves, w)
	}
	refusals := slices.DeleteFunc(slices.Clone(p.Refusals), func(r api.Refusal) bool { return !v.seesRefusal(r.Target) })
	nothing := slices.DeleteFunc(slices.Clone(p.NothingToDo), func(n api.NothingToDo) bool { return !v.Sees(n.Target) })
	whole = whole && len(refusals) == len(p.Refusals) && len(nothing) == len(p.NothingToDo)
	p.Waves, p.Refusals, p.NothingToDo = waves, refusals, nothing
	if !whole {
		p.Order, p.Exposure = "", nil
	}
	return p
}

// seesRefusal reports whether the caller may see what a plan refused. The job of a
// selector that chose nothing is the list of its patterns.
func (v *View) seesRefusal(ref api.TargetRef) bool {
	return v.Sees(ref) || v.seesSelector(api.TargetSelector{Namespace: ref.Namespace, Jobs: splitJobs(ref.Job)})
}

// Graph returns the part of a graph that the caller may see. An edge is shown when both
// of its ends are.
func (v *View) Graph(g api.Graph) api.Graph {
	if v.all {
		return g
	}
	services := make([]api.Service, 0, len(g.Services))
	for _, s := range g.Services {
		if v.SeesService(s.Name) {
			services = append(services, v.service(s))
		}
	}
	edges := make([]api.Edge, 0, len(g.Edges))
	for _, e := range g.Edges {
		if v.SeesService(e.From) && v.SeesService(e.To) {
			e.Via, e.Evidence = v.names(e.Via), slices.Clone(e.Evidence)
			for i := range e.Evidence {
				e.Evidence[i].Detail = v.sentence(e.Evidence[i].Detail)
			}
			edges = append(edges, e)
		}
	}
	ratings := make([]api.Criticality, 0, len(g.Criticality))
	for _, c := range g.Criticality {
		if v.SeesService(c.Service) {
			ratings = append(ratings, v.criticality(c))
		}
	}
	g.Services, g.Edges, g.Criticality = services, edges, ratings
	g.Targets = Kept(v, g.Targets, func(t api.TargetView) api.TargetRef { return t.Target.TargetRef })
	return g
}

// service leaves out where a service stands whose instances are not all of targets that
// the caller may see.
func (v *View) service(s api.Service) api.Service {
	kept := Kept(v, s.Targets, func(ref api.TargetRef) api.TargetRef { return ref })
	if len(kept) < len(s.Targets) {
		s.Nodes, s.Racks, s.Volumes = nil, nil, nil
	}
	s.Targets = kept
	return s
}

func (v *View) criticality(c api.Criticality) api.Criticality {
	c.Dependants, c.Dominates, c.SharedNodesWith = v.names(c.Dependants), v.names(c.Dominates), v.names(c.SharedNodesWith)
	return c
}

// Impact returns what would suffer without a service, of what the caller may see.
func (v *View) Impact(i api.GraphImpact) api.GraphImpact {
	i.Certain, i.Possible, i.Criticality = v.names(i.Certain), v.names(i.Possible), v.criticality(i.Criticality)
	return i
}

// Without returns what would suffer if a place were lost, of what the caller may see, and
// whether any of that stands there.
func (v *View) Without(w api.GraphWithout) (api.GraphWithout, bool) {
	if v.all {
		return w, true
	}
	weakened := make([]api.LostInstance, 0, len(w.Weakened))
	for _, lost := range w.Weakened {
		if v.SeesService(lost.Service) {
			weakened = append(weakened, lost)
		}
	}
	w.Weakened, w.Down = weakened, v.names(w.Down)
	w.Certain, w.Possible, w.CutOff = v.names(w.Certain), v.names(w.Possible), v.names(w.CutOff)
	return w, len(w.Down)+len(w.Weakened) > 0
}

// Findings returns those about services that the caller may see, and about sources.
func (v *View) Findings(all []api.Finding) []api.Finding {
	kept := make([]api.Finding, 0, len(all))
	for _, f := range all {
		if f.Kind == api.FindingSource || (v.SeesService(f.To) && (f.From == "" || v.SeesService(f.From))) {
			kept = append(kept, f)
		}
	}
	return kept
}

// Delta returns the changes of services and edges that the caller may see. A service that
// is gone is not known any more, and so is not shown.
func (v *View) Delta(d api.GraphDelta) api.GraphDelta {
	if v.all {
		return d
	}
	d.Edges = slices.DeleteFunc(slices.Clone(d.Edges), func(e api.EdgeDelta) bool { return !v.SeesService(e.From) || !v.SeesService(e.To) })
	d.Added, d.Removed = v.names(d.Added), v.names(d.Removed)
	return d
}
