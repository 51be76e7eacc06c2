//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/stack"
)

// passage is what happens to one request on its way to Nomad.
type passage int

const (
	pass   passage = iota
	lose           // it never arrives
	answer         // Nomad carries it out, and the answer is lost
	keep           // it passes after release, whoever waits for its answer by then
)

// gate stands between Oakum and Nomad: it sees every request, loses some, and
// counts the changes that reached Nomad.
type gate struct {
	url    string
	nomad  *httputil.ReverseProxy
	server *http.Server

	mu      sync.Mutex
	watch   func(*http.Request, bool) passage
	changes map[string]int // that Nomad took, by what they were
	kept    chan struct{}  // closed by release
}

// newGate listens in front of the stack's Nomad until the test ends.
func newGate(t *testing.T, env stack.Env) *gate {
	t.Helper()
	target, err := url.Parse(env.NomadAddr)
	must.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	g := &gate{url: "http://" + listener.Addr().String(), changes: map[string]int{}}
	g.nomad = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = g.server.Serve(listener) }() // until Close
	t.Cleanup(func() { must.NoError(t, g.server.Close()) })
	return g
}

// each has every request about the job looked at before it passes, with whether
// it changes anything; nil ends that.
func (g *gate) each(job string, watch func(r *http.Request, change bool) passage) {
	about := regexp.MustCompile(`^/v1/(jobs$|deployment/|job/` + regexp.QuoteMeta(job) + `(/|$))`)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes = map[string]int{}
	g.watch = func(r *http.Request, change bool) passage {
		if watch == nil || (r != nil && !about.MatchString(r.URL.Path)) {
			return pass
		}
		return watch(r, change)
	}
}

// taken are the changes that Nomad took since each was called.
func (g *gate) taken() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.changes)
}

// hold begins to keep what is to be kept, release lets it pass.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.kept)
}

// detached is a request that goes its way also when nobody waits for its answer
// any more: what became of it is counted even when the caller is dead.
func detached(r *http.Request) (*http.Request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, nil
}

// ServeHTTP passes one request on, or does not.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	watch := g.watch
	g.mu.Unlock()
	change := changes(r)
	way := pass
	if watch != nil {
		way = watch(r, change)
	}
	if change {
		var err error
		if r, err = detached(r); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	if way == keep {
		g.mu.Lock()
		released := g.kept
		g.mu.Unlock()
		<-released
	}
	switch {
	case way == lose:
		w.WriteHeader(http.StatusBadGateway)
	case way == answer:
		lost := httptest.NewRecorder()
		g.nomad.ServeHTTP(lost, r)
		g.count(r, lost.Code)
		watch(nil, true) // it is done
		w.WriteHeader(http.StatusBadGateway)
	case change:
		seen := httptest.NewRecorder()
		g.nomad.ServeHTTP(seen, r)
		g.count(r, seen.Code)
		maps.Copy(w.Header(), seen.Header())
		w.WriteHeader(seen.Code)
		_, _ = w.Write(seen.Body.Bytes()) // the caller may be dead
	default:
		g.nomad.ServeHTTP(w, r)
	}
}

func (g *gate) count(r *http.Request, status int) {
	if status >= http.StatusMultipleChoices {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes[what(r)]++
}

// changes reports whether a request changes something in Nomad; a dry run and a
// login do not.
func changes(r *http.Request) bool {
	if r.Method == http.MethodGet {
		return false
	}
	for _, harmless := range []string{"/plan", "/parse", "/v1/acl/login"} {
		if strings.HasSuffix(r.URL.Path, harmless) {
			return false
		}
	}
	return true
}

// what names a change without the IDs in it.
func what(r *http.Request) string {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch {
	case parts[0] == "deployment" && len(parts) > 1:
		return "deployment " + parts[1]
	case parts[len(parts)-1] == "tag" && r.Method == http.MethodDelete:
		return "untag"
	case parts[len(parts)-1] == "tag":
		return "tag"
	case parts[0] == "jobs":
		return "register"
	}
	return r.Method + " " + parts[0]
}
