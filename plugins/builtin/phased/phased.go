// Package phased is the strategy that patches a target share by share, each
// one judged before the next. It decides only from the view and the
// configuration, so that any server gives the same advice.
package phased

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/shares"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// Name is how policies call it.
const Name = "phased"

// Strategy advises stages in place.
type Strategy struct{}

var _ sdk.Strategy = Strategy{}

// config is the strategy's policy block.
type config struct {
	Stages []int `json:"stages"`
}

// Describe publishes the one attribute, stages.
func (Strategy) Describe() sdk.Description {
	return sdk.Description{
		Name:    Name,
		Version: "1.0.0",
		Schema: api.ConfigSchema{Attributes: []api.ConfigAttribute{{
			Name:    "stages",
			Type:    "list(number)",
			Default: json.RawMessage(`[10,50,100]`),
			Doc:     "Shares of the target's instances in percent, rising, the last one 100. A judgement follows each.",
		}}},
	}
}

// Advise proposes the first configured share that patches more instances than
// the stage before, and to finish once the share of 100 was judged well.
func (Strategy) Advise(_ context.Context, view api.StrategyView) (api.Advice, error) {
	cfg := config{Stages: []int{10, 50, 100}}
	if err := sdk.DecodeConfig(view.Config, &cfg); err != nil {
		return api.Advice{}, err
	}
	if err := shares.Check(cfg.Stages); err != nil {
		return api.Advice{}, err
	}
	if stop, ok := sdk.Stopped(view); ok {
		return stop, nil
	}

	if n := len(view.Stages); n > 0 && view.Stages[n-1].Percent >= 100 {
		return api.Advice{Action: api.AdviceFinish, Reason: "every instance runs the patch and the last stage was judged well"}, nil
	}
	percent, number := shares.Next(cfg.Stages, view)
	return api.Advice{
		Action:  api.AdviceStage,
		Percent: percent,
		Mode:    api.StageInPlace,
		Reason:  fmt.Sprintf("stage %d of %v percent", number, cfg.Stages),
	}, nil
}
