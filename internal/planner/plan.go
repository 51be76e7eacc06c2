package planner

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// Input is all that a plan is made from.
type Input struct {
	ID          string
	Patch       api.Patch
	Targets     []api.Target // all that exist
	Graph       api.Graph    // with Criticality
	Library     *policies.Library
	Open        []api.Rollout // ended ones are ignored
	Quarantines []api.Quarantine
	Now         time.Time
	Sources     []api.SourceStatus // those of Graph when nil
	Profiles    []api.Profile      // for targets that prefer hours of low load
}

// Plan makes the plan of a patch. Targets that it may not go to are refused in
// the plan, each with its reason; an error means that no plan could be made.
func Plan(in Input) (api.Plan, error) {
	if in.Library == nil {
		return api.Plan{}, api.Errorf(api.CodeInternal, "plan %s: no policies are loaded", in.Patch.Name)
	}
	selector, err := policies.NewSelector(in.Patch)
	if err != nil {
		return api.Plan{}, err
	}
	if in.Sources == nil {
		in.Sources = in.Graph.Sources
	}
	plan := api.Plan{ID: in.ID, Patch: in.Patch.Name, At: in.Now.UTC(), Weak: weakSources(in.Sources)}
	candidates, refusals := choose(in, selector)
	chosen, more := decide(in, candidates)
	plan.Refusals = append(refusals, more...)
	slices.SortFunc(plan.Refusals, func(a, b api.Refusal) int {
		return cmp.Or(a.Target.Compare(b.Target), cmp.Compare(a.Reason, b.Reason))
	})
	plan.Waves = waves(in.Graph, chosen)
	quietest(in, plan.Waves)
	plan.Order = orderText(plan.Waves)
	plan.Digest, err = digest(in.Patch, plan)
	return plan, err
}

// weakSources says in words which sources can't be trusted now.
func weakSources(sources []api.SourceStatus) []string {
	var out []string
	for _, s := range sources {
		switch {
		case !s.OK:
			text := s.Name + " is away"
			if !s.Since.IsZero() {
				text += " since " + s.Since.UTC().Format(time.RFC3339)
			}
			if s.Error != "" {
				text += ": " + s.Error
			}
			out = append(out, text)
		case s.Partial != "":
			out = append(out, s.Name+" is partial: "+s.Partial)
		}
	}
	slices.Sort(out)
	return out
}

// missingNames are the sources that weaken a decision.
func missingNames(sources []api.SourceStatus) []string {
	var out []string
	for _, s := range sources {
		if !s.OK {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out
}

// clusterFacts are what policies may know of the fleet.
func clusterFacts(in Input) policies.ClusterFacts {
	out := policies.ClusterFacts{Targets: len(in.Targets), Services: len(in.Graph.Services), Missing: missingNames(in.Sources)}
	for _, t := range in.Targets {
		out.Instances += t.Count
	}
	for _, r := range in.Open {
		if !r.Status.Ended() {
			out.OpenRollouts++
		}
	}
	return out
}

// candidate is a target that may be in the plan.
type candidate struct {
	api.PlannedTarget
	opens time.Time // zero: at once
}

// decide asks the policies about every candidate.
func decide(in Input, targets []api.Target) ([]candidate, []api.Refusal) {
	session := in.Library.Session(in.Patch, clusterFacts(in), in.Now)
	weak := weakSources(in.Sources)
	openings := map[string]opening{}
	var out []candidate
	var refusals []api.Refusal
	for _, t := range targets {
		criticality := CriticalityOf(t, in.Graph.Criticality)
		decision, err := session.Decide(t, criticality, nil)
		if err != nil {
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Reason: api.AsError(err).Message})
			continue
		}
		decision = inDoubt(decision, weak)
		opens := opensAt(openings, decision, in.Now)
		if opens.never != "" {
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Reason: "it could never start: " + opens.never})
			continue
		}
		out = append(out, candidate{opens: opens.at, PlannedTarget: api.PlannedTarget{Target: t, Decision: decision, Criticality: criticality}})
	}
	return out, refusals
}

// Redecide asks the policies once more about a target of a plan, now that its
// twins have shown what the patch does. The target and what the graph said of
// it are those of the plan: a source that is away by now must not make a target
// look harmless.
func Redecide(in Input, planned api.PlannedTarget, impact api.Impact) (api.Decision, error) {
	if in.Library == nil {
		return api.Decision{}, api.Errorf(api.CodeInternal, "decide on %s: no policies are loaded", planned.Target.TargetRef)
	}
	decision, err := in.Library.Session(in.Patch, clusterFacts(in), in.Now).Decide(planned.Target, planned.Criticality, &impact)
	if err != nil {
		return decision, err
	}
	for _, b := range planned.Decision.Because {
		if b.Policy == inDoubtPolicy {
			if decision.Critical && decision.Approval.Count == 0 {
				decision.Approval.Count = 1
				decision.Because = append(slices.Clone(decision.Because), b)
			}
		}
	}
	return decision, nil
}

// inDoubtPolicy stands where a decision names the policy that made it, for what
// no policy asked for.
const inDoubtPolicy = "oakum"

// inDoubt asks for a person's consent to patch a critical target while part of
// the graph is missing: nobody knows then who else depends on it.
func inDoubt(d api.Decision, weak []string) api.Decision {
	if !d.Critical || len(weak) == 0 || d.Approval.Count > 0 {
		return d
	}
	d.Approval.Count = 1
	d.Because = append(slices.Clone(d.Because), api.Because{Field: "approval", Policy: inDoubtPolicy,
		Reason: "the target is critical and the graph is not whole: " + strings.Join(weak, "; ")})
	return d
}

// opening is when a decision's windows and freezes let it start.
type opening struct {
	at    time.Time
	never string
}

// opensAt looks the opening up; most targets of a plan share their windows.
func opensAt(known map[string]opening, d api.Decision, now time.Time) opening {
	if len(d.Windows) == 0 && len(d.Freezes) == 0 {
		return opening{}
	}
	key := fmt.Sprint(d.Windows, d.Freezes)
	if o, ok := known[key]; ok {
		return o
	}
	var o opening
	at, why := policies.Opens(d, now)
	switch {
	case at.IsZero():
		o.never = why
	case at.After(now):
		o.at = at.UTC()
	}
	known[key] = o
	return o
}

// digest identifies what a plan does: not its identifier, nor when it was made.
func digest(patch api.Patch, plan api.Plan) (string, error) {
	hash := sha256.New()
	out := json.NewEncoder(hash)
	type line struct {
		Wave     int           `json:"wave"`
		Opens    time.Time     `json:"opens,omitzero"`
		Starts   time.Time     `json:"starts,omitzero"`
		Target   string        `json:"target"`
		Index    uint64        `json:"index"`
		Decision *api.Decision `json:"decision"`
	}
	if err := out.Encode([]any{patch.Name, patch.Digest, plan.Order, plan.Weak, plan.Refusals}); err != nil {
		return "", fmt.Errorf("digest plan: %w", err)
	}
	for _, w := range plan.Waves {
		for i := range w.Targets {
			t := &w.Targets[i]
			err := out.Encode(line{w.Number, w.Opens, w.Starts, t.Target.String(), t.Target.JobModifyIndex, &t.Decision})
			if err != nil {
				return "", fmt.Errorf("digest plan: %w", err)
			}
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// orderText says why the waves are in this order.
func orderText(waves []api.Wave) string {
	targets, critical := 0, 0
	for _, w := range waves {
		targets += len(w.Targets)
		for _, t := range w.Targets {
			if t.Decision.Critical {
				critical++
			}
		}
	}
	if targets == 0 {
		return "nothing to do"
	}
	text := fmt.Sprintf("%s in %s", count(targets, "target"), count(len(waves), "wave"))
	if targets == 1 {
		return text
	}
	if critical > 0 && critical < targets {
		text += fmt.Sprintf(", the %d critical last", critical)
	}
	return "least critical first: " + text + "; within each group a service goes before what it depends on"
}

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
