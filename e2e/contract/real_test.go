//go:build e2e

package contract

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/wait"
)

// TestReal makes every check on the real stack.
func TestReal(t *testing.T) {
	root, err := stack.RepositoryRoot()
	must.NoError(t, err)
	ctx := context.WithoutCancel(t.Context())
	s, err := stack.Up(ctx, stack.Options{
		Dir: t.TempDir(), BinDir: filepath.Join(root, ".stack", "bin"), PortOffset: stack.AnyOffset, Clients: 2, Bound: true, Log: t.Output(),
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, s.Down(ctx)) })
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(health.Close)
	env, second := s.Env(), stack.ClientName(2)
	w := world{
		nomad: env.NomadAddr, nomadToken: env.NomadToken, consul: env.ConsulAddr, consulToken: env.ConsulToken, prometheus: env.PrometheusAddr,
		nodes: [2]string{"node-1", "node-2"}, healthPort: health.Listener.Addr().(*net.TCPAddr).Port, real: true, wide: 12, patience: wait.Patience,
		lose:   func(ctx context.Context) error { return s.Kill(ctx, second) },
		regain: func(ctx context.Context) error { return s.Start(ctx, second) },
	}
	t.Run("checks", func(t *testing.T) { compare(t, w, checks()) })
}

// TestRealSystem makes the checks of system jobs on a stack of their own: each has an instance
// on every client.
func TestRealSystem(t *testing.T) {
	root, err := stack.RepositoryRoot()
	must.NoError(t, err)
	ctx := context.WithoutCancel(t.Context())
	s, err := stack.Up(ctx, stack.Options{
		Dir: t.TempDir(), BinDir: filepath.Join(root, ".stack", "bin"), PortOffset: stack.AnyOffset, Clients: systemNodes, Bound: true, Log: t.Output(),
	})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, s.Down(ctx)) })
	env := s.Env()
	w := world{
		nomad: env.NomadAddr, nomadToken: env.NomadToken, consul: env.ConsulAddr, consulToken: env.ConsulToken,
		nodes: [2]string{"node-1", "node-2"}, real: true, wide: 1, patience: wait.Patience,
	}
	t.Run("checks", func(t *testing.T) { compare(t, w, systemChecks()) })
}
