package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// relay stands between the servers and one of the model's APIs, and counts.
type relay struct {
	URL string

	bytes, requests atomic.Int64 // answered
	server          *http.Server

	mu       sync.Mutex
	written  chan struct{}   // closed at the next change that is asked for
	services map[string]bool // of Consul's catalog that were read, by path
}

// oneService begins the path of one service of Consul's catalog.
const oneService = "/v1/catalog/service/"

// newRelay listens on a free port of this machine and passes everything on.
func newRelay(ctx context.Context, to string) (*relay, error) {
	target, err := url.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", to, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", to, err)
	}
	r := &relay{URL: "http://" + listener.Addr().String(), written: make(chan struct{}), services: make(map[string]bool)}
	pass := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(res *http.Response) error {
			r.requests.Add(1)
			if path := res.Request.URL.Path; res.StatusCode == http.StatusOK && strings.HasPrefix(path, oneService) {
				r.mu.Lock()
				r.services[path] = true
				r.mu.Unlock()
			}
			res.Body = &counted{ReadCloser: res.Body, bytes: &r.bytes}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }, // a server that was killed
	}
	r.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if effect(req) {
			r.mu.Lock()
			close(r.written)
			r.written = make(chan struct{})
			r.mu.Unlock()
		}
		pass.ServeHTTP(w, req)
	})}
	go func() { _ = r.server.Serve(listener) }() // it ends with Close
	return r, nil
}

// effect reports whether a request to Nomad changes it; a dry run does not.
func effect(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/plan")
}

// nextEffect is closed at the next change that anybody asks for.
func (r *relay) nextEffect() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written
}

// servicesRead is how many services of Consul's catalog were read at least once.
func (r *relay) servicesRead() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.services)
}

// Close ends the relay.
func (r *relay) Close() error { return r.server.Close() }

// counted counts what is read.
type counted struct {
	io.ReadCloser
	bytes *atomic.Int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}
