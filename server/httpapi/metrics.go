package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "oakum_http_request_seconds",
		Help: "Time to answer a request, by route. Blocking queries and streams count their wait.",
		// From a local read to a blocking query's default wait.
		Buckets: []float64{.001, .005, .025, .1, .5, 2, 10, 60, 300},
	}, []string{"method", "route", "code"})}
	registry.MustRegister(m.seconds)
	return m
}

func (m metrics) observe(rt route, code int, took time.Duration) {
	m.seconds.WithLabelValues(rt.method, rt.path, strconv.Itoa(code)).Observe(took.Seconds())
}
