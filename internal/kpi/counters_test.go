package kpi

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestHistogram_WithBoundsAtOrBelowZero is OpenTelemetry's default: the first bucket
// counts what took no time, and is empty.
func TestHistogram_WithBoundsAtOrBelowZero(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		les          []string
		counts       []float64
		upper, count []float64
	}{
		"first bound 0":     {[]string{"0.0", "0.005", "1.0", "+Inf"}, []float64{0, 400, 990, 1000}, []float64{0.005, 1}, []float64{400, 990, 1000}},
		"counts in it":      {[]string{"0", "0.005", "+Inf"}, []float64{3, 400, 1000}, []float64{0.005}, []float64{400, 1000}},
		"negative bounds":   {[]string{"-1", "0", "1", "+Inf"}, []float64{0, 1, 2, 3}, []float64{1}, []float64{2, 3}},
		"nothing above":     {[]string{"-1", "0", "+Inf"}, []float64{0, 1, 3}, nil, nil},
		"without the last":  {[]string{"0", "1"}, []float64{0, 1}, nil, nil},
		"a bound twice":     {[]string{"0", "1", "1.0", "+Inf"}, []float64{0, 1, 1, 2}, nil, nil},
		"only the last one": {[]string{"+Inf"}, []float64{2}, nil, nil},
	} {
		var buckets []Series
		for i, le := range c.les {
			s := of("a", c.counts[i])
			s.Labels["le"] = le
			buckets = append(buckets, s)
		}
		r := NewReader(answers{"_bucket": buckets, "http_requests_total": {of("a", 1000)}}, nil, Queries{})
		got, err := r.Read(t.Context(), []api.KPISpec{{KPI: "latency_p99"}}, []string{"a"}, began())
		must.NoError(t, err)
		must.Eq(t, c.upper, got.Counters["a"].Upper, must.Sprint(name))
		must.Eq(t, c.count, []float64(got.Counters["a"].Buckets), must.Sprint(name))
	}
}
