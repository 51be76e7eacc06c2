//go:build e2e

package contract

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclsimple"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/kpi/discover"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/wait"
)

// asked is the store that a discovery asks.
type asked struct {
	answered
	*prometheus.Client
}

func (a asked) Query(ctx context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	return a.answered.Query(ctx, promql, at)
}

// directory knows the instances by the addresses at which they are scraped.
type directory []convention.Instance

func (d directory) Addresses(context.Context, []string) (map[string]string, error) {
	return convention.NewInstances(d).Addresses(), nil
}

// scrapedID is the ID of one of the instances.
func scrapedID(n int) string { return fmt.Sprintf("%08d-4c1d-9f55-1f53-2a0c5c1d7e01", n) }

// TestReal_Exporters has a real Prometheus scrape exporters that others wrote, most by nothing
// but their addresses, and sends requests, which it counts. The block that a discovery prints is
// put in force. Then a look shows the requests that were sent in between, and no others.
func TestReal_Exporters(t *testing.T) {
	deb := unpacked(t, "haproxy", "libopentracing-c-wrapper0", "libopentracing1", "prometheus-node-exporter")
	otel := freeAddress(t)
	start(t, instrumented(t), otel)
	haproxy, proxied := startHAProxy(t, deb, otel)
	node := freeAddress(t)
	start(t, filepath.Join(deb, "usr/bin/prometheus-node-exporter"), "--web.listen-address="+node)
	micrometer, native := newMicrometer(t), newNative(t)
	for _, address := range []string{otel, haproxy, node} { // a request before they answer would fail, and count
		get(t, "http://"+address+"/metrics")
	}

	scraped := map[string]string{"otel": otel, "haproxy": haproxy, "node": node, "micrometer": micrometer.Listener.Addr().String(), "native": native.Listener.Addr().String()}
	var instances directory
	var targets, ids []string
	for n, name := range []string{"otel", "haproxy", "node", "micrometer", "native"} {
		targets = append(targets, scraped[name])
		ids = append(ids, scrapedID(n))
		instances = append(instances, convention.Instance{ID: scrapedID(n), Target: api.TargetRef{Namespace: "default", Job: name, Group: "app"}, Addresses: []string{scraped[name]}})
	}
	load := func(ok, failed int) {
		t.Helper()
		for _, address := range []string{proxied, scraped["micrometer"], scraped["native"]} {
			for n := range ok + failed {
				path := "/"
				if n >= ok {
					path = "/fail"
				}
				get(t, "http://"+address+path)
			}
		}
	}
	load(3, 2)
	c, err := prometheus.New(prometheus.Config{Address: startNative(t, targets...)})
	must.NoError(t, err)
	store := asked{answered{c}, c}
	queries := kpi.NewReader(nil, nil, kpi.Queries{}).Catalogue().Queries

	// What the discovery finds, when everything was scraped.
	counted := map[string][]string{
		"otel": {api.KPIErrorRate, api.KPILatencyP99}, "micrometer": {api.KPIErrorRate, api.KPILatencyP99}, "native": {api.KPIErrorRate, api.KPILatencyP99},
		"haproxy": {api.KPIErrorRate}, "node": {api.KPIIOOperations, api.KPIIOBytes},
	}
	var found api.KPIDiscovery
	wait.Within(t, wait.Patience, func() string { return fmt.Sprintf("the discovery finds %v: %+v, %v", counted, found, err) }, func() bool {
		found, err = discover.Run(t.Context(), discover.Input{Store: store, Queries: queries, Instances: instances, Now: time.Now()})
		if err != nil || len(found.Missing) > 0 || len(found.Targets) != len(instances) {
			return false
		}
		for _, target := range found.Targets {
			has := map[string]int{}
			for _, f := range target.Has {
				has[f.KPI] = f.Instances
			}
			for _, name := range counted[target.Target.Job] {
				if has[name] != 1 {
					return false
				}
			}
		}
		return true
	})
	t.Log(found.Block)

	reader := kpi.NewReader(store.answered, nil, inForce(t, found.Block)).ByAddress(instances)
	specs := []api.KPISpec{{KPI: api.KPIErrorRate}, {KPI: api.KPILatencyP99}, {KPI: api.KPIIOOperations}}
	first := settled(t, reader, specs, ids, time.Time{}, func(r kpi.Reading) string { return totals(r, ids, 5, 2) })
	load(40, 10)
	second := settled(t, reader, specs, ids, first.At, func(r kpi.Reading) string { return totals(r, ids, 55, 12) })
	errorRate, _ := reader.Catalogue().Known(specs[0])
	p99, _ := reader.Catalogue().Known(specs[1])
	for n, name := range []string{"otel", "haproxy", "node", "micrometer", "native"} {
		if name == "node" {
			must.True(t, second.Gauges[api.KPIIOOperations][ids[n]] >= 0)
			continue
		}
		last := kpi.Last{}.Next(ids[n:n+1], first) // of one target, whose instances have the same bounds
		m := last.Measure(errorRate, ids[n:n+1], second)
		must.True(t, m.Present, must.Sprint(name, m.Dropped))
		must.Eq(t, [2]float64{50, 10}, [2]float64{m.Exposure, m.Events}, must.Sprint(name))
		if name == "haproxy" { // it keeps no histogram
			continue
		}
		m = last.Measure(p99, ids[n:n+1], second)
		must.True(t, m.Present, must.Sprint(name, m.Dropped))
		sum := 0.0
		for _, count := range m.Counts {
			sum += count
		}
		must.Eq(t, 50, sum, must.Sprint(name))
	}
}

// totals says what an instance lacks yet.
func totals(r kpi.Reading, ids []string, requests, failed float64) string {
	for n, id := range ids {
		if n == 2 { // the node serves none; a rate takes two scrapes
			if _, ok := r.Gauges[api.KPIIOOperations][id]; !ok {
				return id + " has no rate of I/O operations"
			}
			continue
		}
		c := r.Counters[id]
		if c == nil || c.Requests != requests || c.Errors != failed {
			return fmt.Sprintf("%s has %+v", id, c)
		}
	}
	return ""
}

// settled reads until nothing lacks.
func settled(t *testing.T, reader *kpi.Reader, specs []api.KPISpec, ids []string, since time.Time, lacks func(kpi.Reading) string) (r kpi.Reading) {
	t.Helper()
	why := ""
	wait.Within(t, wait.Patience, func() string { return "the metrics are scraped: " + why }, func() bool {
		var err error
		if r, err = reader.Read(t.Context(), specs, ids, since, time.Now()); err != nil {
			why = err.Error()
			return false
		}
		why = lacks(r)
		return why == ""
	})
	return r
}

// inForce is what the block of a discovery makes of the queries.
func inForce(t *testing.T, block string) (q kpi.Queries) {
	t.Helper()
	var file struct {
		Prometheus struct {
			KPIs []struct {
				Name  string `hcl:"name,label"`
				Query string `hcl:"query"`
				Total string `hcl:"total,optional"`
			} `hcl:"kpi,block"`
		} `hcl:"prometheus,block"`
	}
	must.NoError(t, hclsimple.Decode("block.hcl", []byte(block), nil, &file), must.Sprint(block))
	q.Own = map[string]kpi.OwnQuery{}
	for _, k := range file.Prometheus.KPIs {
		switch k.Name {
		case api.KPIErrorRate:
			q.Errors, q.Requests = k.Query, k.Total
		case api.KPILatencyP99:
			q.Buckets = k.Query
		default:
			q.Own[k.Name] = kpi.OwnQuery{Query: k.Query, Total: k.Total}
		}
	}
	return q
}

// unpacked has Debian's packages in a folder, so that nothing of them runs on the host.
func unpacked(t *testing.T, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	get := func() ([]byte, error) {
		// Root downloads for itself: the user _apt may not write here.
		cmd := exec.CommandContext(t.Context(), "apt-get", append([]string{"-qq", "-o", "APT::Sandbox::User=root", "download"}, packages...)...)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	text, err := get()
	if err != nil { // a fresh machine may know no packages yet
		if said, err := exec.CommandContext(t.Context(), "apt-get", "-qq", "update").CombinedOutput(); err != nil {
			t.Fatalf("apt-get update: %v: %s", err, said)
		}
		text, err = get()
	}
	must.NoError(t, err, must.Sprintf("connect this machine to its Debian mirror: %s", text))
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	must.NoError(t, err)
	must.Len(t, len(packages), files)
	for _, file := range files {
		text, err := exec.CommandContext(t.Context(), "dpkg", "-x", file, dir).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(text)))
	}
	return dir
}

// instrumented builds the service that OpenTelemetry instruments.
func instrumented(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "otelservice")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Dir = "otelservice"
	text, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(text)))
	return path
}

// startHAProxy starts one with its own exporter before a server.
func startHAProxy(t *testing.T, deb, server string) (exporter, proxied string) {
	t.Helper()
	exporter, proxied = freeAddress(t), freeAddress(t)
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	must.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend metrics
  bind %s
  http-request use-service prometheus-exporter if { path /metrics }
frontend web
  bind %s
  default_backend app
backend app
  server app %s
`, exporter, proxied, server), 0o600))
	libraries, err := filepath.Glob(filepath.Join(deb, "usr/lib/*/libopentracing-c-wrapper.so.0"))
	must.NoError(t, err)
	must.Len(t, 1, libraries)
	start(t, "env", "LD_LIBRARY_PATH="+filepath.Dir(libraries[0]), filepath.Join(deb, "usr/sbin/haproxy"), "-db", "-f", config)
	return exporter, proxied
}

// newMicrometer is a server whose metrics are as Micrometer's registry for Prometheus
// writes those of Spring Boot, with histograms switched on.
func newMicrometer(t *testing.T) *httptest.Server {
	t.Helper()
	var ok, failed atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			fmt.Fprintln(w, "# HELP http_server_requests_seconds  \n# TYPE http_server_requests_seconds histogram")
			for _, s := range []struct {
				labels string
				n      int64
			}{
				{`error="none",exception="none",method="GET",outcome="SUCCESS",status="200",uri="/"`, ok.Load()},
				{`error="none",exception="none",method="GET",outcome="SERVER_ERROR",status="500",uri="/fail"`, failed.Load()},
			} {
				if s.n == 0 {
					continue
				}
				for _, le := range []string{"0.001", "0.005592405", "0.1", "+Inf"} {
					fmt.Fprintf(w, "http_server_requests_seconds_bucket{%s,le=%q,} %d.0\n", s.labels, le, s.n)
				}
				fmt.Fprintf(w, "http_server_requests_seconds_count{%s,} %d.0\nhttp_server_requests_seconds_sum{%s,} 0.5\n", s.labels, s.n, s.labels)
			}
		case "/fail":
			failed.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		default:
			ok.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// newNative is a server with a native histogram of its requests, by status. Its series name
// the allocation: label_replace of this Prometheus makes a number of a native histogram.
func newNative(t *testing.T) *httptest.Server {
	t.Helper()
	registry := client.NewRegistry()
	took := client.NewHistogramVec(client.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "how long requests took", NativeHistogramBucketFactor: 1.1,
		ConstLabels: client.Labels{"alloc_id": scrapedID(4)},
	}, []string{"code"})
	must.NoError(t, registry.Register(took))
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		switch r.URL.Path {
		case "/metrics":
			metrics.ServeHTTP(w, r)
			return
		case "/fail":
			status = http.StatusInternalServerError
		}
		took.WithLabelValues(strconv.Itoa(status)).Observe(0.01)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server
}

// start starts a program that ends with the test.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s: %s", program, text)
		}
		must.NoError(t, log.Close())
	})
}

// freeAddress is an address of the loopback at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	address := free.Addr().String()
	must.NoError(t, free.Close())
	return address
}

// get asks until the server answers, with whatever status.
func get(t *testing.T, url string) {
	t.Helper()
	wait.For(t, "an answer of "+url, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		must.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		must.NoError(t, resp.Body.Close())
		return true
	})
}
