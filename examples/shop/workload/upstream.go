package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oakumhq/oakum/examples/shop/metric"
)

// requestsPerConnection bounds how often a connection is used again. The mesh
// chooses an instance per connection, so this many requests in a row meet the
// same one; each connection costs both proxies a TLS handshake and Consul's agent
// two questions, together as much as thirteen requests. At sixteen the load is even
// within a minute and connections are the minor part of the CPU time.
const requestsPerConnection = 16

// errUnreadable is an upstream's answer that is none, whatever its status says.
var errUnreadable = errors.New("the answer cannot be read")

// Upstream is a service that requests need.
type Upstream struct {
	Name  string
	URL   string  // without a path
	Share float64 // of the requests that need it; the others are answered as from a cache
}

// ParseUpstreams reads a list such as
// "pricing=http://127.0.0.1:9001,store:0.5=http://127.0.0.1:9002". The number
// after a name is its share; without one every request needs it.
func ParseUpstreams(text string) ([]Upstream, error) {
	var list []Upstream
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, address, ok := strings.Cut(strings.TrimSpace(part), "=")
		name, share, shared := strings.Cut(name, ":")
		u := Upstream{Name: name, Share: 1}
		parsed, err := url.Parse(address)
		if err == nil && shared {
			u.Share, err = strconv.ParseFloat(share, 64)
		}
		if !ok || name == "" || err != nil || parsed.Scheme != "http" || parsed.Host == "" || !(u.Share > 0 && u.Share <= 1) {
			return nil, fmt.Errorf("parse upstream %q: want NAME=http://HOST:PORT or NAME:SHARE=http://HOST:PORT", part)
		}
		u.URL = "http://" + parsed.Host
		list = append(list, u)
	}
	return list, nil
}

// caller sends requests to one upstream.
type caller struct {
	upstream Upstream
	client   *http.Client
	metrics  *metric.Set
	asked    atomic.Uint64
	sent     atomic.Uint64
}

// needed says whether the next request needs the upstream: its share of them,
// evenly spread.
func (c *caller) needed() bool {
	n := float64(c.asked.Add(1))
	return math.Floor(n*c.upstream.Share) > math.Floor((n-1)*c.upstream.Share)
}

func newCaller(u Upstream, metrics *metric.Set) *caller {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 8,
		// Idle connections would pin an instance that may be gone.
		IdleConnTimeout: 3 * time.Second,
	}
	for _, code := range []string{"200", "error"} {
		metrics.Add(upstreamTotal, upstreamLabels(u.Name, code), 0)
	}
	return &caller{upstream: u, client: &http.Client{Transport: transport}, metrics: metrics}
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// call sends one request, and once more when the connection broke: an instance
// that is being replaced may close it in between, and reading again is safe.
func (c *caller) call(ctx context.Context, path string) error {
	code, err := c.once(ctx, path)
	if err != nil && !errors.Is(err, errUnreadable) && ctx.Err() == nil {
		c.client.CloseIdleConnections()
		code, err = c.once(ctx, path)
	}
	if err != nil {
		c.metrics.Add(upstreamTotal, upstreamLabels(c.upstream.Name, "error"), 1)
		return fmt.Errorf("call %s: %w", c.upstream.Name, err)
	}
	c.metrics.Add(upstreamTotal, upstreamLabels(c.upstream.Name, strconv.Itoa(code)), 1)
	if code != http.StatusOK {
		return fmt.Errorf("call %s: status %d", c.upstream.Name, code)
	}
	return nil
}

func (c *caller) once(ctx context.Context, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.upstream.URL+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Close = c.sent.Add(1)%requestsPerConnection == 0
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, err
	}
	var unreadable error
	if json.NewDecoder(resp.Body).Decode(&Answer{}) != nil {
		unreadable = errUnreadable
	}
	_, err = io.Copy(io.Discard, resp.Body) // to the end, so that the connection can be used again
	if err == nil {
		err = unreadable
	}
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	return resp.StatusCode, err
}

func upstreamLabels(name, code string) string {
	return metric.Label("upstream", name) + "," + metric.Label("code", code)
}
