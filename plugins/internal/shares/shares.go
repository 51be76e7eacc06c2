// Package shares has the list of rising percentages by which built-in strategies take
// their stages. It decides only from its arguments.
package shares

import "github.com/oakumhq/oakum/api"

// most bounds a list: one stage per percent is the finest there is.
const most = 100

// Check says what is wrong with a list that can't reach every instance step by step. The
// error has code invalid and names the element.
func Check(stages []int) error {
	if len(stages) == 0 || len(stages) > most {
		return api.Errorf(api.CodeInvalid, "stages: has %d entries, want 1 to %d", len(stages), most)
	}
	before := 0
	for i, p := range stages {
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

// Next is the first share of a list that patches more instances than the stages so far,
// with its number from 1; 0 and 0 when none is left. A share that adds no instance (10 and
// 50 percent of two are one instance each) is passed over: there would be nothing new to
// judge.
func Next(stages []int, view api.StrategyView) (percent, number int) {
	last := api.Stage{}
	if n := len(view.Stages); n > 0 {
		last = view.Stages[n-1]
	}
	for i, p := range stages {
		if p > last.Percent && (p == 100 || api.CeilPercent(p, view.Target.Count) > last.Instances) {
			return p, i + 1
		}
	}
	return 0, 0
}
