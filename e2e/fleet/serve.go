package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/e2e/fleet/consul"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/e2e/fleet/prometheus"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/mesh"
)

const (
	// ScrapeInterval is how often the instances of a description are scraped. It keeps up
	// with a judge that looks twice a second.
	ScrapeInterval = 500 * time.Millisecond
	// intentionsKind is the kind of config entry that intentions are.
	intentionsKind = "service-intentions"
)

// headerTimeout bounds the reading of a request's header.
const headerTimeout = 10 * time.Second

// Addresses are where the model's APIs listen, as host:port. Port 0 is any that
// is free.
type Addresses struct {
	Nomad, Consul, Prometheus, Issuer string
}

// Loopback is any free port of this machine for each API.
func Loopback() Addresses {
	const free = door.Host + ":0"
	return Addresses{Nomad: free, Consul: free, Prometheus: free, Issuer: free}
}

// Served is a fleet in memory behind its APIs.
type Served struct {
	// URLs of the APIs.
	NomadURL, ConsulURL, PrometheusURL, IssuerURL string

	Model  *door.Model
	Consul *consul.Door
	Issuer *Issuer

	sandbox *nomad.Sandbox
	servers []*http.Server
	cancel  context.CancelFunc
	group   sync.WaitGroup
}

// Health is the health of each API, by its name: nomad, consul and prometheus.
type Health map[string]*door.Health

// Options say how a fleet is served. What is nil or 0 has a default.
type Options struct {
	At       Addresses
	Audience string                       // whom identity tokens are made for
	Scrape   time.Duration                // interval, as for prometheus.New
	Work     func(fleet.Build) nomad.Work // as Sandbox.Work
	Mesh     func(*mesh.Mesh)             // prepares Consul's state
	// APIFaults schedules faults of the APIs. It is called with the model's lock held.
	APIFaults func(*fleet.Fleet, Health)
}

// Serve makes the fleet of a description and serves it until Close. Its
// instances are placed from now on. Identity tokens are made for audience.
func Serve(ctx context.Context, d *Description, at Addresses, audience string) (*Served, error) {
	f, err := d.Found(time.Now())
	if err != nil {
		return nil, err
	}
	return ServeFleet(ctx, f, Options{At: at, Audience: audience, Scrape: ScrapeInterval, Work: d.work, Mesh: d.intend, APIFaults: d.scheduleAPIFaults})
}

// ServeFleet serves a fleet until Close. Nobody else may use it from now on.
func ServeFleet(ctx context.Context, f *fleet.Fleet, o Options) (*Served, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Served{Model: door.NewModel(f), cancel: cancel}
	s.sandbox = nomad.NewSandbox(s.Model)
	s.sandbox.Work = o.Work
	s.Consul = consul.New(s.Model)
	if o.Mesh != nil {
		s.Consul.Mesh(o.Mesh)
	}
	jobs, metrics := nomad.New(s.Model, s.sandbox), prometheus.New(s.Model, o.Scrape)
	if o.APIFaults != nil {
		s.Model.Update(func(f *fleet.Fleet) {
			o.APIFaults(f, Health{"nomad": &jobs.Health, "consul": &s.Consul.Health, "prometheus": &metrics.Health})
		})
	}
	s.group.Go(func() { s.Model.Run(ctx) })

	for _, api := range []struct {
		what, address string
		url           *string
		open          func(url string) (http.Handler, error)
	}{
		{"nomad", o.At.Nomad, &s.NomadURL, func(string) (http.Handler, error) { return jobs, nil }},
		{"consul", o.At.Consul, &s.ConsulURL, func(string) (http.Handler, error) { return s.Consul, nil }},
		{"prometheus", o.At.Prometheus, &s.PrometheusURL, func(string) (http.Handler, error) { return metrics, nil }},
		{"the issuer", o.At.Issuer, &s.IssuerURL, func(url string) (h http.Handler, err error) {
			s.Issuer, err = NewIssuer(url, o.Audience)
			return s.Issuer, err
		}},
	} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", api.address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", api.what, err), s.Close())
		}
		*api.url = "http://" + listener.Addr().String()
		handler, err := api.open(*api.url)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", api.what, err), listener.Close(), s.Close())
		}
		server := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout,
			BaseContext: func(net.Listener) context.Context { return ctx }, // so that blocking queries end with the model
		}
		s.servers = append(s.servers, server)
		s.group.Go(func() { _ = server.Serve(listener) }) // it ends with Close
	}
	return s, nil
}

// Close ends everything and waits for it.
func (s *Served) Close() error {
	s.cancel()
	var errs []error
	for _, server := range slices.Backward(s.servers) {
		errs = append(errs, server.Close())
	}
	s.sandbox.Close()
	s.group.Wait()
	return errors.Join(errs...)
}

// work is what a twin does: as its service, and as its build has it.
func (d *Description) work(b fleet.Build) nomad.Work {
	w := nomad.Work{Harm: d.behaviour(b).Harm}
	for _, s := range d.Services {
		if s.Name == b.Group.Name {
			w.Service = s.load()
		}
	}
	return w
}

// intend allows each call that the description has, and no other.
func (d *Description) intend(m *mesh.Mesh) {
	m.DefaultDeny = true
	type source struct{ Name, Action string }
	callers := map[string][]source{}
	for _, s := range d.Services {
		for to := range s.Calls {
			callers[to] = append(callers[to], source{s.Name, "allow"})
		}
	}
	for _, s := range d.Services {
		if len(callers[s.Name]) == 0 {
			continue
		}
		body, err := json.Marshal(map[string]any{"Kind": intentionsKind, "Name": s.Name, "Sources": callers[s.Name]})
		if err == nil { // plain data always encodes
			m.SetEntry(mesh.Entry{Kind: intentionsKind, Name: s.Name, Body: body}, nil)
		}
	}
}
