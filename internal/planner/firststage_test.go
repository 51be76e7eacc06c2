package planner_test

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

func TestFirstStage_IsWhatTheStrategyBeginsWith(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		count           int
		strategy        string
		config          string
		patched, former int
	}{
		{25, "phased", `{"stages":[10,50,100]}`, 3, 22},
		{3, "phased", `{"stages":[1,100]}`, 1, 2},
		{4, "phased", `{"stages":[100]}`, 4, 0},
		{4, "blue_green", `{}`, 4, 4},
		{25, "blue_green", `{"stages":[10,100]}`, 3, 25},
		{0, "blue_green", ``, 1, 1},
		{4, "of_a_plugin", `{}`, 4, 4},
	} {
		planned := api.PlannedTarget{Target: api.Target{Count: c.count}}
		planned.Decision.Strategy = api.StrategySpec{Name: c.strategy, Config: json.RawMessage(c.config)}
		patched, former := planner.FirstStage(planned)
		must.Eq(t, []int{c.patched, c.former}, []int{patched, former}, must.Sprint(c))
	}
}
