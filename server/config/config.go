// Package config reads the agent's configuration: HCL files, one laid over the
// other, checked as a whole, with every error at its file, line and column.
//
// It decides nothing and opens nothing but the files that it is asked to read.
package config

import (
	"cmp"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/internal/simulator"
)

// Config is the agent's configuration.
type Config struct {
	Dev     bool   // one server, in memory, everybody may do everything
	Name    string // of the server, unique in the cluster and kept for its life
	Cluster string
	DataDir string

	Addresses Addresses // to listen at
	Advertise Addresses // that others reach it at; empty means the one to listen at

	TLS        TLS
	Server     Server
	Autopilot  Autopilot
	Nomad      Nomad
	Consul     *Consul     // nil: no Consul
	Prometheus *Prometheus // nil: no Prometheus
	Vault      *Vault      // nil with Dev, or where Auth names another issuer
	Auth       Auth
	Audit      []Audit // devices; none: there is no audit log
	Plugins    []Plugin
	Mapper     Mapper
	Profiler   Profiler
	Inventory  Inventory
	Notify     []Notify
	Advisories Advisories
	Intervals  Intervals
	Simulator  Simulator
	Telemetry  Telemetry
	Limits     Limits
	Log        Log

	EnableDebug bool // profiles of the process over the API, for operators
}

// Addresses are host:port pairs.
type Addresses struct {
	HTTP string // the API
	Raft string // Raft and the servers' conversations
}

// Server says how the server belongs to its cluster.
type Server struct {
	BootstrapExpect  int
	RetryJoin        []string // addresses, DNS names, _service._tcp.names, or "provider=consul service=oakum"
	NonVoter         bool     // it follows for ever: it never votes and never leads
	LeaveOnInterrupt bool     // an interrupt makes it leave the cluster, not only stop
	LeaveOnTerminate bool     // the same for SIGTERM
}

// Nomad says where Nomad is.
type Nomad struct {
	Address string
	Token   string // used when Vault gives none
	CACert  string
}

// Consul says where Consul is.
type Consul struct {
	Address    string
	Token      string // used when Vault gives none
	Datacenter string
	CACert     string

	Register    bool // this server registers itself as a service
	ServiceName string
	Tags        []string
}

// Prometheus says where the measurements are.
type Prometheus struct {
	Address   string
	TokenFile string // of a bearer token
	Username  string // of basic authentication
	// PasswordFile goes with Username.
	PasswordFile string
	Tenant       string // sent as X-Scope-OrgID
	CACert       string // file
	ClientCert   string // file
	ClientKey    string // file
	AllocLabel   string // label that carries a series' Nomad allocation ID
	// ReplicaLabels tell apart the series of several Prometheus servers that scrape the
	// same endpoints.
	ReplicaLabels []string
	// ScrapeInterval is the longest between two scrapes of one series that is judged.
	ScrapeInterval time.Duration
	KPIs           []KPI
}

// KPI overrides how a known KPI is measured, or adds one. Queries have one
// series per allocation.
type KPI struct {
	Name  string
	Kind  api.KPIKind
	Unit  string
	Query string // count: what failed; latency: histogram buckets by le; gauge: the value
	Total string // count: out of how many
}

// Vault says where Vault is and how the agent proves itself to it.
type Vault struct {
	Address      string
	CACert       string
	ApprolePath  string
	RoleIDFile   string
	SecretIDFile string
	Nomad        *TokenVia // nil: Nomad's token is not got by way of Vault
	Consul       *TokenVia
}

// TokenVia says how an identity token of Vault becomes a token of another
// system: which OIDC role makes it and which auth method takes it.
type TokenVia struct {
	AuthMethod string
	OIDCRole   string
}

// Auth says who callers are and what they may do.
type Auth struct {
	Issuer      string // of identity tokens
	Audience    string
	JWKS        string // URL of the keys that they are verified with
	NameClaim   string
	GroupsClaim string
	VaultTokens bool // whether a Vault token is taken as well
	Rules       Rules
}

// AuthRule gives capabilities to callers whose claims meet a condition, or denies them.
type AuthRule struct {
	Name         string
	When         hcl.Expression // over claims
	Capabilities []api.Capability
	Namespaces   []string // globs of the namespaces that it is about; empty for all
	Jobs         []string // globs of job IDs; empty for all
	Deny         bool
	Range        hcl.Range
}

// Plugin is a strategy that runs in a process of its own.
type Plugin struct {
	Name   string
	Path   string
	SHA256 string
}

// Mapper tunes the dependency graph. Zero means the mapper's own default.
type Mapper struct {
	KeepObserved  time.Duration // how long traffic proves an edge
	StaleAfter    time.Duration // how long a declaration may go without traffic
	HalfLife      time.Duration // in which an edge that is not seen loses half of its confidence
	AwayAfter     time.Duration // how long a source must have failed to count as away
	AwayTries     int           // how many tries in a row it must have failed for that
	MinBytes      float64       // per second; less is no traffic
	Ignore        []string      // services that are not the application's; nil means the default
	IgnoreEnds    []string      // addresses, ranges and names of ends of traffic that are no services
	LoadBalancers []string      // services that only pass on: who calls one depends on what is behind it
	Rack          string        // key of a node's meta that holds its rack
	Traffic       []Traffic     // empty means Consul's built-in proxy and Envoy
}

// Profiler tunes what is learned of targets.
type Profiler struct {
	Retention time.Duration // of the profile of a target that is gone
}

// Inventory says how inventories count, and which of them servers read by themselves.
type Inventory struct {
	MaxAge     time.Duration // one that is older never says that anything is safe; zero for any age
	ReadImages bool          // of virtual machines, in the appliance
	// ReadContainers reads the images of containers, by the Docker of the clients, which
	// listens at DockerHost, or where its own program finds it.
	ReadContainers bool
	DockerHost     string
	ReadNodes      bool // what is installed on the client nodes
	// Sources are the places below which jobs may name inventories.
	Sources []*url.URL

	sources []string
}

// Advisories are where a server reads what is known of faults beside what patches say: files
// that somebody else fills and keeps up to date. Absolute paths; empty for none.
type Advisories struct {
	Dir  string // of OSV documents
	KEV  string // the catalogue of exploited faults
	EPSS string // the probabilities of exploits
}

// shortestMaxAge is the least age: nothing scans a fleet more often than every hour.
const shortestMaxAge = time.Hour

// shortestRetention is the least retention, so that a redeployment does not lose a
// profile.
const shortestRetention = time.Hour

// longestMemory is how long traffic can be remembered by day.
const longestMemory = api.MaxDays * 24 * time.Hour

// Intervals are the paces of the leader's work.
type Intervals struct {
	Mapper       time.Duration
	Profiler     time.Duration
	Checkpoint   time.Duration // of profiles
	Orchestrator time.Duration
}

// Simulator tunes the sandbox.
type Simulator struct {
	Rate         float64              // the most requests per second to each twin
	Warmup       time.Duration        // of both twins at most, before anything counts
	BootTimeout  time.Duration        // for both twins to become healthy
	Timeout      time.Duration        // of a whole simulation
	Appliance    *appliance.Appliance // in which scripts run; nil refuses patches with scripts
	Network      string               // CNI network without a way out, for twins that are no virtual machine; empty: those have no twins
	Load         *appliance.File      // oakum for the nodes, which asks such twins; nil with an empty Network
	Pairs        int                  // simulations at once, each with one pair of twins
	PairsPerNode int                  // of them on one node
	// ImageRoots are the folders of the Nomad clients that images of twins may
	// come from; none means the folder of the image that the target runs.
	ImageRoots []string
}

// Telemetry says who may read the agent's own metrics.
type Telemetry struct {
	OpenMetrics bool // without a token
}

// Log says what is logged and how.
type Log struct {
	Level  string
	Format string
}

// Rules are evaluated one after the other. A caller has the capabilities of all
// that match, without those that a matching one denies.
type Rules []AuthRule

// defaults is what holds where no file says otherwise.
func defaults() *Config {
	return &Config{
		Cluster:   "default",
		Addresses: Addresses{HTTP: "127.0.0.1:4740", Raft: "127.0.0.1:4741"},
		Nomad:     Nomad{Address: "http://127.0.0.1:4646"},
		Autopilot: defaultAutopilot(), Limits: defaultLimits(),
		Auth: Auth{Audience: "oakum", NameClaim: "username", GroupsClaim: "groups", VaultTokens: true},
		Intervals: Intervals{
			Mapper: mapper.DefaultInterval, Profiler: profiler.DefaultInterval, Checkpoint: profiler.DefaultCheckpoint, Orchestrator: orchestrator.DefaultInterval,
		},
		Profiler:  Profiler{Retention: profiler.DefaultRetention},
		Inventory: Inventory{ReadImages: true},
		Simulator: Simulator{
			Rate: simulator.DefaultRate, Warmup: simulator.DefaultWarmup,
			BootTimeout: simulator.DefaultBootTimeout, Timeout: simulator.DefaultTimeout,
			Pairs: simulator.DefaultPairs, PairsPerNode: simulator.DefaultPairsPerNode,
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// Dev returns the configuration of `oakum agent -dev`: one server in memory
// beside a Nomad, Consul and Prometheus on this machine, or where the
// environment says.
func Dev(getenv func(string) string) *Config {
	c := defaults()
	c.Dev, c.Name = true, "dev"
	c.Server.BootstrapExpect = 1
	c.Nomad.Address = withScheme(cmp.Or(getenv("NOMAD_ADDR"), c.Nomad.Address))
	c.Nomad.Token = getenv("NOMAD_TOKEN")
	c.Consul = newConsul()
	c.Consul.Address = withScheme(cmp.Or(getenv("CONSUL_HTTP_ADDR"), c.Consul.Address))
	c.Consul.Token = getenv("CONSUL_HTTP_TOKEN")
	c.Consul.Register = false // it is gone again before anybody looks for it
	c.Prometheus = newPrometheus()
	c.Prometheus.Address = withScheme(cmp.Or(getenv("PROMETHEUS_ADDR"), c.Prometheus.Address))
	return c
}

func newConsul() *Consul {
	return &Consul{Address: "http://127.0.0.1:8500", Register: true, ServiceName: "oakum"}
}

func newPrometheus() *Prometheus {
	return &Prometheus{Address: "http://127.0.0.1:9090", AllocLabel: kpi.DefaultLabel, ScrapeInterval: judge.DefaultScrape,
		ReplicaLabels: []string{"replica", "prometheus_replica"}} // the names in Thanos' and the Prometheus operator's manuals
}

// newVault has no default address: a person must say to whom the agent sends its
// secrets.
func newVault() *Vault { return &Vault{ApprolePath: "approle"} }

// derive sets the fields that follow from others.
func (c *Config) derive(hostname func() (string, error)) {
	if c.Name == "" {
		if name, err := hostname(); err == nil { // else the check asks for a name
			c.Name = name
		}
	}
	c.Advertise.HTTP = cmp.Or(c.Advertise.HTTP, c.Addresses.HTTP)
	c.Advertise.Raft = cmp.Or(c.Advertise.Raft, c.Addresses.Raft)
	c.Nomad.Address = withScheme(c.Nomad.Address)
	if c.Consul != nil {
		c.Consul.Address = withScheme(c.Consul.Address)
	}
	if c.Prometheus != nil {
		c.Prometheus.Address = withScheme(c.Prometheus.Address)
	}
	if c.Vault != nil && c.Vault.Address != "" {
		base := strings.TrimSuffix(c.Vault.Address, "/")
		c.Auth.Issuer = cmp.Or(c.Auth.Issuer, base+"/v1/identity/oidc")
		c.Auth.JWKS = cmp.Or(c.Auth.JWKS, base+"/v1/identity/oidc/.well-known/keys")
	}
}

// withScheme makes a URL of an address such as 127.0.0.1:8500.
func withScheme(address string) string {
	if address == "" || strings.Contains(address, "://") {
		return address
	}
	return (&url.URL{Scheme: "http", Host: address}).String()
}

// Load reads configuration files and folders of them, each laid over the ones
// before it, and checks the whole. With dev it starts from Dev.
func Load(paths []string, dev bool, getenv func(string) string) (*Config, error) {
	c := defaults()
	if dev {
		c = Dev(getenv)
	}
	files, err := find(paths)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 && !dev {
		return nil, api.Errorf(api.CodeInvalid, "the agent needs a configuration: -config=PATH, or -dev to try things out on one machine")
	}
	l := &loader{cfg: c, getenv: getenv, ranges: map[string]hcl.Range{}, texts: map[string][]byte{}}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, api.Errorf(api.CodeInvalid, "read configuration: %v", err)
		}
		l.file(name, text)
	}
	if len(l.problems) == 0 {
		c.derive(os.Hostname)
		l.check()
	}
	if len(l.problems) > 0 {
		return nil, l.error()
	}
	return c, nil
}
