package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/glob"
)

// Held returns the capabilities that grants leave a caller somewhere, sorted: those that
// a rule gives and none denies everywhere.
func Held(grants []api.Grant) []api.Capability {
	held := []api.Capability{}
	for _, g := range grants {
		if !g.Deny {
			held = append(held, g.Capabilities...)
		}
	}
	held = slices.DeleteFunc(held, func(c api.Capability) bool {
		return slices.ContainsFunc(grants, func(g api.Grant) bool { return g.Deny && whole(g) && slices.Contains(g.Capabilities, c) })
	})
	slices.Sort(held)
	return slices.Compact(held)
}

// Everywhere reports whether the caller has the capability on every target that there
// is or may come.
func Everywhere(by api.Identity, c api.Capability) bool {
	return decides(by, c, whole, func(api.Grant) bool { return true })
}

// Reaches reports whether the caller has the capability on a target.
func Reaches(by api.Identity, c api.Capability, ref api.TargetRef) bool {
	about := func(g api.Grant) bool { return matches(g.Namespaces, ref.Namespace) && matches(g.Jobs, ref.Job) }
	return decides(by, c, about, about)
}

// Covers reports whether the caller has the capability on every target that a selector
// can choose, by its namespace and its jobs alone: where and groups count for nothing. It
// does not ask what runs, so that its answer tells nothing of it. Where globs can't be
// compared for certain it reports false.
func Covers(by api.Identity, c api.Capability, s api.TargetSelector) bool {
	if len(s.Jobs) == 0 {
		return Everywhere(by, c)
	}
	for _, job := range s.Jobs {
		if !decides(by, c,
			func(g api.Grant) bool {
				return anyOf(g.Namespaces, s.Namespace, contains) && anyOf(g.Jobs, job, contains)
			},
			func(g api.Grant) bool {
				return anyOf(g.Namespaces, s.Namespace, overlaps) && anyOf(g.Jobs, job, overlaps)
			}) {
			return false
		}
	}
	return true
}

// MayReplace refuses, with the code conflict, a caller who would put a patch in the place of
// a former one of its name that selects more than the caller may submit patches to. A
// caller without grants may replace any.
func MayReplace(by api.Identity, former api.Patch) error {
	if by.Grants == nil {
		return nil
	}
	for _, s := range former.Targets {
		if !Covers(by, api.CapPatchSubmit, s) {
			return api.Errorf(api.CodeConflict, "patch %q: the name is taken by a patch that is not in the caller's reach; give this one another name", former.Name)
		}
	}
	return nil
}

// decides goes through the grants: one must give the capability, and none may deny it.
func decides(by api.Identity, c api.Capability, gives, denies func(api.Grant) bool) bool {
	if by.Grants == nil {
		return by.Can(c)
	}
	given, denied := deciding(by.Grants, c, gives, denies)
	return given != nil && denied == nil
}

// deciding returns the first rule that gives a capability, and the first that denies it.
func deciding(grants []api.Grant, c api.Capability, gives, denies func(api.Grant) bool) (given, denied *api.Grant) {
	for i, g := range grants {
		switch {
		case !slices.Contains(g.Capabilities, c):
		case g.Deny && denied == nil && denies(g):
			denied = &grants[i]
		case !g.Deny && given == nil && gives(g):
			given = &grants[i]
		}
	}
	return given, denied
}

// Knows reports whether there is a capability of that name.
func Knows(c api.Capability) bool { return slices.Contains(api.Capabilities(), c) }

// CapabilityNames are the names of the capabilities, for an error.
func CapabilityNames() string {
	var names []string
	for _, c := range api.Capabilities() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

// Explain says whether grants leave a capability on the jobs of a namespace that a
// reference names, or everywhere when it is nil, and by which rule.
func Explain(grants []api.Grant, c api.Capability, on *api.TargetRef) (yes bool, why string) {
	gives, denies := whole, func(api.Grant) bool { return true }
	where := "everywhere"
	if on != nil {
		where = "on job " + on.Job + " of namespace " + on.Namespace
		gives = func(g api.Grant) bool { return matches(g.Namespaces, on.Namespace) && matches(g.Jobs, on.Job) }
		denies = gives
	}
	switch given, denied := deciding(grants, c, gives, denies); {
	case denied != nil:
		return false, fmt.Sprintf("rule %q denies %s on %s", denied.Rule, c, Where(*denied))
	case given != nil:
		return true, fmt.Sprintf("rule %q gives %s on %s", given.Rule, c, Where(*given))
	}
	return false, fmt.Sprintf("no rule gives %s %s", c, where)
}

// Says lists which rules give a capability and which deny it, and where.
func Says(grants []api.Grant, c api.Capability) []string {
	var out []string
	for _, g := range grants {
		if !slices.Contains(g.Capabilities, c) {
			continue
		}
		verb := "gives"
		if g.Deny {
			verb = "denies"
		}
		out = append(out, fmt.Sprintf("rule %q %s it on %s", g.Rule, verb, Where(g)))
	}
	return out
}

// Where says in words which targets a grant is about.
func Where(g api.Grant) string {
	namespaces, jobs := "every namespace", "every job"
	if !all(g.Namespaces) {
		namespaces = "namespaces " + strings.Join(g.Namespaces, ", ")
	}
	if !all(g.Jobs) {
		jobs = "jobs " + strings.Join(g.Jobs, ", ")
	}
	return jobs + " of " + namespaces
}

// whole reports whether a grant is about every target.
func whole(g api.Grant) bool { return all(g.Namespaces) && all(g.Jobs) }

func all(globs []string) bool { return len(globs) == 0 || slices.Contains(globs, "*") }

func matches(globs []string, name string) bool {
	return anyOf(globs, name, func(pattern, name string) bool { return glob.Match(name, pattern) })
}

func anyOf(globs []string, pattern string, is func(given, pattern string) bool) bool {
	return all(globs) || slices.ContainsFunc(globs, func(given string) bool { return is(given, pattern) })
}

// contains reports whether a rule's pattern certainly matches every name that another
// pattern matches.
func contains(given, pattern string) bool {
	if !glob.Is(pattern) {
		return glob.Match(pattern, given)
	}
	begin, open := strings.CutSuffix(given, "*")
	return given == pattern || (open && !glob.Is(begin) && strings.HasPrefix(literal(pattern), begin))
}

// overlaps reports whether some name may match both patterns.
func overlaps(a, b string) bool {
	switch {
	case !glob.Is(a):
		return glob.Match(a, b)
	case !glob.Is(b):
		return glob.Match(b, a)
	}
	x, y := literal(a), literal(b)
	return strings.HasPrefix(x, y) || strings.HasPrefix(y, x)
}

// literal is what every name begins with that a pattern matches.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}
