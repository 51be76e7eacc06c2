//go:build e2e

package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/authority"
	"github.com/oakumhq/oakum/e2e/cluster"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/stack"
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

// options say what cluster to run; without a binary it is the built one, without a
// tls block the servers have certificates of a CA of their own.
type options struct {
	daemon.Options
	cluster.NetworkOptions
}

// rig is a cluster whose servers each have a network namespace of their own.
type rig struct {
	*daemon.Cluster
	Net *cluster.Network
}

// Load starts callers whose keys begin with a prefix that nobody used before.
func (r *rig) Load(ctx context.Context, prefix string) *cluster.Load {
	return cluster.NewLoad(ctx, r.Cluster, prefix)
}

// run starts a cluster that ends with the test. Its servers have no Vault and no
// Nomad that answers: what is left is a cluster that keeps policies.
func run(t *testing.T, o options) *rig {
	t.Helper()
	o.Dir = t.TempDir() // first, so that it is removed after its disks were unmounted
	o.Members = o.Servers
	network, err := cluster.NewNetwork(o.NetworkOptions)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, network.Close()) })
	issuer, err := network.NewIssuer()
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, issuer.Close()) })

	if o.Binary == "" {
		o.Binary = built(t)
	}
	o.Host = network
	o.Issuer, o.Token, o.Timeout = issuer.URL, issuer.Token, cluster.CallTimeout
	if o.TLS == nil {
		o.TLS = certificates(t)
	}
	secret := filepath.Join(o.Dir, "secret")
	must.NoError(t, os.WriteFile(secret, []byte("none"), 0o600))
	nowhere := fmt.Sprintf("http://%s:1", network.Host())
	env := stack.Env{
		NomadAddr: nowhere, VaultAddr: nowhere, OakumRoleIDFile: secret, OakumSecretIDFile: secret, OIDCAudience: cluster.Audience,
	}
	c, err := daemon.Start(t.Context(), env, o.Options)
	must.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range c.Servers {
				keep(t, s.Name+".log", s.Log())
			}
		}
		c.Kill()
	})
	return &rig{Cluster: c, Net: network}
}

// certificates signs one for each server, all by the same CA.
func certificates(t *testing.T) func(i int, dir string) (string, error) {
	t.Helper()
	ca, err := authority.New()
	must.NoError(t, err)
	return func(_ int, dir string) (string, error) {
		files, err := ca.Write(dir, "server.default.oakum")
		return plainHTTP(authority.Block(files)), err
	}
}

// plainHTTP lets callers of other namespaces ask a server over plain HTTP, and the server
// ask the issuer. What is tried here is the servers' own port.
func plainHTTP(block string) string {
	return strings.Replace(block, "tls {\n", "tls {\n  plain_http = true\n", 1)
}

// plain leaves the tls block out.
func plain(int, string) (string, error) { return "", nil }

// keep writes what explains a failure to where it outlives the test.
func keep(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("oakum-%s-%s", strings.ReplaceAll(t.Name(), "/", "-"), name))
	must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	t.Logf("see %s", path)
}

// leader is the present one.
func leader(t *testing.T, c *rig) *daemon.Server {
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
func verdict(t *testing.T, c *rig, l *cluster.Load, all bool) []cluster.Operation {
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
