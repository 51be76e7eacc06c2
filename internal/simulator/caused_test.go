package simulator

import (
	"context"
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestCaused_SaysWhyACallWasCutShort(t *testing.T) {
	t.Parallel()
	lost := errors.New("leadership was lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	cut := api.Errorf(api.CodeUnavailable, "list allocations: leadership was lost")
	must.EqOp(t, error(cut), caused(ctx, cut)) // nothing has ended yet
	cancel(lost)
	must.NoError(t, caused(ctx, nil))
	must.ErrorIs(t, caused(ctx, cut), lost)
	must.ErrorIs(t, caused(ctx, cut), cut)
	must.EqOp(t, lost, caused(ctx, lost))
}

func TestCaused_HasTheCodeOfTheCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(api.Errorf(api.CodeTimeout, "the simulation took longer than 15m0s"))
	err := caused(ctx, api.Errorf(api.CodeUnavailable, "list allocations: context canceled"))
	must.True(t, api.IsCode(err, api.CodeTimeout), must.Sprint(err))
}
