// Package sidecar puts one service of the shop into Consul's mesh: it
// registers a connect-proxy service for the service that Nomad registered for
// this allocation, runs Consul's built-in proxy as a child, and takes the
// registration away when either ends.
//
// Nomad's own sidecar support needs bridge networking and Envoy; the shop runs
// on machines that have neither.
package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	callTimeout   = 20 * time.Second // of one call to the Consul agent
	retryInterval = time.Second      // between attempts to register
	registerLimit = 2 * time.Minute  // then Nomad may restart the task
	childGrace    = 2 * time.Second  // between SIGTERM and SIGKILL for the proxy
)

// Config says which service is joined to the mesh and how.
type Config struct {
	Service     string     // Consul service name
	ServiceID   string     // as Nomad registered it
	ServicePort int        // where the service listens on loopback
	ProxyPort   int        // where the mesh reaches the service
	Upstreams   []Upstream // services that it calls
	Instance    string     // goes into the metrics' names: the allocation ID
	Statsd      string     // host:port of a DogStatsD listener; empty means no metrics
	Meta        map[string]string

	Consul string // HTTP address of the local agent
	Token  string
	Binary string // the consul executable
}

// Upstream is a service that the proxy makes reachable on a loopback port.
type Upstream struct {
	Name string
	Port int
}

// NomadServiceID is the ID under which Nomad registers a group's service in
// Consul.
func NomadServiceID(alloc, group, service, portLabel string) string {
	return fmt.Sprintf("_nomad-task-%s-group-%s-%s-%s", alloc, group, service, portLabel)
}

// ProxyID is the ID of the proxy's registration. Nomad leaves IDs of this form
// alone while the service lives, and removes them when it is gone.
func (c Config) ProxyID() string { return c.ServiceID + "-sidecar-proxy" }

// ParseUpstreams reads a list such as "pricing=9001,store=9002".
func ParseUpstreams(text string) ([]Upstream, error) {
	var list []Upstream
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		port, err := strconv.Atoi(value)
		if name == "" || err != nil || port < 1 || port > 65535 {
			return nil, fmt.Errorf("parse upstream %q: want NAME=PORT", part)
		}
		list = append(list, Upstream{Name: name, Port: port})
	}
	return list, nil
}

// Run registers the proxy and runs it until ctx ends or the child does. It
// always takes the registration away before it returns.
func Run(ctx context.Context, config Config, log *slog.Logger) (err error) {
	// Before the first attempt: a lost answer leaves a registration too.
	defer func() { err = errors.Join(err, deregister(context.WithoutCancel(ctx), config)) }()
	if err := register(ctx, config, log); err != nil {
		return err
	}
	log.Info("proxy registered", "id", config.ProxyID(), "upstreams", len(config.Upstreams))

	child := exec.CommandContext(ctx, config.Binary, "connect", "proxy", "-proxy-id="+config.ProxyID(), "-log-level=warn")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+config.Consul, "CONSUL_HTTP_TOKEN="+config.Token,
		// One proxy of many on a small machine: fewer collections and no
		// more threads than it can use.
		"GOMAXPROCS=1", "GOGC=400")
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = childGrace
	ended := child.Run()
	if ctx.Err() != nil {
		return nil // asked to stop: how the child took it does not matter
	}
	if ended == nil {
		ended = errors.New("ended by itself")
	}
	return fmt.Errorf("run consul connect proxy: %w", ended)
}

func deregister(ctx context.Context, config Config) error {
	err := call(ctx, config, http.MethodPut, "/v1/agent/service/deregister/"+url.PathEscape(config.ProxyID()), nil)
	if err != nil && !isStatus(err, http.StatusNotFound) { // Nomad may have been first
		return fmt.Errorf("deregister proxy: %w", err)
	}
	return nil
}

// register tries until the agent answers, since Consul may be restarting.
func register(ctx context.Context, config Config, log *slog.Logger) error {
	limit, cancel := context.WithTimeout(ctx, registerLimit)
	defer cancel()
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		err := call(limit, config, http.MethodPut, "/v1/agent/service/register?replace-existing-checks=true", config.registration())
		if err == nil {
			return nil
		}
		if isStatus(err, http.StatusForbidden) || isStatus(err, http.StatusBadRequest) {
			return fmt.Errorf("register proxy: %w", err)
		}
		log.Warn("register proxy again", "error", err)
		select {
		case <-limit.Done():
			return fmt.Errorf("register proxy: %w", err)
		case <-ticker.C:
		}
	}
}

type object = map[string]any

// registration is the body of /v1/agent/service/register.
func (c Config) registration() object {
	proxy := object{
		"DestinationServiceName": c.Service,
		"DestinationServiceID":   c.ServiceID,
		"LocalServiceAddress":    "127.0.0.1",
		"LocalServicePort":       c.ServicePort,
	}
	if c.Statsd != "" {
		prefix := "consul_proxy." + c.Instance
		proxy["Config"] = object{"telemetry": object{
			"dogstatsd_addr":   c.Statsd,
			"metrics_prefix":   prefix,
			"allowed_prefixes": []string{prefix + ".upstream", prefix + ".inbound"}, // not what the Go runtime of each proxy says every second
			"disable_hostname": true,
		}}
	}
	upstreams := []object{}
	for _, u := range c.Upstreams {
		upstreams = append(upstreams, object{
			"DestinationName": u.Name, "LocalBindAddress": "127.0.0.1", "LocalBindPort": u.Port,
		})
	}
	proxy["Upstreams"] = upstreams
	return object{
		"ID": c.ProxyID(), "Name": c.Service + "-sidecar-proxy", "Kind": "connect-proxy",
		"Address": "127.0.0.1", "Port": c.ProxyPort, "Meta": c.Meta, "Proxy": proxy,
		"Checks": []object{
			{
				"Name": "proxy listens", "TCP": "127.0.0.1:" + strconv.Itoa(c.ProxyPort), "Interval": "5s", "Timeout": "10s",
				"FailuresBeforeCritical":         2,    // a lost answer of a busy machine takes nobody out of the mesh
				"DeregisterCriticalServiceAfter": "1m", // when nobody was left to deregister it
			},
			// The mesh must not choose an instance whose own check fails.
			{"Name": "service is healthy", "AliasService": c.ServiceID},
		},
	}
}

type statusError struct {
	status int
	text   string
}

// Error names the status and what the agent said.
func (e *statusError) Error() string { return fmt.Sprintf("consul answered %d: %s", e.status, e.text) }

func isStatus(err error, status int) bool {
	answered, ok := errors.AsType[*statusError](err)
	return ok && answered.status == status
}

func call(ctx context.Context, config Config, method, path string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var encoded bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&encoded).Encode(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(config.Consul, "/")+path, &encoded)
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("X-Consul-Token", config.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("call consul: %w", err)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("call consul: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return &statusError{status: resp.StatusCode, text: strings.TrimSpace(string(text))}
	}
	return nil
}
