package service

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
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
