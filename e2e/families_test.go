//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// exposition is metrics as each kind of agent documents them. $N grows by about
// N each second; everything else stands.
const exposition = `
envoy_cluster_upstream_cx_tx_bytes_total{$ENVOY} $1000
envoy_cluster_upstream_cx_rx_bytes_total{$ENVOY} $3000
envoy_cluster_upstream_rq_total{$ENVOY} $20
envoy_cluster_upstream_rq_xx{$ENVOY,envoy_response_code_class="5"} $2
envoy_cluster_upstream_rq_xx{$ENVOY,envoy_response_code_class="2"} $18
envoy_cluster_upstream_rq{$ENVOY,envoy_response_code="403"} $1
envoy_cluster_upstream_rq_time_sum{$ENVOY} $500
envoy_cluster_upstream_rq_time_count{$ENVOY} $20
envoy_cluster_upstream_cx_active{$ENVOY} 4
envoy_cluster_membership_total{$ENVOY} 3
envoy_cluster_membership_healthy{$ENVOY} 2
envoy_cluster_upstream_cx_tx_bytes_total{local_cluster="web",consul_source_service="web",envoy_cluster_name="local_app"} $9000
envoy_cluster_upstream_cx_rx_bytes_total{local_cluster="web",consul_source_service="web",envoy_cluster_name="local_app"} $9000
traces_service_graph_request_total{client="checkout",server="payment",connection_type=""} $10
traces_service_graph_request_failed_total{client="checkout",server="payment",connection_type=""} $1
traces_service_graph_request_client_seconds_sum{client="checkout",server="payment",connection_type=""} $2
traces_service_graph_request_client_seconds_count{client="checkout",server="payment",connection_type=""} $10
container_net_tcp_bytes_sent_total{$COROOT} $100
container_net_tcp_bytes_received_total{$COROOT} $300
container_net_tcp_active_connections{$COROOT} 2
container_net_tcp_failed_connects_total{container_id="/nomad/default/web/web/a/server",destination="10.9.9.9:443"} $1
caretta_links_observed{client_name="web",client_kind="Deployment",server_name="api",server_port="80",role="1"} $700
caretta_links_observed{client_name="web",client_kind="Deployment",server_name="api",server_port="81",role="1"} $300
`

// expose writes the metrics as they stand some seconds after the start.
func expose(seconds float64) string {
	text := strings.NewReplacer(
		"$ENVOY", `local_cluster="web",consul_source_service="web",consul_source_namespace="default",consul_source_partition="default",consul_source_datacenter="dc1",`+
			`consul_destination_service="api",consul_destination_namespace="default",consul_destination_partition="default",consul_destination_datacenter="dc1",consul_destination_target="api"`,
		"$COROOT", `container_id="/nomad/default/web/web/a/server",destination="10.96.0.1:5432",actual_destination="10.0.0.7:5432"`).Replace(exposition)
	var out strings.Builder
	for line := range strings.Lines(text) {
		series, value, grows := strings.Cut(line, "} $")
		if !grows {
			out.WriteString(line)
			continue
		}
		var perSecond float64
		_, _ = fmt.Sscanf(value, "%g", &perSecond) // the text above holds numbers only
		fmt.Fprintf(&out, "%s} %g\n", series, perSecond*seconds)
	}
	return out.String()
}

// scraped has the real Prometheus scrape what each kind of agent documents, until
// the test ends.
func scraped(t *testing.T) *prometheus.Client {
	t.Helper()
	env := sharedStack(t)
	began := time.Now()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, expose(time.Since(began).Seconds()))
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(env.PrometheusTargets, "families.json")
	target := fmt.Sprintf(`[{"targets":[%q],"labels":{"agent":"families"}}]`, strings.TrimPrefix(s.URL, "http://"))
	must.NoError(t, os.WriteFile(file, []byte(target), 0o644))
	t.Cleanup(func() { must.NoError(t, os.Remove(file)) })
	c, err := prometheus.New(prometheus.Config{Address: env.PrometheusAddr, Window: 20 * time.Second})
	must.NoError(t, err)
	return c
}

// TestEndsThatAreKnownToBeOutside maps what Coroot's agent would tell of TCP: an end
// that no service is known for makes the source partial, unless it is listed.
func TestEndsThatAreKnownToBeOutside(t *testing.T) {
	family, err := prometheus.Preset("coroot")
	must.NoError(t, err)
	traffic := scraped(t).Traffic(family)
	eventually(t, "both flows", time.Minute, func() bool {
		flows, _, _, err := traffic.Flows(t.Context())
		return err == nil && len(flows) == 2
	})
	source := mapper.Observed("prometheus-coroot", traffic)
	for name, c := range map[string]struct {
		ignore  []string
		partial string
	}{
		"none is listed":  {nil, "2 of 2 flows have an end that no service is known for"},
		"one is listed":   {[]string{"/nomad/default/*", "10.9.9.9"}, "1 of 2 flows have an end that no service is known for, such as /nomad/default/web/web/a/server to 10.0.0.7:5432"},
		"both are listed": {[]string{"/nomad/default/*", "10.0.0.0/8"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPicture(t)
			made, err := mapper.New(mapper.Options{Recorder: p, State: p, Sources: []mapper.Source{source}, IgnoreEnds: c.ignore})
			must.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- made.Run(ctx) }()
			defer func() {
				cancel()
				must.ErrorIs(t, <-done, context.Canceled)
			}()
			p.await(t, "what is said of both flows", func(seen seen) bool {
				s, _ := seen.source("prometheus-coroot")
				return s.OK && strings.HasPrefix(s.Partial, c.partial) && (s.Partial == "") == (c.partial == "")
			})
		})
	}
}

// TestFamiliesOnARealPrometheus asks the real Prometheus the one query of each kind.
func TestFamiliesOnARealPrometheus(t *testing.T) {
	c := scraped(t)

	find := func(kind, from, to string, attempt bool, holds func(e api.Evidence) bool) {
		t.Helper()
		family, err := prometheus.Preset(kind)
		must.NoError(t, err)
		var list []graph.Flow
		eventuallySay(t, time.Minute, func() bool {
			list, _, _, err = c.Traffic(family).Flows(t.Context())
			for _, f := range list {
				if f.From == from && f.To == to && f.Evidence.Attempt == attempt && holds(f.Evidence) {
					return true
				}
			}
			return false
		}, func() string { return fmt.Sprintf("%s: %s -> %s in %+v, error %v", kind, from, to, list, err) })
		for _, f := range list {
			must.NotEq(t, "local_app", f.To)
		}
	}
	about := func(x, want float64) bool { return x > 0.8*want && x < 1.25*want }
	find("envoy", "web", "api", false, func(e api.Evidence) bool {
		return about(e.BytesPerSecond, 4000) && about(e.RequestsPerSecond, 20) && about(e.ErrorsPerSecond, 2) && about(e.LatencySeconds, 0.025) &&
			e.Connections == 4 && e.Endpoints == 3 && e.Healthy == 2
	})
	find("envoy", "web", "api", true, func(e api.Evidence) bool { return about(e.ErrorsPerSecond, 1) })
	find("service_graph", "checkout", "payment", false, func(e api.Evidence) bool {
		return about(e.RequestsPerSecond, 10) && about(e.ErrorsPerSecond, 1) && about(e.LatencySeconds, 0.2)
	})
	const container = "/nomad/default/web/web/a/server"
	find("coroot", container, "10.0.0.7:5432", false, func(e api.Evidence) bool { return about(e.BytesPerSecond, 400) && e.Connections == 2 })
	find("coroot", container, "10.9.9.9:443", false, func(e api.Evidence) bool { return about(e.ErrorsPerSecond, 1) })
	find("caretta", "web", "api", false, func(e api.Evidence) bool { return about(e.BytesPerSecond, 1000) })
}
