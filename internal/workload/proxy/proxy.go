// Package proxy stands between a service and who calls it, forwards every request, and
// records it for a workload. What it can't record it forwards all the same.
//
// Serve starts a goroutine and waits for it before it returns. A Proxy changes nothing of
// a request but the headers that every proxy sets, and what RecordAnswers says.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
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
	observe func(Outcome) // nil when nobody watches

	mu      sync.Mutex
	tally   *workload.Tally       // nil once the recording has ended
	answers *workload.AnswerTally // nil when nobody records answers
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

const (
	// forwarding is how long requests under way may take once a recording ends.
	forwarding = 5 * time.Second
	// headersWithin is how long a caller may take to send a request's headers.
	headersWithin = 30 * time.Second
)

// Serve forwards what a listener accepts until ctx ends.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: p, ReadHeaderTimeout: headersWithin}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwarding)
	defer cancel()
	// Requests that take longer are cut off, and not recorded.
	if err := server.Shutdown(rest); err != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Outcome is what became of a request that the proxy has forwarded.
type Outcome struct {
	Method, Target string        // Target is the path with its query
	Status         int           // of the answer; 0 when the service gave none, or not all of it
	Took           time.Duration // to the end of the answer
}

// Observe makes the proxy tell what became of each request whose caller sent all of it,
// and carry requests by a transport. It is for before the first request. The function is
// called by many goroutines at a time.
func (p *Proxy) Observe(through http.RoundTripper, observe func(Outcome)) {
	p.forward.Transport, p.observe = through, observe
}

// RecordAnswers makes the proxy record what the service answers, too. It is for before
// the first request. The tally is the proxy's until End.
func (p *Proxy) RecordAnswers(tally *workload.AnswerTally) {
	p.answers = tally
	forward := p.forward.Rewrite
	p.forward.Rewrite = func(r *httputil.ProxyRequest) {
		forward(r)
		// What is compressed can't be searched for credentials. The transport asks for
		// compression by itself, and takes it away.
		r.Out.Header.Del("Accept-Encoding")
	}
}

// End ends the recording. What is still under way is forwarded, and no longer recorded.
func (p *Proxy) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally, p.answers = nil, nil
}

// ServeHTTP forwards a request, and records it when it has been answered.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := p.now()
	sent := &body{from: r.Body, whole: r.ContentLength == 0}
	r.Body = sent
	a := &answer{ResponseWriter: w, keep: p.answers != nil}
	// The forwarding panics when the caller or the service goes away in the middle of an
	// answer.
	defer func() {
		cause := recover()
		a.cut = cause != nil && !a.unread
		p.record(r, sent, a, at)
		if cause != nil {
			panic(cause) //nolint:forbidigo // net/http's way to cut a connection
		}
	}()
	p.forward.ServeHTTP(a, r)
}

func (p *Proxy) record(r *http.Request, sent *body, a *answer, at time.Time) {
	text, whole := sent.read()
	took := p.now().Sub(at)
	if p.observe != nil && (whole || !a.none) {
		status := a.status
		if a.none || a.cut {
			status = 0
		}
		p.observe(Outcome{r.Method, r.RequestURI, status, took})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answers != nil {
		p.recordAnswer(r, a, took)
	}
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

// recordAnswer counts what the service has answered. The caller holds the lock.
func (p *Proxy) recordAnswer(r *http.Request, a *answer, took time.Duration) {
	switch {
	case a.none:
		p.answers.LeaveOut("no answer of the service")
	case len(a.text) > workload.AnswersMax:
		p.answers.LeaveOut("a larger body than a file of answers takes")
	case a.status == http.StatusSwitchingProtocols:
		p.answers.LeaveOut("a change of protocol")
	default:
		p.answers.Add(workload.AnswerObservation{
			Method: r.Method, Target: r.RequestURI, Status: a.status, Headers: a.Header(), Body: a.text, Took: took,
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

// answer remembers the status of an answer, and its body where somebody wants it.
type answer struct {
	http.ResponseWriter
	status int
	none   bool   // the service did not answer
	cut    bool   // the service did not answer to the end
	unread bool   // the caller did not take all of the answer
	keep   bool   // the body
	text   []byte // up to a byte more than a file of answers takes
}

// WriteHeader passes a status on. Those below 200 come before the answer, but for a
// change of protocol.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write passes a part of the body on.
func (a *answer) Write(part []byte) (int, error) {
	if a.keep {
		a.text = append(a.text, part[:min(len(part), workload.AnswersMax+1-len(a.text))]...)
	}
	n, err := a.ResponseWriter.Write(part)
	a.unread = a.unread || err != nil
	return n, err
}

// Unwrap lets http.ResponseController find what the connection can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
