package service

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

func own(body string) api.SourceFile {
	return api.SourceFile{Name: "policies/own.hcl", Text: "policy \"own\" {\n  applies = target.namespace == \"prod\"\n" + body + "\n}\n"}
}

func TestApplyPolicy_PutsAFileInForce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	p, err := f.ApplyPolicy(t.Context(), own(`  strategy "phased" { stages = [50, 100] }`), ada())
	must.NoError(t, err)
	must.EqOp(t, "own", p.Name)
	must.EqOp(t, "ada", p.AppliedBy)
	must.EqOp(t, epoch(), p.AppliedAt)
	must.EqOp(t, f.state.Index(), p.ModifyIndex)
	receipt, err := f.PlanPatch(t.Context(), patch(`"web"`), api.Identity{})
	must.NoError(t, err)
	strategy := receipt.Plan.Waves[0].Targets[0].Decision.Strategy
	must.EqOp(t, "phased", strategy.Name)
	must.EqOp(t, `{"stages":[50,100]}`, string(strategy.Config))
}

// TestApplyPolicy_SaysWhereTheFileIsWrong also asks for a mere validation, which
// must say the same.
func TestApplyPolicy_SaysWhereTheFileIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file api.SourceFile
		want string
	}{
		"an unknown attribute":  {own(`  stratgy = "phased"`), "policies/own.hcl:3,3"},
		"an unknown strategy":   {own(`  strategy "canary" {}`), "policies/own.hcl:3,12"},
		"a wrong type":          {own(`  strategy "phased" { stages = "all" }`), "policies/own.hcl:3,32"},
		"no HCL":                {own(`  strategy {`), "policies/own.hcl:1,14: Unclosed configuration block"},
		"a second of its name":  {api.SourceFile{Name: "twice.hcl", Text: `policy "default" {}`}, `twice.hcl:1,1`},
		"an unknown identifier": {own(`  critical = graf.blast_radius > 2`), "policies/own.hcl:3,14"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, target("web"))
			before := f.state.Hash()
			_, err := f.ApplyPolicy(t.Context(), c.file, ada())
			must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
			known := api.AsError(err)
			must.StrContains(t, known.Message+"\n"+strings.Join(known.Details, "\n"), c.want)
			must.Eq(t, err, f.ValidatePolicy(c.file))
			must.EqOp(t, before, f.state.Hash())
		})
	}
}

// TestApplyPolicy_MendsOneOfSeveral: a version may refuse what the one before took. Until all
// of it is mended nothing goes forward.
func TestApplyPolicy_MendsOneOfSeveral(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	old := func(name string) api.SourceFile {
		return api.SourceFile{Name: name + ".hcl", Text: "policy \"" + name + "\" {\n  window \"w\" {\n    start = \"0 2 13 * 5\"\n    length = \"1h\"\n  }\n}\n"}
	}
	for _, name := range []string{"one", "two"} {
		f.put(t, &state.PolicyPut{Policy: api.Policy{Name: name, File: old(name)}})
	}
	for _, name := range []string{"one", "two"} {
		_, err := f.PlanPatch(t.Context(), patch(`"web"`), api.Identity{})
		must.ErrorContains(t, err, "a day of the month beside a weekday")
		_, err = f.ApplyPolicy(t.Context(), old(name), ada())
		must.Error(t, err)
		mended := old(name)
		mended.Text = strings.Replace(mended.Text, "13 * 5", "* * 5#2", 1)
		_, err = f.ApplyPolicy(t.Context(), mended, ada())
		must.NoError(t, err)
	}
	_, err := f.PlanPatch(t.Context(), patch(`"web"`), api.Identity{})
	must.NoError(t, err)
}

func TestValidatePolicy_ChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	before := f.state.Hash()
	must.NoError(t, f.ValidatePolicy(own(`  strategy "phased" {}`)))
	must.EqOp(t, before, f.state.Hash())
}

func TestDeletePolicy_KeepsWhatShipsWithOakum(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	err := f.DeletePolicy(t.Context(), "default", ada())
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.ErrorContains(t, err, `policy "default" ships with oakum; apply a file of the same name to replace it`)
	must.True(t, api.IsCode(f.DeletePolicy(t.Context(), "own", ada()), api.CodeNotFound))

	_, err = f.ApplyPolicy(t.Context(), own(`  strategy "phased" {}`), ada())
	must.NoError(t, err)
	must.NoError(t, f.DeletePolicy(t.Context(), "own", ada()))
	_, ok := f.state.Policy("own")
	must.False(t, ok)
}

func TestShipPolicies_ReplacesOnlyWhatShippedBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	library := func(strategy string) []api.SourceFile {
		return []api.SourceFile{{Name: "default.hcl", Text: "policy \"default\" {\n  strategy \"" + strategy + "\" {}\n}\n"}}
	}
	must.NoError(t, f.ShipPolicies(t.Context(), library("phased")))
	p, _ := f.state.Policy("default")
	must.StrContains(t, p.File.Text, "phased", must.Sprint("a newer version brings newer policies"))
	must.True(t, p.Builtin)
	must.EqOp(t, "oakum test", p.AppliedBy)
	before := f.state.Index()
	must.NoError(t, f.ShipPolicies(t.Context(), library("phased")))
	must.EqOp(t, before, f.state.Index(), must.Sprint("the next leader finds them there"))

	_, err := f.ApplyPolicy(t.Context(), library("blue_green")[0], ada())
	must.NoError(t, err)
	must.NoError(t, f.ShipPolicies(t.Context(), library("phased")))
	p, _ = f.state.Policy("default")
	must.StrContains(t, p.File.Text, "blue_green", must.Sprint("what a person applied stays"))

	must.True(t, api.IsCode(f.ShipPolicies(t.Context(), library("gone")), api.CodeInvalid))
	f.log.err = api.Errorf(api.CodeNoLeader, "s2 does not lead")
	fresh := library("phased")
	fresh[0].Name = "more.hcl"
	must.ErrorContains(t, f.ShipPolicies(t.Context(), fresh), "ship policy more: s2 does not lead")
}

// countingStore counts what is read of the state.
type countingStore struct {
	*state.Store
	policies, graphs int
}

func (c *countingStore) Policies() []api.Policy { c.policies++; return c.Store.Policies() }

func (c *countingStore) Graph() api.Graph { c.graphs++; return c.Store.Graph() }

func TestPolicyCache_CompilesOnceForEachChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := &countingStore{Store: f.state}
	cache := NewPolicyCache(store, schemas)
	must.EqOp(t, 0, store.policies, must.Sprint("nothing is compiled before somebody asks"))
	first, err := cache.Library()
	must.NoError(t, err)
	second, err := cache.Library()
	must.NoError(t, err)
	must.True(t, first == second)
	f.put(t, calls("web", "db"))
	_, err = cache.Library()
	must.NoError(t, err)
	must.EqOp(t, 1, store.policies, must.Sprint("another part of the state is no change of the policies"))

	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "own", File: own(`  strategy "phased" {}`)}})
	third, err := cache.Library()
	must.NoError(t, err)
	must.False(t, first == third)
	must.EqOp(t, 2, store.policies)

	t.Log("what does not compile is an error until it is mended, and then the library again")
	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "own", File: own(`  strategy "gone" {}`)}})
	for range 2 {
		_, err = cache.Library()
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	}
	f.put(t, &state.PolicyDelete{Name: "own"})
	_, err = cache.Library()
	must.NoError(t, err)
}
