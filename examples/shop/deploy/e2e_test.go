//go:build e2e

package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/examples/shop/deploy"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/shoenig/test/must"
)

// up brings a stack and the shop up for one test.
func up(t *testing.T) deploy.Env {
	t.Helper()
	root, err := stack.RepositoryRoot()
	must.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	s, err := stack.Up(ctx, stack.Options{Dir: filepath.Join(t.TempDir(), "stack"), PortOffset: stack.AnyOffset, Bound: true, Log: t.Output()})
	must.NoError(t, err)
	t.Cleanup(func() {
		down, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		must.NoError(t, s.Down(down))
	})
	variables := s.Env().Map()
	env, err := deploy.FromVariables(func(name string) string { return variables[name] }, root)
	must.NoError(t, err)
	must.NoError(t, deploy.Up(ctx, env, slog.New(slog.NewTextHandler(t.Output(), nil))))
	return env
}

func consul(t *testing.T, env deploy.Env, path string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env.ConsulAddr+path, http.NoBody)
	must.NoError(t, err)
	req.Header.Set("X-Consul-Token", env.ConsulToken)
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	defer resp.Body.Close()
	must.Eq(t, http.StatusOK, resp.StatusCode)
	must.NoError(t, json.NewDecoder(resp.Body).Decode(out))
}

// eventually polls until Prometheus answers the query with want series.
func eventually(t *testing.T, env deploy.Env, within time.Duration, query string, want int) []deploy.Series {
	t.Helper()
	var series []deploy.Series
	var err error
	wait.Within(t, within, func() string {
		return fmt.Sprintf("query %s: want %d series, have %v, error %v", query, want, series, err)
	}, func() bool {
		series, err = deploy.Query(t.Context(), env, query)
		return err == nil && len(series) == want
	})
	return series
}

func TestShopOnTheRealStack(t *testing.T) {
	env := up(t)

	t.Run("consul knows the mesh", func(t *testing.T) {
		for _, s := range deploy.Services() {
			var rows []struct{ Service struct{ Kind string } }
			wait.For(t, s.Name+" passes its checks", func() bool {
				consul(t, env, "/v1/health/connect/"+s.Name+"?passing=1", &rows)
				return len(rows) == s.Instances
			})
			must.Eq(t, "connect-proxy", rows[0].Service.Kind)
		}
		allowed := func(source, destination string) bool {
			var answer struct{ Allowed bool }
			consul(t, env, "/v1/connect/intentions/check?"+url.Values{"source": {source}, "destination": {destination}}.Encode(), &answer)
			return answer.Allowed
		}
		for _, from := range deploy.Services() {
			for _, to := range deploy.Services() {
				must.Eq(t, slices.Contains(from.Upstreams, to.Name), allowed(from.Name, to.Name), must.Sprint(from.Name, to.Name))
			}
		}
	})

	t.Run("prometheus sees the mesh and every instance", func(t *testing.T) {
		edges := eventually(t, env, wait.Patience, `sum by (src, dst) (rate(consul_proxy_upstream_rx_bytes[30s])) > 0`, len(deploy.Edges()))
		for _, e := range deploy.Edges() {
			must.True(t, slices.ContainsFunc(edges, func(s deploy.Series) bool {
				return s.Labels["src"] == e.From && s.Labels["dst"] == e.To
			}), must.Sprint(e))
		}
		instances := 0
		for _, s := range deploy.Services() {
			instances += s.Instances
		}
		eventually(t, env, wait.Patience, `count by (alloc_id) (http_request_duration_seconds_bucket{le="+Inf",alloc_id!=""} > 0)`, instances)
	})

	t.Run("another image rolls", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(env.Jobs, "store.nomad.hcl"))
		must.NoError(t, err)
		patched := env
		patched.Jobs = t.TempDir()
		newer := strings.ReplaceAll(string(text), "store-1.0.qcow2", "store-1.1.qcow2")
		must.NoError(t, os.WriteFile(filepath.Join(patched.Jobs, "store.nomad.hcl"), []byte(newer), 0o600))
		must.NoError(t, deploy.Submit(t.Context(), patched, "store"))
		eventually(t, env, 8*time.Minute, `count(shop_build_info{version="1.1"}) == 3 unless count(shop_build_info{version="1.0",job_name="store"})`, 1)
	})

	t.Run("down leaves nothing", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		must.NoError(t, deploy.Down(ctx, env, slog.New(slog.NewTextHandler(t.Output(), nil))))
		wait.For(t, "consul has forgotten the mesh", func() bool {
			var services map[string][]string
			consul(t, env, "/v1/catalog/services", &services)
			return !slices.ContainsFunc(deploy.Services(), func(s deploy.Service) bool {
				return services[s.Name] != nil || services[s.Name+"-sidecar-proxy"] != nil
			})
		})
	})
}
