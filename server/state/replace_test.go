package state_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// Of two submissions of one name that were checked at the same moment, the second does not
// take the place of the first. A cluster of an older level is told of no index.
func TestPatchSubmit_ReplacesOnlyWhatItWasCheckedAgainst(t *testing.T) {
	t.Parallel()
	at7 := at(t, levels.Seven)
	first := submission("p1", "d1", web())
	first.Former = new(uint64(0))
	must.NoError(t, at7.commit(first))
	taken, _ := at7.store.Patch("ssl")

	second := submission("p2", "d1", db())
	second.Former = new(uint64(0))
	before := at7.store.Hash()
	err := at7.commit(second)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.ErrorContains(t, err, `patch "ssl": a patch of that name was submitted at the same moment`)
	must.EqOp(t, before, at7.store.Hash())

	second.Former = new(taken.ModifyIndex)
	must.NoError(t, at7.commit(second))
	must.EqOp(t, uint64(0), *first.Former, must.Sprint("the submission itself is not changed"))

	at6 := at(t, levels.Six)
	must.NoError(t, at6.commit(first))
	second.Former = new(uint64(0))
	must.NoError(t, at6.commit(second))
}
