package access_test

import (
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/glob"
)

func identity(grants ...api.Grant) api.Identity {
	return api.Identity{Name: "ann", Capabilities: access.Held(grants), Grants: grants}
}

func reads(namespaces, jobs []string) api.Grant {
	return api.Grant{Rule: "r", Capabilities: []api.Capability{api.CapRead}, Namespaces: namespaces, Jobs: jobs}
}

func denies(namespaces, jobs []string) api.Grant {
	g := reads(namespaces, jobs)
	g.Deny = true
	return g
}

func TestReaches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		by         api.Identity
		a, b       bool // reads a/web/web, b/db/db
		everywhere bool
		held       bool
	}{
		"no grant":                     {by: identity()},
		"no rules, as in -dev":         {by: api.Identity{Capabilities: []api.Capability{api.CapRead}}, a: true, b: true, everywhere: true, held: true},
		"everywhere":                   {by: identity(reads(nil, nil)), a: true, b: true, everywhere: true, held: true},
		"every namespace by a pattern": {by: identity(reads([]string{"*"}, nil)), a: true, b: true, everywhere: true, held: true},
		"one namespace":                {by: identity(reads([]string{"a"}, nil)), a: true, held: true},
		"a pattern of jobs":            {by: identity(reads(nil, []string{"d?"})), b: true, held: true},
		"both must match":              {by: identity(reads([]string{"a"}, []string{"db"})), held: true},
		"two rules":                    {by: identity(reads([]string{"a"}, nil), reads([]string{"b"}, nil)), a: true, b: true, held: true},
		"a denial wins":                {by: identity(reads(nil, nil), denies([]string{"b"}, nil)), a: true, held: true},
		"a denial wins, in any order":  {by: identity(denies([]string{"b"}, nil), reads(nil, nil)), a: true, held: true},
		"a denial of everything":       {by: identity(reads(nil, nil), denies(nil, nil))},
		"a denial alone gives nothing": {by: identity(denies([]string{"b"}, nil))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must.Eq(t, tc.a, access.Reaches(tc.by, api.CapRead, api.TargetRef{Namespace: "a", Job: "web", Group: "web"}))
			must.Eq(t, tc.b, access.Reaches(tc.by, api.CapRead, api.TargetRef{Namespace: "b", Job: "db", Group: "db"}))
			must.Eq(t, tc.everywhere, access.Everywhere(tc.by, api.CapRead))
			must.Eq(t, tc.held, tc.by.Can(api.CapRead))
			must.False(t, access.Reaches(tc.by, api.CapOperator, api.TargetRef{Namespace: "a", Job: "web", Group: "web"}))
		})
	}
}

// TestCovers_PromisesEveryTarget holds what a selector is let through for to what each
// target that it can choose is let through for.
func TestCovers_PromisesEveryTarget(t *testing.T) {
	t.Parallel()
	pattern := rapid.StringMatching(`[ab*?]{1,4}`)
	globs := rapid.SliceOfN(pattern, 0, 2)
	rapid.Check(t, func(t *rapid.T) {
		var grants []api.Grant
		for range rapid.IntRange(0, 4).Draw(t, "grants") {
			g := reads(globs.Draw(t, "namespaces"), globs.Draw(t, "jobs"))
			g.Deny = rapid.Bool().Draw(t, "deny")
			grants = append(grants, g)
		}
		if grants == nil {
			grants = []api.Grant{}
		}
		by := identity(grants...)
		s := api.TargetSelector{Namespace: pattern.Draw(t, "namespace"), Jobs: rapid.SliceOfN(pattern, 1, 2).Draw(t, "selected")}
		name := rapid.StringMatching(`[ab]{0,5}`)
		ref := api.TargetRef{Namespace: name.Draw(t, "of"), Job: name.Draw(t, "job"), Group: "g"}
		chosen := glob.Match(ref.Namespace, s.Namespace) && (glob.Match(ref.Job, s.Jobs[0]) || glob.Match(ref.Job, s.Jobs[len(s.Jobs)-1]))
		if chosen && access.Covers(by, api.CapRead, s) {
			must.True(t, access.Reaches(by, api.CapRead, ref))
		}
		if access.Everywhere(by, api.CapRead) {
			must.True(t, access.Reaches(by, api.CapRead, ref))
			must.True(t, access.Covers(by, api.CapRead, s))
		}
		if access.Reaches(by, api.CapRead, ref) {
			must.True(t, by.Can(api.CapRead))
		}
	})
}

func TestCovers(t *testing.T) {
	t.Parallel()
	team := identity(reads([]string{"team-*"}, []string{"web-*", "db"}), denies([]string{"team-secret"}, nil))
	for name, tc := range map[string]struct {
		namespace string
		jobs      []string
		want      bool
	}{
		"names":                        {"team-a", []string{"web-1", "db"}, true},
		"the same pattern":             {"team-a", []string{"web-*"}, true},
		"a narrower pattern":           {"team-a", []string{"web-shop-*"}, true},
		"a wider pattern":              {"team-a", []string{"w*"}, false},
		"one job too many":             {"team-a", []string{"db", "payroll"}, false},
		"another namespace":            {"prod", []string{"db"}, false},
		"what is denied":               {"team-secret", []string{"db"}, false},
		"a pattern that may be denied": {"team-s*", []string{"db"}, false},
		"a pattern that can not be":    {"team-b*", []string{"db"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must.Eq(t, tc.want, access.Covers(team, api.CapRead, api.TargetSelector{Namespace: tc.namespace, Jobs: tc.jobs}))
		})
	}
}
