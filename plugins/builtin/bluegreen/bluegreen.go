// Package bluegreen is the strategy that starts a full set of patched instances
// beside the former ones, and takes the former ones away once the new set was
// judged well. It decides only from the view.
package bluegreen

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// Name is how policies call it.
const Name = "blue_green"

// Strategy advises one stage beside, the promotion, and the end.
type Strategy struct{}

var _ sdk.Strategy = Strategy{}

// Describe publishes an empty schema: there is nothing to configure.
func (Strategy) Describe() sdk.Description {
	return sdk.Description{Name: Name, Version: "1.0.0"}
}

// Advise proposes the stage, then the promotion, then the end.
func (Strategy) Advise(_ context.Context, view api.StrategyView) (api.Advice, error) {
	if err := sdk.DecodeConfig(view.Config, &struct{}{}); err != nil {
		return api.Advice{}, err
	}
	if stop, ok := sdk.Stopped(view); ok {
		return stop, nil
	}
	n := len(view.Stages)
	if n == 0 {
		return api.Advice{
			Action: api.AdviceStage, Percent: 100, Mode: api.StageBeside,
			Reason: "start a full set of patched instances beside the former ones",
		}, nil
	}
	if !view.Stages[n-1].Promoted {
		return api.Advice{Action: api.AdvicePromote, Reason: "the patched set was judged well: take the former one away"}, nil
	}
	return api.Advice{Action: api.AdviceFinish, Reason: "every instance runs the patch"}, nil
}
