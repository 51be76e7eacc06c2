package workload_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/examples/shop/fault"
	"github.com/oakumhq/oakum/examples/shop/workload"
	"github.com/shoenig/test/must"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	must.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(body)
}

func serve(t *testing.T, config workload.Config) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(workload.New(config, slog.New(slog.DiscardHandler)).Handler())
	t.Cleanup(server.Close)
	return server
}

func faults(t *testing.T, text string) fault.Spec {
	t.Helper()
	spec, err := fault.Parse(text)
	must.NoError(t, err)
	return spec
}

func TestWorkCallsUpstreams(t *testing.T) {
	store := serve(t, workload.Config{Name: "store", Version: "1.0"})
	cart := serve(t, workload.Config{Name: "cart", Version: "1.0", Upstreams: []workload.Upstream{{Name: "store", URL: store.URL, Share: 1}}})

	for range 20 { // more than one connection's worth
		code, body := get(t, cart.URL+"/item/1")
		must.Eq(t, http.StatusOK, code)
		must.StrContains(t, body, `"service":"cart"`)
	}
	_, metrics := get(t, store.URL+"/metrics")
	must.StrContains(t, metrics, `http_requests_total{code="200"} 20`)
	_, metrics = get(t, cart.URL+"/metrics")
	must.StrContains(t, metrics, `shop_upstream_requests_total{upstream="store",code="200"} 20`)
	must.StrContains(t, metrics, "http_request_duration_seconds_count 20")

	store.Close()
	code, body := get(t, cart.URL+"/item/1")
	must.Eq(t, http.StatusBadGateway, code)
	must.StrContains(t, body, "call store")
	code, _ = get(t, cart.URL+"/health")
	must.Eq(t, http.StatusOK, code) // an upstream's outage is not its callers' illness
}

func TestShareOfAnUpstream(t *testing.T) {
	store := serve(t, workload.Config{Name: "store"})
	cart := serve(t, workload.Config{Name: "cart", Upstreams: []workload.Upstream{{Name: "store", URL: store.URL, Share: 0.3}}})
	for range 20 {
		code, _ := get(t, cart.URL+"/item/1")
		must.Eq(t, http.StatusOK, code)
	}
	_, metrics := get(t, store.URL+"/metrics")
	must.StrContains(t, metrics, `http_requests_total{code="200"} 6`)
}

func TestGarbageIsTheCallersErrorAlone(t *testing.T) {
	store := serve(t, workload.Config{Name: "store", Faults: faults(t, "garbage=1")})
	cart := serve(t, workload.Config{Name: "cart", Upstreams: []workload.Upstream{{Name: "store", URL: store.URL, Share: 1}}})
	for range 5 {
		code, body := get(t, cart.URL+"/item/1")
		must.Eq(t, http.StatusBadGateway, code)
		must.StrContains(t, body, "call store: the answer cannot be read")
	}
	_, metrics := get(t, cart.URL+"/metrics")
	must.StrContains(t, metrics, `shop_upstream_requests_total{upstream="store",code="error"} 5`)
	_, metrics = get(t, store.URL+"/metrics")
	must.StrContains(t, metrics, `http_requests_total{code="200"} 5`) // and none was sent twice
}

func TestSettle(t *testing.T) {
	busy := serve(t, workload.Config{Name: "store", Settle: time.Hour})
	code, body := get(t, busy.URL+"/health")
	must.Eq(t, http.StatusServiceUnavailable, code)
	must.StrContains(t, body, "settling")
	code, _ = get(t, busy.URL+"/item/1") // it serves all the same
	must.Eq(t, http.StatusOK, code)
}

func TestFaults(t *testing.T) {
	bad := serve(t, workload.Config{Name: "store", Version: "1.2", Faults: faults(t, "latency=30ms,cpu=5ms,errors=1,leak=8k,unhealthy")})
	began := time.Now()
	code, body := get(t, bad.URL+"/item/1")
	must.Eq(t, http.StatusInternalServerError, code)
	must.StrContains(t, body, "error fault")
	must.GreaterEq(t, 35*time.Millisecond, time.Since(began))
	code, _ = get(t, bad.URL+"/health")
	must.Eq(t, http.StatusServiceUnavailable, code)
	_, metrics := get(t, bad.URL+"/metrics")
	must.StrContains(t, metrics, `http_requests_total{code="500"} 1`)
	_, version := get(t, bad.URL+"/version")
	must.Eq(t, "1.2", strings.TrimSpace(version))
}

func TestRunStopsAndCrashes(t *testing.T) {
	listen := func() net.Listener {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must.NoError(t, err)
		return listener
	}
	log := slog.New(slog.DiscardHandler)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must.NoError(t, workload.New(workload.Config{Name: "a"}, log).Run(ctx, listen()))

	err := workload.New(workload.Config{Name: "a", Faults: faults(t, "crash=1ms")}, log).Run(t.Context(), listen())
	must.True(t, errors.Is(err, workload.ErrCrash))
}

func TestParseUpstreams(t *testing.T) {
	list, err := workload.ParseUpstreams("pricing=http://127.0.0.1:9001, store:0.5=http://127.0.0.1:9002/")
	must.NoError(t, err)
	must.Eq(t, []workload.Upstream{
		{Name: "pricing", URL: "http://127.0.0.1:9001", Share: 1}, {Name: "store", URL: "http://127.0.0.1:9002", Share: 0.5},
	}, list)
	for _, text := range []string{"pricing", "=http://a:1", "a=ftp://b", "a=http://", "a:2=http://b", "a:x=http://b"} {
		_, err := workload.ParseUpstreams(text)
		must.ErrorContains(t, err, "want NAME=")
	}
}

// written is what a process has put onto disks, as the kernel counts it.
func written(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	must.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "wchar: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			must.NoError(t, err)
			return n
		}
	}
	t.Fatal("no wchar in /proc/self/io")
	return 0
}

func TestDiskFault(t *testing.T) {
	dir := t.TempDir()
	bad := serve(t, workload.Config{Name: "store", Faults: faults(t, "disk=1m"), Scratch: dir})
	before := written(t)
	for range 6 { // more than the file may hold
		code, body := get(t, bad.URL+"/item/1")
		must.Eq(t, http.StatusOK, code, must.Sprint(body))
	}
	must.GreaterEq(t, 6<<20, written(t)-before)
	left, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 0, left)

	lost := serve(t, workload.Config{Name: "store", Faults: faults(t, "disk=1k"), Scratch: filepath.Join(dir, "nowhere")})
	code, body := get(t, lost.URL+"/item/1")
	must.Eq(t, http.StatusInternalServerError, code)
	must.StrContains(t, body, "make scratch file")
}
