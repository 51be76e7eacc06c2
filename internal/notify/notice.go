package notify

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/glob"
)

// Filter says of what a notifier is told.
type Filter struct {
	On         []api.NoticeKind // empty means all
	Namespaces []string         // patterns of the targets' namespaces; empty means all
}

// event is an event that a notice can tell of.
type event struct {
	api.Event
	kind   api.NoticeKind
	patch  string
	target api.TargetRef
}

// kinds are the kinds of notices by the types of events.
func kinds() map[string]api.NoticeKind {
	return map[string]api.NoticeKind{
		"rollout_" + string(api.RolloutAwaitingApproval): api.NoticeApproval,
		"rollout_" + string(api.RolloutHolding):          api.NoticeHold,
		"blocked":                                        api.NoticeHold,
		"rollout_" + string(api.RolloutRollingBack):      api.NoticeRollingBack,
		"rollout_" + string(api.RolloutRolledBack):       api.NoticeRolledBack,
		"rollout_" + string(api.RolloutRejected):         api.NoticeRejected,
		"rollout_" + string(api.RolloutFailed):           api.NoticeFailed,
		"rollout_" + string(api.RolloutCancelled):        api.NoticeCancelled,
		"rollout_" + string(api.RolloutComplete):         api.NoticeComplete,
		"proof_" + string(api.AssessmentAffected):        api.NoticeProof,
		"proof_" + string(api.AssessmentUnknown):         api.NoticeProof,
		"aftermath_worse":                                api.NoticeWorse,
		"brake_on":                                       api.NoticeBrake,
		"brake_off":                                      api.NoticeBrake,
	}
}

// read returns what an event tells, and whether the filter lets it through. The brake is
// everybody's.
func (f Filter) read(e api.Event) (event, bool) {
	kind, ok := kinds()[e.Type]
	if !ok || len(f.On) > 0 && !slices.Contains(f.On, kind) {
		return event{}, false
	}
	out := event{Event: e, kind: kind}
	if kind == api.NoticeBrake {
		return out, true
	}
	var note struct {
		Patch  string        `json:"patch"`
		Target api.TargetRef `json:"target"`
	}
	if err := json.Unmarshal(e.Payload, &note); err != nil {
		return event{}, false // can't be: the state machine wrote it
	}
	out.patch, out.target = note.Patch, note.Target
	matches := func(pattern string) bool { return glob.Match(note.Target.Namespace, pattern) }
	return out, len(f.Namespaces) == 0 || slices.ContainsFunc(f.Namespaces, matches)
}

// verbs say what several rollouts of one kind do.
func verbs() map[api.NoticeKind]string {
	return map[api.NoticeKind]string{
		api.NoticeApproval: "wait for an approval", api.NoticeHold: "hold", api.NoticeRollingBack: "are turned back",
		api.NoticeRolledBack: "were turned back", api.NoticeRejected: "were rejected by their simulations", api.NoticeFailed: "failed",
		api.NoticeCancelled: "were cancelled", api.NoticeComplete: "are complete", api.NoticeWorse: "have left their targets worse than before",
		api.NoticeProof: "are not known to have removed the fault",
	}
}

// group makes one notice of all events of one kind and one patch, in the order of their
// last events. Page is where the web pages of the cluster are, or "".
func group(events []event, cluster, page string) []api.Notice {
	var out []api.Notice
	for _, e := range events {
		i := slices.IndexFunc(out, func(n api.Notice) bool { return n.Kind == e.kind && n.Patch == e.patch })
		n := api.Notice{Kind: e.kind, Patch: e.patch, Cluster: cluster}
		if i >= 0 {
			n = out[i]
			out = slices.Delete(out, i, i+1)
		}
		n.At, n.Index = e.At, e.Index
		if len(n.Texts) < api.NoticeTexts {
			n.Texts = append(n.Texts, clean(e.Text))
		} else {
			n.More++
		}
		if e.kind != api.NoticeBrake && !slices.Contains(n.Rollouts, e.Key) {
			n.Rollouts = append(n.Rollouts, e.Key)
		}
		out = append(out, n)
	}
	for i := range out {
		n := &out[i]
		n.Title = n.Texts[len(n.Texts)-1]
		if len(n.Rollouts) > 1 {
			n.Title = fmt.Sprintf("patch %q: %d rollouts %s", n.Patch, len(n.Rollouts), verbs()[n.Kind])
		}
		switch {
		case page == "":
		case len(n.Rollouts) == 1:
			n.Link = page + "/ui/rollout/" + url.PathEscape(n.Rollouts[0])
		default:
			n.Link = page + "/ui/rollouts"
		}
	}
	return out
}

// textMax bounds one text: a chat refuses longer messages.
const textMax = 500

// clean leaves out what could move a terminal's cursor or break a message's lines, and
// whatever is too long. A text may hold what a script or a job wrote.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if runes := []rune(text); len(runes) > textMax {
		text = string(runes[:textMax-1]) + "…"
	}
	return text
}

// harmless keeps a chat from calling people or hiding a link by what a script or a job
// wrote: Slack reads <!channel>, others @everyone.
func harmless(text string) string {
	return strings.NewReplacer("<", "\u2039", ">", "\u203A", "@", "@\u200B").Replace(text)
}

// message is the text of a notice for a chat or a mail.
func message(n api.Notice) string {
	var out strings.Builder
	if len(n.Texts) == 1 {
		out.WriteString(n.Texts[0])
	} else {
		out.WriteString(n.Title + ":")
		for _, text := range n.Texts {
			out.WriteString("\n- " + text)
		}
		if n.More > 0 {
			fmt.Fprintf(&out, "\n- and %d more", n.More)
		}
	}
	text := harmless(out.String())
	if n.Link != "" {
		text += "\n" + n.Link
	}
	return text
}
