package consul

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/oakumhq/oakum/api"
)

// Metadata of a registered server.
const (
	metaVersion = "version"
	metaServer  = "server"
	metaCluster = "cluster"
	metaRaft    = "raft_address" // host:port that other servers reach it at
	metaMember  = "member"       // whether it belongs to a cluster already
)

const (
	checkEvery   = 10 * time.Second
	checkTimeout = 5 * time.Second
	// reportFor is how long Consul trusts a report of the server's health. Two
	// reports may get lost.
	reportFor = 3 * checkEvery
	// deregisterTimeout bounds the deregistration of a server that stops.
	deregisterTimeout = 3 * time.Second
)

// Registration describes a server to Consul.
type Registration struct {
	Service string   // name of the service
	Server  string   // name of the server; with the service's it makes the ID
	Tags    []string // leader or follower among them
	HTTP    string   // host:port of the API; an unspecified host stands for the agent's own
	Raft    string   // host:port of the servers' port
	Version string
	Cluster string
	Member  bool   // it belongs to a cluster already
	Health  string // URL that Consul asks; "" means that the server reports by itself
}

// ID is the registration's name on the agent.
func (r Registration) ID() string { return r.Service + "-" + r.Server }

func (r Registration) meta() map[string]string {
	return map[string]string{
		metaVersion: r.Version, metaServer: r.Server, metaCluster: r.Cluster, metaRaft: r.Raft, metaMember: strconv.FormatBool(r.Member),
	}
}

// definition is the registration in the form of Consul's agent API.
func (r Registration) definition() (*consulapi.AgentServiceRegistration, error) {
	host, port, err := net.SplitHostPort(r.HTTP)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "register in consul: address %q: %v", r.HTTP, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "register in consul: address %q: %v", r.HTTP, err)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	check := &consulapi.AgentServiceCheck{
		CheckID: "service:" + r.ID(), Name: "Oakum is ready", HTTP: r.Health, Interval: checkEvery.String(), Timeout: checkTimeout.String(),
	}
	if r.Health == "" {
		check.Interval, check.Timeout, check.TTL = "", "", reportFor.String()
	}
	return &consulapi.AgentServiceRegistration{
		ID: r.ID(), Name: r.Service, Tags: r.Tags, Address: host, Port: number, Meta: r.meta(), Check: check,
	}, nil
}

// Registrar keeps a server registered.
type Registrar struct {
	Describe func() Registration              // as it is now
	Changed  func() <-chan struct{}           // closed when Describe may say something else
	Report   func() (ready bool, note string) // the server's own health
	Logger   *slog.Logger
	Every    time.Duration // between looks whether the agent still knows; 0 means 10 s
}

// KeepRegistered registers a server with the agent. It registers the server again
// when the registration changes or the agent has lost it. It deregisters the
// server when ctx ends. It returns no error when the agent does not answer, and
// tries again.
func (c *Client) KeepRegistered(ctx context.Context, r Registrar) error {
	if r.Every <= 0 {
		r.Every = checkEvery
	}
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	away := ""
	var id string
	for {
		changed := r.Changed()
		now := r.Describe()
		id = now.ID()
		err := c.ensure(ctx, now)
		if err == nil && now.Health == "" {
			err = c.report(ctx, now, r.Report)
		}
		switch {
		case ctx.Err() != nil:
		case err == nil && away != "":
			away = ""
			r.Logger.Info("registered in consul again", "service", now.Service)
		case err != nil && err.Error() != away:
			away = err.Error()
			r.Logger.Warn("register in consul; it is tried again", "error", err)
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return c.deregister(context.WithoutCancel(ctx), id, r.Logger)
		}
	}
}

// ensure registers the server unless the agent has this registration.
func (c *Client) ensure(ctx context.Context, r Registration) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	want, err := r.definition()
	if err != nil {
		return err
	}
	have, _, err := c.api.Agent().Service(want.ID, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err == nil && same(want, have) {
		return nil
	}
	if err != nil {
		if err = explain("look for the registration of this server", err); !api.IsCode(err, api.CodeNotFound) {
			return err
		}
	}
	options := consulapi.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
	if err := c.api.Agent().ServiceRegisterOpts(want, options); err != nil {
		return explain("register this server", err)
	}
	return nil
}

func same(want *consulapi.AgentServiceRegistration, have *consulapi.AgentService) bool {
	tags, former := slices.Sorted(slices.Values(want.Tags)), slices.Sorted(slices.Values(have.Tags))
	return want.Name == have.Service && want.Port == have.Port && want.Address == have.Address &&
		slices.Equal(tags, former) && maps.Equal(want.Meta, have.Meta)
}

// report sends the server's health where Consul can't ask the server for it.
func (c *Client) report(ctx context.Context, r Registration, health func() (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status, note := consulapi.HealthPassing, "ready"
	if ready, why := health(); !ready {
		status, note = consulapi.HealthCritical, why
	}
	if err := c.api.Agent().UpdateTTLOpts("service:"+r.ID(), note, status, (&consulapi.QueryOptions{}).WithContext(ctx)); err != nil {
		return explain("report this server's health", err)
	}
	return nil
}

// deregister tries once: the agent may have gone for good.
func (c *Client) deregister(ctx context.Context, id string, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, deregisterTimeout)
	defer cancel()
	if err := c.api.Agent().ServiceDeregisterOpts(id, (&consulapi.QueryOptions{}).WithContext(ctx)); err != nil {
		logger.Warn("deregister from consul", "error", err)
	}
	return nil
}

// Peer is a server that Consul knows of.
type Peer struct {
	Address string // host:port of the servers' port
	Member  bool   // it belongs to a cluster already
}

// Peers lists the registered servers, healthy or not, since no server is ready
// before there is a cluster. An empty datacenter is the client's own; an empty tag
// means all. Registrations without the address of the servers' port are left out.
func (c *Client) Peers(ctx context.Context, service, datacenter, tag string) ([]Peer, error) {
	q, cancel := c.query(ctx)
	defer cancel()
	if datacenter != "" {
		q.Datacenter = datacenter
	}
	found, meta, err := c.api.Catalog().Service(service, tag, q)
	if err != nil {
		return nil, explain(fmt.Sprintf("list servers of service %s", service), err)
	}
	if text := filtered("servers", meta); text != "" {
		return nil, api.Errorf(api.CodePermissionDenied, "consul: list servers of service %s: %s", service, text)
	}
	var out []Peer
	for _, s := range found {
		if address := s.ServiceMeta[metaRaft]; address != "" {
			out = append(out, Peer{Address: address, Member: s.ServiceMeta[metaMember] == "true"})
		}
	}
	return out, nil
}
