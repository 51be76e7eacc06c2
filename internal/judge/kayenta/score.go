package kayenta

import (
	"maps"
	"math"
	"slices"
)

// Metric is a judged metric with the groups that it counts in.
type Metric struct {
	Name     string
	Class    Class
	Critical bool // and a difference, or missing data, of a metric that is critical
	Groups   []string
}

// PassScore is the summary from which the whole passes by default.
const PassScore = 75.0

// MarginalScore is the summary below which the whole fails by default.
const MarginalScore = 50.0

// nodataMost is the share of metrics without data that fails the whole.
const nodataMost = 0.5

// Score sums up metrics by group, 0 to 100. Weights are percentages. Groups without
// a weight share the remaining percentage equally.
func Score(metrics []Metric, weights map[string]float64) (summary float64, groups map[string]float64) {
	type tally struct{ passed, counted, nodata float64 }
	tallies := map[string]*tally{}
	nodata, critical := 0, false
	for _, m := range metrics {
		critical = critical || m.Critical && m.Class != Pass
		if m.Class == Nodata {
			nodata++
		}
		for _, g := range m.Groups {
			t := tallies[g]
			if t == nil {
				t = &tally{}
				tallies[g] = t
			}
			switch m.Class {
			case Nodata:
				t.nodata++
			case Pass:
				t.passed++
				t.counted++
			default:
				t.counted++
			}
		}
	}
	groups = map[string]float64{}
	given, open := 0.0, 0.0
	for g := range tallies {
		if w, ok := weights[g]; ok {
			given += w
		} else {
			open++
		}
	}
	for _, g := range slices.Sorted(maps.Keys(tallies)) {
		t := tallies[g]
		weight, ok := weights[g]
		if !ok {
			weight = (100 - given) / open
		}
		counts := 100.0 // a group of nothing but missing data reports 0 and counts as passed
		if t.counted > 0 {
			counts = 100 * t.passed / t.counted
			groups[g] = counts
		} else {
			groups[g] = 0
		}
		summary += counts * weight / 100
	}
	if critical || len(metrics) == 0 || float64(nodata)/float64(len(metrics)) >= nodataMost {
		return 0, groups
	}
	return math.Round(summary*100) / 100, groups
}
