// Package phased is the strategy that patches a target share by share, each
// one judged before the next. It decides only from the view and the
// configuration, so that any server gives the same advice.
package phased

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// Name is how policies call it.
const Name = "phased"

// maxStages bounds a configuration: one stage per percent is the finest there is.
const maxStages = 100

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
// the stage before, and to finish once the share of 100 was judged well. A
// share that adds no instance (10 and 50 percent of two are one instance each)
// is passed over: there would be nothing new to judge.
func (Strategy) Advise(_ context.Context, view api.StrategyView) (api.Advice, error) {
	cfg := config{Stages: []int{10, 50, 100}}
	if err := sdk.DecodeConfig(view.Config, &cfg); err != nil {
		return api.Advice{}, err
	}
	if err := cfg.check(); err != nil {
		return api.Advice{}, err
	}
	if stop, ok := sdk.Stopped(view); ok {
		return stop, nil
	}

	percent, patched := 0, 0
	if n := len(view.Stages); n > 0 {
		last := view.Stages[n-1]
		if last.Percent >= 100 {
			return api.Advice{Action: api.AdviceFinish, Reason: "every instance runs the patch and the last stage was judged well"}, nil
		}
		percent, patched = last.Percent, last.Instances
	}
	for i, p := range cfg.Stages {
		if p <= percent || (p < 100 && api.CeilPercent(p, view.Target.Count) <= patched) {
			continue
		}
		return api.Advice{
			Action:  api.AdviceStage,
			Percent: p,
			Mode:    api.StageInPlace,
			Reason:  fmt.Sprintf("stage %d of %v percent", i+1, cfg.Stages),
		}, nil
	}
	// Not reachable while the list ends at 100 and the last stage is below it.
	return api.Advice{Action: api.AdviceHold, Reason: "no configured stage is left"}, nil
}

// check says what is wrong with a configuration that can't reach every
// instance step by step.
func (c config) check() error {
	if len(c.Stages) == 0 || len(c.Stages) > maxStages {
		return api.Errorf(api.CodeInvalid, "stages: has %d entries, want 1 to %d", len(c.Stages), maxStages)
	}
	before := 0
	for i, p := range c.Stages {
		if p < 1 || p > 100 {
			return api.Errorf(api.CodeInvalid, "stages[%d]: is %d, want a percentage from 1 to 100", i, p)
		}
		if p <= before {
			return api.Errorf(api.CodeInvalid, "stages[%d]: is %d, want more than %d: stages must rise", i, p, before)
		}
		before = p
	}
	if before != 100 {
		return api.Errorf(api.CodeInvalid, "stages: ends at %d, want 100: the patch would never reach every instance", before)
	}
	return nil
}
