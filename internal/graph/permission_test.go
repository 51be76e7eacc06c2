package graph_test

import (
	"slices"
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// TestPermissions_FollowConsulsNineLevels walks down Consul's nine levels: with the rules
// of one level taken away, the next one decides.
func TestPermissions_FollowConsulsNineLevels(t *testing.T) {
	t.Parallel()
	levels := []struct {
		from, to   string
		precedence int
	}{
		{"web", "db", 9}, {"default/*", "db", 8}, {"*", "db", 7},
		{"web", "default/*", 6}, {"default/*", "default/*", 5}, {"*", "default/*", 4},
		{"web", "*", 3}, {"default/*", "*", 2}, {"*", "*", 1},
	}
	var p graph.Permissions
	for i, l := range levels {
		must.Eq(t, l.precedence, graph.PrecedenceOf(l.from, l.to), must.Sprintf("%s => %s", l.from, l.to))
		p.Rules = append(p.Rules, graph.Rule{From: l.from, To: l.to, Precedence: l.precedence, Allow: i%2 == 0, Detail: l.from + " => " + l.to})
	}
	slices.Reverse(p.Rules)
	p.Default = api.EvidenceDenied
	for i := range levels {
		got, ok := p.Decide(graph.Pair{From: "web", To: "db"})
		must.True(t, ok)
		must.Eq(t, levels[i].from+" => "+levels[i].to, got.Detail)
		must.Eq(t, i == 0, got.Exact)
		must.Eq(t, i%2 == 0, got.Class == api.EvidenceAllowed)
		p.Rules = p.Rules[:len(p.Rules)-1]
	}
	got, _ := p.Decide(graph.Pair{From: "web", To: "db"})
	must.Eq(t, graph.DefaultDetail, got.Detail)
}

func TestPermissions_KeepWildcardsInTheirNamespaceAndPeer(t *testing.T) {
	t.Parallel()
	p := graph.Permissions{Rules: []graph.Rule{
		{From: "team/*", To: "db", Allow: true, Precedence: 8, Detail: "team"},
		{From: "*@east", To: "db", Allow: true, Precedence: 8, Detail: "east"},
		{From: "default/*", To: "db", Allow: true, Precedence: 8, Detail: "default namespace"},
	}}
	for from, want := range map[string]string{"team/web": "team", "web": "default namespace", "web@east": "east", "other/web": "", "web@west": ""} {
		got, ok := p.Decide(graph.Pair{From: from, To: "db"})
		must.Eq(t, want != "", ok, must.Sprint(from))
		if ok {
			must.Eq(t, want, got.Detail)
		}
	}
	must.Eq(t, 0, len(p.Expand(nil)), must.Sprint("a wildcard makes no pairs up"))
}

// TestDecide_AgreesWithTheDefinition compares the index with the plain reading of
// the rules: of all that match, the highest precedence, and of equals a denial.
func TestDecide_AgreesWithTheDefinition(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "team/a", "a@east"}
	patterns := append(slices.Clone(names), "*", "default/*", "team/*", "*@east")
	matches := func(pattern, name string) bool {
		switch pattern {
		case name:
			return true
		case "*":
			return name != "a@east"
		case "default/*":
			return name == "a" || name == "b"
		case "team/*":
			return name == "team/a"
		case "*@east":
			return name == "a@east"
		}
		return false
	}
	rapid.Check(t, func(t *rapid.T) {
		var p graph.Permissions
		for range rapid.IntRange(0, 8).Draw(t, "rules") {
			r := graph.Rule{From: rapid.SampledFrom(patterns).Draw(t, "from"), To: rapid.SampledFrom(patterns).Draw(t, "to"), Allow: rapid.Bool().Draw(t, "allow")}
			r.Precedence = graph.PrecedenceOf(r.From, r.To)
			p.Rules = append(p.Rules, r)
		}
		pair := graph.Pair{From: rapid.SampledFrom(names).Draw(t, "caller"), To: rapid.SampledFrom(names).Draw(t, "callee")}
		best, allow := 0, false
		for _, r := range p.Rules {
			if !matches(r.From, pair.From) || !matches(r.To, pair.To) {
				continue
			}
			if r.Precedence > best {
				best, allow = r.Precedence, r.Allow
			} else if r.Precedence == best {
				allow = allow && r.Allow
			}
		}
		got, ok := p.Decide(pair)
		must.Eq(t, best > 0, ok)
		if ok {
			must.Eq(t, allow, got.Class == api.EvidenceAllowed)
		}
	})
}
