package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/server/config"
	"github.com/shoenig/test/must"
)

const full = `
name     = "oak-1"
cluster  = "prod"
data_dir = "/var/lib/oakum"

addresses {
  http = "0.0.0.0:4740"
  raft = "10.0.0.1:4741"
}
advertise { http = "10.0.0.1:4740" }
tls { insecure = true }
server {
  bootstrap_expect = 3
  retry_join       = ["10.0.0.1", "10.0.0.2:4741", "10.0.0.3"]
}

nomad { address = env("NOMAD_ADDR") }
consul { address = "127.0.0.1:8500" }
prometheus {
  address = "http://prometheus:9090"
  kpi "error_rate" {
    kind  = "count"
    query = "sum by (alloc_id) (failed_total)"
    total = "sum by (alloc_id) (all_total)"
  }
}

vault {
  address        = "http://127.0.0.1:8200"
  role_id_file   = "/etc/oakum/role-id"
  secret_id_file = "/etc/oakum/secret-id"
  nomad { auth_method = "jwt" }
  consul {}
}

auth {
  rule "release managers" {
    when         = contains(claims.groups, "release-managers") && claims.team != "guests"
    capabilities = ["read", "approve", "rollout-control"]
  }
  rule "pipelines" {
    when         = claims.team == "platform" || contains(claims.groups, "deployers")
    capabilities = ["read", "patch-submit"]
  }
}

plugin "canary_node" {
  path   = "/usr/lib/oakum/canary-node"
  sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
}

intervals { orchestrator = "500ms" }
profiler { retention = "720h" }
simulator {
  rate           = 7.5
  pairs          = 6
  pairs_per_node = 2
}
telemetry { open_metrics = true }
log { format = "json" }
`

// withoutVault is the whole file without its vault block, and with more in auth.
func withoutVault(lines ...string) string {
	return full[:strings.Index(full, "vault {")] + "auth {\n" + strings.Join(lines, "\n") + full[strings.Index(full, "auth {")+len("auth {"):]
}

func environment(name string) string {
	return map[string]string{
		"NOMAD_ADDR": "http://10.0.0.9:4646", "CONSUL_HTTP_ADDR": "10.0.0.9:8500", "PROMETHEUS_ADDR": "http://10.0.0.9:9090",
	}[name]
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLoadFull(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full)}, false, environment)
	must.NoError(t, err)
	must.Eq(t, "oak-1", c.Name)
	must.Eq(t, "prod", c.Cluster)
	must.Eq(t, config.Addresses{HTTP: "0.0.0.0:4740", Raft: "10.0.0.1:4741"}, c.Addresses)
	must.Eq(t, config.Addresses{HTTP: "10.0.0.1:4740", Raft: "10.0.0.1:4741"}, c.Advertise)
	must.Eq(t, 3, c.Server.BootstrapExpect)
	must.Len(t, 3, c.Server.RetryJoin)
	must.Eq(t, "http://10.0.0.9:4646", c.Nomad.Address)
	must.Eq(t, "http://127.0.0.1:8500", c.Consul.Address)
	must.Eq(t, "alloc_id", c.Prometheus.AllocLabel)
	must.Eq(t, []config.KPI{{
		Name: "error_rate", Kind: api.KPICount, Query: "sum by (alloc_id) (failed_total)", Total: "sum by (alloc_id) (all_total)",
	}}, c.Prometheus.KPIs)
	must.Eq(t, "approle", c.Vault.ApprolePath)
	must.Eq(t, &config.TokenVia{AuthMethod: "jwt", OIDCRole: "nomad"}, c.Vault.Nomad)
	must.Eq(t, &config.TokenVia{AuthMethod: "vault", OIDCRole: "consul"}, c.Vault.Consul)
	must.Eq(t, "http://127.0.0.1:8200/v1/identity/oidc", c.Auth.Issuer)
	must.Eq(t, "http://127.0.0.1:8200/v1/identity/oidc/.well-known/keys", c.Auth.JWKS)
	must.Eq(t, 500*time.Millisecond, c.Intervals.Orchestrator)
	must.Eq(t, 5*time.Second, c.Intervals.Mapper)
	must.Eq(t, 720*time.Hour, c.Profiler.Retention)
	must.EqOp(t, 0, c.Inventory.MaxAge)
	aged, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full+"inventory { max_age = \"800h\" }\n")}, false, environment)
	must.NoError(t, err)
	must.EqOp(t, 800*time.Hour, aged.Inventory.MaxAge)
	must.Eq(t, config.Advisories{}, c.Advisories)
	fed, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full+"advisories {\n  dir = \"/osv\"\n  kev = \"/kev.json\"\n  epss = \"/epss.csv\"\n}\n")}, false, environment)
	must.NoError(t, err)
	must.Eq(t, config.Advisories{Dir: "/osv", KEV: "/kev.json", EPSS: "/epss.csv"}, fed.Advisories)
	must.True(t, aged.Inventory.ReadImages)
	must.False(t, aged.Inventory.ReadContainers)
	must.False(t, aged.Inventory.ReadNodes)
	own, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full+"inventory {\n read_images = false\n read_containers = true\n read_nodes = true\n docker_host = \"unix:///d.sock\"\n sources = [\"/srv/sbom/\", \"https://sbom.example\"]\n}\n")}, false, environment)
	must.NoError(t, err)
	must.False(t, own.Inventory.ReadImages)
	must.True(t, own.Inventory.ReadContainers)
	must.True(t, own.Inventory.ReadNodes)
	must.EqOp(t, "unix:///d.sock", own.Inventory.DockerHost)
	must.EqOp(t, "file:///srv/sbom https://sbom.example/", own.Inventory.Sources[0].String()+" "+own.Inventory.Sources[1].String())
	must.Eq(t, 7.5, c.Simulator.Rate)
	must.Eq(t, 6, c.Simulator.Pairs)
	must.Eq(t, 2, c.Simulator.PairsPerNode)
	must.True(t, c.Telemetry.OpenMetrics)
	must.Eq(t, config.Log{Level: "info", Format: "json"}, c.Log)
}

func TestAnotherIssuerThanVault(t *testing.T) {
	t.Parallel()
	text := withoutVault(`issuer = "https://id.example"`, `jwks_url = "https://id.example/keys"`)
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", text)}, false, environment)
	must.NoError(t, err)
	must.Nil(t, c.Vault)
	must.Eq(t, "https://id.example", c.Auth.Issuer)
	must.Len(t, 2, c.Auth.Rules)
}

func TestRulesDenyByDefault(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full)}, false, environment)
	must.NoError(t, err)
	for _, tc := range []struct {
		name   string
		claims map[string]any
		want   []api.Capability
		rules  []string
	}{
		{"no claims", nil, nil, nil},
		{"wrong group", map[string]any{"groups": []any{"cooks"}, "team": "kitchen"}, nil, nil},
		{"group of the wrong kind", map[string]any{"groups": "release-managers"}, nil, nil},
		{"group is null", map[string]any{"groups": nil}, nil, nil},
		{"guest", map[string]any{"groups": []any{"release-managers"}, "team": "guests"}, nil, nil},
		{"no team", map[string]any{"groups": []any{"release-managers"}}, []api.Capability{"approve", "read", "rollout-control"}, []string{"release managers"}},
		{"by team", map[string]any{"team": "platform"}, []api.Capability{"patch-submit", "read"}, []string{"pipelines"}},
		{"by group, without team", map[string]any{"groups": []any{"deployers"}}, []api.Capability{"patch-submit", "read"}, []string{"pipelines"}},
		{"both", map[string]any{"team": "platform", "groups": []any{"release-managers", "x"}, "exp": 12.5, "deep": map[string]any{"a": 1}},
			[]api.Capability{"approve", "patch-submit", "read", "rollout-control"}, []string{"release managers", "pipelines"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			grants, err := c.Auth.Rules.Evaluate(tc.claims)
			must.NoError(t, err)
			var rules []string
			for _, g := range grants {
				rules = append(rules, g.Rule)
			}
			must.Eq(t, append([]api.Capability{}, tc.want...), access.Held(grants))
			must.Eq(t, tc.rules, rules)
		})
	}
}

func TestFilesAreLaidOverEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "10-base.hcl", full)
	write(t, dir, "20-mine.hcl", `
name = "oak-2"
server { retry_join = ["only"] }
auth {
  rule "pipelines" {
    when         = false
    capabilities = ["read"]
  }
}
prometheus {
  kpi "error_rate" { unit = "ratio" }
  kpi "queue" {
    kind  = "gauge"
    query = "queue_length"
  }
}
`)
	write(t, dir, "notes.txt", "not HCL {")
	c, err := config.Load([]string{dir}, false, environment)
	must.NoError(t, err)
	must.Eq(t, "oak-2", c.Name)
	must.Eq(t, "prod", c.Cluster)
	must.Eq(t, 3, c.Server.BootstrapExpect)
	must.Eq(t, []string{"only"}, c.Server.RetryJoin)
	must.Len(t, 2, c.Auth.Rules)
	must.Len(t, 2, c.Prometheus.KPIs)
	must.Eq(t, "ratio", c.Prometheus.KPIs[0].Unit)
	must.Eq(t, "sum by (alloc_id) (failed_total)", c.Prometheus.KPIs[0].Query)
	got, err := c.Auth.Rules.Evaluate(map[string]any{"team": "platform"})
	must.NoError(t, err)
	must.SliceEmpty(t, got)
}

func TestDev(t *testing.T) {
	t.Parallel()
	c, err := config.Load(nil, true, environment)
	must.NoError(t, err)
	must.True(t, c.Dev)
	must.Eq(t, 1, c.Server.BootstrapExpect)
	must.Eq(t, "http://10.0.0.9:8500", c.Consul.Address)
	must.Eq(t, "http://10.0.0.9:9090", c.Prometheus.Address)
	must.Nil(t, c.Vault)

	c, err = config.Load([]string{write(t, t.TempDir(), "a.hcl", `log { level = "debug" }`)}, true, func(string) string { return "" })
	must.NoError(t, err)
	must.Eq(t, "debug", c.Log.Level)
	must.Eq(t, "http://127.0.0.1:4646", c.Nomad.Address)

	_, err = config.Load(nil, false, environment)
	must.ErrorContains(t, err, "-config=PATH")
}

// TestErrors shows what somebody sees who got something wrong. Each wanted
// string is one line of it.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		text string
		want []string
	}{
		{"syntax", "name = \n", []string{"a.hcl:1,8: Invalid expression"}},
		{"unknown argument", full + "\ncolour = \"x\"\n", []string{`a.hcl:62,1: Unsupported argument; An argument named "colour" is not expected here.`}},
		{"unknown block", full + "\nvualt {}\n", []string{`a.hcl:62,1: Unsupported block type; Blocks of type "vualt" are not expected here. Did you mean "vault"?`}},
		{"more pairs on a node than in all", strings.Replace(full, "pairs_per_node = 2", "pairs_per_node = 7", 1), []string{
			"simulator.pairs_per_node: want at least 1, and at most the 6 of simulator.pairs, have 7",
		}},
		{"two of one block", full + "\nlog {}\n", []string{"a.hcl:62,1: Duplicate log block"}},
		{"wrong types", strings.ReplaceAll(full, `"500ms"`, `"soon"`) + "\n", []string{`a.hcl:52,28: intervals.orchestrator: want a duration such as "5s", have "soon"`}},
		{"no number", strings.ReplaceAll(full, "bootstrap_expect = 3", `bootstrap_expect = "three"`), []string{"server.bootstrap_expect: want a whole number"}},
		{"half a server", strings.ReplaceAll(full, "bootstrap_expect = 3", `bootstrap_expect = 2.5`), []string{"server.bootstrap_expect: want a whole number"}},
		{"unset environment", strings.ReplaceAll(full, "NOMAD_ADDR", "NOWHERE"), []string{"environment variable NOWHERE is not set"}},
		{"relative folder", strings.ReplaceAll(full, "/var/lib/oakum", "data"), []string{`a.hcl:4,12: data_dir: want the folder for the server's state, as an absolute path, have "data"`}},
		{"no vault", withoutVault(), []string{"vault: want a vault block, or issuer and jwks_url in auth: callers prove who they are, and only -dev runs without"}},
		{"an issuer without keys", withoutVault(`issuer = "https://id.example"`), []string{"vault: want a vault block, or issuer and jwks_url in auth"}},
		{"keys at no address", withoutVault(`issuer = "https://id.example"`, `jwks_url = "keys"`), []string{"auth.jwks_url: want"}},
		{"two at once", strings.NewReplacer(`"0.0.0.0:4740"`, `"nowhere"`, `"json"`, `"xml"`).Replace(full), []string{
			`a.hcl:7,10: addresses.http: want host:port, have "nowhere"`, `a.hcl:60,16: log.format: want text or json, have "xml"`,
		}},
		{"rule over something else", strings.ReplaceAll(full, "claims.team == ", "caller.team == "), []string{`a.hcl:42,20: Unknown variable; There is no variable named "caller"; a rule sees claims.`}},
		{"rule with an unknown function", strings.ReplaceAll(full, "|| contains(", "|| contans("), []string{`a.hcl:42,49: Unknown function; There is no function named "contans"; a rule may call contains, length, lower, regex.`}},
		{"rule without condition", strings.ReplaceAll(full, `when         = claims.team == "platform" || contains(claims.groups, "deployers")`, ""), []string{"auth.rule.pipelines.when: want a condition, true or false"}},
		{"rule that is a list", strings.ReplaceAll(full, `claims.team == "platform" || contains(claims.groups, "deployers")`, `["x"]`), []string{"auth.rule.pipelines.when: want a condition, true or false"}},
		{"unknown capability", strings.ReplaceAll(full, `"patch-submit"`, `"patch"`), []string{`auth.rule.pipelines.capabilities: want read, policy-write, patch-submit, simulate, approve, rollout-control, operator, have "patch"`}},
		{"checksum", strings.ReplaceAll(full, "b855", ""), []string{"plugin.canary_node.sha256: want the plugin's SHA-256, 64 hexadecimal digits"}},
		{"docker", full + "inventory { docker_host = \"/run/docker.sock\" }\n", []string{"inventory.docker_host: want where Docker listens, such as unix:///run/docker.sock, not \"/run/docker.sock\""}},
		{"sources", full + "inventory { sources = [\"https://a:b@x\", \"sbom\", \"ftp://x\", \"/srv/../etc\"] }\n", []string{
			"inventory.sources: \"https://a:b@x\": want no user, query or fragment", "inventory.sources: \"sbom\": want http, https, file or consul-kv",
			"inventory.sources: \"ftp://x\": want http, https, file or consul-kv", "inventory.sources: \"/srv/../etc\" climbs out of its folder",
		}},
		{"age", full + "inventory { max_age = \"5m\" }\n", []string{"inventory.max_age: want at least 1h0m0s, or 0s for any age, have 5m0s"}},
		{"advisories of nowhere", full + "advisories {\n  dir = \"osv\"\n}\n", []string{"advisories.dir: want the absolute path of what it reads"}},
		{"audit file without a path", full + "\naudit \"file\" {}\n", []string{"a.hcl:62,1: audit.file: want path, the absolute path of the log"}},
		{"audit of another kind", full + "\naudit \"mail\" {}\n", []string{`audit.mail: want file, socket or syslog, have "mail"`}},
		{"audit socket without a scheme", full + "\naudit \"socket\" {\n  address = \"127.0.0.1:9000\"\n}\n", []string{`audit.socket: want address, such as tcp://127.0.0.1:9000`}},
		{"audit argument of another kind", full + "\naudit \"syslog\" {\n  path = \"/x\"\n}\n", []string{`audit.syslog.path: want it in a block "audit file" only`}},
		{"an audit device twice", full + "\naudit \"syslog\" {}\naudit \"syslog\" {}\n", []string{"audit.syslog: want each device once"}},
		{"retention", strings.ReplaceAll(full, "720h", "5m"), []string{"profiler.retention: want at least 1h0m0s, have 5m0s"}},
		{"interval", strings.ReplaceAll(full, "500ms", "5ms"), []string{"intervals.orchestrator: want at least 100ms, have 5ms"}},
		{"unknown KPI without kind", strings.NewReplacer(`kpi "error_rate"`, `kpi "queue"`, `kind  = "count"`, "").Replace(full), []string{"prometheus.kpi.queue.kind: want count, latency or gauge"}},
		{"no pairs", strings.ReplaceAll(full, "= 6", "= 0"), []string{"a.hcl:56,20: simulator.pairs: want at least 1, have 0"}},
		{"image roots", strings.ReplaceAll(full, "= 7.5", "= 7.5\nimage_roots = [\"/srv/images\", \"images\", \"/usr/..\"]"), []string{
			`: simulator.image_roots[1]: want the absolute path of a folder, such as /srv/images, have "images"`,
			`: simulator.image_roots[2]: want the absolute path of a folder, such as /srv/images, have "/usr/.."`,
		}},
		{"nobody to join", strings.ReplaceAll(full, `["10.0.0.1", "10.0.0.2:4741", "10.0.0.3"]`, "[]"), []string{"server.retry_join: want the addresses of the 3 servers that bootstrap the cluster"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", tc.text)}, false, environment)
			must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
			for _, want := range tc.want {
				must.StrContains(t, err.Error(), want)
			}
			must.Len(t, len(tc.want), api.AsError(err).Details, must.Sprint(err))
		})
	}
}

func TestAKPIThatCouldNotBeJudgedIsRefusedInItsPlace(t *testing.T) {
	for _, c := range []struct{ name, block, want string }{
		{"latency without a quantile", `kpi "checkout" {
    kind  = "latency"
    query = "x"
  }`, "a.hcl:22,13: prometheus.kpi.checkout.kind: want a name that ends in the quantile of the latency, such as checkout_p99"},
		{"count without a total", `kpi "failures" {
    kind  = "count"
    query = "x"
  }`, "a.hcl:21,3: prometheus.kpi.failures.total: want the query for all events"},
		{"gauge with a total", `kpi "queue" {
    kind  = "gauge"
    query = "x"
    total = "y"
  }`, "a.hcl:24,13: prometheus.kpi.queue.total: want none: only a count is out of a total"},
		{"known KPI of another kind", `kpi "cpu" {
    kind  = "count"
    query = "x"
  }`, "a.hcl:22,13: prometheus.kpi.cpu.kind: want gauge, which cpu is, have count"},
		{"a parenthesis that is missing", `kpi "queue" {
    kind  = "gauge"
    query = "max by (alloc_id) (queue_items"
  }`, "a.hcl:23,44: prometheus.kpi.queue.query: 1:31: unclosed left parenthesis"},
		{"an answer without the allocation's label", `kpi "queue" {
    kind  = "gauge"
    query = <<-EOT
      1 + max by (job) (
        queue_items
      )
    EOT
  }`, "a.hcl:24,11: prometheus.kpi.queue.query: 1:5: this drops the label \"alloc_id\"; write max by (job, alloc_id) (...)"},
		{"a rate where a counter is asked for", `kpi "failures" {
    kind  = "count"
    query = "sum by (alloc_id) (failed_total{code=~\"5..\"})"
    total = "sum by (alloc_id) (rate(all_total[1m]))"
  }`, "a.hcl:24,33: prometheus.kpi.failures.total: 1:20: rate gives no counter"},
		{"a latency without its bounds", `kpi "checkout_p99" {
    kind  = "latency"
    query = "sum by (alloc_id) (checkout_seconds_bucket)"
  }`, "a.hcl:23,14: prometheus.kpi.checkout_p99.query: 1:1: this drops the label \"le\""},
		{"a range vector that is computed", `kpi "queue" {
    kind  = "gauge"
    query = "max by (alloc_id) (${"queue[5m]"})"
  }`, "a.hcl:23,33: prometheus.kpi.queue.query: 1:20: expected type instant vector"},
		{"KPI that has no query", `kpi "restarts" {
    query = "x"
  }`, "a.hcl:22,13: prometheus.kpi.restarts.query: want no block for restarts: Oakum measures it by itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(full, `kpi "error_rate" {`, c.block+"\n  kpi \"error_rate\" {", 1)
			_, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", text)}, false, environment)
			must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
			must.StrContains(t, err.Error(), c.want)
			must.Len(t, 1, api.AsError(err).Details, must.Sprint(err))
		})
	}
}

func TestPrometheus_IsAskedWithCredentials(t *testing.T) {
	t.Parallel()
	load := func(fields string) (*config.Config, error) {
		text := strings.Replace(full, `  kpi "error_rate" {`, fields+"\n  kpi \"error_rate\" {", 1)
		return config.Load([]string{write(t, t.TempDir(), "a.hcl", text)}, false, environment)
	}
	c, err := load(`
  username = "oakum"
  password_file = "/etc/oakum/password"
  tenant = "team-a"
  ca_cert = "/etc/oakum/ca.pem"
  client_cert = "/etc/oakum/cert.pem"
  client_key = "/etc/oakum/key.pem"`)
	must.NoError(t, err)
	p := *c.Prometheus
	must.Eq(t, []string{"replica", "prometheus_replica"}, p.ReplicaLabels)
	must.Eq(t, []string{"oakum", "/etc/oakum/password", "team-a", "/etc/oakum/ca.pem", "/etc/oakum/cert.pem", "/etc/oakum/key.pem"},
		[]string{p.Username, p.PasswordFile, p.Tenant, p.CACert, p.ClientCert, p.ClientKey})
	for fields, want := range map[string]string{
		`username = "oakum"`:                  "prometheus.password_file: want the absolute path",
		`password_file = "/password"`:         "prometheus.username: want the user",
		`client_cert = "/cert.pem"`:           "prometheus.client_key: want the absolute path",
		`ca_cert = "ca.pem"`:                  `prometheus.ca_cert: want the absolute path of the file with the CA's certificate, have "ca.pem"`,
		`replica_labels = ["replica", "a b"]`: `prometheus.replica_labels[1]: want the name of a label other than alloc_label, have "a b"`,
		`tenant = "a\nb"`:                     `prometheus.tenant: want a name of printable ASCII characters, have "a\nb"`,
		"username = \"a\"\n password_file = \"/p\"\n token_file = \"/t\"": "prometheus.username: want a bearer token or a user name, have both",
	} {
		_, err := load(fields)
		must.ErrorContains(t, err, want)
		must.Len(t, 1, api.AsError(err).Details, must.Sprint(err))
	}
}

func TestRules_NameNamespacesAndJobs(t *testing.T) {
	t.Parallel()
	rules := `
auth {
  rule "team" {
    when         = claims.team == "shop"
    capabilities = ["read"]
    namespaces   = ["shop-*"]
    jobs         = ["web"]
  }
  rule "not in payments" {
    when         = regex("^contractor", claims.kind) != ""
    capabilities = ["read"]
    namespaces   = ["payments"]
    deny         = true
  }
}`
	c, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", full), write(t, t.TempDir(), "b.hcl", rules)}, false, environment)
	must.NoError(t, err)
	team := api.Grant{Rule: "team", Capabilities: []api.Capability{"read"}, Namespaces: []string{"shop-*"}, Jobs: []string{"web"}}
	denied := api.Grant{Rule: "not in payments", Deny: true, Capabilities: []api.Capability{"read"}, Namespaces: []string{"payments"}}
	got, err := c.Auth.Rules.Evaluate(map[string]any{"team": "shop", "kind": "contractor"})
	must.NoError(t, err)
	must.Eq(t, []api.Grant{team, denied}, got)
	got, err = c.Auth.Rules.Evaluate(map[string]any{"team": "shop"}) // nobody knows whether it is to be denied
	must.NoError(t, err)
	must.Eq(t, []api.Grant{team, denied}, got)
	got, err = c.Auth.Rules.Evaluate(map[string]any{})
	must.NoError(t, err)
	must.Eq(t, []api.Grant{denied}, got)

	for bad, want := range map[string]string{
		`capabilities = ["operator"]
    namespaces   = ["a"]`: "operator is about the whole cluster",
		`capabilities = ["read"]
    namespaces   = []`: "want at least one name or pattern",
		`capabilities = ["read"]
    jobs         = ["a b"]`: `"a b" is no name or pattern`,
	} {
		text := "auth {\n  rule \"x\" {\n    when = true\n    " + bad + "\n  }\n}\n"
		_, err := config.Load([]string{write(t, t.TempDir(), "a.hcl", full), write(t, t.TempDir(), "b.hcl", text)}, false, environment)
		must.ErrorContains(t, err, want)
	}
}
