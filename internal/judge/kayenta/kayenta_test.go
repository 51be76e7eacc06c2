package kayenta_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/judge/kayenta"
)

// number is a JSON number, or the text "NaN".
type number float64

func (n *number) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"NaN"` || string(raw) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(raw, (*float64)(n))
}

func floats(in []number) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = float64(v)
	}
	return out
}

type arms struct {
	Name       string
	Issue      string
	Control    []number
	Experiment []number
}

type cases struct {
	Classifier []struct {
		arms
		Classifier string
		Params     struct {
			Tolerance, ConfLevel                     float64
			EffectSizeThresholds, CriticalThresholds []float64
			EffectSizeMeasure                        kayenta.Measure
			Direction                                kayenta.Direction
			NanStrategy                              string
			IsCritical, IsDataRequired               bool
		}
		Expect struct {
			Classification kayenta.Class
			Critical       *bool
			Deviation      *number
			ReasonNonEmpty bool
		}
	}
	Mannwhitney []struct {
		Name, Kind string
		X, Y       []number
		ConfLevel  float64
		P, Value   float64
		Points     []struct{ Mu, Quantile, Value float64 }
		Expect     map[string]float64
		Tol        json.RawMessage
	}
	Detector []struct {
		Name     string
		Data     []number
		Detector struct {
			Type              string
			K, Factor         float64
			ReduceSensitivity bool
		}
		Outlier []bool
	}
	Transform []struct {
		Name, Op string
		In, Out  []number
	}
	Scorer []struct {
		Name         string
		GroupWeights map[string]float64
		Metrics      []struct {
			Name           string
			Classification kayenta.Class
			Critical       bool
			Groups         []string
		}
		SummaryScore float64
	}
	Statistic []struct {
		arms
		Op     string
		Data   []number
		Points []struct{ P, Value, Tol float64 }
		Expect json.RawMessage
		Tol    json.RawMessage
	}
	UserReported []struct {
		arms
		Tolerance, ConfLevel float64
		EffectSizeThresholds []float64
		Direction            kayenta.Direction
		KayentaOracle        kayenta.Class
	}
	MetamorphicScale struct {
		arms
		Cases []struct {
			Scale         float64
			KayentaOracle kayenta.Class
		}
	}
}

// load reads the sample of the cases that travels with the package, or all of
// them when OAKUM_DATA names their folder.
func load(t *testing.T) cases {
	t.Helper()
	path := filepath.Join("testdata", "cases.json")
	if dir := os.Getenv("OAKUM_DATA"); dir != "" {
		path = filepath.Join(dir, "kayenta_cases.json")
	}
	raw, err := os.ReadFile(path)
	must.NoError(t, err)
	var c cases
	must.NoError(t, json.Unmarshal(raw, &c))
	return c
}

func TestClassesAgreeWithKayenta(t *testing.T) {
	for _, c := range load(t).Classifier {
		t.Run(c.Name, func(t *testing.T) {
			if c.Classifier != "MannWhitney" {
				must.Eq(t, c.Expect.Classification, kayenta.Inequality(floats(c.Control), floats(c.Experiment)).Class)
				return
			}
			p := c.Params
			got := kayenta.Rules{
				Tolerance: p.Tolerance, Confidence: p.ConfLevel, Direction: p.Direction, Measure: p.EffectSizeMeasure,
				AllowedDecrease: p.EffectSizeThresholds[0], AllowedIncrease: p.EffectSizeThresholds[1],
				CriticalDecrease: p.CriticalThresholds[0], CriticalIncrease: p.CriticalThresholds[1],
				Critical: p.IsCritical, MustHaveData: p.IsDataRequired, ReplaceNaN: p.NanStrategy == "replace",
			}.Classify(floats(c.Control), floats(c.Experiment))
			if c.Expect.Classification != "" {
				must.Eq(t, c.Expect.Classification, got.Class, must.Sprint(got.Reason))
			}
			if c.Expect.Critical != nil {
				must.Eq(t, *c.Expect.Critical, got.Critical)
			}
			if c.Expect.Deviation != nil {
				same(t, float64(*c.Expect.Deviation), got.Deviation, 1e-9)
			}
			must.NotEq(t, "", got.Reason)
		})
	}
}

// same compares numbers of which both may be NaN.
func same(t *testing.T, want, got, tolerance float64) {
	t.Helper()
	if math.IsNaN(want) {
		must.True(t, math.IsNaN(got))
		return
	}
	must.InDelta(t, want, got, tolerance+1e-12)
}

func TestMannWhitneyAgreesWithKayenta(t *testing.T) {
	for _, c := range load(t).Mannwhitney {
		t.Run(c.Name, func(t *testing.T) {
			x, y := floats(c.X), floats(c.Y)
			switch c.Kind {
			case "wilcoxonDiff":
				for _, p := range c.Points {
					must.InDelta(t, p.Value, kayenta.RankSum(x, y, p.Mu)-p.Quantile, 1e-6)
				}
			case "mannWhitneyU", "intermediates":
				got := kayenta.Shift(x, y, c.ConfLevel)
				tolerance := map[string]float64{"estimate": 1e-6}
				_ = json.Unmarshal(c.Tol, &tolerance) // one number stands for all
				must.InDelta(t, c.Expect["ciLower"], got.Low, 1e-6)
				must.InDelta(t, c.Expect["ciUpper"], got.High, 1e-6)
				must.InDelta(t, c.Expect["estimate"], got.Estimate, tolerance["estimate"])
				if c.Kind == "intermediates" {
					must.InDelta(t, c.Expect["fLower_zLower"], kayenta.RankSum(x, y, c.Expect["muMin"])-c.Expect["zLower"], 1e-6)
					must.InDelta(t, c.Expect["fUpper_zUpper"], kayenta.RankSum(x, y, c.Expect["muMax"])-c.Expect["zUpper"], 1e-6)
				}
			}
		})
	}
}

func TestOutliersAgreeWithKayenta(t *testing.T) {
	for _, c := range load(t).Detector {
		got := kayenta.Outliers(floats(c.Data), c.Detector.Factor, c.Detector.ReduceSensitivity)
		if c.Detector.Type == "ksigma" {
			got = kayenta.Deviants(floats(c.Data), c.Detector.K)
		}
		must.SliceEqOp(t, c.Outlier, got, must.Sprint(c.Name))
	}
}

func TestTransformsAgreeWithKayenta(t *testing.T) {
	for _, c := range load(t).Transform {
		in := floats(c.In)
		var got []float64
		switch c.Op {
		case "removeNaN":
			got = kayenta.Rules{}.Clean(in)
		case "replaceNaN0":
			got = kayenta.Rules{ReplaceNaN: true}.Clean(in)
		case "removeOutliers iqr factor=1.5":
			got = kayenta.Without(in, kayenta.Outliers(in, 1.5, true))
		case "removeOutliers ksigma k=3.0":
			got = kayenta.Without(in, kayenta.Deviants(in, 3))
		default:
			t.Fatalf("unknown transformation %q", c.Op)
		}
		must.SliceEqOp(t, floats(c.Out), got, must.Sprint(c.Name))
	}
}

func TestScoresAgreeWithKayenta(t *testing.T) {
	for _, c := range load(t).Scorer {
		var metrics []kayenta.Metric
		for _, m := range c.Metrics {
			metrics = append(metrics, kayenta.Metric{Name: m.Name, Class: m.Classification, Critical: m.Critical, Groups: m.Groups})
		}
		got, _ := kayenta.Score(metrics, c.GroupWeights)
		must.InDelta(t, c.SummaryScore, got, 0.005, must.Sprint(c.Name))
	}
}

func TestStatisticsAgreeWithKayenta(t *testing.T) {
	for _, c := range load(t).Statistic {
		t.Run(c.Name, func(t *testing.T) {
			if c.Op == "percentile_R7" {
				for _, p := range c.Points {
					must.InDelta(t, p.Value, kayenta.Percentile(floats(c.Data), p.P/100), p.Tol+1e-9)
				}
				return
			}
			if c.Op == "summary" {
				var want struct{ Min, Max, Mean, Std, Count float64 }
				must.NoError(t, json.Unmarshal(c.Expect, &want))
				got := kayenta.Summarise(floats(c.Data))
				must.Eq(t, want.Count, float64(got.Count))
				must.Eq(t, want.Min, got.Min)
				must.Eq(t, want.Max, got.Max)
				must.InDelta(t, want.Mean, got.Mean, 1e-9)
				must.InDelta(t, want.Std, got.Deviation, 1e-4)
				return
			}
			var want number
			must.NoError(t, json.Unmarshal(c.Expect, &want))
			var tolerance float64
			must.NoError(t, json.Unmarshal(c.Tol, &tolerance))
			x, y := floats(c.Experiment), floats(c.Control)
			switch c.Op {
			case "meanRatio":
				same(t, float64(want), kayenta.Ratio(x, y), tolerance)
			case "cles":
				same(t, float64(want), kayenta.Larger(x, y), tolerance)
			case "cohenD":
				same(t, float64(want), kayenta.Cohen(x, y), tolerance)
			default:
				t.Fatalf("unknown statistic %q", c.Op)
			}
		})
	}
}

func TestReportedArraysAreAnsweredAsByKayenta(t *testing.T) {
	all := load(t)
	for _, c := range all.UserReported {
		r := kayenta.Defaults()
		r.Tolerance, r.Confidence = c.Tolerance, c.ConfLevel
		r.AllowedDecrease, r.AllowedIncrease = c.EffectSizeThresholds[0], c.EffectSizeThresholds[1]
		if c.Direction != "" {
			r.Direction = c.Direction
		}
		must.Eq(t, c.KayentaOracle, r.Classify(floats(c.Control), floats(c.Experiment)).Class, must.Sprint(c.Issue))
	}
	for _, c := range all.MetamorphicScale.Cases {
		x, y := floats(all.MetamorphicScale.Experiment), floats(all.MetamorphicScale.Control)
		for i := range x {
			x[i] *= c.Scale
		}
		for i := range y {
			y[i] *= c.Scale
		}
		must.Eq(t, c.KayentaOracle, kayenta.Defaults().Classify(y, x).Class, must.Sprintf("scale %g", c.Scale))
	}
}

// TestRankSumAgreesWithSciPy compares with the z scores of
// scipy.stats.mannwhitneyu, recorded by ../../stats/testdata/oracle.py.
func TestRankSumAgreesWithSciPy(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "stats", "testdata", "oracle.json"))
	must.NoError(t, err)
	var want struct {
		Cases []struct {
			X, Y []float64
			Z    float64
		} `json:"rank_sum"`
	}
	must.NoError(t, json.Unmarshal(raw, &want))
	must.SliceNotEmpty(t, want.Cases)
	for _, c := range want.Cases {
		must.InDelta(t, c.Z, kayenta.RankSum(c.X, c.Y, 0), 1e-6)
	}
}
