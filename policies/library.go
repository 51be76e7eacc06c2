package policies

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/green"
	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/library"
)

// Library is a set of policy files that are in force together. It is safe for
// use by several goroutines, and never changes.
type Library struct {
	policies     []*policy // most specific first, then by name
	dependencies []Dependency
	exceptions   []Exception
	shared       shared
}

// Builtin returns the policy files that ship with Oakum. They are the least
// specific ones; Load does not add them by itself.
func Builtin() []api.SourceFile {
	return []api.SourceFile{{Name: "default.hcl", Text: library.Default}}
}

// Shipped returns the policy files that ship with Oakum, the one of Builtin first. The
// others are to be copied.
func Shipped() []library.Entry { return library.Entries() }

// Load reads all files and puts them in force together. Names of policies and
// dependencies are unique over all files.
func Load(files []api.SourceFile, schemas Schemas) (*Library, hcl.Diagnostics) {
	out := &Library{}
	var diags hcl.Diagnostics
	keys, reads := wantedKeys(), map[string]bool{}
	policyAt, dependencyAt, exceptionAt := map[string]string{}, map[string]string{}, map[string]string{}
	sorted := slices.Clone(files)
	slices.SortStableFunc(sorted, func(a, b api.SourceFile) int { return cmp.Compare(a.Name, b.Name) })
	for _, source := range sorted {
		file, fileDiags := ParsePolicy(source, schemas)
		diags = append(diags, fileDiags...)
		if file == nil {
			continue
		}
		twice := func(at map[string]string, kind, name, place string, where hcl.Range) bool {
			first, known := at[name]
			if known {
				diags = append(diags, lang.NewProblem(where, "Duplicate name", "%s %q was already written at %s.", kind, name, first))
			} else {
				at[name] = place
			}
			return known
		}
		for _, p := range file.blocks {
			if !twice(policyAt, "policy", p.name, p.at, p.rng) {
				out.policies = append(out.policies, p)
			}
		}
		for _, d := range file.Dependencies {
			if !twice(dependencyAt, "dependency", d.Name, d.Range, lang.FileRange(source.Name)) {
				out.dependencies = append(out.dependencies, d)
			}
		}
		for _, e := range file.Exceptions {
			if !twice(exceptionAt, "exception", e.Name, e.Range, lang.FileRange(source.Name)) {
				out.exceptions = append(out.exceptions, e)
			}
		}
		maps.Copy(reads, file.reads)
		for path, found := range file.keys {
			for k := range found {
				keys[path][k] = true
			}
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	slices.SortFunc(out.policies, func(a, b *policy) int {
		return cmp.Or(-cmp.Compare(a.specificity, b.specificity), cmp.Compare(a.name, b.name))
	})
	slices.SortFunc(out.exceptions, func(a, b Exception) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(out.dependencies, func(a, b Dependency) int { return cmp.Compare(a.Name, b.Name) })
	out.shared = shared{functions: lang.Functions(), metaKeys: lang.Names(keys["target.meta"]), ratioKeys: lang.Names(keys["impact.ratio"]), reads: lang.Names(reads)}
	out.shared.packages, out.shared.whole, out.shared.fixedKeys = lang.Names(keys["target.packages"]), reads["target.packages"] || reads["target"], lang.Names(keys["target.fixed_in"])
	out.shared.green = reads[green.Fact] || reads["target"]
	return out, diags
}

// DefaultMargins are those by which the policy that ships with Oakum judges a target
// about which nothing is known.
func DefaultMargins(schemas Schemas) ([]api.KPISpec, error) {
	library, diags := Load(Builtin(), schemas)
	if diags.HasErrors() {
		return nil, lang.Error(diags, Builtin())
	}
	d, err := library.Decide(Facts{})
	return d.Judge.KPIs, err
}

// JudgedKPI is a KPI by which a policy judges.
type JudgedKPI struct {
	Policy string
	Spec   api.KPISpec
}

// Judged lists the KPIs by which policies judge, most specific policy first. One that
// depends on the target is left out.
func (l *Library) Judged() []JudgedKPI {
	var out []JudgedKPI
	for _, p := range l.policies {
		for _, k := range p.kpis {
			if spec, ok := k.Known(); ok {
				out = append(out, JudgedKPI{Policy: p.name, Spec: spec})
			}
		}
	}
	return out
}

// Policies returns the names of all policy blocks, most specific first.
func (l *Library) Policies() []string {
	out := make([]string, len(l.policies))
	for i, p := range l.policies {
		out[i] = p.name
	}
	return out
}

// ReadsInstalled reports whether any policy asks what is installed in a target.
func (l *Library) ReadsInstalled() bool {
	if slices.ContainsFunc(l.policies, func(p *policy) bool {
		return p.selection != nil || slices.ContainsFunc(p.strategies, func(s *strategy) bool { return s.Label == selective })
	}) {
		return true
	}
	return l.CalendarReadsInstalled()
}

// CalendarReadsInstalled reports whether windows and freezes may depend on what is
// installed in a target: whether any expression reads it. To select does not count.
func (l *Library) CalendarReadsInstalled() bool {
	return slices.ContainsFunc(l.shared.reads, func(path string) bool {
		_, attribute, _ := strings.Cut(path, ".")
		attribute, _, _ = strings.Cut(attribute, ".")
		_, ok := installed.Types()[attribute]
		return path == "target" || ok && strings.HasPrefix(path, "target.")
	})
}

// Exceptions returns the exceptions of the files, by name.
func (l *Library) Exceptions() []Exception { return slices.Clone(l.exceptions) }

// Dependencies returns the dependencies that the files declare, by name.
func (l *Library) Dependencies() []Dependency { return slices.Clone(l.dependencies) }
