package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/server/config"
)

// whole is the environment of a stack with every system.
func whole() stack.Env {
	return stack.Env{
		NomadAddr: "http://127.0.0.1:4646", ConsulAddr: "http://127.0.0.1:8500", VaultAddr: "http://127.0.0.1:8200", PrometheusAddr: "http://127.0.0.1:9090",
		OakumRoleIDFile: "/role", OakumSecretIDFile: "/secret", NomadAuthMethod: "vault", NomadOIDCRole: "nomad",
		ConsulAuthMethod: "vault", ConsulOIDCRole: "consul", PKIPath: "pki", PKIRole: "oakum", OIDCAudience: "oakum",
	}
}

// read has Oakum read what the servers of a cluster are given.
func read(t *testing.T, env stack.Env, o Options) (*Cluster, []*config.Config) {
	t.Helper()
	o.Dir = t.TempDir()
	if o.Host == nil {
		o.Host = Loopback(AnyPorts)
	}
	c := &Cluster{options: o}
	must.NoError(t, c.prepare(env))
	must.Len(t, o.Servers, c.Servers)
	var out []*config.Config
	for _, s := range c.Servers {
		cfg, err := config.Load([]string{s.config}, false, func(string) string { return "" })
		must.NoError(t, err)
		out = append(out, cfg)
	}
	return c, out
}

func TestConfiguration_NamesEverySystemOfTheStack(t *testing.T) {
	t.Parallel()
	c, cfgs := read(t, whole(), Options{
		Servers: 3, Host: Loopback(100), Join: []string{"provider=consul service=x"}, Service: "x", Tags: []string{"blue", "green"},
		Paces: StackPaces(), Extra: "telemetry {\n  open_metrics = true\n}\n",
	})
	for i, cfg := range cfgs {
		s := c.Servers[i]
		must.EqOp(t, i, s.Index)
		must.EqOp(t, s.Name, cfg.Name)
		must.EqOp(t, s.Data, cfg.DataDir)
		must.EqOp(t, s.HTTP, "http://"+cfg.Addresses.HTTP)
		must.EqOp(t, s.Raft, cfg.Addresses.Raft)
		must.EqOp(t, s.Raft, cfg.Advertise.Raft)
		must.EqOp(t, 3, cfg.Server.BootstrapExpect)
		must.Eq(t, []string{"provider=consul service=x"}, cfg.Server.RetryJoin)
		must.EqOp(t, "http://127.0.0.1:4646", cfg.Nomad.Address)
		must.EqOp(t, "x", cfg.Consul.ServiceName)
		must.Eq(t, []string{"blue", "green"}, cfg.Consul.Tags)
		must.EqOp(t, 5*time.Second, cfg.Prometheus.ScrapeInterval)
		must.EqOp(t, 2*time.Second, cfg.Intervals.Profiler)
		must.EqOp(t, 10*time.Second, cfg.Intervals.Checkpoint)
		must.EqOp(t, "/role", cfg.Vault.RoleIDFile)
		must.EqOp(t, "vault", cfg.Vault.Nomad.AuthMethod)
		must.EqOp(t, "consul", cfg.Vault.Consul.OIDCRole)
		must.EqOp(t, "oakum", cfg.TLS.Vault.Role)
		must.True(t, cfg.Auth.VaultTokens)
		must.Len(t, 2, cfg.Auth.Rules)
		must.True(t, cfg.Telemetry.OpenMetrics)
	}
	must.EqOp(t, "127.0.0.1:4841", cfgs[1].Addresses.HTTP)
	must.EqOp(t, "127.0.0.1:4881", cfgs[1].Addresses.Raft)
}

func TestConfiguration_LeavesOutWhatIsNotThere(t *testing.T) {
	t.Parallel()
	c, cfgs := read(t, stack.Env{NomadAddr: "http://127.0.0.1:4646", OIDCAudience: "oakum"}, Options{
		Servers: 2, Issuer: "http://127.0.0.1:1", Paces: Paces{Rate: 10, Warmup: 2 * time.Second},
	})
	usual, err := config.Load([]string{minimal(t)}, false, func(string) string { return "" })
	must.NoError(t, err)
	for _, cfg := range cfgs {
		must.Nil(t, cfg.Consul)
		must.Nil(t, cfg.Prometheus)
		must.Nil(t, cfg.Vault)
		must.True(t, cfg.TLS.Insecure)
		must.EqOp(t, "http://127.0.0.1:1", cfg.Auth.Issuer)
		must.EqOp(t, "http://127.0.0.1:1/.well-known/keys", cfg.Auth.JWKS)
		must.EqOp(t, usual.Intervals, cfg.Intervals)
		must.EqOp(t, 2*time.Second, cfg.Simulator.Warmup)
		must.Nil(t, cfg.Simulator.Appliance)
		must.Eq(t, []string{c.Servers[0].Raft, c.Servers[1].Raft}, cfg.Server.RetryJoin)
	}
	must.NotEq(t, cfgs[0].Addresses.HTTP, cfgs[1].Addresses.HTTP)
}

func TestConfiguration_NamesTheApplianceBesideTheImages(t *testing.T) {
	t.Parallel()
	images := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(images, "appliance"), 0o755))
	for _, name := range []string{"vmlinuz", "initrd"} {
		must.NoError(t, os.WriteFile(filepath.Join(images, "appliance", name), []byte(name), 0o600))
	}
	_, cfgs := read(t, stack.Env{NomadAddr: "http://127.0.0.1:4646", OIDCAudience: "oakum", Images: images}, Options{Servers: 1, Issuer: "http://127.0.0.1:1"})
	want, err := Appliance(images)
	must.NoError(t, err)
	must.Eq(t, want, cfgs[0].Simulator.Appliance)
	must.EqOp(t, filepath.Join(images, "appliance", "initrd"), want.Initrd.Source)
	must.NotEq(t, want.Initrd.Checksum, want.Kernel.Checksum)
}

// minimal is the smallest configuration that Oakum takes.
func minimal(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oakum.hcl")
	must.NoError(t, os.WriteFile(path, []byte(`data_dir = "/d"
nomad { address = "http://127.0.0.1:4646" }
server { bootstrap_expect = 1 }
auth {
  issuer   = "http://127.0.0.1:1"
  jwks_url = "http://127.0.0.1:1/keys"
  rule "all" {
    when         = true
    capabilities = ["read"]
  }
}
`), 0o600))
	return path
}

func TestConfiguration_TakesTheTLSBlockThatItIsGiven(t *testing.T) {
	t.Parallel()
	var given []int
	_, cfgs := read(t, whole(), Options{Servers: 2, TLS: func(i int, dir string) (string, error) {
		given = append(given, i)
		info, err := os.Stat(dir)
		must.NoError(t, err)
		must.True(t, info.IsDir())
		return "tls {\n  insecure = true\n}\n", nil
	}})
	must.Eq(t, []int{0, 1}, given)
	must.True(t, cfgs[1].TLS.Insecure)
	must.Nil(t, cfgs[1].TLS.Vault)
}

func TestServer_ConfigureAddsToTheFile(t *testing.T) {
	t.Parallel()
	c, _ := read(t, whole(), Options{Servers: 1})
	must.NoError(t, c.Servers[0].Configure("enable_debug = true\n"))
	cfg, err := config.Load([]string{c.Servers[0].config}, false, func(string) string { return "" })
	must.NoError(t, err)
	must.True(t, cfg.EnableDebug)
}

func TestCluster_OthersLeavesOutTheServersThatAreNamed(t *testing.T) {
	t.Parallel()
	c, _ := read(t, whole(), Options{Servers: 3})
	must.Eq(t, []*Server{c.Servers[0], c.Servers[2]}, c.Others(c.Servers[1]))
	must.Len(t, 3, c.Servers)
	must.Len(t, 3, c.Others())
}
