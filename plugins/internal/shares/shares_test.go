package shares_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/internal/shares"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stages []int
		want   string
	}{
		"all at once":        {[]int{100}, ""},
		"in steps":           {[]int{1, 10, 100}, ""},
		"none":               {nil, "stages: has 0 entries, want 1 to 100"},
		"too many":           {make([]int, 101), "stages: has 101 entries, want 1 to 100"},
		"nothing":            {[]int{0, 100}, "stages[0]: is 0, want a percentage from 1 to 100"},
		"more than all":      {[]int{10, 101}, "stages[1]: is 101, want a percentage from 1 to 100"},
		"the same twice":     {[]int{10, 10, 100}, "stages[1]: is 10, want more than 10: stages must rise"},
		"never all of them":  {[]int{10, 50}, "stages: ends at 50, want 100: the patch would never reach every instance"},
		"falling at the end": {[]int{100, 50}, "stages[1]: is 50, want more than 100: stages must rise"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := shares.Check(c.stages)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		count           int
		before          []api.Stage
		percent, number int
	}{
		"the first":                     {10, nil, 10, 1},
		"the one after it":              {10, []api.Stage{{Percent: 10, Instances: 1}}, 50, 2},
		"past one that adds nothing":    {2, []api.Stage{{Percent: 10, Instances: 1}}, 100, 3},
		"the whole adds nothing either": {1, []api.Stage{{Percent: 10, Instances: 1}}, 100, 3},
		"none is left":                  {10, []api.Stage{{Percent: 10, Instances: 1}, {Percent: 100, Instances: 10}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			view := api.StrategyView{Target: api.Target{Count: c.count}, Stages: c.before}
			percent, number := shares.Next([]int{10, 50, 100}, view)
			must.Eq(t, []int{c.percent, c.number}, []int{percent, number})
		})
	}
}
