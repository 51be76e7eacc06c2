package main

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/conformance"
)

func TestStrategy_Conforms(t *testing.T) {
	for _, config := range []string{`{}`, `{"per_node":3}`} {
		for _, r := range conformance.Failed(conformance.Run(t.Context(), onePerNode{}.Advise, json.RawMessage(config))) {
			t.Errorf("%s: %s: %s", config, r.Check, r.Detail)
		}
	}
}

func TestStrategy_StagesFollowTheNodes(t *testing.T) {
	view := api.StrategyView{Target: api.Target{Count: 10}}
	for _, node := range []string{"a", "b", "c", "a", "b", "c", "a", "b", "c", "a"} {
		view.Instances = append(view.Instances, api.Instance{Node: node})
	}
	advice, err := onePerNode{}.Advise(t.Context(), view)
	must.NoError(t, err)
	must.Eq(t, api.Advice{Action: api.AdviceStage, Percent: 30, Mode: api.StageInPlace, Reason: "1 more on each of 3 nodes"}, advice)
}
