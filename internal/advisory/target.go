package advisory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Assessor assesses targets by the advisories of one patch. Each inventory is read once,
// however many targets run it. It is not safe for use by several goroutines.
type Assessor struct {
	advisories []Advisory
	options    Options
	known      map[*api.Inventory][]api.Assessment
	indexes    map[*api.Inventory]*Index // of several assessors, where a report needs many; else nil
}

// NewAssessor makes an assessor for advisories.
func NewAssessor(advisories []Advisory, o Options) *Assessor {
	return &Assessor{advisories: advisories, options: o, known: map[*api.Inventory][]api.Assessment{}}
}

// Assess says whether a target is affected, by the inventories of what it runs. Missing
// says why some of them are not known; it is empty when they are. The gravest answer of
// all inventories and advisories counts, and one that is missing is never safe.
func (a *Assessor) Assess(inventories []*api.Inventory, missing string) api.TargetAssessment {
	out := api.TargetAssessment{Status: api.AssessmentNotAffected, Reason: "nobody has said what would affect it"}
	reasons := map[api.AssessmentStatus][]string{}
	rated := map[string]bool{}
	for _, inv := range inventories {
		for i, one := range a.assess(inv) {
			reasons[one.Status] = append(reasons[one.Status], one.Reason)
			out.Exceptions = append(out.Exceptions, one.Exceptions...)
			for _, p := range one.Packages {
				fix(&out, &p)
			}
			if one.Status == api.AssessmentAffected || one.Status == api.AssessmentUnknown {
				rated[a.advisories[i].ID] = true
			}
		}
	}
	for i := range a.advisories {
		if missing != "" || rated[a.advisories[i].ID] {
			weigh(&out, &a.advisories[i].Advisory)
		}
	}
	if missing != "" || len(inventories) == 0 {
		reasons[api.AssessmentUnknown] = []string{cmp.Or(missing, "there is no inventory of what it runs")}
		if a.silent() { // no inventory would help
			reasons[api.AssessmentUnknown] = []string{nobodyNamed}
		}
	}
	for _, status := range []api.AssessmentStatus{api.AssessmentAffected, api.AssessmentUnknown, api.AssessmentFixed, api.AssessmentNotAffected} {
		if len(reasons[status]) > 0 {
			out.Status, out.Reason = status, brief(reasons[status])
			break
		}
	}
	return out
}

// Part is what those instances of a target run that have one version of its job.
type Part struct {
	JobVersion  uint64
	Instances   int
	Digests     []string // of what they run, as far as they are known; sorted
	Inventories []*api.Inventory
	Missing     string // why others are not known; empty when all are
}

// Whole is what is installed in any instance of a target, and in what its job asks for.
func (t *InstalledTarget) Whole() (inventories []*api.Inventory, missing string) {
	if len(t.Parts) == 0 {
		return t.Inventories, t.Missing
	}
	inventories, missing = slices.Clone(t.Inventories), t.Missing
	for _, p := range t.Parts {
		for _, inv := range p.Inventories {
			if !slices.Contains(inventories, inv) {
				inventories = append(inventories, inv)
			}
		}
		if p.Missing != "" && !strings.Contains(missing, p.Missing) {
			missing = strings.TrimPrefix(fmt.Sprintf("%s; %s job version %d: %s", missing, run(p.Instances), p.JobVersion, p.Missing), "; ")
		}
	}
	return inventories, missing
}

// AssessTarget is Assess for all that the instances of a target run, with how many of them are
// hit. Where they differ, one that is hit is enough, and all must be safe for it to be.
func (a *Assessor) AssessTarget(t *InstalledTarget) api.TargetAssessment {
	out := a.Assess(t.Whole())
	if len(t.Parts) == 0 {
		out.Hit, out.Instances = hits(out.Status, t.Instances), t.Instances
		return out
	}
	for _, p := range t.Parts {
		one := a.Assess(p.Inventories, p.Missing)
		out.Hit += hits(one.Status, p.Instances)
		out.Instances += p.Instances
		out.Versions = append(out.Versions, api.VersionAssessment{JobVersion: p.JobVersion, Instances: p.Instances, Digests: p.Digests, Status: one.Status, Reason: one.Reason})
	}
	switch {
	case out.Status != api.AssessmentAffected:
	case out.Hit == 0:
		out.Reason = "no instance runs it by now, and the job asks for it: " + out.Reason
	default:
		out.Reason = fmt.Sprintf("%d of %d instances: %s", out.Hit, out.Instances, out.Reason)
	}
	return out
}

// hits is how many of the instances that run the same are hit.
func hits(status api.AssessmentStatus, instances int) int {
	if status == api.AssessmentAffected {
		return instances
	}
	return 0
}

// run begins a sentence on what instances run.
func run(n int) string {
	if n == 1 {
		return "1 instance runs"
	}
	return fmt.Sprintf("%d instances run", n)
}

// silent reports whether there are advisories, and none of them names a package.
func (a *Assessor) silent() bool {
	return len(a.advisories) > 0 && !slices.ContainsFunc(a.advisories, func(one Advisory) bool {
		return len(one.ranges) > 0 || !one.Withdrawn.IsZero()
	})
}

// fix notes the first version without a fault of an affected package. Of several faults,
// the last fix counts; there is none where a fault has none, or where nobody can say which
// fix is the last.
func fix(t *api.TargetAssessment, p *api.AffectedPackage) {
	if t.Fixed == nil {
		t.Fixed = map[string]string{}
	}
	former, several := t.Fixed[p.Name]
	if !several || former == p.Fixed {
		t.Fixed[p.Name] = p.Fixed
		return
	}
	switch n, err := inventory.Compare(p.Ecosystem, p.Fixed, former); {
	case err != nil: // as for one that is empty
		t.Fixed[p.Name] = ""
	case n > 0:
		t.Fixed[p.Name] = p.Fixed
	}
}

// assess holds one inventory against every advisory, in their order.
func (a *Assessor) assess(inv *api.Inventory) []api.Assessment {
	if known, ok := a.known[inv]; ok {
		return known
	}
	index := a.indexes[inv]
	if index == nil {
		index = NewIndex(*inv)
		if a.indexes != nil {
			a.indexes[inv] = index
		}
	}
	out := make([]api.Assessment, len(a.advisories))
	for i := range a.advisories {
		out[i] = a.advisories[i].Assess(index, a.options)
	}
	a.known[inv] = out
	return out
}

// weigh counts an advisory that may affect a target: the highest severity and score of
// all of them hold.
func weigh(t *api.TargetAssessment, a *api.Advisory) {
	t.Advisories = append(t.Advisories, a.ID)
	t.Score = max(t.Score, a.Score)
	t.Exploited = t.Exploited || a.Exploited != nil
	if grade(a.Severity) > grade(t.Severity) {
		t.Severity = a.Severity
	}
}

// grade orders severities; 0 when there is none.
func grade(s api.Severity) int {
	return map[api.Severity]int{api.SeverityLow: 1, api.SeverityMedium: 2, api.SeverityHigh: 3, api.SeverityCritical: 4}[s]
}
