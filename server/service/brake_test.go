package service

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

func TestBrake_HoldsANewPatchAndSaysSo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	_, err := f.Brake(t.Context(), api.BrakeRequest{On: true, Reason: " "}, ada())
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	b, err := f.Brake(t.Context(), api.BrakeRequest{On: true, Reason: "checkout is slow"}, ada())
	must.NoError(t, err)
	must.Eq(t, f.state.Brake(), b)
	must.True(t, b.On)
	must.EqOp(t, "ada", b.By)

	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	must.Eq(t, &b, receipt.Brake)
	must.Len(t, 1, receipt.Rollouts)

	b, err = f.Brake(t.Context(), api.BrakeRequest{}, ada())
	must.NoError(t, err)
	must.False(t, b.On)
	f.log.err = api.Errorf(api.CodeTimeout, "no answer from the cluster in time")
	_, err = f.Brake(t.Context(), api.BrakeRequest{On: true, Reason: "checkout is slow"}, ada())
	must.True(t, api.IsCode(err, api.CodeTimeout), must.Sprint(err))
}

// frozen is a policy with a freeze that is on.
func frozen(applies string) state.Command {
	return &state.PolicyPut{Policy: api.Policy{Name: "freeze", File: api.SourceFile{Name: "freeze.hcl", Text: `policy "freeze" {
  applies = ` + applies + `
  freeze "now" {
    from   = "2026-03-01"
    to     = "2026-03-09"
    reason = "trading freeze"
  }
}`}}}
}

func TestCalendar_IsThatOfThePoliciesInForce(t *testing.T) {
	t.Parallel()
	f, id := submitted(t)
	r, _ := f.state.Rollout(id)
	d, err := f.Calendar(r)
	must.NoError(t, err)
	must.SliceEmpty(t, d.Freezes)

	t.Log("a freeze that is applied while the rollout runs is in it, and one that is deleted is not")
	f.put(t, frozen("true"))
	must.SliceEmpty(t, r.Decision.Freezes)
	d, err = f.Calendar(r)
	must.NoError(t, err)
	freeze, on := d.Frozen(epoch())
	must.True(t, on)
	must.EqOp(t, `freeze "freeze/now" until 2026-03-09T00:00:00Z: trading freeze`, freeze.String())
	f.put(t, &state.PolicyDelete{Name: "freeze"})
	d, err = f.Calendar(r)
	must.NoError(t, err)
	must.SliceEmpty(t, d.Freezes)

	t.Log("what can't be read or evaluated is unknown")
	f.put(t, frozen("impact.ratio.cpu > 2"))
	_, err = f.Calendar(r)
	must.Error(t, err)
	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "freeze", File: api.SourceFile{Name: "freeze.hcl", Text: `policy "freeze" {`}}})
	_, err = f.Calendar(r)
	must.Error(t, err)
	f.put(t, frozen("true"))
	r.Simulation = "forgotten"
	_, err = f.Calendar(r)
	must.ErrorContains(t, err, "what simulation forgotten showed is not known any more; abort the rollout and submit its patch again")
}
