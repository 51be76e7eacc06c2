//go:build e2e

package contract

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/wait"
)

// answered answers the queries behind the KPIs.
type answered struct{ client *prometheus.Client }

func (a answered) Query(ctx context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	found, err := a.client.Query(ctx, promql, at)
	series := make([]kpi.Series, len(found))
	for i, f := range found {
		series[i] = kpi.Series(f)
	}
	return series, err
}

// TestReal_NativeHistograms has a Prometheus of its own, which keeps native histograms,
// scrape a service that has one. What the service counted is what a look measures.
func TestReal_NativeHistograms(t *testing.T) {
	registry := client.NewRegistry()
	took := client.NewHistogram(client.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "how long requests took",
		ConstLabels: client.Labels{"alloc_id": "a"}, NativeHistogramBucketFactor: 1.1,
	})
	must.NoError(t, registry.Register(took))
	service := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(service.Close)
	took.Observe(0.02)

	c, err := prometheus.New(prometheus.Config{Address: startNative(t, service.Listener.Addr().String())})
	must.NoError(t, err)
	reader := kpi.NewReader(answered{c}, nil, kpi.Queries{})
	spec := api.KPISpec{KPI: "http_p99", Kind: api.KPILatency, Query: "sum by (alloc_id) (http_request_duration_seconds{$instances})"}
	p99, ok := reader.Catalogue().Known(spec)
	must.True(t, ok)
	ids := []string{"a"}
	// until reads until as many requests are there.
	until := func(want float64) (r kpi.Reading) {
		have := 0.0
		wait.Within(t, wait.Patience, func() string { return fmt.Sprintf("want %g requests, have %g, %v", want, have, err) }, func() bool {
			if r, err = reader.Read(t.Context(), []api.KPISpec{spec}, ids, time.Time{}, time.Now()); err != nil {
				return false
			}
			if counters := r.Own[spec.KPI]["a"]; counters != nil {
				have = counters.Requests
			}
			return have == want
		})
		return r
	}
	first := until(1)
	for range 40 {
		took.Observe(0.01)
	}
	for range 10 {
		took.Observe(1)
	}
	m := kpi.Last{}.Next(ids, first).Measure(p99, ids, until(51))
	must.True(t, m.Present, must.Sprint(m.Dropped))
	var fast, slow float64
	for i, n := range m.Counts {
		switch {
		case n == 0:
		case m.Upper[i] >= 0.01 && m.Upper[i] < 0.0125:
			fast += n
		case m.Upper[i] >= 1 && m.Upper[i] < 1.25:
			slow += n
		default:
			t.Errorf("%g requests of up to %g s, which nobody sent", n, m.Upper[i])
		}
	}
	must.Eq(t, [2]float64{40, 10}, [2]float64{fast, slow})
}

// startNative starts a Prometheus that scrapes some targets every second, and returns its
// URL.
func startNative(t *testing.T, targets ...string) string {
	t.Helper()
	root, err := stack.RepositoryRoot()
	must.NoError(t, err)
	binary, err := stack.FindBinary(filepath.Join(root, ".stack", "bin"), "prometheus")
	must.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	must.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: service\n  static_configs: [{targets: [%s]}]\n", `"`+strings.Join(targets, `", "`)+`"`), 0o600))
	address := freeAddress(t)
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	must.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=native-histograms", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = log, log
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		must.NoError(t, log.Close())
	})
	url := "http://" + address
	wait.For(t, "prometheus is ready", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/-/ready", nil)
		must.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		must.NoError(t, resp.Body.Close())
		return resp.StatusCode == http.StatusOK
	})
	return url
}
