package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoenig/test/must"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/graph"
)

// consulChecks are what the graph and the health of instances come from.
func consulChecks() []check {
	const area = "consul"
	return []check{
		{area, "services of a job", servicesOfJob},
		{area, "config entries by compare-and-set", configEntries},
		{area, "intentions", intentions},
		{area, "upstreams of proxies", upstreams},
		{area, "a blocking query", consulBlocking},
		{area, "registered by an agent", agentService},
		{area, "nonsense", consulNonsense},
	}
}

func (s *script) consulAdapter() *consul.Client {
	s.t.Helper()
	c, err := consul.New(consul.Config{Address: s.w.consul, Token: func() string { return s.w.consulToken }})
	must.NoError(s.t, err)
	return c
}

// consulStatus is an error of Consul's as a caller sees it.
func consulStatus(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[consulapi.StatusError](err); ok {
		return fmt.Sprintf("%d %s", e.Code, number.ReplaceAllString(strings.TrimSpace(e.Body), "N"))
	}
	return err.Error()
}

// checked gives a job's group a service in Consul whose check asks for path.
func (s *script) checked(job *nomadapi.Job, path string) {
	job.TaskGroups[0].Services = []*nomadapi.Service{{
		Name: s.id, Provider: "consul", PortLabel: fmt.Sprint(s.w.healthPort), Address: "127.0.0.1", Tags: []string{"one"}, Meta: map[string]string{"k": "v"},
		Checks: []nomadapi.ServiceCheck{{Name: "answers", Type: "http", Path: path, Interval: time.Second, Timeout: time.Second}},
	}}
	job.TaskGroups[0].Tasks[0].Env["HEALTH"] = path
}

func servicesOfJob(s *script) {
	job := s.job(2)
	s.checked(job, "/health")
	s.up(job)
	c := s.consulAdapter()
	words := func(health string) func() bool {
		return func() bool {
			found, err := c.Checks(s.ctx(), []string{s.id})
			must.NoError(s.t, err)
			for _, h := range found {
				if string(h) != health {
					return false
				}
			}
			return len(found) == 2
		}
	}
	s.until("two instances are healthy", words("healthy"))
	s.stubs(s.id)
	entries, _, err := s.consul.Health().Service(s.id, "", false, nil)
	must.NoError(s.t, err)
	slices.SortFunc(entries, func(a, b *consulapi.ServiceEntry) int {
		return strings.Compare(s.plain(a.Service.ID), s.plain(b.Service.ID))
	})
	for _, e := range entries {
		alloc, ok := consul.AllocID(e.Service.ID)
		s.say("service %s of %s (%t) at %s, tags %v, meta k %s; %s", e.Service.Service, alloc, ok, e.Service.Address, e.Service.Tags, e.Service.Meta["k"], e.Checks.AggregatedStatus())
		for _, c := range e.Checks {
			if c.ServiceID != "" {
				s.say("  check: %s, of %s", c.Status, c.ServiceName)
			}
		}
	}
	listed, _, err := s.consul.Catalog().Service(s.id, "one", nil)
	must.NoError(s.t, err)
	s.say("by tag: %d", len(listed))
	services, partial, err := c.Services(s.ctx())
	must.NoError(s.t, err)
	for _, svc := range services {
		if svc.Name == s.id {
			s.say("as the adapter reads it: %d instances, %d healthy, on %d nodes, partial %q", svc.Instances, svc.Healthy, len(svc.Nodes), partial)
		}
	}
	s.checked(job, "/sick")
	must.NoError(s.t, s.register(job))
	s.until("two instances are unhealthy", words("unhealthy"))
	passing, _, err := s.consul.Health().Service(s.id, "", true, nil)
	must.NoError(s.t, err)
	s.say("passing: %d", len(passing))
	_, _, err = s.vendor.Jobs().Deregister(s.id, false, nil)
	must.NoError(s.t, err)
	s.await("nothing is registered", func() bool {
		list, _, err := s.consul.Catalog().Service(s.id, "", nil)
		must.NoError(s.t, err)
		return len(list) == 0
	})
	names, _, err := s.consul.Catalog().Services(nil)
	must.NoError(s.t, err)
	_, there := names[s.id]
	_, itself := names["consul"]
	s.say("listed still: %t; consul lists itself: %t", there, itself)
}

// entry is a service's defaults.
func (s *script) entry(protocol string) *consulapi.ServiceConfigEntry {
	return &consulapi.ServiceConfigEntry{Kind: consulapi.ServiceDefaults, Name: s.id, Protocol: protocol}
}

func configEntries(s *script) {
	entries := s.consul.ConfigEntries()
	_, _, err := entries.Get(consulapi.ServiceDefaults, s.id, nil)
	s.say("not there: %s", consulStatus(err))
	ok, _, err := entries.CAS(s.entry("http"), 0, nil)
	s.say("expecting none: %t %s", ok, consulStatus(err))
	ok, _, err = entries.CAS(s.entry("grpc"), 0, nil)
	s.say("expecting none once more: %t %s", ok, consulStatus(err))
	read := func() uint64 {
		e, meta, err := entries.Get(consulapi.ServiceDefaults, s.id, nil)
		must.NoError(s.t, err)
		s.say("read: %s, an index %t", e.(*consulapi.ServiceConfigEntry).Protocol, e.GetModifyIndex() > 0 && meta.LastIndex >= e.GetModifyIndex())
		return e.GetModifyIndex()
	}
	index := read()
	ok, _, err = entries.CAS(s.entry("grpc"), index, nil)
	s.say("expecting its index: %t %s", ok, consulStatus(err))
	read()
	ok, _, err = entries.DeleteCAS(consulapi.ServiceDefaults, s.id, index, nil)
	s.say("removed expecting an old index: %t %s", ok, consulStatus(err))
	list, _, err := entries.List(consulapi.ServiceDefaults, nil)
	must.NoError(s.t, err)
	s.say("listed: %t", slices.ContainsFunc(list, func(e consulapi.ConfigEntry) bool { return e.GetName() == s.id }))
	_, err = entries.Delete(consulapi.ServiceDefaults, s.id, nil)
	s.say("removed: %s", consulStatus(err))
	_, err = entries.Delete(consulapi.ServiceDefaults, s.id, nil)
	s.say("removed once more: %s", consulStatus(err))
	_, _, err = entries.List("odd", nil)
	s.say("of no kind: %s", consulStatus(err))
}

func intentions(s *script) {
	check := func(from, to string) {
		ok, _, err := s.consul.Connect().IntentionCheck(&consulapi.IntentionCheck{Source: from, Destination: to, SourceType: consulapi.IntentionSourceConsul}, nil)
		s.say("%s may call %s: %t %s", from, to, ok, consulStatus(err))
	}
	a, b := s.id+"-a", s.id+"-b"
	set := func(action consulapi.IntentionAction) {
		ok, _, err := s.consul.ConfigEntries().Set(&consulapi.ServiceIntentionsConfigEntry{
			Kind: consulapi.ServiceIntentions, Name: b, Sources: []*consulapi.SourceIntention{{Name: a, Action: action}},
		}, nil)
		s.say("%s: %t %s", action, ok, consulStatus(err))
	}
	s.t.Cleanup(func() {
		_, err := s.consul.ConfigEntries().Delete(consulapi.ServiceIntentions, b, nil)
		must.NoError(s.t, err)
	})
	rules := func() {
		p, partial, err := s.consulAdapter().Intentions(s.ctx())
		must.NoError(s.t, err)
		s.say("by default: %s, partial %q", p.Default, partial)
		for _, r := range p.Rules {
			if r.To == b {
				s.say("  rule %s => %s: allow %t, precedence %d, %s", r.From, r.To, r.Allow, r.Precedence, r.Detail)
			}
		}
	}
	check(a, b)
	set(consulapi.IntentionActionAllow)
	check(a, b)
	check(b, a)
	rules()
	set(consulapi.IntentionActionDeny)
	check(a, b)
	rules()
}

func upstreams(s *script) {
	agent := s.consul.Agent()
	name, to := s.id, s.id+"-to"
	add := func(r *consulapi.AgentServiceRegistration) {
		must.NoError(s.t, agent.ServiceRegister(r))
		s.t.Cleanup(func() { must.NoError(s.t, agent.ServiceDeregister(r.ID)) })
	}
	add(&consulapi.AgentServiceRegistration{ID: name, Name: name, Port: 1234})
	add(&consulapi.AgentServiceRegistration{
		ID: name + "-proxy", Name: name + "-sidecar-proxy", Kind: consulapi.ServiceKindConnectProxy, Port: 1235,
		Proxy: &consulapi.AgentServiceConnectProxyConfig{
			DestinationServiceName: name, DestinationServiceID: name, LocalServicePort: 1234,
			Upstreams: []consulapi.Upstream{{DestinationName: to, DestinationType: consulapi.UpstreamDestTypeService, LocalBindPort: 1236}},
		},
	})
	s.await("both are in the catalog", func() bool {
		one, _, err := s.consul.Catalog().Service(name, "", nil)
		must.NoError(s.t, err)
		two, _, err := s.consul.Catalog().Service(name+"-sidecar-proxy", "", nil)
		must.NoError(s.t, err)
		return len(one) == 1 && len(two) == 1
	})
	list, _, err := s.consul.Catalog().Service(name+"-sidecar-proxy", "", nil)
	must.NoError(s.t, err)
	p := list[0].ServiceProxy
	s.say("proxy %s for %s, upstream %s %s", list[0].ServiceName, p.DestinationServiceName, p.Upstreams[0].DestinationType, p.Upstreams[0].DestinationName)
	m, partial, err := s.consulAdapter().Mesh(s.ctx())
	must.NoError(s.t, err)
	s.say("partial %q", partial)
	s.say("in the mesh: %v", m.Declared[graph.Pair{From: name, To: to}])
}

func consulBlocking(s *script) {
	_, meta, err := s.consul.ConfigEntries().List(consulapi.ServiceDefaults, nil)
	must.NoError(s.t, err)
	s.say("an index %t, a known leader %t", meta.LastIndex > 0, meta.KnownLeader)
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(s.ctx(), s.w.patience)
	defer cancel()
	go func() {
		q := &consulapi.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: s.w.patience}
		_, next, err := s.consul.ConfigEntries().List(consulapi.ServiceDefaults, q.WithContext(ctx))
		if err == nil && next.LastIndex <= meta.LastIndex {
			err = fmt.Errorf("index %d after %d", next.LastIndex, meta.LastIndex)
		}
		done <- err
	}()
	_, _, err = s.consul.ConfigEntries().Set(s.entry("http"), nil)
	must.NoError(s.t, err)
	s.say("config entries, one set meanwhile: %v", <-done)
	_, err = s.consul.ConfigEntries().Delete(consulapi.ServiceDefaults, s.id, nil)
	must.NoError(s.t, err)
	_, meta, err = s.consul.Health().Service(s.id, "", false, nil)
	must.NoError(s.t, err)
	go func() {
		// It may be answered when another service changes.
		index := meta.LastIndex
		for {
			q := &consulapi.QueryOptions{WaitIndex: index, WaitTime: s.w.patience}
			list, next, err := s.consul.Health().Service(s.id, "", false, q.WithContext(ctx))
			if err != nil || len(list) == 1 {
				done <- err
				return
			}
			index = next.LastIndex
		}
	}()
	must.NoError(s.t, s.consul.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{ID: s.id, Name: s.id, Port: 1}))
	s.t.Cleanup(func() { must.NoError(s.t, s.consul.Agent().ServiceDeregister(s.id)) })
	s.say("health, a service registered meanwhile: %v", <-done)
}

func agentService(s *script) {
	agent := s.consul.Agent()
	_, _, err := agent.Service(s.id, nil)
	s.say("not there: %s", consulStatus(err))
	must.NoError(s.t, agent.ServiceRegister(&consulapi.AgentServiceRegistration{
		ID: s.id, Name: s.id, Port: 4740, Address: "127.0.0.1", Tags: []string{"http"},
		Check: &consulapi.AgentServiceCheck{TTL: "10m", Status: consulapi.HealthCritical},
	}))
	health := func() {
		list, _, err := s.consul.Health().Service(s.id, "http", false, nil)
		must.NoError(s.t, err)
		for _, e := range list {
			s.say("%s at %s:%d: %s", e.Service.ID, e.Service.Address, e.Service.Port, e.Checks.AggregatedStatus())
		}
		s.say("listed: %d", len(list))
	}
	registered := func(status string) func() bool {
		return func() bool {
			list, _, err := s.consul.Health().Service(s.id, "http", false, nil)
			must.NoError(s.t, err)
			return len(list) == 1 && list[0].Checks.AggregatedStatus() == status
		}
	}
	s.await("it is critical", registered("critical"))
	health()
	s.say("update: %s", consulStatus(agent.UpdateTTL("service:"+s.id, "ready", consulapi.HealthPassing)))
	s.await("it passes", registered("passing"))
	health()
	have, _, err := agent.Service(s.id, nil)
	must.NoError(s.t, err)
	s.say("read: %s %s %d %v", have.ID, have.Service, have.Port, have.Tags)
	s.say("update of none: %s", consulStatus(agent.UpdateTTL("service:"+s.id+"-absent", "", consulapi.HealthPassing)))
	s.say("removed: %s", consulStatus(agent.ServiceDeregister(s.id)))
	s.await("it is gone", func() bool {
		list, _, err := s.consul.Health().Service(s.id, "", false, nil)
		must.NoError(s.t, err)
		return len(list) == 0
	})
	s.say("removed once more: %s", consulStatus(agent.ServiceDeregister(s.id)))
}

func consulNonsense(s *script) {
	list, _, err := s.consul.Health().Service(s.id+"-absent", "", false, nil)
	s.say("health of no service: %s, %d", consulStatus(err), len(list))
	services, _, err := s.consul.Catalog().Service(s.id+"-absent", "", nil)
	s.say("catalog of no service: %s, %d", consulStatus(err), len(services))
	_, _, err = s.consul.Health().State("odd", nil)
	s.say("checks of no state: %s", consulStatus(err))
	leader, err := s.consul.Status().Leader()
	s.say("leader: %s, an address %t", consulStatus(err), strings.Contains(leader, ":"))
	queries, _, err := s.consul.PreparedQuery().List(nil)
	s.say("prepared queries: %s, %d", consulStatus(err), len(queries))
}
