package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/oakumhq/oakum/api"
)

// headerForwarded marks a request that a follower sent on, with the follower's
// ID. A request is forwarded once: when leadership moves meanwhile, the caller is
// answered no_leader, and the request does not go round in a circle.
const headerForwarded = "X-Oakum-Forwarded-By"

// forwards reports whether this server sends a request on to the leader.
func (a *API) forwards(rt route, c *call) bool {
	if rt.local || a.opt.Cluster.IsLeader() {
		return false
	}
	return rt.method != http.MethodGet || !c.flag("stale")
}

// newForwarder sends requests to the leader with the caller's own headers.
func newForwarder(cluster Cluster, self string, log *slog.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: leaderTransport{cluster},
		Rewrite: func(r *httputil.ProxyRequest) {
			// The transport dials the leader whatever the host says.
			r.SetURL(&url.URL{Scheme: "http", Host: "leader"})
			r.Out.Header.Set(headerForwarded, self)
			r.Out.Header.Set(headerForwardedFor, r.In.RemoteAddr)
		},
		ModifyResponse: func(r *http.Response) error {
			// This server sets these headers too; an answer has each once.
			r.Header.Del("X-Content-Type-Options")
			r.Header.Del("Cache-Control")
			r.Header.Del(headerAuth)
			return nil
		},
		FlushInterval: -1, // event streams
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
				panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
			}
			writeError(w, forwardError(err))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from := r.Header.Get(headerForwarded); from != "" {
			writeError(w, api.Errorf(api.CodeNoLeader, "leadership is changing: %s took %s for the leader", from, self))
			return
		}
		if _, address := cluster.Leader(); address == "" {
			writeError(w, noLeader())
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

func noLeader() *api.Error {
	return &api.Error{
		Code:    api.CodeNoLeader,
		Message: "the cluster has no leader now",
		Details: []string{"an election usually takes a few seconds; reads with ?stale (-stale) are answered meanwhile"},
	}
}

func forwardError(err error) *api.Error {
	if known, ok := errors.AsType[*api.Error](err); ok {
		return known
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return api.Errorf(api.CodeTimeout, "the leader did not answer in time")
	}
	return api.Errorf(api.CodeUnavailable, "forward to the leader: %v", err)
}

// leaderTransport looks the leader up for each request.
type leaderTransport struct{ cluster Cluster }

// RoundTrip sends one request to the present leader.
func (t leaderTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	transport := t.cluster.LeaderTransport()
	if transport == nil {
		return nil, noLeader()
	}
	return transport.RoundTrip(r)
}
