// Command otelservice is an HTTP service as OpenTelemetry instruments one: the handler of its
// contrib package, and the exporter for Prometheus, both with their defaults. It listens on
// the address of its only argument. /fail fails, /metrics are the metrics.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	exporter, err := prometheus.New()
	if err != nil {
		return err
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))
	served := http.NewServeMux()
	served.HandleFunc("/fail", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	served.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	all := http.NewServeMux()
	all.Handle("/metrics", promhttp.Handler())
	all.Handle("/", otelhttp.NewHandler(served, "service"))
	return http.ListenAndServe(os.Args[1], all) //nolint:gosec // a test ends it
}
