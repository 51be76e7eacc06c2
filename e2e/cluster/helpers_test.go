//go:build e2e

package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/cluster"
	"github.com/oakumhq/oakum/internal/wait"
)

// built is the binary that make build makes.
func built(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "oakum"))
	must.NoError(t, err)
	_, err = os.Stat(path)
	must.NoError(t, err, must.Sprint("make build"))
	return path
}

// run starts a cluster that ends with the test.
func run(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	if o.Binary == "" {
		o.Binary = built(t)
	}
	o.Dir = t.TempDir()
	c, err := cluster.Start(t.Context(), o)
	must.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range c.Servers {
				keep(t, s.Name+".log", s.Log())
			}
		}
		must.NoError(t, c.Close())
	})
	return c
}

// keep writes what explains a failure to where it outlives the test.
func keep(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("oakum-%s-%s", strings.ReplaceAll(t.Name(), "/", "-"), name))
	must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	t.Logf("see %s", path)
}

// leader is the present one.
func leader(t *testing.T, c *cluster.Cluster) *cluster.Server {
	t.Helper()
	s, err := c.Leader(t.Context())
	must.NoError(t, err)
	return s
}

// flows waits until the cluster has confirmed some more changes.
func flows(t *testing.T, l *cluster.Load, what string) {
	t.Helper()
	const some = 15
	since := l.Now()
	wait.For(t, what, func() bool { return l.Accepted(since) >= some })
}

// lasts lets a fault go on for a while.
func lasts(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// verdict ends the load and checks everything that must hold after any fault:
// one order explains what callers were told, and all servers have one state.
func verdict(t *testing.T, c *cluster.Cluster, l *cluster.Load, all bool) []cluster.Operation {
	t.Helper()
	history := l.Stop()
	t.Log(cluster.Summary(history))
	picture := filepath.Join(os.TempDir(), "oakum-"+strings.ReplaceAll(t.Name(), "/", "-")+".html")
	must.NoError(t, cluster.Check(cluster.Strict(history), picture))
	if all {
		must.NoError(t, cluster.Check(history, picture), must.Sprint("with the default reads"))
	}
	info, err := c.Agree(t.Context())
	must.NoError(t, err)
	t.Logf("index %d, hash %s on all servers", info.Index, info.Hash)
	for i := range 5 { // the next load begins with a short library
		_ = leader(t, c).Client.DeletePolicy(t.Context(), l.Key(i)) // some are deleted already
	}
	return history
}
