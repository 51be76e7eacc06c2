package graph_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// TestAttempts_AreThoseThatThePatchBegan: only what a service of the target tries
// for the first time after the patch speaks against it.
func TestAttempts_AreThoseThatThePatchBegan(t *testing.T) {
	t.Parallel()
	patched := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	before, after, later := patched.Add(-time.Hour), patched.Add(time.Minute), patched.Add(2*time.Minute)
	tried := func(at time.Time) api.Evidence {
		return api.Evidence{Source: "prometheus", Class: api.EvidenceDenied, Exact: true, Attempt: true, FirstSeen: at}
	}
	byDefault := func(at time.Time) api.Evidence {
		return api.Evidence{Source: "consul-intentions", Class: api.EvidenceDenied, Detail: graph.DefaultDetail, FirstSeen: at}
	}
	exact := func(at time.Time) api.Evidence {
		return api.Evidence{Source: "consul-intentions", Class: api.EvidenceDenied, Exact: true, Detail: "intention a => b denies", FirstSeen: at}
	}
	cases := map[string]struct {
		from     string
		state    api.EdgeState
		evidence []api.Evidence
		rule     string // "" means that it is no sign
	}{
		"a call that the default denies":         {"catalog", api.EdgeDeniedAttempted, []api.Evidence{byDefault(after), tried(after)}, "the default says denied"},
		"one that an old intention denies":       {"catalog", api.EdgeDeniedAttempted, []api.Evidence{exact(before), tried(after)}, "intention a => b denies"},
		"a new upstream that the default denies": {"catalog", api.EdgeDeniedAttempted, []api.Evidence{byDefault(after), tried(later)}, "the default says denied"},
		"one that was tried before":              {"catalog", api.EdgeDeniedAttempted, []api.Evidence{byDefault(before), tried(before)}, ""},
		"one that another source saw before":     {"catalog", api.EdgeDeniedAttempted, []api.Evidence{tried(before), tried(after)}, ""},
		"one that is forbidden since the patch":  {"catalog", api.EdgeDeniedAttempted, []api.Evidence{exact(after), tried(later)}, ""},
		"one of another service":                 {"store", api.EdgeDeniedAttempted, []api.Evidence{byDefault(after), tried(after)}, ""},
		"one that got through":                   {"catalog", api.EdgeObservedDenied, []api.Evidence{byDefault(after), tried(after)}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edges := []api.Edge{{From: c.from, To: "admin", State: c.state, Evidence: c.evidence}}
			got := graph.Attempts(edges, []string{"catalog"}, patched)
			if c.rule == "" {
				must.SliceEmpty(t, got)
				return
			}
			must.SliceLen(t, 1, got)
			must.EqOp(t, c.rule, got[0].Rule)
			must.True(t, got[0].Since.After(patched))
		})
	}
}
