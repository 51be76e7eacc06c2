// Package workload is one service of the shop: an HTTP server whose
// requests call its upstreams, and which can be made worse on purpose. It
// starts no goroutines beyond those of its HTTP server, which Run waits for.
//
// Endpoints: /health, /metrics, /version, and every other path is work.
package workload

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/oakumhq/oakum/examples/shop/fault"
	"github.com/oakumhq/oakum/examples/shop/metric"
)

// Names of the metrics that dashboards and judges read.
const (
	requestsTotal   = "http_requests_total"
	requestDuration = "http_request_duration_seconds"
	upstreamTotal   = "shop_upstream_requests_total"
	buildInfo       = "shop_build_info"
)

const (
	requestTimeout = 5 * time.Second        // of a whole request, all upstreams together
	drainTimeout   = 3 * time.Second        // for requests in flight when asked to stop
	crashPoll      = 100 * time.Millisecond // how late a crash may come
)

// ErrCrash ends Run when the crash fault strikes.
var ErrCrash = errors.New("crash fault struck")

// Config says what a service is.
type Config struct {
	Name      string
	Version   string
	Upstreams []Upstream
	Faults    fault.Spec
	// Scratch is the folder on whose disk the disk fault writes; empty means the
	// working directory.
	Scratch string
	// Settle is how long /health says no after the start: an emulated machine is
	// busy with its boot for longer than it takes to answer, and who measures what is
	// healthy measures that too.
	Settle time.Duration
}

// Server is one running service.
type Server struct {
	config  Config
	gate    *fault.Gate
	metrics *metric.Set
	callers []*caller
	log     *slog.Logger
	scratch scratch
	settled time.Time

	mu     sync.Mutex
	leaked [][]byte
}

// New returns a service that has not begun to listen.
func New(config Config, log *slog.Logger) *Server {
	started := time.Now()
	s := &Server{config: config, gate: fault.NewGate(config.Faults, started), metrics: metric.New(started), log: log, scratch: scratch{folder: cmp.Or(config.Scratch, ".")}, settled: started.Add(config.Settle)}
	for _, u := range config.Upstreams {
		s.callers = append(s.callers, newCaller(u, s.metrics))
	}
	for _, code := range []int{http.StatusOK, http.StatusInternalServerError, http.StatusBadGateway} {
		s.metrics.Add(requestsTotal, metric.Label("code", strconv.Itoa(code)), 0)
	}
	s.metrics.Gauge(buildInfo, metric.Label("service", config.Name)+","+metric.Label("version", config.Version), 1)
	return s
}

// Handler serves all endpoints.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /version", s.version)
	mux.Handle("GET /metrics", s.metrics)
	mux.HandleFunc("/", s.work)
	return mux
}

// Run serves on the listener until ctx ends or the crash fault strikes.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: requestTimeout, IdleTimeout: 30 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.log.Info("service serves", "service", s.config.Name, "version", s.config.Version, "address", listener.Addr().String())

	cause := s.wait(ctx, served)
	if errors.Is(cause, ErrCrash) {
		_ = server.Close() // a crash closes nothing cleanly
	} else {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		cause = errors.Join(cause, server.Shutdown(drain))
	}
	for _, c := range s.callers {
		c.close()
	}
	return errors.Join(cause, s.scratch.close())
}

// wait returns nil when ctx ends, else why the server stopped.
func (s *Server) wait(ctx context.Context, served <-chan error) error {
	var poll <-chan time.Time
	if s.gate.CanCrash() { // waking up costs an emulated machine dearly
		ticker := time.NewTicker(crashPoll)
		defer ticker.Stop()
		poll = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serve %s: %w", s.config.Name, err)
		case now := <-poll:
			if s.gate.Crashed(now) {
				return ErrCrash
			}
		}
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	switch now := time.Now(); {
	case now.Before(s.settled):
		http.Error(w, "settling", http.StatusServiceUnavailable)
		return
	case !s.gate.Healthy(now):
		http.Error(w, "unhealthy", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, s.config.Version)
}

// Answer is what a work request returns.
type Answer struct {
	Service string `json:"service"`
	Version string `json:"version"`
	Path    string `json:"path"`
	Error   string `json:"error,omitempty"`
}

func (s *Server) work(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	answer := Answer{Service: s.config.Name, Version: s.config.Version, Path: r.URL.Path}
	code := http.StatusOK
	effect := s.gate.Request(began)
	if err := s.suffer(r.Context(), effect); err != nil {
		code, answer.Error = http.StatusInternalServerError, err.Error()
	} else if err := s.callAll(r.Context(), r.URL.EscapedPath()); err != nil {
		code, answer.Error = http.StatusBadGateway, err.Error()
	}
	s.metrics.Observe(requestDuration, time.Since(began))
	s.metrics.Add(requestsTotal, metric.Label("code", strconv.Itoa(code)), 1)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if effect.Garbage {
		_, _ = io.WriteString(w, "{garbage") // a client that went away has none either
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.log.Debug("client went away", "path", r.URL.Path, "error", err)
	}
}

func (s *Server) callAll(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, c := range s.callers {
		if !c.needed() {
			continue
		}
		if err := c.call(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// suffer carries out what the faults do to one request.
func (s *Server) suffer(ctx context.Context, e fault.Effect) error {
	if e.Leak > 0 {
		s.leak(e.Leak)
	}
	if e.Busy > 0 {
		_ = burn(e.Busy)
	}
	if e.Disk > 0 {
		if err := s.scratch.write(e.Disk); err != nil {
			return err
		}
	}
	if e.Delay > 0 {
		timer := time.NewTimer(e.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for latency fault: %w", ctx.Err())
		}
	}
	if e.Fail {
		return errors.New("error fault struck")
	}
	return nil
}

// leak keeps memory and touches every page of it, since untouched memory is
// not resident.
func (s *Server) leak(size int64) {
	block := make([]byte, size)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	s.mu.Lock()
	s.leaked = append(s.leaked, block)
	s.mu.Unlock()
}

// burn keeps a processor busy; the sum is there so that the compiler keeps the work.
func burn(d time.Duration) uint64 {
	sum := uint64(14695981039346656037)
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i := range uint64(256) {
			sum = (sum ^ i) * 1099511628211
		}
	}
	return sum
}
