package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/figure"
)

// action is something that a person may do to a rollout.
type action struct {
	Name   string // the API's
	Label  string
	Style  string // "go", "stop" or ""
	offers func(r api.Rollout, by api.Identity) bool
	// Says what will happen, one sentence a line.
	says func(r api.Rollout, by api.Identity) []string
	cap  api.Capability
}

// backs reports whether the action only holds or turns back. Nothing keeps it waiting.
func (a action) backs() bool { return a.Name == "pause" || a.Name == "abort" || a.Name == "rollback" }

// actions are all of them, in the order of their buttons. What is offered is what the
// rollout would take now; the API decides.
func actions() []action {
	return []action{
		{"approve", "Approve", "go", mayConsent, saysApprove, api.CapApprove},
		{"unapprove", "Take my approval back", "", mayWithdraw, saysWithdraw, api.CapApprove},
		{"resume", "Resume", "go", func(r api.Rollout, _ api.Identity) bool {
			return r.Status == api.RolloutPaused || r.Status == api.RolloutHolding
		}, saysResume, api.CapRollout},
		{"promote", "Promote", "", mayPromote, saysPromote, api.CapRollout},
		{"pause", "Pause", "", func(r api.Rollout, _ api.Identity) bool {
			return !r.Status.Ended() && r.Status != api.RolloutPaused && r.Status != api.RolloutRollingBack
		}, saysPause, api.CapRollout},
		{"abort", "Abort", "stop", mayAbort, saysAbort, api.CapRollout},
		{"rollback", "Roll back", "stop", func(r api.Rollout, _ api.Identity) bool {
			return r.UnderWay() && r.Status != api.RolloutRollingBack
		}, saysRollback, api.CapRollout},
	}
}

// offered are the actions that a person may take now. Declining a patch that waits for
// consent is aborting it.
func offered(r api.Rollout, by api.Identity) []action {
	var out []action
	for _, a := range actions() {
		if access.Reaches(by, a.cap, r.Target) && a.offers(r, by) {
			out = append(out, named(a, r))
		}
	}
	return out
}

func named(a action, r api.Rollout) action {
	switch {
	case a.Name == "abort" && r.Status == api.RolloutAwaitingApproval:
		a.Label = "Decline"
	case a.Name == "abort" && r.Status == api.RolloutRollingBack:
		a.Label = "Give the rollback up"
	case a.Name == "abort" && r.Former == nil:
		a.Label = "Cancel"
	}
	return a
}

// findAction is the action of a name.
func findAction(name string) (action, bool) {
	all := actions()
	i := slices.IndexFunc(all, func(a action) bool { return a.Name == name })
	if i < 0 {
		return action{}, false
	}
	return all[i], true
}

func consented(r api.Rollout, by api.Identity) bool {
	return slices.ContainsFunc(r.Approvals, func(a api.Approval) bool { return by.Is(a.By, a.Subject) })
}

func mayConsent(r api.Rollout, by api.Identity) bool {
	asks := r.Decision.Approval.Count > 0 || r.Status == api.RolloutAwaitingApproval
	early := r.Status == api.RolloutPending || r.Status == api.RolloutSimulating || r.Status == api.RolloutAwaitingApproval
	return asks && early && !consented(r, by)
}

func mayWithdraw(r api.Rollout, by api.Identity) bool {
	at := r.Status
	if at == api.RolloutPaused {
		at = r.Resume
	}
	early := at == api.RolloutPending || at == api.RolloutSimulating || at == api.RolloutAwaitingApproval || at == api.RolloutWaiting
	return early && consented(r, by)
}

func mayPromote(r api.Rollout, _ api.Identity) bool {
	s := lastStage(r)
	return s != nil && !r.Status.Ended() && r.Status != api.RolloutRollingBack && !s.Ready.IsZero() && s.Judged.IsZero() && s.Lapsed.IsZero()
}

func mayAbort(r api.Rollout, _ api.Identity) bool {
	if r.Status == api.RolloutRollingBack {
		return slices.ContainsFunc(r.Holds, func(h api.Hold) bool { return h.Source == "job" || h.Source == "health" })
	}
	return !r.Status.Ended()
}

func lastStage(r api.Rollout) *api.Stage {
	if len(r.Stages) == 0 {
		return nil
	}
	return &r.Stages[len(r.Stages)-1]
}

func saysApprove(r api.Rollout, by api.Identity) []string {
	spec := r.Decision.Approval
	need := fmt.Sprintf("The policies ask for %s", figure.Count(max(spec.Count, 1), "approval"))
	if spec.From != "" {
		need += " from the group " + spec.From
	}
	out := []string{
		fmt.Sprintf("Your consent is recorded, as %s, with what you write below.", by.Name),
		fmt.Sprintf("%s. There %s so far.", need, is(len(r.Approvals))),
		fmt.Sprintf("With enough of them the patch %s goes on to %s: first its turn, by windows, freezes and budgets, then its first stage.", r.Patch, r.Target),
	}
	if r.Undecided != nil {
		out = append(out, "The simulation could not decide: "+r.Undecided.Reason+".")
	}
	if r.Decision.InDoubt() {
		out = append(out, "Oakum itself asks, since part of the graph is missing: "+r.Decision.Doubt.String()+".")
	}
	return out
}

func is(n int) string {
	if n == 1 {
		return "is 1"
	}
	return fmt.Sprintf("are %d", n)
}

func saysWithdraw(api.Rollout, api.Identity) []string {
	return []string{"Your approval no longer counts.", "Without enough others the rollout waits for approval again."}
}

func saysPause(r api.Rollout, _ api.Identity) []string {
	patched, former := builds(r)
	if patched == 0 {
		return []string{"No instance is patched yet, and none will be until somebody resumes the rollout."}
	}
	return []string{
		fmt.Sprintf("%s patched, and %s former.", stays(patched), stays(former)),
		"Nothing goes forward until somebody resumes the rollout. It can be rolled back at any time.",
	}
}

func stays(n int) string {
	if n == 1 {
		return "1 instance stays"
	}
	return fmt.Sprintf("%d instances stay", n)
}

func saysResume(r api.Rollout, _ api.Identity) []string {
	out := []string{"The rollout goes on where it stands."}
	if len(r.Holds) > 0 {
		out = append(out, "What it holds for is looked at again; while a reason stands, it holds again.")
	}
	if r.Verdict != nil && r.Verdict.Kind == api.VerdictInconclusive {
		out = append(out, "The judge could not decide on the present stage. It is judged afresh.")
	}
	return out
}

func saysPromote(r api.Rollout, by api.Identity) []string {
	s := lastStage(r)
	if s == nil {
		return []string{"There is no stage to promote."}
	}
	out := []string{
		fmt.Sprintf("Stage %d is taken for good without waiting for the judge. The record says that %s did it.", s.Number, by.Name),
		"This overrules the measurements.",
	}
	if r.Verdict != nil {
		out = append(out, fmt.Sprintf("The judge says %s so far: %s", r.Verdict.Kind, strings.TrimSuffix(r.Verdict.Reason, "."))+".")
	}
	if s.Percent < 100 {
		out = append(out, "The next stage patches more instances.")
	}
	return out
}

// back says how instances return.
func back(r api.Rollout) []string {
	patched, _ := builds(r)
	if patched == 0 && r.Former == nil {
		return []string{"No instance is patched, so nothing is changed back."}
	}
	version := "the former version"
	if r.Former != nil {
		version = fmt.Sprintf("job version %d, exactly as it was", r.Former.Version)
	}
	pace := "in steps within the budget, so that enough of them serve"
	if r.Decision.Rollback.AtOnce {
		pace = "all at the same time, since the policy says at_once"
	}
	return []string{fmt.Sprintf("%s to %s: %s.", returns(patched), version, pace)}
}

func returns(n int) string {
	if n == 1 {
		return "1 patched instance returns"
	}
	return fmt.Sprintf("%d patched instances return", n)
}

func saysAbort(r api.Rollout, _ api.Identity) []string {
	if r.Status == api.RolloutRollingBack {
		return []string{"The rollback ends as failed, and the job stays as it is now.", "Use this only where somebody else has changed the job on purpose."}
	}
	return append(back(r), "That says nothing against the patch: it may be submitted again.")
}

func saysRollback(r api.Rollout, _ api.Identity) []string {
	out := back(r)
	if r.Decision.Rollback.Quarantine {
		out = append(out, fmt.Sprintf("The patch %s is then quarantined for %s, until somebody lifts that.", r.Patch, r.Target))
	}
	return append(out, "Neither the brake nor a freeze holds a rollback.")
}

// builds counts patched and former instances.
func builds(r api.Rollout) (patched, former int) {
	for _, i := range r.Instances {
		switch i.Build {
		case api.BuildPatched:
			patched++
		case api.BuildFormer:
			former++
		case api.BuildForeign:
		}
	}
	return patched, former
}

// frees says what ends a hold, by what it waits for.
func frees(h api.Hold) string {
	switch h.Source {
	case "nomad", "consul", "prometheus":
		return "Ends by itself when " + h.Source + " answers."
	case "strategy":
		return "Ends when the strategy proposes a step that is possible."
	case "judge":
		return "Promote, resume or roll back by hand."
	case "brake":
		return "Ends when somebody takes the brake off."
	case "freeze":
		return "Ends with the freeze, or when its policy is changed."
	case "window":
		return "Ends when the window opens."
	case "budget":
		return "Ends when there is room in the budget again."
	case "room":
		return "Ends when Nomad has room for the instances."
	case "health":
		return "Ends when the instances that it names are healthy."
	case "instances":
		return "Ends when the instances are back, or what keeps them away is gone."
	case "job":
		return "Ends when the job is as the rollout left it, or what goes on there is over; else roll back or abort."
	case "target":
		return "Ends when the target is there again. When it stays away, so does the rollout."
	case "graph":
		return "Look at what it tries to call; then resume or roll back by hand."
	case "policies":
		return "Ends when the policies in force can be read and say that it may go on."
	case "simulator":
		return "Resume to try it in the sandbox again."
	case "image":
		return "Ends when every node has the image that was tried."
	case "verify":
		return "Ends when the proof of the fix succeeds; else roll back by hand."
	case "audit":
		return "Ends when an audit device takes entries again."
	}
	return ""
}
