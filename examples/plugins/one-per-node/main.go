// Command one-per-node is a strategy plugin as a third party would write it, in
// a module of its own. Each stage patches as many instances as there are nodes
// that run the target, so that a fault in the patch meets every node early and
// no node with more than its share.
//
//	strategy "one_per_node" { per_node = 1 }
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/sdk"
)

type onePerNode struct{}

func main() { sdk.Serve(onePerNode{}) }

// Describe names the strategy and its one attribute.
func (onePerNode) Describe() sdk.Description {
	return sdk.Description{
		Name:    "one_per_node",
		Version: "0.1.0",
		Schema: api.ConfigSchema{Attributes: []api.ConfigAttribute{{
			Name:    "per_node",
			Type:    "number",
			Default: json.RawMessage(`1`),
			Doc:     "How many more instances per node each stage patches.",
		}}},
	}
}

// Advise proposes the next stage from the number of nodes.
func (onePerNode) Advise(_ context.Context, view api.StrategyView) (api.Advice, error) {
	config := struct {
		PerNode int `json:"per_node"`
	}{PerNode: 1}
	if err := sdk.DecodeConfig(view.Config, &config); err != nil {
		return api.Advice{}, err
	}
	if config.PerNode < 1 {
		return api.Advice{}, api.Errorf(api.CodeInvalid, "per_node: is %d, want 1 or more", config.PerNode)
	}
	if stop, ok := sdk.Stopped(view); ok {
		return stop, nil
	}

	var last api.Stage
	if n := len(view.Stages); n > 0 {
		last = view.Stages[n-1]
	}
	if last.Percent >= 100 {
		return api.Advice{Action: api.AdviceFinish, Reason: "every instance on every node runs the patch"}, nil
	}
	nodes := make(map[string]bool)
	for _, i := range view.Instances {
		nodes[i.Node] = true
	}
	want := last.Instances + max(1, len(nodes)*config.PerNode)
	// Rounded down, since the host rounds up: never more than the share.
	percent := max(last.Percent+1, 100*want/max(1, view.Target.Count))
	return api.Advice{
		Action:  api.AdviceStage,
		Percent: min(100, percent),
		Mode:    api.StageInPlace,
		Reason:  fmt.Sprintf("%d more on each of %d nodes", config.PerNode, len(nodes)),
	}, nil
}
