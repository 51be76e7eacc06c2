package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

const (
	pathServer = "/internal/server"
	pathJoin   = "/internal/join"

	// forwardedHeader stops a request from going round between servers that
	// disagree about who leads.
	forwardedHeader = "X-Oakum-Forwarded-By"

	// maxMessage bounds what the servers tell each other about themselves.
	maxMessage = 1 << 20
	// maxName is what a DNS name can have at most.
	maxName = 253
	// askTimeout bounds one question to another server.
	askTimeout = 2 * time.Second
	// headerTimeout bounds the wait for the head of a request.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long connections between servers are kept for reuse.
	idleTimeout = 2 * time.Minute
)

// status is what a server tells the others about itself.
type status struct {
	ID           string   `json:"id"`
	Address      string   `json:"address"`
	Cluster      string   `json:"cluster"`
	Version      string   `json:"version"`
	Nonce        string   `json:"nonce"`
	Bootstrapped bool     `json:"bootstrapped"`
	Expect       int      `json:"bootstrap_expect"`
	Proposal     []member `json:"proposal,omitempty"` // founders that it has settled on

	NonVoter    bool         `json:"non_voter,omitempty"`
	Level       int          `json:"level"` // newest cluster level that it supports; 0 is a server that does not tell, of level 1
	LastIndex   uint64       `json:"last_index"`
	LastTerm    uint64       `json:"last_term"`
	LastContact api.Duration `json:"last_contact"`    // how long ago it heard of the leader; negative means never
	Marks       []mark       `json:"marks,omitempty"` // of its state, oldest first
}

// member is one server of a proposal, and what a server that wants to join sends.
type member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Cluster string `json:"cluster,omitempty"`
}

// Serve sets the handler of requests that other servers forward to this one.
// Until it is called, they are told to come back later.
func (n *Node) Serve(handler http.Handler) { n.handler.Store(&handler) }

// LeaderTransport sends requests to the leader over the servers' own port,
// whatever host their URL names. Its errors are *api.Error: no_leader when none
// is known, so that nothing was sent, and unavailable when it does not answer.
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
		return nil, err // the caller gave up: that is no fault of the leader
	}
	if err != nil {
		return nil, api.Errorf(api.CodeUnavailable, "the leader at %s does not answer: %v", address, err)
	}
	return response, nil
}

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
	// Requests end when the server stops, also those that wait for a change.
	base, cancel := context.WithCancel(context.Background())
	n.loops.Go(func() { <-n.stop; cancel() })
	return &http.Server{
		Handler:           routes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
	}
}

func (n *Node) status() status {
	lastIndex, lastTerm, _ := n.replica()
	contact := n.sinceContact()
	n.mu.Lock()
	defer n.mu.Unlock()
	return status{
		NonVoter: n.cfg.NonVoter, Level: state.SupportedLevel, LastIndex: lastIndex, LastTerm: lastTerm,
		LastContact: api.Duration(contact), Marks: n.marks.kept(),
		ID: n.cfg.ID, Address: n.Address(), Cluster: n.cfg.Cluster, Version: n.cfg.Version, Nonce: n.nonce,
		Bootstrapped: n.bootstrapped(), Expect: n.cfg.BootstrapExpect, Proposal: n.proposal.members,
	}
}

func (n *Node) serveStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, n.status())
}

// serveJoin lets a server into the cluster. A server that does not lead asks
// the leader.
func (n *Node) serveJoin(w http.ResponseWriter, r *http.Request) {
	var m member
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&m); err != nil {
		writeError(w, api.Errorf(api.CodeInvalid, "read join: %v", err))
		return
	}
	var err error
	switch {
	case n.IsLeader():
		err = n.admit(r.Context(), m)
	case r.Header.Get(forwardedHeader) != "":
		err = n.noLeader()
	default:
		err = n.tell(r.Context(), n.LeaderTransport(), "leader", m)
	}
	if err != nil {
		writeError(w, api.AsError(err))
		return
	}
	writeJSON(w, http.StatusOK, n.status())
}

// admit adds a server after making sure that it is what it says and can be
// reached. A newcomer follows without a vote until autopilot has seen it
// healthy for a while: a voter that lags or can't be reached weakens the
// cluster.
func (n *Node) admit(ctx context.Context, m member) error {
	if err := m.check(); err != nil {
		return err
	}
	if m.Cluster != n.cfg.Cluster {
		return api.Errorf(api.CodeConflict, "join: this is cluster %q, server %s belongs to %q", n.cfg.Cluster, m.ID, m.Cluster)
	}
	seen, err := n.ask(ctx, m.Address)
	if err != nil {
		return api.Errorf(api.CodeUnavailable, "join: server %s can't be reached at %s: %v", m.ID, m.Address, err)
	}
	if seen.ID != m.ID {
		return api.Errorf(api.CodeConflict, "join: at %s there is server %s, not %s", m.Address, seen.ID, m.ID)
	}
	if level := n.fsm.Store().Level(); max(seen.Level, 1) < level {
		return api.Errorf(api.CodeConflict, "join: this cluster is at level %d, server %s supports %d: upgrade that server first", level, m.ID, max(seen.Level, 1))
	}
	voter := false
	for _, s := range n.members() {
		sameID, sameAddress := string(s.ID) == m.ID, string(s.Address) == m.Address
		switch {
		case sameID && sameAddress:
			return nil
		case sameAddress && !sameID:
			return api.Errorf(api.CodeConflict, "join: address %s belongs to member %s: remove that first", m.Address, s.ID)
		case sameID && !sameAddress:
			if other, err := n.ask(ctx, string(s.Address)); err == nil && other.ID == m.ID && other.Nonce != seen.Nonce {
				return api.Errorf(api.CodeConflict, "join: another server named %s is alive at %s", m.ID, s.Address)
			}
			if !seen.Bootstrapped {
				// The other one may only be away for a while, and has a vote.
				return api.Errorf(api.CodeConflict, "join: a server named %s belongs to the cluster, at %s, and the one at %s has no state: give it another name, "+
					"or, if the former is gone for good, remove that first: oakum operator raft remove-peer %s", m.ID, s.Address, m.Address, m.ID)
			}
			voter = s.Suffrage == raft.Voter
		}
	}
	n.logger.Info("server joins", "peer", m.ID, "address", m.Address)
	add := n.raft.AddNonvoter
	if voter {
		add = n.raft.AddVoter // it has a new address and keeps its vote
	}
	return n.wait(ctx, add(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, configTimeout).Error)
}

// check refuses what can't be a server: it would stay in the membership.
func (m member) check() error {
	host, port, err := net.SplitHostPort(m.Address)
	switch {
	case m.ID == "" || m.Address == "":
		return api.Errorf(api.CodeInvalid, "join: want the name and address of the server")
	case len(m.ID) > maxName || strings.ContainsFunc(m.ID, func(r rune) bool { return !unicode.IsPrint(r) }):
		return api.Errorf(api.CodeInvalid, "join: want a name of at most %d printable characters, have %q", maxName, m.ID[:min(len(m.ID), maxName)])
	case err != nil || host == "" || port == "" || len(m.Address) > maxName+len(":65535"):
		return api.Errorf(api.CodeInvalid, "join: want host:port that server %s is reached at, have %q", m.ID, m.Address[:min(len(m.Address), maxName)])
	}
	return nil
}

// ask asks the server at an address about itself.
func (n *Node) ask(ctx context.Context, address string) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+pathServer, nil)
	if err != nil {
		return status{}, err
	}
	var s status
	if err := exchange(n.client, request, &s); err != nil {
		return status{}, err
	}
	return s, nil
}

// tell asks a server, or whoever the transport leads to, to let m in.
func (n *Node) tell(ctx context.Context, via http.RoundTripper, address string, m member) error {
	return n.send(ctx, via, address, pathJoin, m)
}

// send asks for a change of membership.
func (n *Node) send(ctx context.Context, via http.RoundTripper, address, path string, m member) error {
	ctx, cancel := context.WithTimeout(ctx, configTimeout+askTimeout)
	defer cancel()
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return exchange(via, request, &status{})
}

// exchange sends a request and decodes the answer into out, or into an error.
func exchange(via http.RoundTripper, request *http.Request, out any) (err error) {
	response, err := via.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessage))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", request.URL.Host, err)
	}
	if response.StatusCode != http.StatusOK {
		var refused api.Error
		if json.Unmarshal(body, &refused) == nil && refused.Code != "" && refused.Message != "" {
			return &refused
		}
		return fmt.Errorf("%s answers %s", request.URL.Host, response.Status)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read answer of %s: %w", request.URL.Host, err)
	}
	return nil
}

func writeError(w http.ResponseWriter, err *api.Error) { writeJSON(w, err.Code.HTTPStatus(), err) }

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // the peer is gone, then, and asks again
}
