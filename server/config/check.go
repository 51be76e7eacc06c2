package config

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
	"github.com/oakumhq/oakum/internal/promql"
)

// shortestInterval is the least interval. A mistake such as "5ms" would overload
// the systems that each round asks.
const shortestInterval = 100 * time.Millisecond

// check looks at the configuration as a whole.
func (l *loader) check() {
	c := l.cfg
	if c.Name == "" {
		l.problem("name", "want the server's name")
	}
	if !c.Dev {
		l.absolute("data_dir", c.DataDir, "the folder for the server's state, as an absolute path")
	}
	l.hostPort("addresses.http", c.Addresses.HTTP)
	l.hostPort("addresses.raft", c.Addresses.Raft)
	l.hostPort("advertise.http", c.Advertise.HTTP)
	l.hostPort("advertise.raft", c.Advertise.Raft)
	if c.Addresses.HTTP == c.Addresses.Raft && !strings.HasSuffix(c.Addresses.HTTP, ":0") {
		l.problem("addresses.raft", "want another address than addresses.http, have %s for both", c.Addresses.Raft)
	}
	l.checkServer()
	l.checkGrowth()
	l.checkTLS()
	l.checkLimits()
	l.checkSystems()
	l.checkVault()
	l.checkAuth()
	l.checkAudit()
	l.checkPlugins()
	l.checkPaces()
	if !slices.Contains([]string{"trace", "debug", "info", "warn", "error"}, c.Log.Level) {
		l.problem("log.level", "want trace, debug, info, warn or error, have %q", c.Log.Level)
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		l.problem("log.format", "want text or json, have %q", c.Log.Format)
	}
}

func (l *loader) checkServer() {
	s := l.cfg.Server
	switch {
	case s.BootstrapExpect < 0:
		l.problem("server.bootstrap_expect", "want the number of servers that bootstrap the cluster, have %d", s.BootstrapExpect)
	case s.BootstrapExpect == 0 && len(s.RetryJoin) == 0:
		l.problem("server.retry_join", "want the addresses of servers to join, or bootstrap_expect to found a cluster")
	case s.BootstrapExpect > 1 && len(s.RetryJoin) == 0:
		l.problem("server.retry_join", "want the addresses of the %d servers that bootstrap the cluster", s.BootstrapExpect)
	case l.cfg.Dev && s.BootstrapExpect != 1:
		l.problem("server.bootstrap_expect", "want 1 with -dev, have %d", s.BootstrapExpect)
	}
}

func (l *loader) checkSystems() {
	c := l.cfg
	l.url("nomad.address", c.Nomad.Address)
	if c.Consul != nil {
		l.url("consul.address", c.Consul.Address)
	}
	if c.Prometheus == nil {
		return
	}
	l.url("prometheus.address", c.Prometheus.Address)
	l.checkPrometheusAccess(*c.Prometheus)
	if !promql.ValidLabel(c.Prometheus.AllocLabel) {
		l.problem("prometheus.alloc_label", "want the label that carries the allocation's ID, have %q", c.Prometheus.AllocLabel)
	}
	for i, label := range c.Prometheus.ReplicaLabels {
		if !promql.ValidLabel(label) || label == c.Prometheus.AllocLabel {
			l.problem(fmt.Sprintf("prometheus.replica_labels[%d]", i), "want the name of a label other than alloc_label, have %q", label)
		}
	}
	if c.Prometheus.ScrapeInterval <= 0 {
		l.problem("prometheus.scrape_interval", "want a time above zero")
	}
	for _, k := range c.Prometheus.KPIs {
		l.checkKPI(k)
	}
}

// checkPrometheusAccess holds the credentials for Prometheus together.
func (l *loader) checkPrometheusAccess(p Prometheus) {
	switch {
	case p.Username != "" && p.TokenFile != "":
		l.problem("prometheus.username", "want a bearer token or a user name, have both")
	case p.Username != "" || p.PasswordFile != "":
		l.absolute("prometheus.password_file", p.PasswordFile, "the absolute path of the file with the password")
		if p.Username == "" {
			l.problem("prometheus.username", "want the user that the password is of")
		}
	}
	if p.ClientCert != "" || p.ClientKey != "" {
		l.absolute("prometheus.client_cert", p.ClientCert, "the absolute path of the file with the client's certificate")
		l.absolute("prometheus.client_key", p.ClientKey, "the absolute path of the file with the client's key")
	}
	if p.CACert != "" {
		l.absolute("prometheus.ca_cert", p.CACert, "the absolute path of the file with the CA's certificate")
	}
	if strings.ContainsFunc(p.Tenant, func(r rune) bool { return r < ' ' || r > '~' }) {
		l.problem("prometheus.tenant", "want a name of printable ASCII characters, have %q", p.Tenant)
	}
}

// checkKPI holds a KPI to what its kind needs.
func (l *loader) checkKPI(k KPI) {
	path := "prometheus.kpi." + k.Name
	known, fixed := knownKPI(k.Name)
	switch {
	case fixed:
		l.problem(path+".query", "want no block for %s: Oakum measures it by itself", k.Name)
		return
	case k.Kind == "" && known == "":
		l.problem(path+".kind", "want count, latency or gauge: %q is not a KPI that Oakum knows by itself", k.Name)
	case k.Kind != "" && k.Kind != api.KPICount && k.Kind != api.KPILatency && k.Kind != api.KPIGauge:
		l.problem(path+".kind", "want count, latency or gauge, have %q", k.Kind)
	case k.Kind != "" && known != "" && k.Kind != known:
		l.problem(path+".kind", "want %s, which %s is, have %s", known, k.Name, k.Kind)
	}
	kind := cmp.Or(known, k.Kind)
	if _, ok := api.KPIQuantile(k.Name); !ok && kind == api.KPILatency {
		l.problem(path+".kind", "want a name that ends in the quantile of the latency, such as %s_p99", k.Name)
	}
	switch {
	case kind == api.KPICount && k.Total == "":
		l.problem(path+".total", "want the query for all events, of which query counts those that failed")
	case kind != api.KPICount && kind != "" && k.Total != "":
		l.problem(path+".total", "want none: only a count is out of a total")
	}
	if k.Query == "" {
		l.problem(path+".query", "want a PromQL query")
	}
	want := promql.KPI(kind, l.cfg.Prometheus.AllocLabel)
	l.checkQuery(path+".query", k.Query, want)
	l.checkQuery(path+".total", k.Total, want)
}

// checkQuery refuses a query whose answer could not be used.
func (l *loader) checkQuery(path, query string, want promql.Want) {
	if query == "" {
		return
	}
	if fault, ok := errors.AsType[*promql.Fault](promql.Check(query, want)); ok {
		l.problemIn(path, fault)
	}
}

// knownKPI is the kind of a KPI that Oakum knows by itself, "" of any other. Fixed
// ones are not measured by a query of their own.
func knownKPI(name string) (kind api.KPIKind, fixed bool) {
	switch name {
	case api.KPIErrorRate:
		return api.KPICount, false
	case api.KPICPU, api.KPIMemory, api.KPIIOOperations, api.KPIIOBytes, api.KPIPressureCPU, api.KPIPressureMemory, api.KPIPressureIO:
		return api.KPIGauge, false
	case api.KPIRequests:
		return api.KPIGauge, true
	case api.KPIRestarts, api.KPIOOMKills:
		return api.KPICount, true
	}
	if _, ok := api.KPIQuantile(name); ok && strings.HasPrefix(name, "latency_p") {
		return api.KPILatency, false
	}
	return "", false
}

func (l *loader) checkVault() {
	v := l.cfg.Vault
	if v == nil {
		if a := l.cfg.Auth; !l.cfg.Dev && (a.Issuer == "" || a.JWKS == "") {
			l.problem("vault", "want a vault block, or issuer and jwks_url in auth: callers prove who they are, and only -dev runs without")
		}
		return
	}
	if v.Address == "" {
		l.problem("vault.address", "want Vault's URL")
	} else {
		l.url("vault.address", v.Address)
	}
	l.absolute("vault.role_id_file", v.RoleIDFile, "the absolute path of the file with the AppRole's role ID")
	l.absolute("vault.secret_id_file", v.SecretIDFile, "the absolute path of the file with the AppRole's secret ID")
	l.tokenWay("vault.nomad", v.Nomad)
	l.tokenWay("vault.consul", v.Consul)
	if v.Consul != nil && l.cfg.Consul == nil {
		l.problem("vault.consul", "want a consul block as well, or leave this one out")
	}
}

func (l *loader) tokenWay(path string, via *TokenVia) {
	if via != nil && (via.AuthMethod == "" || via.OIDCRole == "") {
		l.problem(path, "want both auth_method and oidc_role")
	}
}

func (l *loader) checkAuth() {
	a := l.cfg.Auth
	if !l.cfg.Dev && len(a.Rules) == 0 {
		l.problem("auth.rule", "want at least one rule: without any, nobody may do anything")
	}
	if l.cfg.Vault != nil || a.JWKS != "" {
		l.url("auth.jwks_url", a.JWKS)
		if a.Audience == "" {
			l.problem("auth.audience", "want the audience that identity tokens are made for")
		}
	}
	for _, r := range a.Rules {
		l.checkRule(r)
	}
}

func (l *loader) checkPlugins() {
	for _, p := range l.cfg.Plugins {
		path := "plugin." + p.Name
		l.absolute(path+".path", p.Path, "the absolute path of the plugin")
		if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != 32 {
			l.problem(path+".sha256", "want the plugin's SHA-256, 64 hexadecimal digits")
		}
	}
}

func (l *loader) checkPaces() {
	i, s := l.cfg.Intervals, l.cfg.Simulator
	for _, pace := range []struct {
		path string
		d    time.Duration
	}{
		{"intervals.mapper", i.Mapper}, {"intervals.profiler", i.Profiler}, {"intervals.checkpoint", i.Checkpoint},
		{"intervals.orchestrator", i.Orchestrator}, {"simulator.warmup", s.Warmup}, {"simulator.boot_timeout", s.BootTimeout}, {"simulator.timeout", s.Timeout},
	} {
		if pace.d < shortestInterval {
			l.problem(pace.path, "want at least %s, have %s", shortestInterval, pace.d)
		}
	}
	for _, text := range l.cfg.Inventory.sources {
		place, err := collector.ParsePlace(text)
		switch {
		case err != nil:
			l.problem("inventory.sources", "%s", api.AsError(err).Message)
		case place.Scheme == collector.SchemeKV && l.cfg.Consul == nil:
			l.problem("inventory.sources", "%q: there is no consul block", text)
		default:
			l.cfg.Inventory.Sources = append(l.cfg.Inventory.Sources, place)
		}
	}
	if host := l.cfg.Inventory.DockerHost; strings.ContainsAny(host, "${}\x00\n ") || (host != "" && !strings.Contains(host, "://")) {
		l.problem("inventory.docker_host", "want where Docker listens, such as unix:///run/docker.sock, not %q", host)
	}
	if have := l.cfg.Inventory.MaxAge; have != 0 && have < shortestMaxAge {
		l.problem("inventory.max_age", "want at least %s, or 0s for any age, have %s", shortestMaxAge, have)
	}
	for path, have := range map[string]string{"advisories.dir": l.cfg.Advisories.Dir, "advisories.kev": l.cfg.Advisories.KEV, "advisories.epss": l.cfg.Advisories.EPSS} {
		if have != "" {
			l.absolute(path, have, "the absolute path of what it reads")
		}
	}
	if have := l.cfg.Profiler.Retention; have < shortestRetention {
		l.problem("profiler.retention", "want at least %s, have %s", shortestRetention, have)
	}
	switch {
	case s.Pairs < 1:
		l.problem("simulator.pairs", "want at least 1, have %d", s.Pairs)
	case s.PairsPerNode < 1 || s.Pairs < s.PairsPerNode:
		l.problem("simulator.pairs_per_node", "want at least 1, and at most the %d of simulator.pairs, have %d", s.Pairs, s.PairsPerNode)
	}
	if s.Rate <= 0 {
		l.problem("simulator.rate", "want more than 0 requests per second, have %g", s.Rate)
	}
	for i, root := range s.ImageRoots {
		// A root of everything would be no limit, and a line break would be two.
		if !filepath.IsAbs(root) || filepath.Clean(root) == "/" || strings.ContainsAny(root, "\n$") {
			l.problem(fmt.Sprintf("simulator.image_roots[%d]", i), "want the absolute path of a folder, such as /srv/images, have %q", root)
		}
	}
	l.checkMapper()
	l.checkAppliance()
	l.checkNamespaces()
}

// hostPort refuses what can't be listened at or dialled.
func (l *loader) hostPort(path, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.problem(path, "want host:port, have %q", address)
	}
}

func (l *loader) url(path, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		l.problem(path, "want a URL such as http://127.0.0.1:8500, have %q", address)
	}
}

func (l *loader) absolute(path, file, what string) {
	switch {
	case file == "":
		l.problem(path, "want %s", what)
	case !filepath.IsAbs(file):
		l.problem(path, "want %s, have %q", what, file)
	}
}
