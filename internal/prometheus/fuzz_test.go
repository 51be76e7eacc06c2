package prometheus_test

import (
	"testing"

	"github.com/oakumhq/oakum/internal/prometheus"
)

// FuzzNewFamily holds that no query of an operator upsets the check of it.
func FuzzNewFamily(f *testing.F) {
	f.Add("sum by (a, b) (rate(x[$window]))", "a", "b")
	f.Add("sum without (a) (x) / on (b) group_left y or vector(1)", "a", "b")
	f.Add("x{a=~\"\\\"", "", "b")
	f.Add("with (f(x) = sum(x) by (a)) f(y)", "a", "c")
	f.Fuzz(func(t *testing.T, query, from, to string) {
		_, err := prometheus.NewFamily(prometheus.Custom{Name: "x", From: from, To: to, Queries: map[prometheus.Measure]string{prometheus.Bytes: query}})
		if err == nil && (from == "" || to == "" || query == "") {
			t.Fatal("took a description without labels or without a query")
		}
	})
}
