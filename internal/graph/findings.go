package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Findings lists, for a viewed graph, what a person should look at and how to
// resolve it, sorted by kind, from and to.
func Findings(g api.Graph) []api.Finding {
	out := []api.Finding{}
	for _, e := range g.Edges {
		if f, ok := edgeFinding(e); ok {
			out = append(out, f)
		}
	}
	for _, c := range g.Criticality {
		if !c.SinglePoint {
			continue
		}
		f := api.Finding{Kind: api.FindingSinglePoint, To: c.Service}
		if len(c.Dominates) > 0 {
			f.Text = "every path to " + some(c.Dominates, 3) + " runs through it"
			f.Do = "run it on several nodes, patch it alone and late, or give its callers another way"
		} else {
			f.Text = fmt.Sprintf("it has one instance, and %s on it", plural(c.BlastRadius, "service depends", "services depend"))
			f.Do = "run a second instance"
		}
		out = append(out, f)
	}
	for _, s := range g.Sources {
		if f, ok := sourceFinding(s); ok {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b api.Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return out
}

// sourceFinding returns the finding about a source that is not whole.
func sourceFinding(s api.SourceStatus) (api.Finding, bool) {
	f := api.Finding{Kind: api.FindingSource, To: s.Name}
	switch s.State() {
	case api.SourceAway:
		f.Text, f.Do = s.String()+lastAnswer(s), "bring it back; its last good evidence is kept until then, and critical plans need an approval"
	case api.SourceFailing:
		f.Text, f.Do = s.String()+lastAnswer(s), "look whether it goes on: it counts as away, and critical plans need an approval, when it has failed for a while"
	case api.SourcePartial:
		f.Text, f.Do = s.Partial, "give it the rights or the mapping that it lacks; until then critical plans need an approval"
	case api.SourceWhole, api.SourceUnread:
		return f, false
	}
	return f, true
}

func lastAnswer(s api.SourceStatus) string {
	if s.LastOK.IsZero() {
		return "; it never did"
	}
	return "; its last answer was at " + s.LastOK.UTC().Format(time.RFC3339)
}

func edgeFinding(e api.Edge) (api.Finding, bool) {
	f := api.Finding{From: e.From, To: e.To}
	switch e.State {
	case api.EdgeObservedUndeclared:
		f.Kind, f.Text = api.FindingUndeclared, "traffic flows that nobody declared: "+governing(e)
		f.Do = fmt.Sprintf("add the intention %s => %s (allow)", e.From, e.To)
	case api.EdgeObservedOffMesh:
		f.Kind, f.Text = api.FindingOffMesh, "traffic flows outside of the mesh, where no intention can stop it"
		f.Do = "bring both into the mesh, or declare it in a policy: " + dependencyBlock(e)
	case api.EdgeObservedDenied:
		f.Kind, f.Text = api.FindingThoughDenied, "traffic flows although it is denied: "+governing(e)
		f.Do = "find out whether an old connection lives on or something goes past the mesh"
	case api.EdgeDeclaredStale:
		f.Kind, f.Text = api.FindingStale, "declared since "+since(e)+", and never used while traffic was watched"
		f.Do = stale(e)
	case api.EdgeDeniedAttempted:
		f.Kind, f.Text = api.FindingDeniedAttempt, "it is tried and refused: "+governing(e)
		f.Do = fmt.Sprintf("add the intention %s => %s (allow) if it should work, or stop the caller; after a patch, think of rolling back", e.From, e.To)
	case api.EdgeUnknown:
		f.Kind, f.Text = api.FindingUnknown, "declared, and what would tell whether it is used is hidden or missing"
		f.Do = "see the sources: give the token its rights, or connect a source of traffic"
	case api.EdgeConfirmed, api.EdgeDeclaredOnly, api.EdgeDenied, api.EdgeShared:
		return f, false
	}
	return f, true
}

// governing names the permission that decides about an edge.
func governing(e api.Edge) string {
	for _, v := range e.Evidence {
		if (v.Class == api.EvidenceAllowed || v.Class == api.EvidenceDenied) && !v.Attempt {
			if v.Detail == DefaultDetail {
				return "the default says " + string(v.Class)
			}
			return v.Detail
		}
	}
	return "no rule speaks of it"
}

// since is the first sight of an edge's oldest declaration.
func since(e api.Edge) string {
	var first time.Time
	for _, v := range e.Evidence {
		if v.Class != api.EvidenceShared && (first.IsZero() || v.FirstSeen.Before(first)) {
			first = v.FirstSeen
		}
	}
	return first.UTC().Format(time.DateOnly)
}

// stale says which declaration to remove.
func stale(e api.Edge) string {
	var what []string
	for _, v := range e.Evidence {
		switch {
		case v.Class == api.EvidenceAllowed && v.Exact:
			what = append(what, fmt.Sprintf("the intention %s => %s", e.From, e.To))
		case v.Class == api.EvidenceDeclared:
			what = append(what, fmt.Sprintf("%s from %s", v.Detail, v.Source))
		}
	}
	return "remove " + strings.Join(what, " and ") + ", or declare it in a policy: " + dependencyBlock(e)
}

func dependencyBlock(e api.Edge) string {
	return fmt.Sprintf("dependency %q { from = %q  to = %q }", e.From+"-"+e.To, e.From, e.To)
}
