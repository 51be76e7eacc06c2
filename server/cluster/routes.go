package cluster

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

const (
	// forwardedHeader stops a request from going round between servers that
	// disagree about who leads.
	forwardedHeader = "X-Oakum-Forwarded-By"

	// headerTimeout bounds the wait for the head of a request.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long an idle connection of another server is kept open.
	idleTimeout = 2 * time.Minute
)

// Serve sets the handler of requests that other servers forward to this one.
// Until it is called, they are answered with unavailable.
func (n *Node) Serve(handler http.Handler) { n.handler.Store(&handler) }

// LeaderTransport sends requests to the leader over the port between the servers,
// whatever host their URL names. Its errors are *api.Error: no_leader when no leader
// is known, so that nothing was sent, and unavailable when the leader does not answer.
func (n *Node) LeaderTransport() http.RoundTripper { return leaderTransport{n} }

type leaderTransport struct{ n *Node }

// RoundTrip sends one request to the leader.
func (t leaderTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	_, address := t.n.Leader()
	if address == "" {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper always closes it; nothing was read
		}
		return nil, t.n.noLeader()
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", address
	r.Header.Set(forwardedHeader, t.n.cfg.ID)
	response, err := t.n.client.RoundTrip(r)
	if err != nil && r.Context().Err() != nil {
		return nil, err // the caller gave up: the leader is not at fault
	}
	if err != nil {
		return nil, api.Errorf(api.CodeUnavailable, "the leader at %s does not answer: %v", address, err)
	}
	return response, nil
}

// newInternalServer answers the other servers.
func (n *Node) newInternalServer() *http.Server {
	routes := http.NewServeMux()
	routes.HandleFunc("GET "+pathServer, n.serveStatus)
	routes.HandleFunc("POST "+pathJoin, n.serveJoin)
	routes.HandleFunc("POST "+pathLeave, n.serveLeave)
	routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		handler := n.handler.Load()
		if handler == nil {
			writeError(w, api.Errorf(api.CodeUnavailable, "server %s is starting", n.cfg.ID))
			return
		}
		(*handler).ServeHTTP(w, r)
	})
	return &http.Server{
		Handler:           routes,
		BaseContext:       func(net.Listener) context.Context { return n.life }, // requests that wait for a change end with it
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
	}
}

// status is what this server says of itself.
func (n *Node) status() status {
	lastIndex, lastTerm := n.lastLog()
	return status{
		ID: n.cfg.ID, Address: n.Address(), Cluster: n.cfg.Cluster, Version: n.cfg.Version, Nonce: n.nonce,
		Bootstrapped: n.Member(), Expect: n.cfg.BootstrapExpect, Proposal: n.bootstrapper.proposed(),
		NonVoter: n.cfg.NonVoter, Level: levels.Supported, LastIndex: lastIndex, LastTerm: lastTerm,
		LastContact: api.Duration(n.SinceContact()), Marks: n.marks.kept(),
	}
}

func (n *Node) serveStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, n.status())
}

// serveJoin lets a server into the cluster. A server that does not lead asks
// the leader to.
func (n *Node) serveJoin(w http.ResponseWriter, r *http.Request) {
	n.serveChange(w, r, "join", func(ctx context.Context, m member) error {
		switch {
		case n.IsLeader():
			return n.admit(ctx, m)
		case r.Header.Get(forwardedHeader) != "":
			return n.noLeader()
		}
		return requestChange(ctx, n.LeaderTransport(), "leader", pathJoin, m)
	})
}

// serveLeave takes a server out of the cluster. Only the leader can; a server that
// hands over leadership at this moment asks its successor.
func (n *Node) serveLeave(w http.ResponseWriter, r *http.Request) {
	n.serveChange(w, r, "leave", n.removeLeaver)
}

// serveChange reads a member and answers with what became of it.
func (n *Node) serveChange(w http.ResponseWriter, r *http.Request, what string, change func(context.Context, member) error) {
	var m member
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&m); err != nil {
		writeError(w, api.Errorf(api.CodeInvalid, "read %s: %v", what, err))
		return
	}
	if err := change(r.Context(), m); err != nil {
		writeError(w, api.AsError(err))
		return
	}
	writeJSON(w, http.StatusOK, n.status())
}

func writeError(w http.ResponseWriter, err *api.Error) { writeJSON(w, err.Code.HTTPStatus(), err) }

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // the peer is gone, then, and asks again
}
