package advisory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// targetsListed bounds the targets that one report lists, over all of its advisories. A
// report of that many has some 100 MiB; the counts are of all.
const targetsListed = 200_000

// ComplianceInput is what a report of compliance is made of.
type ComplianceInput struct {
	Now     time.Time
	Patches []api.Patch // as the cluster keeps them, in any order
	Targets []InstalledTarget
	// Carried are the rollouts that the cluster remembers, in any order.
	Carried []Carried
	// Name leaves only the advisories of that ID, alias or fault, and of the faults only
	// this one or those of these advisories; empty for all.
	Name string
	// Catalogue is what is known beside what patches say.
	Catalogue Catalogue
}

// InstalledTarget is a target that runs, and what is installed in it.
type InstalledTarget struct {
	Target      api.TargetRef
	Inventories []*api.Inventory // of what it runs; one that several targets run is shared
	Missing     string           // why others are not known; empty when all are
	MaxAge      time.Duration    // an inventory of it that is older is stale; zero for any age
	Instances   int
	Parts       []Part   // where its instances run different versions of the job: all of these
	Waivers     []Waiver // that hold now; the first that covers an advisory counts
}

// Waiver says that people put up with faults of a target for a while.
type Waiver struct {
	Faults   []string // names of faults, or IDs of advisories
	Document string   // where it stands
	Reason   string
	Until    time.Time // the first moment at which it does not hold any more
}

// waives reports whether a waiver is for an advisory: it names the advisory, or each fault
// that it is about.
func (w *Waiver) waives(s *said) bool {
	one := func(name string) bool { return slices.Contains(w.Faults, name) }
	return one(s.ID) || !slices.ContainsFunc(s.faults, func(fault string) bool { return !one(fault) })
}

// Carried is a rollout, as far as compliance asks.
type Carried struct {
	ID, Patch, Digest string // Digest is of the patch's content
	Target            api.TargetRef
	Created           time.Time
	Completed         time.Time            // zero unless it has carried the patch to its end
	Before            api.AssessmentStatus // of the target when it was planned; empty when nobody knows
}

// said is an advisory with all that the cluster knows of it.
type said struct {
	Advisory
	statements []Statement
	faults     []string
	patches    []*api.Patch
	known      time.Time
	published  bool // and no patch has brought it
}

// Comply says for each advisory of the patches which targets are affected, unknown,
// excepted, fixed and not affected, and how long the fixes took.
//
// An advisory is known from the first submission that the cluster remembers of a patch
// that says it, with the content that the patch has now. A target is fixed in the time
// from then to the end of the last rollout of such a patch that completed there, was not
// known to be safe when it was planned, and after which the inventories say that the fault
// is gone. What was fixed by other means counts as fixed, and has no time.
func Comply(in ComplianceInput) api.Compliance {
	out := api.Compliance{At: in.Now, Targets: len(in.Targets), Advisories: []api.AdvisoryCompliance{}, Vulnerabilities: []api.Vulnerability{}}
	var all []*said
	all, out.Unread = known(in)
	out.Problems = in.Catalogue.Problems
	if unknown := missingIn(in.Targets); in.Name == "" && in.Catalogue.Others > 0 && unknown > 0 {
		out.Problems = append(slices.Clone(out.Problems), fmt.Sprintf(
			"%d further advisories are about packages that no inventory names: nobody knows whether they affect the targets of which something has no inventory (%d)",
			in.Catalogue.Others, unknown))
	}
	room := targetsListed
	alike, contents := group(in.Targets)
	indexes := map[*api.Inventory]*Index{}
	gravest := map[string][]standing{} // of each target, by fault
	for _, a := range all {
		one, standings := a.comply(in, alike, contents, indexes)
		if a.published && in.Name == "" && one.NotAffected == len(in.Targets) {
			continue // one of thousands that nobody here has anything to do with
		}
		if a.called(in.Name) {
			if more := len(one.Targets) - room; more > 0 {
				one.Targets, one.Unlisted = one.Targets[:room], more
			}
			room -= len(one.Targets)
			out.Advisories = append(out.Advisories, one)
		}
		for _, fault := range a.faults {
			if gravest[fault] == nil {
				gravest[fault] = make([]standing, len(in.Targets))
			}
			for i, s := range standings {
				gravest[fault][i] = max(gravest[fault][i], s)
			}
		}
	}
	for _, fault := range slices.Sorted(maps.Keys(gravest)) {
		if _, named := gravest[in.Name]; named && fault != in.Name {
			continue
		}
		if !slices.ContainsFunc(out.Advisories, func(a api.AdvisoryCompliance) bool { return slices.Contains(a.Faults, fault) }) {
			continue
		}
		out.Vulnerabilities = append(out.Vulnerabilities, vulnerability(fault, all, gravest[fault]))
	}
	slices.SortStableFunc(out.Vulnerabilities, func(a, b api.Vulnerability) int {
		return cmp.Or(slices.Compare(urgency(b.Exploited, b.Severity, b.Score), urgency(a.Exploited, a.Severity, a.Score)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// missingIn counts the targets of which something is not known.
func missingIn(targets []InstalledTarget) int {
	n := 0
	for i := range targets {
		if _, missing := targets[i].Whole(); missing != "" {
			n++
		}
	}
	return n
}

// known collects what patches say, the most urgent first. The same document in several
// patches is one advisory; documents of one ID that differ are several.
func known(in ComplianceInput) (all []*said, unread []string) {
	by := map[string]*said{}
	first := firsts(in.Carried)
	patches := slices.SortedFunc(slices.Values(in.Patches), func(a, b api.Patch) int { return cmp.Compare(a.Name, b.Name) })
	for i := range patches {
		p := &patches[i]
		if len(p.Affects) == 0 && p.Advisory == nil && len(p.Fixes) == 0 {
			continue // it says of no fault that it fixes it
		}
		list, statements, err := OfPatch(*p)
		if err != nil {
			unread = append(unread, "patch "+p.Name+": "+api.AsError(err).Message)
			continue
		}
		since := p.SubmittedAt
		if at, ok := first[p.Name+" "+p.Digest]; ok && at.Before(since) {
			since = at
		}
		for _, a := range list {
			key := a.ID + " " + p.Name
			if p.Advisory != nil && a.Source == p.Advisory.Name {
				key = a.ID + " " + p.Advisory.Digest
			}
			s := by[key]
			if s == nil {
				s = newSaid(in, a, since)
				by[key] = s
				all = append(all, s)
			}
			s.statements, s.patches = append(s.statements, statements...), append(s.patches, p)
			if since.Before(s.known) {
				s.known = since
			}
		}
	}
	all = append(all, published(in, by)...)
	slices.SortStableFunc(all, func(a, b *said) int {
		return cmp.Or(slices.Compare(urgency(b.Exploited, b.Severity, b.Score), urgency(a.Exploited, a.Severity, a.Score)), cmp.Compare(a.ID, b.ID))
	})
	return all, unread
}

// newSaid begins what is known of an advisory.
func newSaid(in ComplianceInput, a Advisory, since time.Time) *said {
	a.Rank(in.Catalogue.Exploited, in.Catalogue.Probable)
	s := &said{Advisory: a, known: since, faults: a.faults()}
	if len(s.faults) == 0 {
		s.faults = []string{a.ID}
	}
	return s
}

// published collects the advisories that no patch has brought. By has those that patches have
// brought, by ID and document: of such a one only the time is taken, when it is earlier. A
// patch that says that it fixes an advisory, or a fault that it is about, carries it out.
func published(in ComplianceInput, by map[string]*said) []*said {
	fixing := map[string][]*api.Patch{}
	for i := range in.Patches {
		for _, name := range in.Patches[i].Fixes {
			fixing[name] = append(fixing[name], &in.Patches[i])
		}
	}
	for _, s := range by { // sorted below
		fixing[s.ID] = append(fixing[s.ID], s.patches...)
	}
	var out []*said
	for _, p := range in.Catalogue.Advisories {
		key := p.ID + " " + p.Digest
		if s := by[key]; s != nil {
			if p.Known.Before(s.known) {
				s.known = p.Known
			}
			continue
		}
		s := newSaid(in, p.Advisory, p.Known)
		s.published = true
		for _, name := range p.Faults() {
			for _, patch := range fixing[name] {
				if slices.Contains(s.patches, patch) {
					continue
				}
				s.patches = append(s.patches, patch)
				if _, statements, err := OfPatch(*patch); err == nil {
					s.statements = append(s.statements, statements...)
				}
			}
		}
		slices.SortFunc(s.patches, func(a, b *api.Patch) int { return cmp.Compare(a.Name, b.Name) })
		by[key] = s
		out = append(out, s)
	}
	return out
}

// called reports whether a name is the advisory's or one of its faults'; every advisory is
// called "".
func (s *said) called(name string) bool {
	return name == "" || s.named(name) || slices.Contains(s.faults, name)
}

// firsts are the first submissions of patches that rollouts remember, by name and digest.
func firsts(carried []Carried) map[string]time.Time {
	out := map[string]time.Time{}
	for _, r := range carried {
		key := r.Patch + " " + r.Digest
		if at, ok := out[key]; !ok || r.Created.Before(at) {
			out[key] = r.Created
		}
	}
	return out
}

// urgency is greater where a fault is known to be exploited, and then by severity and score.
func urgency(exploited *api.Exploited, severity api.Severity, score float64) []float64 {
	known := 0.0
	if exploited != nil {
		known = 1
	}
	return []float64{known, float64(grade(severity)), score}
}

// standing is a status of compliance, the graver the higher.
type standing int8

const (
	notAffected standing = iota
	cured
	excepted
	unsure
	hit
)

// status is the name of a standing.
func (s standing) status() api.ComplianceStatus {
	return []api.ComplianceStatus{api.ComplianceNotAffected, api.ComplianceFixed, api.ComplianceExcepted, api.ComplianceUnknown, api.ComplianceAffected}[s]
}

// group finds the targets in which the same is installed: alike has for each target the
// index of its content.
func group(targets []InstalledTarget) (alike []int, contents []InstalledTarget) {
	at := map[string]int{}
	for _, t := range targets {
		key := strings.Builder{}
		for _, inv := range t.Inventories {
			fmt.Fprintf(&key, "%p ", inv)
		}
		fmt.Fprintf(&key, "%d %s", t.MaxAge, t.Missing)
		for _, p := range t.Parts {
			fmt.Fprintf(&key, "\x00%d %d %q", p.JobVersion, p.Instances, p.Missing)
			for _, inv := range p.Inventories {
				fmt.Fprintf(&key, " %p", inv)
			}
		}
		i, ok := at[key.String()]
		if !ok {
			i = len(contents)
			at[key.String()], contents = i, append(contents, t)
		}
		alike = append(alike, i)
	}
	return alike, contents
}

// comply says where each target is with an advisory, and where it stands in the order of
// the targets.
func (s *said) comply(in ComplianceInput, alike []int, contents []InstalledTarget, indexes map[*api.Inventory]*Index) (api.AdvisoryCompliance, []standing) {
	out := api.AdvisoryCompliance{Advisory: s.Advisory.Advisory, Faults: s.faults, Patches: []string{}, Known: s.known, Targets: []api.TargetCompliance{}}
	for _, p := range s.patches {
		out.Patches = append(out.Patches, p.Name)
	}
	assessors := map[time.Duration]*Assessor{}
	assessed := make([]api.TargetAssessment, len(contents))
	for i, c := range contents {
		if assessors[c.MaxAge] == nil {
			assessors[c.MaxAge] = NewAssessor([]Advisory{s.Advisory}, Options{Now: in.Now, MaxAge: c.MaxAge, Statements: s.statements})
			assessors[c.MaxAge].indexes = indexes
		}
		assessed[i] = assessors[c.MaxAge].AssessTarget(&c)
	}
	carried := s.completed(in.Carried)
	standings := make([]standing, len(in.Targets))
	var times []api.Duration
	for i, t := range in.Targets {
		a := &assessed[alike[i]]
		done := carried[t.Target]
		standings[i] = standingOf(a)
		if standings[i] == notAffected && s.Withdrawn.IsZero() && done.fixing != nil && done.fixing.Before == api.AssessmentAffected {
			standings[i] = cured // by a patch that removed its packages
		}
		if standings[i] == notAffected {
			continue
		}
		waiver := slices.IndexFunc(t.Waivers, func(w Waiver) bool { return w.waives(s) })
		if waiver >= 0 && standings[i] > excepted {
			standings[i] = excepted
		} else {
			waiver = -1
		}
		one := api.TargetCompliance{Target: t.Target, Status: standings[i].status(), Reason: a.Reason, Exceptions: a.Exceptions, Packages: slices.Sorted(maps.Keys(a.Fixed))}
		if one.Hit, one.Instances = a.Hit, a.Instances; len(t.Parts) == 0 { // else alike ones have as many
			one.Hit, one.Instances = hits(a.Status, t.Instances), t.Instances
		}
		if waiver >= 0 {
			w := &t.Waivers[waiver]
			one.Exceptions, one.Until = append(slices.Clone(one.Exceptions), api.Exception{Document: w.Document, Justification: w.Reason}), w.Until
		}
		if done.last != nil {
			one.Rollout, one.Completed = done.last.ID, done.last.Completed
		}
		if standings[i] == cured && done.fixing != nil {
			took := api.Duration(done.fixing.Completed.Sub(s.known))
			one.Rollout, one.Completed, one.TimeToFix = done.fixing.ID, done.fixing.Completed, &took
			times = append(times, took)
		}
		out.Targets = append(out.Targets, one)
	}
	out.ComplianceCounts, out.Times = counts(standings), fixTimes(times)
	gravity := map[api.ComplianceStatus]standing{}
	for g := notAffected; g <= hit; g++ {
		gravity[g.status()] = g
	}
	slices.SortStableFunc(out.Targets, func(a, b api.TargetCompliance) int {
		return cmp.Or(cmp.Compare(gravity[b.Status], gravity[a.Status]), a.Target.Compare(b.Target))
	})
	return out, standings
}

// done are rollouts that carried a patch to its end on one target: the last one, and the
// last before which the target was not known to be safe.
type done struct{ last, fixing *Carried }

// completed finds them for the patches of an advisory, as these are now.
func (s *said) completed(carried []Carried) map[api.TargetRef]done {
	out := map[api.TargetRef]done{}
	for i := range carried {
		r := &carried[i]
		if r.Completed.IsZero() || !slices.ContainsFunc(s.patches, func(p *api.Patch) bool { return p.Name == r.Patch && p.Digest == r.Digest }) {
			continue
		}
		d := out[r.Target]
		d.last = later(d.last, r)
		if r.Before != api.AssessmentFixed && r.Before != api.AssessmentNotAffected {
			d.fixing = later(d.fixing, r)
		}
		out[r.Target] = d
	}
	return out
}

// later is the rollout that completed later; identifiers sort by age.
func later(a, b *Carried) *Carried {
	if a == nil || cmp.Or(b.Completed.Compare(a.Completed), cmp.Compare(b.ID, a.ID)) > 0 {
		return b
	}
	return a
}

// standingOf is where an assessed target stands. What a statement took out is excepted,
// whatever else is fixed there.
func standingOf(a *api.TargetAssessment) standing {
	safe := a.Status == api.AssessmentFixed || a.Status == api.AssessmentNotAffected
	switch {
	case a.Status == api.AssessmentAffected:
		return hit
	case !safe:
		return unsure
	case len(a.Exceptions) > 0:
		return excepted
	case a.Status == api.AssessmentFixed:
		return cured
	}
	return notAffected
}

func counts(standings []standing) api.ComplianceCounts {
	var of [hit + 1]int
	for _, s := range standings {
		of[s]++
	}
	return api.ComplianceCounts{Affected: of[hit], Unknown: of[unsure], Excepted: of[excepted], Fixed: of[cured], NotAffected: of[notAffected]}
}

// fixTimes summarises times; nil when there are none.
func fixTimes(times []api.Duration) *api.FixTimes {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	at := func(percent int) api.Duration { return times[api.CeilPercent(percent, len(times))-1] }
	return &api.FixTimes{Targets: len(times), Median: at(50), P90: at(90)}
}

// vulnerability sums up the advisories about one fault.
func vulnerability(fault string, all []*said, standings []standing) api.Vulnerability {
	out := api.Vulnerability{Name: fault, Patches: []string{}, ComplianceCounts: counts(standings)}
	for _, s := range all {
		if !slices.Contains(s.faults, fault) {
			continue
		}
		if !slices.Contains(out.Advisories, s.ID) {
			out.Advisories = append(out.Advisories, s.ID)
		}
		for _, p := range s.patches {
			if !slices.Contains(out.Patches, p.Name) {
				out.Patches = append(out.Patches, p.Name)
			}
		}
		if grade(s.Severity) > grade(out.Severity) {
			out.Severity = s.Severity
		}
		out.Score, out.Exploited, out.EPSS = max(out.Score, s.Score), cmp.Or(out.Exploited, s.Exploited), cmp.Or(out.EPSS, s.EPSS)
		if out.Known.IsZero() || s.known.Before(out.Known) {
			out.Known = s.known
		}
	}
	slices.Sort(out.Patches)
	return out
}
