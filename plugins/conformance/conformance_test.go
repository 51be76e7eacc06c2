package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/builtin/bluegreen"
	"github.com/oakumhq/oakum/plugins/builtin/phased"
	"github.com/oakumhq/oakum/plugins/builtin/selective"
	"github.com/oakumhq/oakum/plugins/conformance"
)

func TestRun_BuiltinsConform(t *testing.T) {
	cases := map[string]struct {
		advise conformance.Advise
		config string
	}{
		"phased with its defaults": {phased.Strategy{}.Advise, ``},
		"phased in one":            {phased.Strategy{}.Advise, `{"stages":[100]}`},
		"phased by single percent": {phased.Strategy{}.Advise, percentages(t)},
		"selective":                {selective.Strategy{}.Advise, `{}`},
		"blue green":               {bluegreen.Strategy{}.Advise, `{}`},
		"blue green in steps":      {bluegreen.Strategy{}.Advise, `{"stages":[1,10,50,100]}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var config json.RawMessage
			if c.config != "" {
				config = json.RawMessage(c.config)
			}
			for _, r := range conformance.Failed(conformance.Run(t.Context(), c.advise, config)) {
				t.Errorf("%s: %s", r.Check, r.Detail)
			}
		})
	}
}

func percentages(t *testing.T) string {
	var list []int
	for p := 1; p <= 100; p++ {
		list = append(list, p)
	}
	b, err := json.Marshal(map[string][]int{"stages": list})
	must.NoError(t, err)
	return string(b)
}

// TestRun_CondemnsBadStrategies shows that each check can fail.
func TestRun_CondemnsBadStrategies(t *testing.T) {
	good := phased.Strategy{}
	calls := 0
	cases := map[string]struct {
		advise conformance.Advise
		check  string // one that must fail
	}{
		"overshoots": {
			func(context.Context, api.StrategyView) (api.Advice, error) {
				return api.Advice{Action: api.AdviceStage, Percent: 110, Mode: api.StageInPlace, Reason: "more"}, nil
			}, "finishes when every verdict promotes",
		},
		"never ends": {
			func(context.Context, api.StrategyView) (api.Advice, error) {
				return api.Advice{Action: api.AdviceHold, Reason: "later"}, nil
			}, "finishes when every verdict promotes",
		},
		"changes its mind": {
			func(ctx context.Context, v api.StrategyView) (api.Advice, error) {
				calls++
				a, err := good.Advise(ctx, v)
				if calls%2 == 0 {
					a.Reason += " again"
				}
				return a, err
			}, "answers the same for the same view",
		},
		"ignores verdicts": {
			func(ctx context.Context, v api.StrategyView) (api.Advice, error) {
				v.Verdict = nil
				for i := range v.Stages {
					v.Stages[i].Judged = time.Unix(1, 0)
				}
				return good.Advise(ctx, v)
			}, "stops when a verdict aborts",
		},
		"takes inconclusive for promote": {
			func(ctx context.Context, v api.StrategyView) (api.Advice, error) {
				if v.Verdict != nil && v.Verdict.Kind == api.VerdictInconclusive {
					v.Stages[len(v.Stages)-1].Judged = time.Unix(1, 0)
				}
				return good.Advise(ctx, v)
			}, "does not move forward without a verdict",
		},
		"swallows its configuration": {
			func(ctx context.Context, v api.StrategyView) (api.Advice, error) {
				v.Config = nil
				return good.Advise(ctx, v)
			}, "refuses an unreadable configuration",
		},
		"fails": {
			func(context.Context, api.StrategyView) (api.Advice, error) {
				return api.Advice{}, errors.New("no idea")
			}, "finishes when every verdict promotes",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			failed := map[string]bool{}
			for _, r := range conformance.Failed(conformance.Run(t.Context(), c.advise, nil)) {
				must.NotEq(t, "", r.Detail)
				failed[r.Check] = true
			}
			must.True(t, failed[c.check], must.Sprintf("failed checks: %v", failed))
		})
	}
}
