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
	return only(items, func(item T) bool { return v.Sees(of(item)) })
}

// only returns a new list of the items that are to be kept; it is never nil.
func only[T any](items []T, keep func(T) bool) []T {
	kept := make([]T, 0, len(items))
	for _, item := range items {
		if keep(item) {
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
	return only(list, v.SeesService)
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

// Plan returns what a plan says of targets that the caller may see, and whether it has
// one. Sums over all targets, and why they are in their order, are left out where others
// are.
func (v *View) Plan(p api.Plan) (api.Plan, bool) {
	if v.all {
		return p, true
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
	return p, len(waves)+len(refusals)+len(nothing) > 0
}

// seesRefusal reports whether the caller may see what a plan refused. The job of a
// selector that chose nothing is the list of its patterns.
func (v *View) seesRefusal(ref api.TargetRef) bool {
	return v.Sees(ref) || v.seesSelector(api.TargetSelector{Namespace: ref.Namespace, Jobs: strings.Split(ref.Job, ",")})
}

// Graph returns the part of a graph that the caller may see. An edge is shown when both
// of its ends are.
func (v *View) Graph(g api.Graph) api.Graph {
	if v.all {
		return g
	}
	g.Services = only(g.Services, func(s api.Service) bool { return v.SeesService(s.Name) })
	for i, s := range g.Services {
		g.Services[i] = v.service(s)
	}
	g.Edges = only(g.Edges, func(e api.Edge) bool { return v.SeesService(e.From) && v.SeesService(e.To) })
	for i := range g.Edges {
		g.Edges[i] = v.edge(g.Edges[i])
	}
	g.Criticality = only(g.Criticality, func(c api.Criticality) bool { return v.SeesService(c.Service) })
	for i, c := range g.Criticality {
		g.Criticality[i] = v.criticality(c)
	}
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

func (v *View) edge(e api.Edge) api.Edge {
	e.Via, e.Evidence = v.names(e.Via), slices.Clone(e.Evidence)
	for i := range e.Evidence {
		e.Evidence[i].Detail = v.sentence(e.Evidence[i].Detail)
	}
	return e
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
	w.Weakened, w.Down = only(w.Weakened, func(lost api.LostInstance) bool { return v.SeesService(lost.Service) }), v.names(w.Down)
	w.Certain, w.Possible, w.CutOff = v.names(w.Certain), v.names(w.Possible), v.names(w.CutOff)
	return w, len(w.Down)+len(w.Weakened) > 0
}

// Findings returns those about services that the caller may see, and about sources.
func (v *View) Findings(all []api.Finding) []api.Finding {
	return only(all, func(f api.Finding) bool {
		return f.Kind == api.FindingSource || (v.SeesService(f.To) && (f.From == "" || v.SeesService(f.From)))
	})
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
