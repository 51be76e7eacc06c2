package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// inDoubtPolicy stands in a decision in place of a policy's name, for an approval
// that no policy asked for.
const inDoubtPolicy = "oakum"

// sorted returns the sources by name, so that every text names them in one order.
func sorted(sources []api.SourceStatus) []api.SourceStatus {
	out := slices.Clone(sources)
	slices.SortFunc(out, func(a, b api.SourceStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// lacking are the sources that are not whole.
func lacking(sources []api.SourceStatus) []api.SourceStatus {
	return slices.DeleteFunc(sorted(sources), func(s api.SourceStatus) bool { return s.State() == api.SourceWhole })
}

// weakSources describes the sources that can't be trusted now.
func weakSources(sources []api.SourceStatus) []string {
	var out []string
	for _, s := range sorted(sources) {
		if s.State().Doubtful() {
			out = append(out, s.String())
		}
	}
	return out
}

// missingNames are the sources without news for a decision: they are away, or not
// read yet.
func missingNames(sources []api.SourceStatus) []string {
	var out []string
	for _, s := range sorted(sources) {
		if state := s.State(); state == api.SourceAway || state == api.SourceUnread {
			out = append(out, s.Name)
		}
	}
	return out
}

// inDoubt asks for a person's consent to patch a critical target while part of the
// graph is missing: nobody knows then which other services depend on it.
func inDoubt(d api.Decision, doubted []api.DoubtedSource, weak []string) api.Decision {
	if !d.Critical || len(doubted) == 0 || d.Approval.Count > 0 {
		return d
	}
	d.Approval.Count = 1
	d.Doubt = &api.Doubt{Sources: doubted}
	d.Because = append(slices.Clone(d.Because), api.Because{Field: "approval", Policy: inDoubtPolicy,
		Reason: "the target is critical and the graph is not whole: " + strings.Join(weak, "; ")})
	return d
}

// keepDoubt gives a decision the doubt of the one before it. A doubt that stands goes
// on asking for an approval, whatever the policies say by now: only a whole graph
// ends it.
func keepDoubt(d, before api.Decision) api.Decision {
	d.Doubt = before.Doubt
	asked := slices.IndexFunc(before.Because, func(b api.Because) bool {
		return b.Policy == inDoubtPolicy && b.Field == "approval" && b.Range == "" // a policy of that name stands in a file
	})
	// A decision of a cluster below level 4 has the reason and no doubt: it stands.
	if asked < 0 || (d.Doubt != nil && !d.InDoubt()) {
		return d
	}
	d.Because = append(slices.Clone(d.Because), before.Because[asked])
	d.Approval.Count = max(d.Approval.Count, 1)
	return d
}

// NotWhole says what the graph lacks, source by source; it has code unavailable. It is
// nil when every source answered the last try with everything.
func NotWhole(sources []api.SourceStatus) error {
	lack := lacking(sources)
	if len(lack) == 0 && len(sources) > 0 {
		return nil
	}
	e := api.Errorf(api.CodeUnavailable, "the graph is not whole")
	for _, s := range lack {
		e.Details = append(e.Details, s.String())
	}
	return e
}

// Reconsider makes the decision of a rollout anew that waits for an approval which
// Oakum asked for in doubt. It uses the target, the graph and the policies as they
// are now. Impact is the result of its simulation, nil without one. The doubt of the
// returned decision has lapsed; the decision asks only for what the policies want.
//
// The error says why the doubt stands: it has code unavailable while the graph is not
// whole, and otherwise the policies or the graph do not decide.
func Reconsider(in Input, r api.Rollout, impact *api.Impact) (api.Decision, error) {
	if !r.Decision.InDoubt() {
		return api.Decision{}, api.Errorf(api.CodeConflict, "decide on %s anew: no doubt stands", r.Target)
	}
	if in.Library == nil {
		return api.Decision{}, api.Errorf(api.CodeInternal, "decide on %s anew: no policies are loaded", r.Target)
	}
	if err := NotWhole(in.Sources); err != nil {
		return api.Decision{}, err
	}
	at := slices.IndexFunc(in.Targets, func(t api.Target) bool { return t.TargetRef == r.Target })
	if at < 0 {
		return api.Decision{}, api.Errorf(api.CodeNotFound, "decide on %s anew: the graph has no such target", r.Target)
	}
	target := in.Targets[at]
	criticality := CriticalityOf(target, in.Graph.Criticality)
	if criticality.Service == "" && len(target.Services) > 0 {
		return api.Decision{}, api.Errorf(api.CodeConflict, "decide on %s anew: the graph knows none of its services", r.Target)
	}
	decision, err := in.Library.Session(in.Patch, clusterFacts(in), in.Now).Decide(target, criticality, impact, in.InstalledIn(target))
	if err != nil {
		return api.Decision{}, err
	}
	if o := opensAt(map[string]opening{}, decision, in.Now); o.never != "" {
		return api.Decision{}, api.Errorf(api.CodeConflict, "decide on %s anew: it could never start: %s", r.Target, o.never)
	}
	decision.Selection = r.Decision.Selection // the target was chosen
	doubt := *r.Decision.Doubt
	doubt.Lapse = &api.Lapse{At: in.Now.UTC(), Reason: lapseReason(r.Decision, decision), Criticality: criticality}
	decision.Doubt = &doubt
	return decision, nil
}

// lapseReason describes how a decision changed once the graph was whole.
func lapseReason(before, now api.Decision) string {
	words := []string{"the graph is whole"}
	if before.Critical && !now.Critical {
		words = append(words, "the target is not critical")
	}
	if before.Strategy.Name != now.Strategy.Name || string(before.Strategy.Config) != string(now.Strategy.Config) {
		words = append(words, fmt.Sprintf("its strategy is %s %s", now.Strategy.Name, now.Strategy.Config))
	}
	if now.Simulate.Required && !before.Simulate.Required {
		words = append(words, "the policies ask for a simulation")
	}
	if now.Approval.Count > 0 {
		words = append(words, "the policies ask for "+count(now.Approval.Count, "approval"))
	} else {
		words = append(words, "the policies ask for no approval")
	}
	return strings.Join(words, ", ")
}
