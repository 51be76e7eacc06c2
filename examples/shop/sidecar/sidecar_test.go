package sidecar_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/oakumhq/oakum/examples/shop/sidecar"
	"github.com/shoenig/test/must"
)

// agent records what a Consul agent was asked.
type agent struct {
	mu     sync.Mutex
	calls  []string
	body   map[string]any
	status int
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Consul-Token"))
	if raw, _ := io.ReadAll(r.Body); len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(a.status)
	}
}

func start(t *testing.T, status int, script string) (*agent, sidecar.Config) {
	t.Helper()
	a := &agent{status: status}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	binary := filepath.Join(t.TempDir(), "consul")
	must.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"+script), 0o700))
	return a, sidecar.Config{
		Service: "cart", ServiceID: sidecar.NomadServiceID("a1", "cart", "cart", "http"), ServicePort: 8001, ProxyPort: 8002,
		Upstreams: []sidecar.Upstream{{Name: "store", Port: 8003}}, Instance: "a1", Statsd: "127.0.0.1:8125",
		Consul: server.URL, Token: "secret", Binary: binary,
	}
}

func TestRunRegistersAndDeregisters(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	must.NoError(t, syscall.Mkfifo(started, 0o600))
	a, config := start(t, http.StatusOK, "echo >"+started+"\nexec sleep 60\n")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sidecar.Run(ctx, config, slog.New(slog.DiscardHandler)) }()
	_, err := os.ReadFile(started) // until the child has written to it
	must.NoError(t, err)
	cancel()
	must.NoError(t, <-ended)

	id := "_nomad-task-a1-group-cart-cart-http-sidecar-proxy"
	must.Eq(t, []string{
		"PUT /v1/agent/service/register secret",
		"PUT /v1/agent/service/deregister/" + id + " secret",
	}, a.calls)
	must.Eq(t, id, a.body["ID"].(string))
	must.Eq(t, "connect-proxy", a.body["Kind"].(string))
	proxy := a.body["Proxy"].(map[string]any)
	must.Eq(t, "_nomad-task-a1-group-cart-cart-http", proxy["DestinationServiceID"].(string))
	telemetry := proxy["Config"].(map[string]any)["telemetry"].(map[string]any)
	must.Eq(t, "consul_proxy.a1", telemetry["metrics_prefix"].(string))
	must.Eq(t, []any{"consul_proxy.a1.upstream", "consul_proxy.a1.inbound"}, telemetry["allowed_prefixes"].([]any))
}

func TestRunFailsWhenTheProxyEnds(t *testing.T) {
	a, config := start(t, http.StatusOK, "exit 3\n")
	err := sidecar.Run(t.Context(), config, slog.New(slog.DiscardHandler))
	must.ErrorContains(t, err, "exit status 3")
	must.Len(t, 2, a.calls) // gone from Consul all the same
}

func TestRunRefusedByConsul(t *testing.T) {
	a, config := start(t, http.StatusForbidden, "exit 0\n")
	err := sidecar.Run(t.Context(), config, slog.New(slog.DiscardHandler))
	must.ErrorContains(t, err, "403")
	must.StrContains(t, a.calls[0], "/register")
}

func TestParseUpstreams(t *testing.T) {
	list, err := sidecar.ParseUpstreams("pricing=9001, store=9002")
	must.NoError(t, err)
	must.Eq(t, []sidecar.Upstream{{Name: "pricing", Port: 9001}, {Name: "store", Port: 9002}}, list)
	for _, text := range []string{"pricing", "=1", "a=0", "a=99999"} {
		_, err := sidecar.ParseUpstreams(text)
		must.ErrorContains(t, err, "want NAME=PORT")
	}
}
