package metric_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/examples/shop/metric"
	"github.com/shoenig/test/must"
)

func TestWrite(t *testing.T) {
	set := metric.New(time.Unix(1767225600, 500_000_000))
	set.Add("http_requests_total", metric.Label("code", "500"), 0)
	set.Add("http_requests_total", metric.Label("code", "200"), 2)
	set.Gauge("shop_build_info", metric.Label("version", `1"0`), 1)
	set.Observe("http_request_duration_seconds", 3*time.Millisecond)
	set.Observe("http_request_duration_seconds", 4*time.Millisecond)
	set.Observe("http_request_duration_seconds", time.Minute)

	var out strings.Builder
	must.NoError(t, set.Write(&out))
	for _, line := range []string{
		"# TYPE http_requests_total counter",
		`http_requests_total{code="200"} 2`,
		`http_requests_total{code="500"} 0`,
		`shop_build_info{version="1\"0"} 1`,
		`http_request_duration_seconds_bucket{le="0.002"} 0`,
		`http_request_duration_seconds_bucket{le="0.003"} 1`, // a bound belongs to its bucket
		`http_request_duration_seconds_bucket{le="0.005"} 2`,
		`http_request_duration_seconds_bucket{le="5"} 2`,
		`http_request_duration_seconds_bucket{le="+Inf"} 3`,
		"http_request_duration_seconds_sum 60.007",
		"http_request_duration_seconds_count 3",
		"process_start_time_seconds 1767225600.5",
	} {
		must.StrContains(t, out.String(), line+"\n")
	}
	must.StrContains(t, out.String(), "\nprocess_cpu_seconds_total 0")
	must.Eq(t, 2, set.Counter("http_requests_total", metric.Label("code", "200")))
}
