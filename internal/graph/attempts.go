package graph

import (
	"cmp"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Attempts lists the denied calls of the services in from that began after since,
// the oldest first. It leaves out a pair that was tried before. It also leaves out
// a pair whose own intention began to forbid it after since: there the rule is
// new, and the call is not.
func Attempts(edges []api.Edge, from []string, since time.Time) []api.Attempt {
	var out []api.Attempt
	for _, e := range edges {
		if e.State != api.EdgeDeniedAttempted || !slices.Contains(from, e.From) {
			continue
		}
		var first, forbidden time.Time
		for _, v := range e.Evidence {
			switch {
			case v.Attempt && (first.IsZero() || v.FirstSeen.Before(first)):
				first = v.FirstSeen
			case v.Class == api.EvidenceDenied && !v.Attempt && v.Exact:
				forbidden = v.FirstSeen
			}
		}
		if !first.After(since) || (forbidden.After(since) && forbidden.Before(first)) {
			continue
		}
		out = append(out, api.Attempt{From: e.From, To: e.To, Since: first, Rule: governing(e)})
	}
	slices.SortFunc(out, func(a, b api.Attempt) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return out
}
