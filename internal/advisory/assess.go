package advisory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Options is what an assessment is to consider beside inventory and advisory.
type Options struct {
	Now        time.Time
	MaxAge     time.Duration // an inventory that is older is stale; zero for any age
	Statements []Statement   // of exceptions, in the order of their documents
}

// outcome is what one range says of one package, the graver ones last.
type outcome int

const (
	otherRelease outcome = iota
	otherArch
	outside
	fixed
	unclear
	affected
)

// nobodyNamed is why nobody knows whom an advisory is about that names no packages.
const nobodyNamed = "the advisory names no packages"

// finding is what all ranges of an advisory say of one package.
type finding struct {
	outcome outcome
	covered bool // a range for its very release was found, so that those of channels don't count
	reason  string
	of      api.Affected // range that says so
}

// Assess says whether what an inventory names has the fault of an advisory.
func (a *Advisory) Assess(ix *Index, o Options) api.Assessment {
	out := api.Assessment{Advisory: a.ID, Inventory: ix.inv.Source, Subject: ix.inv.Subject, Digest: ix.inv.Digest, TakenAt: ix.inv.TakenAt}
	switch {
	case !a.Withdrawn.IsZero():
		out.Status, out.Reason = api.AssessmentNotAffected, "the advisory was withdrawn on "+a.Withdrawn.UTC().Format(time.DateOnly)
		return out
	case len(a.ranges) == 0:
		out.Status, out.Reason = api.AssessmentUnknown, nobodyNamed
		return out
	}
	found, blind := a.compare(ix)
	a.except(ix, o.Statements, found, &blind, &out)
	conclude(ix, found, blind, &out)
	if age := inventory.Stale(&ix.inv, o.MaxAge, o.Now); age != "" && out.Status != api.AssessmentAffected {
		out.Reason = fmt.Sprintf("%s; by the packages it names, it would be %s (%s)", age, strings.ReplaceAll(string(out.Status), "_", " "), out.Reason)
		out.Status = api.AssessmentUnknown
	}
	return out
}

// compare holds each package against each range that is about it. blind says why
// packages may be there that were not found.
func (a *Advisory) compare(ix *Index) (found map[int]finding, blind string) {
	found = map[int]finding{}
	for i := range a.ranges {
		r := &a.ranges[i]
		if r.Ecosystem == "" {
			blind = cmp.Or(blind, r.unknown)
			continue
		}
		list := ix.find(r)
		blind = cmp.Or(blind, ix.blind(r, len(list)))
		for _, in := range list {
			next := r.compare(&ix.inv.Packages[in.at], in.version)
			former, ok := found[in.at]
			if !ok || next.outweighs(former) {
				found[in.at] = next
			}
		}
	}
	return found, blind
}

// outweighs reports whether a finding counts rather than a former one of the same
// package: one of a range for its very release before others, then the graver one.
func (f finding) outweighs(former finding) bool {
	if f.covered != former.covered {
		return f.covered
	}
	return f.outcome > former.outcome
}

// compare holds one package against a range.
func (r *faultRange) compare(p *api.Package, version string) finding {
	switch inventory.Covers(r.Release, p.Release) {
	case inventory.CoverNo:
		return finding{outcome: otherRelease, reason: fmt.Sprintf("%s is of %s, the advisory is about %s", p.Name, cmp.Or(p.Release, "no release"), r.Release)}
	case inventory.CoverUnclear:
		return finding{outcome: unclear, reason: fmt.Sprintf("nobody knows whether %s, of release %q, is of %s", p.Name, p.Release, r.Release)}
	case inventory.CoverYes:
	}
	f := finding{covered: true, of: r.Affected}
	if r.Arch != "" && p.Arch != r.Arch {
		f.outcome, f.reason = otherArch, fmt.Sprintf("%s is for %s, the advisory is about %s", p.Name, cmp.Or(p.Arch, "an unknown architecture"), r.Arch)
		if inventory.AnyArch(p.Arch) {
			f.outcome = unclear
		}
		return f
	}
	if r.unknown != "" && !slices.Contains(r.Versions, version) {
		f.outcome, f.reason = unclear, fmt.Sprintf("package %s %s: %s", p.Name, p.Version, r.unknown)
		return f
	}
	place, err := inventory.Locate(r.Affected, version)
	if err != nil {
		f.outcome, f.reason = unclear, fmt.Sprintf("package %s: %v", p.Name, err)
		return f
	}
	what := fmt.Sprintf("%s is %s", p.Name, p.Version)
	switch place {
	case inventory.PlaceWithin:
		f.outcome, f.reason = affected, fmt.Sprintf("%s; affected: %s", what, inventory.Describe(r.Affected))
	case inventory.PlaceAfter:
		f.outcome, f.reason = fixed, fmt.Sprintf("%s; the fault ends with %s", what, cmp.Or(r.Below, r.Last))
	case inventory.PlaceBefore:
		f.outcome, f.reason = outside, fmt.Sprintf("%s; the fault begins with %s", what, r.From)
	case inventory.PlaceUnlisted:
		f.outcome, f.reason = outside, what+", which is none of the affected versions"
	}
	return f
}

// conclude makes one answer of what was found: one affected package is enough, and what
// nobody knows is never taken for safe.
func conclude(ix *Index, found map[int]finding, blind string, out *api.Assessment) {
	reasons := map[outcome][]string{}
	for _, i := range slices.Sorted(maps.Keys(found)) {
		f := found[i]
		reasons[f.outcome] = append(reasons[f.outcome], f.reason)
		if f.outcome == affected {
			out.Packages = append(out.Packages, api.AffectedPackage{Package: ix.inv.Packages[i], Range: inventory.Describe(f.of), Fixed: f.of.Below})
		}
	}
	say := func(status api.AssessmentStatus, why []string) { out.Status, out.Reason = status, brief(why) }
	switch {
	case len(reasons[affected]) > 0:
		say(api.AssessmentAffected, reasons[affected])
	case len(reasons[unclear]) > 0:
		say(api.AssessmentUnknown, reasons[unclear])
	case blind != "":
		say(api.AssessmentUnknown, []string{blind})
	case len(out.Exceptions) > 0:
		e := out.Exceptions[0]
		say(api.AssessmentNotAffected, []string{fmt.Sprintf("%s says so: %s", e.Document, e.Justification)})
	case len(reasons[fixed]) > 0:
		say(api.AssessmentFixed, reasons[fixed])
	default:
		for _, o := range []outcome{outside, otherArch, otherRelease} {
			if len(reasons[o]) > 0 {
				say(api.AssessmentNotAffected, reasons[o])
				return
			}
		}
		say(api.AssessmentNotAffected, []string{"none of its packages is installed"})
	}
}

// brief joins reasons, of which the first three are enough for a person.
func brief(reasons []string) string {
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	const most = 3
	if more := len(reasons) - most; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(reasons[:most], "; "), more)
	}
	return strings.Join(reasons, "; ")
}
