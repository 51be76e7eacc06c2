package promql_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/promql"
)

func TestChangesOf_AsksForSeriesOneByOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		`sum by ($label) (x{$instances})`: {
			`label_replace(count by (a) (x{$instances} offset 5s unless x{$instances}), "oakum_change", "ended", "", "") or ` +
				`label_replace(count by (a) (x{$instances} unless x{$instances} offset 5s), "oakum_change", "began", "", "") or ` +
				`label_replace(count by (a) (resets(x{$instances}[20s]) > 0), "oakum_change", "reset", "", "")`,
			`count by (a) ((x{$instances} unless x{$instances} offset 5s) and last_over_time(x{$instances}[6h] offset 5s))`,
		},
		`sum by (a, le) (label_replace(x_bucket, "a", "$1", "pod", "(.*)"))`: {
			`label_replace(count by (a) (label_replace(x_bucket{le="+Inf"} offset 5s, "a", "$1", "pod", "(.*)") unless label_replace(x_bucket{le="+Inf"}, "a", "$1", "pod", "(.*)")), "oakum_change", "ended", "", "") or ` +
				`label_replace(count by (a) (label_replace(x_bucket{le="+Inf"}, "a", "$1", "pod", "(.*)") unless label_replace(x_bucket{le="+Inf"} offset 5s, "a", "$1", "pod", "(.*)")), "oakum_change", "began", "", "") or ` +
				`label_replace(count by (a) (label_replace(resets(x_bucket{le="+Inf"}[20s]), "a", "$1", "pod", "(.*)") > 0), "oakum_change", "reset", "", "")`,
			`count by (a) ((label_replace(x_bucket{le="+Inf"}, "a", "$1", "pod", "(.*)") unless label_replace(x_bucket{le="+Inf"} offset 5s, "a", "$1", "pod", "(.*)")) and ` +
				`label_replace(last_over_time(x_bucket{le="+Inf"}[6h] offset 5s), "a", "$1", "pod", "(.*)"))`,
		},
		`sum by (a) (histogram_count(x))`: {
			`label_replace(count by (a) (histogram_count(x offset 5s) unless histogram_count(x)), "oakum_change", "ended", "", "") or ` +
				`label_replace(count by (a) (histogram_count(x) unless histogram_count(x offset 5s)), "oakum_change", "began", "", "") or ` +
				`label_replace(count by (a) (resets(x[20s]) > 0), "oakum_change", "reset", "", "")`,
			`count by (a) ((histogram_count(x) unless histogram_count(x offset 5s)) and histogram_count(last_over_time(x[6h] offset 5s)))`,
		},
		`sum by (a) (x or y)`: {
			`label_replace(count by (a) ((x offset 5s or y offset 5s) unless (x or y)), "oakum_change", "ended", "", "") or ` +
				`label_replace(count by (a) ((x or y) unless (x offset 5s or y offset 5s)), "oakum_change", "began", "", "") or ` +
				`label_replace(count by (a) ((resets(x[20s]) or resets(y[20s])) > 0), "oakum_change", "reset", "", "")`,
			`count by (a) (((x or y) unless (x offset 5s or y offset 5s)) and (last_over_time(x[6h] offset 5s) or last_over_time(y[6h] offset 5s)))`,
		},
	} {
		got, ok := promql.ChangesOf(text, "a")
		must.True(t, ok, must.Sprint(text))
		must.Eq(t, want, [2]string{got.Since(5*time.Second, 15*time.Second), got.Back(5*time.Second, 6*time.Hour)})
	}
	for _, text := range []string{
		`sum by (a) (`, `clamp_min(x, 1)`, `sum by (a) (sum by (b) (x))`, `sum by (a) (x offset 1m)`, `sum by (a) (x @ 5)`, `sum by (a) (increase(x[1m]))`,
		`sum by (a) (max_over_time(x[1m:5s]))`,
	} {
		_, ok := promql.ChangesOf(text, "a")
		must.False(t, ok, must.Sprint(text))
	}
}
