package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/oakumhq/oakum/api"
)

// The structs of this file are the shape of a configuration file. Attributes
// are kept as they stand, so that an error can say where it is, and so that an
// attribute that is absent leaves what an earlier file said.

type fileBlock struct {
	Name       *hcl.Attribute   `hcl:"name,optional"`
	Cluster    *hcl.Attribute   `hcl:"cluster,optional"`
	DataDir    *hcl.Attribute   `hcl:"data_dir,optional"`
	Addresses  *addressesBlock  `hcl:"addresses,block"`
	Advertise  *addressesBlock  `hcl:"advertise,block"`
	Server     *serverBlock     `hcl:"server,block"`
	Autopilot  *autopilotBlock  `hcl:"autopilot,block"`
	Debug      *hcl.Attribute   `hcl:"enable_debug,optional"`
	TLS        *tlsBlock        `hcl:"tls,block"`
	Nomad      *nomadBlock      `hcl:"nomad,block"`
	Consul     *consulBlock     `hcl:"consul,block"`
	Prometheus *prometheusBlock `hcl:"prometheus,block"`
	Vault      *vaultBlock      `hcl:"vault,block"`
	Auth       *authBlock       `hcl:"auth,block"`
	Audit      []auditBlock     `hcl:"audit,block"`
	Plugins    []pluginBlock    `hcl:"plugin,block"`
	Notify     []notifyBlock    `hcl:"notify,block"`
	Mapper     *mapperBlock     `hcl:"mapper,block"`
	Profiler   *profilerBlock   `hcl:"profiler,block"`
	Inventory  *inventoryBlock  `hcl:"inventory,block"`
	Advisories *advisoriesBlock `hcl:"advisories,block"`
	Intervals  *intervalsBlock  `hcl:"intervals,block"`
	Simulator  *simulatorBlock  `hcl:"simulator,block"`
	Telemetry  *telemetryBlock  `hcl:"telemetry,block"`
	Limits     *limitsBlock     `hcl:"limits,block"`
	Log        *logBlock        `hcl:"log,block"`
}

type addressesBlock struct {
	HTTP *hcl.Attribute `hcl:"http,optional"`
	Raft *hcl.Attribute `hcl:"raft,optional"`
}

type serverBlock struct {
	BootstrapExpect  *hcl.Attribute `hcl:"bootstrap_expect,optional"`
	RetryJoin        *hcl.Attribute `hcl:"retry_join,optional"`
	NonVoter         *hcl.Attribute `hcl:"non_voter,optional"`
	LeaveOnInterrupt *hcl.Attribute `hcl:"leave_on_interrupt,optional"`
	LeaveOnTerminate *hcl.Attribute `hcl:"leave_on_terminate,optional"`
}

type nomadBlock struct {
	Address *hcl.Attribute `hcl:"address,optional"`
	Token   *hcl.Attribute `hcl:"token,optional"`
	CACert  *hcl.Attribute `hcl:"ca_cert,optional"`
}

type consulBlock struct {
	Address    *hcl.Attribute `hcl:"address,optional"`
	Token      *hcl.Attribute `hcl:"token,optional"`
	Datacenter *hcl.Attribute `hcl:"datacenter,optional"`
	CACert     *hcl.Attribute `hcl:"ca_cert,optional"`

	Register    *hcl.Attribute `hcl:"register,optional"`
	ServiceName *hcl.Attribute `hcl:"service_name,optional"`
	Tags        *hcl.Attribute `hcl:"tags,optional"`
}

type prometheusBlock struct {
	Address        *hcl.Attribute `hcl:"address,optional"`
	TokenFile      *hcl.Attribute `hcl:"token_file,optional"`
	Username       *hcl.Attribute `hcl:"username,optional"`
	PasswordFile   *hcl.Attribute `hcl:"password_file,optional"`
	Tenant         *hcl.Attribute `hcl:"tenant,optional"`
	CACert         *hcl.Attribute `hcl:"ca_cert,optional"`
	ClientCert     *hcl.Attribute `hcl:"client_cert,optional"`
	ClientKey      *hcl.Attribute `hcl:"client_key,optional"`
	AllocLabel     *hcl.Attribute `hcl:"alloc_label,optional"`
	ReplicaLabels  *hcl.Attribute `hcl:"replica_labels,optional"`
	ScrapeInterval *hcl.Attribute `hcl:"scrape_interval,optional"`
	KPIs           []kpiBlock     `hcl:"kpi,block"`
}

type kpiBlock struct {
	Name  string         `hcl:"name,label"`
	Kind  *hcl.Attribute `hcl:"kind,optional"`
	Unit  *hcl.Attribute `hcl:"unit,optional"`
	Query *hcl.Attribute `hcl:"query,optional"`
	Total *hcl.Attribute `hcl:"total,optional"`
	Range hcl.Range      `hcl:",def_range"`
}

type vaultBlock struct {
	Address      *hcl.Attribute `hcl:"address,optional"`
	CACert       *hcl.Attribute `hcl:"ca_cert,optional"`
	ApprolePath  *hcl.Attribute `hcl:"approle_path,optional"`
	RoleIDFile   *hcl.Attribute `hcl:"role_id_file,optional"`
	SecretIDFile *hcl.Attribute `hcl:"secret_id_file,optional"`
	Nomad        *tokenViaBlock `hcl:"nomad,block"`
	Consul       *tokenViaBlock `hcl:"consul,block"`
}

type tokenViaBlock struct {
	AuthMethod *hcl.Attribute `hcl:"auth_method,optional"`
	OIDCRole   *hcl.Attribute `hcl:"oidc_role,optional"`
}

type authBlock struct {
	Issuer      *hcl.Attribute `hcl:"issuer,optional"`
	Audience    *hcl.Attribute `hcl:"audience,optional"`
	JWKS        *hcl.Attribute `hcl:"jwks_url,optional"`
	NameClaim   *hcl.Attribute `hcl:"name_claim,optional"`
	GroupsClaim *hcl.Attribute `hcl:"groups_claim,optional"`
	VaultTokens *hcl.Attribute `hcl:"vault_tokens,optional"`
	Rules       []ruleBlock    `hcl:"rule,block"`
}

type ruleBlock struct {
	Name         string         `hcl:"name,label"`
	When         hcl.Expression `hcl:"when"`
	Capabilities *hcl.Attribute `hcl:"capabilities"`
	Namespaces   *hcl.Attribute `hcl:"namespaces,optional"`
	Jobs         *hcl.Attribute `hcl:"jobs,optional"`
	Deny         *hcl.Attribute `hcl:"deny,optional"`
	Range        hcl.Range      `hcl:",def_range"`
}

type pluginBlock struct {
	Name   string         `hcl:"name,label"`
	Path   *hcl.Attribute `hcl:"path"`
	SHA256 *hcl.Attribute `hcl:"sha256"`
}

type mapperBlock struct {
	KeepObserved  *hcl.Attribute `hcl:"keep_observed,optional"`
	StaleAfter    *hcl.Attribute `hcl:"stale_after,optional"`
	HalfLife      *hcl.Attribute `hcl:"half_life,optional"`
	AwayAfter     *hcl.Attribute `hcl:"away_after,optional"`
	AwayTries     *hcl.Attribute `hcl:"away_tries,optional"`
	MinBytes      *hcl.Attribute `hcl:"min_bytes,optional"`
	Ignore        *hcl.Attribute `hcl:"ignore,optional"`
	IgnoreEnds    *hcl.Attribute `hcl:"ignore_ends,optional"`
	LoadBalancers *hcl.Attribute `hcl:"load_balancers,optional"`
	Rack          *hcl.Attribute `hcl:"rack,optional"`
	Traffic       []trafficBlock `hcl:"traffic,block"`
}

type profilerBlock struct {
	Retention *hcl.Attribute `hcl:"retention,optional"`
}

type inventoryBlock struct {
	MaxAge         *hcl.Attribute `hcl:"max_age,optional"`
	ReadImages     *hcl.Attribute `hcl:"read_images,optional"`
	ReadContainers *hcl.Attribute `hcl:"read_containers,optional"`
	ReadNodes      *hcl.Attribute `hcl:"read_nodes,optional"`
	DockerHost     *hcl.Attribute `hcl:"docker_host,optional"`
	Sources        *hcl.Attribute `hcl:"sources,optional"`
}

type advisoriesBlock struct {
	Dir  *hcl.Attribute `hcl:"dir,optional"`
	KEV  *hcl.Attribute `hcl:"kev,optional"`
	EPSS *hcl.Attribute `hcl:"epss,optional"`
}

type intervalsBlock struct {
	Mapper       *hcl.Attribute `hcl:"mapper,optional"`
	Profiler     *hcl.Attribute `hcl:"profiler,optional"`
	Checkpoint   *hcl.Attribute `hcl:"checkpoint,optional"`
	Orchestrator *hcl.Attribute `hcl:"orchestrator,optional"`
}

type simulatorBlock struct {
	Rate        *hcl.Attribute  `hcl:"rate,optional"`
	Warmup      *hcl.Attribute  `hcl:"warmup,optional"`
	BootTimeout *hcl.Attribute  `hcl:"boot_timeout,optional"`
	Timeout     *hcl.Attribute  `hcl:"timeout,optional"`
	Pairs       *hcl.Attribute  `hcl:"pairs,optional"`
	PerNode     *hcl.Attribute  `hcl:"pairs_per_node,optional"`
	ImageRoots  *hcl.Attribute  `hcl:"image_roots,optional"`
	Appliance   *applianceBlock `hcl:"appliance,block"`
	Network     *hcl.Attribute  `hcl:"network,optional"`
	Load        *applianceFile  `hcl:"load,block"`
}

type telemetryBlock struct {
	OpenMetrics *hcl.Attribute `hcl:"open_metrics,optional"`
}

type logBlock struct {
	Level  *hcl.Attribute `hcl:"level,optional"`
	Format *hcl.Attribute `hcl:"format,optional"`
}

// root lays a file over the configuration.
func (l *loader) root(f *fileBlock) {
	c := l.cfg
	l.str(f.Name, &c.Name)
	l.str(f.Cluster, &c.Cluster)
	l.str(f.DataDir, &c.DataDir)
	block(l, "addresses", f.Addresses, func(b *addressesBlock) { l.addresses(b, &c.Addresses) })
	block(l, "advertise", f.Advertise, func(b *addressesBlock) { l.addresses(b, &c.Advertise) })
	block(l, "server", f.Server, func(b *serverBlock) {
		l.integer(b.BootstrapExpect, &c.Server.BootstrapExpect)
		l.strs(b.RetryJoin, &c.Server.RetryJoin)
		l.flag(b.NonVoter, &c.Server.NonVoter)
		l.flag(b.LeaveOnInterrupt, &c.Server.LeaveOnInterrupt)
		l.flag(b.LeaveOnTerminate, &c.Server.LeaveOnTerminate)
	})
	block(l, "autopilot", f.Autopilot, l.autopilot)
	l.flag(f.Debug, &c.EnableDebug)
	block(l, "tls", f.TLS, l.tls)
	block(l, "limits", f.Limits, l.limits)
	block(l, "nomad", f.Nomad, func(b *nomadBlock) {
		l.str(b.Address, &c.Nomad.Address)
		l.str(b.Token, &c.Nomad.Token)
		l.str(b.CACert, &c.Nomad.CACert)
	})
	block(l, "consul", f.Consul, l.consul)
	block(l, "prometheus", f.Prometheus, l.prometheus)
	block(l, "vault", f.Vault, l.vault)
	block(l, "auth", f.Auth, l.auth)
	for _, b := range f.Audit {
		l.within("audit."+b.Kind, func() { l.audit(b) })
	}
	for _, p := range f.Plugins {
		l.within("plugin."+p.Name, func() { l.plugin(p) })
	}
	for _, b := range f.Notify {
		l.within("notify."+b.Name, func() { l.notify(b) })
	}
	block(l, "mapper", f.Mapper, func(b *mapperBlock) {
		l.duration(b.KeepObserved, &c.Mapper.KeepObserved)
		l.number(b.MinBytes, &c.Mapper.MinBytes)
		l.duration(b.StaleAfter, &c.Mapper.StaleAfter)
		l.duration(b.HalfLife, &c.Mapper.HalfLife)
		l.duration(b.AwayAfter, &c.Mapper.AwayAfter)
		l.integer(b.AwayTries, &c.Mapper.AwayTries)
		l.strs(b.Ignore, &c.Mapper.Ignore)
		l.strs(b.IgnoreEnds, &c.Mapper.IgnoreEnds)
		l.strs(b.LoadBalancers, &c.Mapper.LoadBalancers)
		l.str(b.Rack, &c.Mapper.Rack)
		for _, t := range b.Traffic {
			l.traffic(t)
		}
	})
	block(l, "profiler", f.Profiler, func(b *profilerBlock) { l.duration(b.Retention, &c.Profiler.Retention) })
	block(l, "inventory", f.Inventory, l.inventory)
	block(l, "advisories", f.Advisories, func(b *advisoriesBlock) {
		l.str(b.Dir, &c.Advisories.Dir)
		l.str(b.KEV, &c.Advisories.KEV)
		l.str(b.EPSS, &c.Advisories.EPSS)
	})
	block(l, "intervals", f.Intervals, func(b *intervalsBlock) {
		l.duration(b.Mapper, &c.Intervals.Mapper)
		l.duration(b.Profiler, &c.Intervals.Profiler)
		l.duration(b.Checkpoint, &c.Intervals.Checkpoint)
		l.duration(b.Orchestrator, &c.Intervals.Orchestrator)
	})
	block(l, "simulator", f.Simulator, func(b *simulatorBlock) {
		l.number(b.Rate, &c.Simulator.Rate)
		l.duration(b.Warmup, &c.Simulator.Warmup)
		l.duration(b.BootTimeout, &c.Simulator.BootTimeout)
		l.duration(b.Timeout, &c.Simulator.Timeout)
		l.integer(b.Pairs, &c.Simulator.Pairs)
		l.integer(b.PerNode, &c.Simulator.PairsPerNode)
		block(l, "appliance", b.Appliance, l.appliance)
		l.str(b.Network, &c.Simulator.Network)
		block(l, "load", b.Load, l.load)
		l.strs(b.ImageRoots, &c.Simulator.ImageRoots)
	})
	block(l, "telemetry", f.Telemetry, func(b *telemetryBlock) { l.flag(b.OpenMetrics, &c.Telemetry.OpenMetrics) })
	block(l, "log", f.Log, func(b *logBlock) {
		l.str(b.Level, &c.Log.Level)
		l.str(b.Format, &c.Log.Format)
	})
}

// block reads a block when the file has it.
func block[B any](l *loader, name string, b *B, read func(*B)) {
	if b != nil {
		l.within(name, func() { read(b) })
	}
}

// inventory reads how inventories count, and which are read.
func (l *loader) inventory(b *inventoryBlock) {
	to := &l.cfg.Inventory
	l.duration(b.MaxAge, &to.MaxAge)
	l.flag(b.ReadImages, &to.ReadImages)
	l.flag(b.ReadContainers, &to.ReadContainers)
	l.flag(b.ReadNodes, &to.ReadNodes)
	l.str(b.DockerHost, &to.DockerHost)
	l.strs(b.Sources, &to.sources)
}

func (l *loader) addresses(b *addressesBlock, to *Addresses) {
	l.str(b.HTTP, &to.HTTP)
	l.str(b.Raft, &to.Raft)
}

func (l *loader) consul(b *consulBlock) {
	if l.cfg.Consul == nil {
		l.cfg.Consul = newConsul()
	}
	c := l.cfg.Consul
	l.str(b.Address, &c.Address)
	l.str(b.Token, &c.Token)
	l.str(b.Datacenter, &c.Datacenter)
	l.str(b.CACert, &c.CACert)
	l.flag(b.Register, &c.Register)
	l.str(b.ServiceName, &c.ServiceName)
	l.strs(b.Tags, &c.Tags)
}

func (l *loader) prometheus(b *prometheusBlock) {
	if l.cfg.Prometheus == nil {
		l.cfg.Prometheus = newPrometheus()
	}
	p := l.cfg.Prometheus
	l.str(b.Address, &p.Address)
	l.str(b.TokenFile, &p.TokenFile)
	l.str(b.Username, &p.Username)
	l.str(b.PasswordFile, &p.PasswordFile)
	l.str(b.Tenant, &p.Tenant)
	l.str(b.CACert, &p.CACert)
	l.str(b.ClientCert, &p.ClientCert)
	l.str(b.ClientKey, &p.ClientKey)
	l.str(b.AllocLabel, &p.AllocLabel)
	l.strs(b.ReplicaLabels, &p.ReplicaLabels)
	l.duration(b.ScrapeInterval, &p.ScrapeInterval)
	for _, k := range b.KPIs {
		l.within("kpi."+k.Name, func() {
			at := named(&p.KPIs, func(have KPI) bool { return have.Name == k.Name }, KPI{Name: k.Name})
			l.str(k.Kind, (*string)(&at.Kind))
			l.str(k.Unit, &at.Unit)
			l.str(k.Query, &at.Query)
			l.str(k.Total, &at.Total)
			for _, name := range []string{"kind", "query", "total"} { // what is missing is missing in the block
				if _, ok := l.ranges[l.path(name)]; !ok {
					l.ranges[l.path(name)] = k.Range
				}
			}
		})
	}
}

func (l *loader) vault(b *vaultBlock) {
	if l.cfg.Vault == nil {
		l.cfg.Vault = newVault()
	}
	v := l.cfg.Vault
	l.str(b.Address, &v.Address)
	l.str(b.CACert, &v.CACert)
	l.str(b.ApprolePath, &v.ApprolePath)
	l.str(b.RoleIDFile, &v.RoleIDFile)
	l.str(b.SecretIDFile, &v.SecretIDFile)
	block(l, "nomad", b.Nomad, func(t *tokenViaBlock) { l.tokenVia(t, &v.Nomad, "nomad") })
	block(l, "consul", b.Consul, func(t *tokenViaBlock) { l.tokenVia(t, &v.Consul, "consul") })
}

func (l *loader) tokenVia(b *tokenViaBlock, to **TokenVia, system string) {
	if *to == nil {
		*to = &TokenVia{AuthMethod: "vault", OIDCRole: system}
	}
	l.str(b.AuthMethod, &(*to).AuthMethod)
	l.str(b.OIDCRole, &(*to).OIDCRole)
}

func (l *loader) auth(b *authBlock) {
	a := &l.cfg.Auth
	l.str(b.Issuer, &a.Issuer)
	l.str(b.Audience, &a.Audience)
	l.str(b.JWKS, &a.JWKS)
	l.str(b.NameClaim, &a.NameClaim)
	l.str(b.GroupsClaim, &a.GroupsClaim)
	l.flag(b.VaultTokens, &a.VaultTokens)
	for _, r := range b.Rules {
		l.within("rule."+r.Name, func() {
			var names []string
			l.strs(r.Capabilities, &names)
			at := named((*[]AuthRule)(&a.Rules), func(have AuthRule) bool { return have.Name == r.Name }, AuthRule{})
			*at = AuthRule{Name: r.Name, When: r.When, Range: r.Range}
			l.globs(r.Namespaces, &at.Namespaces)
			l.globs(r.Jobs, &at.Jobs)
			l.flag(r.Deny, &at.Deny)
			for _, name := range names {
				at.Capabilities = append(at.Capabilities, api.Capability(name))
			}
		})
	}
}

func (l *loader) plugin(b pluginBlock) {
	at := named(&l.cfg.Plugins, func(have Plugin) bool { return have.Name == b.Name }, Plugin{Name: b.Name})
	l.str(b.Path, &at.Path)
	l.str(b.SHA256, &at.SHA256)
}

// named returns the element that matches, adding fresh when there is none.
func named[E any](to *[]E, match func(E) bool, fresh E) *E {
	i := slices.IndexFunc(*to, match)
	if i < 0 {
		*to = append(*to, fresh)
		i = len(*to) - 1
	}
	return &(*to)[i]
}
