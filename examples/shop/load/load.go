// Package load drives the entries of the shop with requests at a steady rate,
// or at one that swings and bursts. It finds the instances of an entry in Consul and sends to all of them in
// turn. It is no part of the mesh and registers nothing, so it is no part of
// the application that others look at.
//
// Run starts one goroutine per entry that finds instances, one that paces, and
// one per request in flight; it waits for all of them.
package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oakumhq/oakum/examples/shop/metric"
)

const (
	maxInFlight     = 64 // per entry; beyond it requests are dropped and counted, so that a slow shop is not buried
	requestTimeout  = 10 * time.Second
	refreshInterval = 2 * time.Second
	reportInterval  = 10 * time.Second
	// requestsPerConnection keeps the load even when instances come and go.
	requestsPerConnection = 8
)

// Metric names.
const (
	requestsTotal   = "load_requests_total"
	requestDuration = "load_request_duration_seconds"
)

// Entry is a service to send requests to.
type Entry struct {
	Service string
	Rate    float64 // requests per second
}

// Config says what to drive.
type Config struct {
	Entries []Entry
	Swing   Swing
	Paths   []string
	Consul  string
	Token   string
}

// ParseEntries reads a list such as "front=60,backoffice=10".
func ParseEntries(text string) ([]Entry, error) {
	var list []Entry
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		rate, err := strconv.ParseFloat(value, 64)
		if name == "" || err != nil || !(rate > 0) || math.IsInf(rate, 0) {
			return nil, fmt.Errorf("parse entry %q: want SERVICE=REQUESTS_PER_SECOND", part)
		}
		list = append(list, Entry{Service: name, Rate: rate})
	}
	return list, nil
}

// Generator sends the load.
type Generator struct {
	config  Config
	client  *http.Client
	metrics *metric.Set
	log     *slog.Logger
	entries []*entry
}

type entry struct {
	Entry
	instances atomic.Pointer[[]string] // host:port, sorted
	next      atomic.Uint64
	good, bad atomic.Int64
}

// New returns a generator that has not begun.
func New(config Config, log *slog.Logger) *Generator {
	g := &Generator{
		config: config, metrics: metric.New(time.Now()), log: log,
		client: &http.Client{
			Timeout:   requestTimeout,
			Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 3 * time.Second},
		},
	}
	for _, e := range config.Entries {
		g.entries = append(g.entries, &entry{Entry: e})
		g.metrics.Add(requestsTotal, labels(e.Service, "200"), 0)
	}
	return g
}

// Metrics answers with the generator's figures.
func (g *Generator) Metrics() http.Handler { return g.metrics }

// Run sends until ctx ends.
func (g *Generator) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, e := range g.entries {
		all.Go(func() { g.follow(ctx, e) })
		all.Go(func() { g.pace(ctx, e) })
	}
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			g.report()
		}
	}
	all.Wait()
	g.report()
	g.client.CloseIdleConnections()
}

func (g *Generator) report() {
	for _, e := range g.entries {
		g.log.Info("load", "service", e.Service, "rate", e.Rate, "good", e.good.Load(), "bad", e.bad.Load())
	}
}

// follow keeps the list of an entry's healthy instances.
func (g *Generator) follow(ctx context.Context, e *entry) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		// While Consul is away the last known instances get the load.
		if found, err := g.find(ctx, e.Service); err == nil {
			e.instances.Store(&found)
		} else if ctx.Err() == nil {
			g.log.Warn("find instances", "service", e.Service, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *Generator) find(ctx context.Context, service string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	address := strings.TrimSuffix(g.config.Consul, "/") + "/v1/health/service/" + url.PathEscape(service) + "?passing=1"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("X-Consul-Token", g.config.Token)
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call consul: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("call consul: status %d", resp.StatusCode)
	}
	var rows []struct {
		Service struct {
			Address string
			Port    int
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&rows); err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	found := make([]string, 0, len(rows))
	for _, row := range rows {
		found = append(found, row.Service.Address+":"+strconv.Itoa(row.Service.Port))
	}
	slices.Sort(found)
	return found, nil
}

// pace starts each request when it is due, whether or not the former ones answered:
// a slow shop must not slow its users down.
func (g *Generator) pace(ctx context.Context, e *entry) {
	var flying sync.WaitGroup
	defer flying.Wait()
	slots := make(chan struct{}, maxInFlight)
	tempo, due := newTempo(e.Entry, g.config.Swing), time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		if due = tempo.next(due); time.Since(due) > lagMost {
			due = time.Now()
		}
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		instances := e.instances.Load()
		if instances == nil || len(*instances) == 0 {
			g.count(e, "no_instance")
			continue
		}
		address := (*instances)[n%len(*instances)]
		path := g.config.Paths[n%len(g.config.Paths)]
		select {
		case slots <- struct{}{}:
			flying.Go(func() {
				defer func() { <-slots }()
				g.send(ctx, e, "http://"+address+path)
			})
		default:
			g.count(e, "dropped")
		}
	}
}

func (g *Generator) send(ctx context.Context, e *entry, address string) {
	began := time.Now()
	code, err := g.get(ctx, e, address)
	switch {
	case err == nil:
		g.metrics.Observe(requestDuration, time.Since(began))
		g.count(e, strconv.Itoa(code))
	case ctx.Err() == nil:
		g.log.Debug("request failed", "service", e.Service, "error", err)
		g.count(e, "error")
	}
}

func (g *Generator) get(ctx context.Context, e *entry, address string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("build request: %w", err)
	}
	req.Close = e.next.Add(1)%requestsPerConnection == 0
	resp, err := g.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("send request: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, err
}

func (g *Generator) count(e *entry, code string) {
	g.metrics.Add(requestsTotal, labels(e.Service, code), 1)
	if code == "200" {
		e.good.Add(1)
	} else {
		e.bad.Add(1)
	}
}

func labels(service, code string) string {
	return metric.Label("service", service) + "," + metric.Label("code", code)
}
