package load_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oakumhq/oakum/examples/shop/load"
	"github.com/shoenig/test/must"
)

func TestRunSpreadsOverInstances(t *testing.T) {
	const wanted = 20
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen [2]atomic.Int64
	var rows []string
	for i := range seen {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/item/1" && r.URL.Path != "/item/2" {
				w.WriteHeader(http.StatusNotFound)
			}
			seen[i].Add(1)
			if seen[0].Load() >= wanted && seen[1].Load() >= wanted {
				cancel()
			}
		}))
		t.Cleanup(server.Close)
		host, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
		must.NoError(t, err)
		rows = append(rows, fmt.Sprintf(`{"Service":{"Address":%q,"Port":%s}}`, host, port))
	}
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/health/service/front" || r.Header.Get("X-Consul-Token") != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
	}))
	t.Cleanup(consul.Close)

	g := load.New(load.Config{
		Entries: []load.Entry{{Service: "front", Rate: 1000}}, Paths: []string{"/item/1", "/item/2"},
		Consul: consul.URL, Token: "secret",
	}, slog.New(slog.DiscardHandler))
	g.Run(ctx)

	recorder := httptest.NewRecorder()
	g.Metrics().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	must.StrContains(t, recorder.Body.String(), `load_requests_total{service="front",code="200"}`)
	must.StrNotContains(t, recorder.Body.String(), `code="404"`)
}

func TestParseEntries(t *testing.T) {
	list, err := load.ParseEntries("front=60, backoffice=0.5")
	must.NoError(t, err)
	must.Eq(t, []load.Entry{{Service: "front", Rate: 60}, {Service: "backoffice", Rate: 0.5}}, list)
	for _, text := range []string{"", "front", "front=0", "front=NaN", "=3"} {
		_, err := load.ParseEntries(text)
		must.ErrorContains(t, err, "want SERVICE=")
	}
}
