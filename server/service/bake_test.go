package service

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestFirstStageIsWhatTheStrategyBeginsWith(t *testing.T) {
	for _, c := range []struct {
		count          int
		config         string
		canary, stable int
	}{
		{25, `{"stages":[10,50,100]}`, 3, 22},
		{3, `{"stages":[1,100]}`, 1, 2},
		{4, `{"stages":[100]}`, 4, 0},
		{4, `{}`, 4, 4},
		{0, ``, 1, 1},
	} {
		planned := api.PlannedTarget{Target: api.Target{Count: c.count}}
		planned.Decision.Strategy.Config = json.RawMessage(c.config)
		canary, stable := firstStage(planned)
		must.Eq(t, c.canary, canary)
		must.Eq(t, c.stable, stable)
	}
}
