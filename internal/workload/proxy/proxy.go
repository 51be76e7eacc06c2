// Package proxy stands between a service and who calls it, forwards every request, and
// records it for a workload. What it can't record it forwards all the same.
//
// A Proxy starts no goroutines of its own, and changes nothing of a request but the
// headers that every proxy sets.
package proxy

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/oakumhq/oakum/internal/workload"
)

// Proxy is a handler that forwards requests. It is safe for concurrent use.
type Proxy struct {
	forward *httputil.ReverseProxy
	now     func() time.Time

	mu    sync.Mutex
	tally *workload.Tally // nil once the recording has ended
}

// New returns a proxy to a service, which has a scheme and a host and no path. The tally
// is the proxy's until End.
func New(to *url.URL, tally *workload.Tally, now func() time.Time) *Proxy {
	return &Proxy{
		tally: tally, now: now,
		forward: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Host = r.In.Host
				r.SetXForwarded()
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
				if a, ok := w.(*answer); ok {
					a.none = true
				}
				w.WriteHeader(http.StatusBadGateway)
			},
			ErrorLog: log.New(io.Discard, "", 0), // what was not answered is counted
		},
	}
}

// End ends the recording. What is still under way is forwarded, and no longer recorded.
func (p *Proxy) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally = nil
}

// ServeHTTP forwards a request, and records it when it has been answered.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := p.now()
	sent := &body{from: r.Body, whole: r.ContentLength == 0}
	r.Body = sent
	a := &answer{ResponseWriter: w}
	// The forwarding panics when the caller goes away in the middle of an answer.
	defer func() { p.record(r, sent, a, at) }()
	p.forward.ServeHTTP(a, r)
}

func (p *Proxy) record(r *http.Request, sent *body, a *answer, at time.Time) {
	text, whole := sent.read()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.tally == nil: // it has ended
	case a.none:
		p.tally.LeaveOut("no answer of the service")
	case !whole && len(text) <= workload.BodyMax:
		p.tally.LeaveOut("a body that was not sent to its end")
	default:
		p.tally.Add(workload.Observation{
			Method: r.Method, Target: r.RequestURI, Host: r.Host, Headers: r.Header, Body: text, Status: a.status, At: at,
		})
	}
}

// body keeps what was read of a request's body, up to a byte more than a workload takes.
// Its reader may outlive the request.
type body struct {
	from io.ReadCloser

	mu    sync.Mutex
	text  []byte
	whole bool
}

// Read reads from the caller.
func (b *body) Read(to []byte) (int, error) {
	n, err := b.from.Read(to)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, to[:min(n, workload.BodyMax+1-len(b.text))]...)
	b.whole = b.whole || errors.Is(err, io.EOF)
	return n, err
}

// Close closes the caller's body.
func (b *body) Close() error { return b.from.Close() }

// read returns what was sent, and whether that was all.
func (b *body) read() (text []byte, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text, b.whole
}

// answer remembers the status of an answer.
type answer struct {
	http.ResponseWriter
	status int
	none   bool // the service did not answer
}

// WriteHeader passes a status on. Those below 200 come before the answer, but for a
// change of protocol.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what the connection can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
