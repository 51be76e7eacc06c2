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
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/policies"
)

// Input is all that a plan is made from.
type Input struct {
	ID          string
	Patch       api.Patch
	Targets     []api.Target // all that exist
	Idle        []api.Target // jobs that run nothing, without their groups; Unfit says why
	Graph       api.Graph    // with Criticality
	Library     *policies.Library
	Open        []api.Rollout // ended ones are ignored
	Quarantines []api.Quarantine
	Now         time.Time
	Sources     []api.SourceStatus // nil: the sources of Graph
	// Profile returns what was learned of a target. It is asked about targets that
	// prefer hours of low load; nil when nothing was learned of any.
	Profile func(api.TargetRef) (api.Profile, bool)
	// Installed says what is installed in a target and whether the patch's faults affect
	// it; nil when nobody has asked. Targets that run the same share their inventories.
	Installed func(api.Target) *policies.Installed
	// Unchanged are targets whose jobs are what the patch makes of them already, with how
	// many of their instances run another version all the same. Nobody needs to have asked
	// about every target.
	Unchanged map[api.TargetRef]int
}

// InstalledIn is what is known of what is installed in a target; nil when nobody has asked.
func (in *Input) InstalledIn(t api.Target) *policies.Installed {
	if in.Installed == nil {
		return nil
	}
	return in.Installed(t)
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
	plan := api.Plan{ID: in.ID, Patch: in.Patch.Name, At: in.Now.UTC(), Weak: weakSources(in.Sources), Sources: lacking(in.Sources)}
	candidates, refusals := choose(in, selector)
	assessed := map[api.TargetRef]*api.TargetAssessment{}
	chosen, nothing, more := decide(in, candidates, assessed)
	plan.Refusals, plan.NothingToDo = append(refusals, more...), nothing
	slices.SortFunc(plan.Refusals, func(a, b api.Refusal) int {
		return cmp.Or(a.Target.Compare(b.Target), cmp.Compare(a.Reason, b.Reason))
	})
	plan.Waves = waves(in.Graph, chosen)
	quietest(in, plan.Waves)
	plan.Exposure = exposure(in, plan, assessed)
	plan.Order = orderText(plan.Waves)
	plan.Digest, err = digest(in.Patch, plan)
	return plan, err
}

// clusterFacts are what policies may know of the fleet.
func clusterFacts(in Input) policies.ClusterFacts {
	out := policies.ClusterFacts{
		Targets: len(in.Targets), Services: len(in.Graph.Services), Missing: missingNames(in.Sources), Serving: serving(in.Targets),
	}
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

// exposed is what puts a target before others where the most exposed go first.
func (c *candidate) exposed() float64 {
	if !exposedFirst(&c.PlannedTarget) {
		return 0
	}
	return c.Exposure.Value
}

// exposedFirst reports whether a target goes by its exposure. Where the patch does not say
// whom it affects there is none, and the order is the ordinary one: critical targets go
// last.
func exposedFirst(t *api.PlannedTarget) bool {
	return t.Decision.Order == api.OrderExposedFirst && t.Exposure != nil
}

// exposure is the curve of a plan; nil when the patch does not say whom it affects. Targets
// that are refused and those that the policies leave alone stay as they are, by what decide
// has assessed, and otherwise by what is installed.
func exposure(in Input, plan api.Plan, assessed map[api.TargetRef]*api.TargetAssessment) *api.Exposure {
	if in.Installed == nil {
		return nil
	}
	from := reachOf(in.Graph)
	targets := map[api.TargetRef]api.Target{}
	for _, t := range in.Targets {
		targets[t.TargetRef] = t
	}
	var staying []api.TargetRef
	for _, r := range plan.Refusals {
		staying = append(staying, r.Target)
	}
	for _, n := range plan.NothingToDo {
		staying = append(staying, n.Target)
	}
	stays, known := 0.0, false
	for _, ref := range staying {
		t, ok := targets[ref]
		if !ok {
			continue
		}
		a := assessed[ref]
		if i := in.InstalledIn(t); a == nil && i != nil {
			a = i.Assessment
		}
		if a != nil {
			known = true
			stays += exposureOf(t, CriticalityOf(t, in.Graph.Criticality), a, in.Patch.Severity, from).Value
		}
	}
	for _, w := range plan.Waves {
		known = known || w.Targets[0].Exposure != nil
	}
	if !known {
		return nil
	}
	return curve(plan.Waves, stays)
}

// lagging says why a target whose job is patched already is neither done nor to be patched.
func lagging(t api.Target, behind int) string {
	return fmt.Sprintf("its job asks for what the patch makes of it already, and %d of %d instances run another version; nomad replaces them at the job's own pace, or a rollback is due (nomad job revert)",
		behind, t.Count)
}

// decide asks the policies about every candidate. Targets that they select none like are
// left alone, with the reason, and so are those that the patch would not change. It notes in assessed what is known of the faults of each.
func decide(in Input, targets []api.Target, assessed map[api.TargetRef]*api.TargetAssessment) ([]candidate, []api.NothingToDo, []api.Refusal) {
	facts := clusterFacts(in)
	session := in.Library.Session(in.Patch, facts, in.Now)
	weak, doubted := weakSources(in.Sources), api.DoubtedSources(sorted(in.Sources))
	openings := map[string]opening{}
	from := reachOf(in.Graph)
	var out []candidate
	var nothing []api.NothingToDo
	var refusals []api.Refusal
	for _, t := range targets {
		if behind, ok := in.Unchanged[t.TargetRef]; ok {
			if behind > 0 {
				refusals = append(refusals, api.Refusal{Target: t.TargetRef, Code: api.CodeConflict, Reason: lagging(t, behind)})
			} else {
				nothing = append(nothing, api.NothingToDo{Target: t.TargetRef, Unchanged: true, Reason: "it runs what the patch asks for already"})
			}
			continue
		}
		criticality, installed := CriticalityOf(t, in.Graph.Criticality), in.InstalledIn(t)
		decision, err := session.Decide(t, criticality, nil, installed)
		if err != nil {
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Code: api.AsError(err).Code, Reason: api.AsError(err).Message})
			continue
		}
		if why := misfit(t, decision); why != "" {
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Code: api.CodeConflict, Reason: why})
			continue
		}
		if installed != nil && installed.Assessment != nil {
			assessed[t.TargetRef] = assessmentOf(installed, decision.Selection)
		}
		if s := decision.Selection; s != nil && !s.Chosen {
			nothing = append(nothing, api.NothingToDo{Target: t.TargetRef, Status: s.Status, Reason: s.Reason})
			continue
		}
		decision = inDoubt(decision, doubted, weak)
		opens := opensAt(openings, decision, in.Now)
		if opens.never != "" {
			refusals = append(refusals, api.Refusal{Target: t.TargetRef, Code: api.CodeConflict, Reason: "it could never start: " + opens.never})
			continue
		}
		planned := api.PlannedTarget{Target: t, Decision: decision, Criticality: criticality, Assessment: assessed[t.TargetRef]}
		if planned.Assessment != nil {
			planned.Exposure = exposureOf(t, criticality, planned.Assessment, in.Patch.Severity, from)
		}
		planned.Green = green(&planned, in.Graph, facts.Serving)
		out = append(out, candidate{opens: opens.at, PlannedTarget: planned})
	}
	return out, nothing, refusals
}

// assessmentOf is what is known of a target's faults: nothing, where its policy finds that
// too old which says that it is safe.
func assessmentOf(installed *policies.Installed, s *api.Selection) *api.TargetAssessment {
	if s == nil || s.Status != api.AssessmentUnknown || installed.Assessment.Status == api.AssessmentUnknown {
		return installed.Assessment
	}
	out := *installed.Assessment
	out.Status = api.AssessmentUnknown
	out.Reason = fmt.Sprintf("an inventory is older than its policy's max_age, or has no date that counts; by the packages it names, it would be %s (%s)",
		strings.ReplaceAll(string(installed.Assessment.Status), "_", " "), out.Reason)
	return &out
}

// Redecide asks the policies once more about a target of a plan, now that its twins
// have shown what the patch does. It takes the target's criticality from the plan, or
// from the whole graph that has ended a doubt since then: a source that is away by
// now must not make a target look harmless. Before is the rollout's present decision.
func Redecide(in Input, planned api.PlannedTarget, before api.Decision, impact api.Impact) (api.Decision, error) {
	if in.Library == nil {
		return api.Decision{}, api.Errorf(api.CodeInternal, "decide on %s: no policies are loaded", planned.Target.TargetRef)
	}
	criticality := criticalityOf(planned, before)
	decision, err := in.Library.Session(in.Patch, clusterFacts(in), in.Now).Decide(planned.Target, criticality, &impact, in.InstalledIn(planned.Target))
	if err != nil {
		return decision, err
	}
	if why := misfit(planned.Target, decision); why != "" {
		return decision, api.Errorf(api.CodeConflict, "decide on %s: %s", planned.Target.TargetRef, why)
	}
	decision.Selection = before.Selection // the target was chosen
	return keepDoubt(decision, before), nil
}

// criticalityOf is the criticality of a planned target by the last whole graph that a
// decision about it was made with.
func criticalityOf(planned api.PlannedTarget, before api.Decision) api.Criticality {
	if before.Doubt != nil && before.Doubt.Lapse != nil {
		return before.Doubt.Lapse.Criticality
	}
	return planned.Criticality
}

// Calendar asks the policies for the windows and freezes of a target of a plan, as
// Redecide does for everything. Impact is nil before its simulation.
func Calendar(in Input, planned api.PlannedTarget, before api.Decision, impact *api.Impact) (api.Decision, error) {
	if in.Library == nil {
		return api.Decision{}, api.Errorf(api.CodeInternal, "decide on %s: no policies are loaded", planned.Target.TargetRef)
	}
	return in.Library.Calendar(policies.Facts{
		Target: planned.Target, Patch: in.Patch, Criticality: criticalityOf(planned, before), Impact: impact, Cluster: clusterFacts(in), Now: in.Now,
		Installed: in.InstalledIn(planned.Target),
	})
}

// opening is when a decision's windows and freezes let it start.
type opening struct {
	at    time.Time // zero: at once
	never string    // why it can never start; empty when it can
}

// opensAt is the opening of a decision. Known keeps it for the other targets of the
// plan, most of which have the same windows.
func opensAt(known map[string]opening, d api.Decision, now time.Time) opening {
	if len(d.Windows) == 0 && len(d.Freezes) == 0 {
		return opening{}
	}
	key := fmt.Sprint(d.Windows, d.Freezes)
	if o, ok := known[key]; ok {
		return o
	}
	var o opening
	at, why := calendar.Opens(d, now)
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
	head := []any{patch.Name, patch.Digest, plan.Order, plan.Weak, plan.Refusals}
	if len(plan.NothingToDo) > 0 {
		head = append(head, plan.NothingToDo)
	}
	if err := out.Encode(head); err != nil {
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
	targets, of := 0, map[phase]int{}
	for _, w := range waves {
		targets += len(w.Targets)
		for _, t := range w.Targets {
			of[phaseOf(&t)]++
		}
	}
	if targets == 0 {
		return "nothing to do"
	}
	text := fmt.Sprintf("%s in %s", count(targets, "target"), count(len(waves), "wave"))
	if targets == 1 {
		return text
	}
	whole := map[phase]string{exposedPhase: "most exposed first", calleesPhase: "callees first", callersPhase: "callers first"}
	for _, kind := range phases() {
		switch first := whole[kind]; {
		case first == "" || of[kind] == 0:
		case of[kind] == targets:
			return first + ": " + text
		default:
			text += fmt.Sprintf(", %d of them %s and before the others", of[kind], first)
		}
	}
	if critical := of[criticalPhase]; critical > 0 && critical < targets {
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
