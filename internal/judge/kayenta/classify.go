package kayenta

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Class is the judge's result for one metric.
type Class string

// Classes. High and Low are differences beyond what is allowed; NodataFail is a
// metric without data that must have some.
const (
	Pass       Class = "Pass"
	High       Class = "High"
	Low        Class = "Low"
	Nodata     Class = "Nodata"
	NodataFail Class = "NodataFailMetric"
)

// Direction says which differences count.
type Direction string

// Directions.
const (
	Either   Direction = "either"
	Increase Direction = "increase"
	Decrease Direction = "decrease"
)

// Measure names the way in which the size of an effect is given.
type Measure string

// Measures: the ratio of the means, experiment over control, and the chance that
// a value of the experiment is larger than one of the control (ties half).
const (
	MeanRatio Measure = "meanRatio"
	CLES      Measure = "cles"
)

// Rules are how one metric is judged.
type Rules struct {
	Tolerance  float64 // share of the estimated shift that the interval must exceed
	Confidence float64 // of the interval, 0 to 1
	Direction  Direction
	Measure    Measure
	// An effect from AllowedDecrease to AllowedIncrease, exclusive, is none.
	AllowedDecrease, AllowedIncrease   float64
	CriticalDecrease, CriticalIncrease float64 // a critical metric is critical from here on
	Critical                           bool
	MustHaveData                       bool
	ReplaceNaN                         bool // by 0, instead of removing it
}

// Defaults are the rules of the default judge.
func Defaults() Rules {
	return Rules{Tolerance: 0.25, Confidence: 0.98, Direction: Either, Measure: MeanRatio,
		AllowedDecrease: 1, AllowedIncrease: 1, CriticalDecrease: 1, CriticalIncrease: 1}
}

// Result is the class of a metric, the reason, and the size of the effect. The size
// is NaN if the effect has none.
type Result struct {
	Class     Class
	Reason    string
	Deviation float64
	Critical  bool
}

// Clean removes or replaces the values that are not numbers.
func (r Rules) Clean(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		switch {
		case !math.IsNaN(v):
			out = append(out, v)
		case r.ReplaceNaN:
			out = append(out, 0)
		}
	}
	return out
}

// Classify compares an experiment with a control.
func (r Rules) Classify(control, experiment []float64) Result {
	y, x := r.Clean(control), r.Clean(experiment)
	if len(x) == 0 || len(y) == 0 {
		return r.nodata(len(x) == 0)
	}
	sx, sy := slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	switch {
	case slices.Equal(sx, sy):
		return Result{Class: Pass, Reason: "experiment and control are identical", Deviation: 1}
	case sx[0] == sx[len(sx)-1] && sy[0] == sy[len(sy)-1]:
		if sx[0] == sy[0] {
			return Result{Class: Pass, Reason: "all values are the same", Deviation: 1}
		}
		x, y = spread(x), spread(y)
	}
	effect := r.effect(sx, sy)
	shift := Shift(x, y, r.Confidence)
	bound := r.Tolerance * math.Abs(shift.Estimate)
	unknown := math.IsNaN(effect)
	out := Result{Class: Pass, Deviation: effect,
		Reason: fmt.Sprintf("the shift is %.3g, between %.3g and %.3g", shift.Estimate, shift.Low, shift.High)}
	switch {
	case r.Direction != Decrease && shift.Low > bound && (unknown || effect >= r.AllowedIncrease):
		out.Class = High
		out.Critical = r.Critical && (unknown || effect >= r.CriticalIncrease)
	case r.Direction != Increase && shift.High < -bound && (unknown || effect <= r.AllowedDecrease):
		out.Class = Low
		out.Critical = r.Critical && (unknown || effect <= r.CriticalDecrease)
	}
	return out
}

func (r Rules) nodata(experiment bool) Result {
	out := Result{Class: Nodata, Reason: "the control has no data", Deviation: 1, Critical: r.Critical}
	if experiment {
		out.Reason = "the experiment has no data"
	}
	switch {
	case r.ReplaceNaN:
		out.Class, out.Critical = Pass, false
	case r.MustHaveData && !r.Critical:
		out.Class = NodataFail
	}
	return out
}

func (r Rules) effect(x, y []float64) float64 {
	if r.Measure == CLES {
		return Larger(x, y)
	}
	return Ratio(x, y)
}

// Ratio is the mean of x over the mean of y. It is NaN if either mean is 0.
func Ratio(x, y []float64) float64 {
	mx, my := stat.Mean(x, nil), stat.Mean(y, nil)
	if mx == 0 || my == 0 {
		return math.NaN()
	}
	return mx / my
}

// Larger is the chance that a value of x is larger than one of y, ties counting
// half (the common language effect size of McGraw and Wong).
func Larger(x, y []float64) float64 {
	var sum float64
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > b:
				sum++
			case a == b:
				sum += 0.5
			}
		}
	}
	return sum / float64(len(x)*len(y))
}

// Cohen is the difference of the means of x and y in pooled standard deviations.
func Cohen(x, y []float64) float64 {
	nx, ny := float64(len(x)), float64(len(y))
	pooled := ((nx-1)*stat.Variance(x, nil) + (ny-1)*stat.Variance(y, nil)) / (nx + ny - 2)
	return math.Abs(stat.Mean(x, nil)-stat.Mean(y, nil)) / math.Sqrt(pooled)
}

// spread gives a constant series the noise that Kayenta adds to it, a hundred
// thousandth of its value: here the quantiles of the normal distribution instead
// of random numbers, so that a verdict can be repeated.
func spread(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * (1 + 1e-5*distuv.UnitNormal.Quantile((float64(i)+0.5)/float64(len(values))))
	}
	return out
}

// Percentile is the share p, 0 to 1, of values by linear interpolation (type 7
// of Hyndman and Fan).
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := p * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Outliers marks what lies further than factor times the interquartile range
// beyond the quartiles. With reduced sensitivity nothing within the first and
// the last percentile counts either.
func Outliers(values []float64, factor float64, reduced bool) []bool {
	q1, q3 := Percentile(values, 0.25), Percentile(values, 0.75)
	low, high := q1-factor*(q3-q1), q3+factor*(q3-q1)
	if reduced {
		low, high = min(low, Percentile(values, 0.01)), max(high, Percentile(values, 0.99))
	}
	out := make([]bool, len(values))
	for i, v := range values {
		out[i] = v < low || v > high
	}
	return out
}

// Deviants marks the values that lie more than k standard deviations from the mean.
func Deviants(values []float64, k float64) []bool {
	mean, deviation := stat.PopMeanStdDev(values, nil)
	out := make([]bool, len(values))
	for i, v := range values {
		out[i] = math.Abs(v-mean) > k*deviation
	}
	return out
}

// Without leaves out the marked values.
func Without(values []float64, marked []bool) []float64 {
	var out []float64
	for i, v := range values {
		if !marked[i] {
			out = append(out, v)
		}
	}
	return out
}

// Inequality is Kayenta's plain classifier: the larger mean decides.
func Inequality(control, experiment []float64) Result {
	if len(control) == 0 || len(experiment) == 0 {
		return Rules{}.nodata(len(experiment) == 0)
	}
	y, x := stat.Mean(control, nil), stat.Mean(experiment, nil)
	out := Result{Class: Pass, Reason: fmt.Sprintf("the mean is %.3g against %.3g", x, y), Deviation: Ratio(experiment, control)}
	switch {
	case x > y:
		out.Class = High
	case x < y:
		out.Class = Low
	}
	return out
}

// Summary describes values; all is 0 without any.
type Summary struct {
	Count                     int
	Min, Max, Mean, Deviation float64
}

// Summarise describes values.
func Summarise(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	s := Summary{Count: len(values), Min: slices.Min(values), Max: slices.Max(values), Mean: stat.Mean(values, nil)}
	if len(values) > 1 {
		s.Deviation = stat.StdDev(values, nil)
	}
	return s
}
