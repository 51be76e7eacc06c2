// Package bluegreen is the strategy that starts a full set of patched instances
// beside the former ones, and takes the former ones away once the new set was
// judged well. The new set may grow in steps, each judged before the next: until
// then the services of the target send it no more than that step's share of their
// traffic. It decides only from the view and the configuration, so that any server
// gives the same advice.
package bluegreen

import (
	"context"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/shares"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// Name is how policies call it.
const Name = "blue_green"

// Strategy advises stages beside, the promotion, and the end.
type Strategy struct{}

var _ sdk.Strategy = Strategy{}

// config is the strategy's policy block.
type config struct {
	Stages []int `json:"stages"`
}

// Describe publishes the one attribute, stages. It has no default: without it the full
// set starts at once.
func (Strategy) Describe() sdk.Description {
	return sdk.Description{
		Name:    Name,
		Version: "1.1.0",
		Schema: api.ConfigSchema{Attributes: []api.ConfigAttribute{{
			Name: "stages",
			Type: "list(number)",
			Doc: "Sizes of the patched set in percent of the target's instances, rising, the last one 100. A judgement follows each. " +
				"Without it the full set starts at once.",
		}}},
	}
}

// Advise proposes the stages, each beside all former instances, then the promotion, then
// the end.
func (Strategy) Advise(_ context.Context, view api.StrategyView) (api.Advice, error) {
	var cfg config
	if err := sdk.DecodeConfig(view.Config, &cfg); err != nil {
		return api.Advice{}, err
	}
	if cfg.Stages == nil {
		cfg.Stages = []int{100}
	}
	if err := shares.Check(cfg.Stages); err != nil {
		return api.Advice{}, err
	}
	if stop, ok := sdk.Stopped(view); ok {
		return stop, nil
	}
	if percent, number := shares.Next(cfg.Stages, view); number > 0 {
		reason := "start a full set of patched instances beside the former ones"
		if percent < 100 {
			reason = fmt.Sprintf("start %d %% of the patched set beside the former instances, stage %d of %v percent", percent, number, cfg.Stages)
		}
		return api.Advice{Action: api.AdviceStage, Percent: percent, Mode: api.StageBeside, Reason: reason}, nil
	}
	if !view.Stages[len(view.Stages)-1].Promoted {
		return api.Advice{Action: api.AdvicePromote, Reason: "the patched set was judged well: take the former one away"}, nil
	}
	return api.Advice{Action: api.AdviceFinish, Reason: "every instance runs the patch"}, nil
}
