package promql_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/promql"
)

func TestMerge_CountsReplicasOnce(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`sum by ($label) (x{$instances})`:                        `sum by (alloc_id) (max without (replica) (x{$instances}))`,
		`sum by ($label) (irate(x{device!="a",$instances}[1m]))`: `sum by (alloc_id) (max without (replica) (irate(x{device!="a",$instances}[1m])))`,
		`(a + b) / 2`: `(max without (replica) (a) + max without (replica) (b)) / 2`,
		`a or -b`:     `max without (replica) (a) or -max without (replica) (b)`,
		`label_replace(a, "alloc_id", "$1", "instance", "(.*)")`: `label_replace(max without (replica) (a), "alloc_id", "$1", "instance", "(.*)")`,
		`max_over_time(rate(a[1m])[5m:])`:                        `max without (replica) (max_over_time(rate(a[1m])[5m:]))`,
		`sum by (`:                                               `sum by (`,
		`1`:                                                      `1`,
	} {
		must.Eq(t, want, promql.Merge(text, "alloc_id", []string{"replica"}), must.Sprint(text))
		must.Eq(t, text, promql.Merge(text, "alloc_id", nil))
	}
}

func TestEndpoints_AreThoseBehindASum(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`sum by ($label) (x{$instances})`:       `group by (a, job, instance) (x{$instances})`,
		`x`:                                     `group by (a, job, instance) (x)`,
		`sum by (a, le) (x_bucket{code="5"})`:   `group by (a, job, instance) (x_bucket{code="5"})`,
		`sum by (a) (x) + (sum by (a) (y) * 2)`: `group by (a, job, instance) (x) or group by (a, job, instance) (y)`,
		`sum by (a) (label_replace(x, "a", "$1", "pod", "(.*)"))`:           `group by (a, job, instance) (label_replace(x, "a", "$1", "pod", "(.*)"))`,
		`sum by (a) (x) or (sum by (a) (y) unless on (a) (sum by (a) (x)))`: `group by (a, job, instance) (x) or group by (a, job, instance) (y)`,
		`sum by (a) (max without (replica) (x))`:                            `group by (a, job, instance) (max without (replica) (x))`,
	} {
		got, ok := promql.Endpoints(text, "a")
		must.True(t, ok, must.Sprint(text))
		must.Eq(t, want, got)
	}
	for _, text := range []string{`sum by (a) (`, `sum by (a) (sum by (a) (x))`, `clamp_min(x, 1)`, `sum by (a) (x) + clamp_min(y, 1)`} {
		_, ok := promql.Endpoints(text, "a")
		must.False(t, ok, must.Sprint(text))
	}
}

func TestScale_IsInTheName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{
		`sum by (alloc_id, le) (http_server_request_duration_seconds_bucket{$instances})`: 1,
		`sum by ($label, le) (http_server_duration_milliseconds_bucket{$instances})`:      1e-3,
		`envoy_cluster_upstream_rq_time_bucket`:                                           1e-3,
		`mine_ms_bucket`:                                                                  1e-3,
		`a_microseconds_bucket`:                                                           1e-6,
		`a_nanoseconds`:                                                                   1e-9,
		`{__name__="http.server.duration_milliseconds_bucket"}`:                           1e-3,
		`a_seconds_bucket or b_milliseconds_bucket`:                                       1,
		`label_replace(label_replace(a_milliseconds_bucket, "ms", "$1", "le", "(.+)"), "le", "0.0$1", "ms", "(..)")`: 1,
		`items_bucket`: 1,
		`1`:            1,
		`sum by (`:     1,
	} {
		must.Eq(t, want, promql.Scale(text), must.Sprint(text))
	}
}
