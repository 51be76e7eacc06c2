package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/audit"
)

// Authenticator finds out who holds a token.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (api.Identity, error)
}

// PolicyControl checks and changes the policies.
type PolicyControl interface {
	ValidatePolicy(file api.SourceFile) error
	ApplyPolicy(ctx context.Context, file api.SourceFile, by api.Identity) (api.Policy, error)
	DeletePolicy(ctx context.Context, name string, by api.Identity) error
}

// PatchControl reads, plans and submits patches. ReadPatch asks nothing but the file.
type PatchControl interface {
	ReadPatch(file api.SourceFile) (api.Patch, error)
	PlanPatch(ctx context.Context, file api.SourceFile, by api.Identity) (api.PatchReceipt, error)
	PatchStatus(ctx context.Context, name string, sees func(api.TargetRef) bool) (api.PatchStatus, error)
	SubmitPatch(ctx context.Context, file api.SourceFile, by api.Identity) (api.PatchReceipt, error)
	LiftQuarantine(ctx context.Context, patch string, target api.TargetRef, by api.Identity) error
	Facts(ctx context.Context) (api.FleetFacts, error)
}

// RolloutControl steers rollouts and starts sandbox runs. The actions are
// approve, pause, resume, promote, abort and rollback.
type RolloutControl interface {
	Rollout(ctx context.Context, id, action string, by api.Identity, note string) (api.Rollout, error)
	Brake(ctx context.Context, want api.BrakeRequest, by api.Identity) (api.Brake, error)
	Simulate(ctx context.Context, file api.SourceFile, target api.TargetRef, by api.Identity) (api.Simulation, error)
	CancelSimulation(ctx context.Context, id string, by api.Identity) (api.Simulation, error)
	Console(ctx context.Context, id, role string, pair int) (api.Console, error)
}

// GraphControl shows the graph with criticality and the policies' view of the
// targets.
type GraphControl interface {
	Graph() api.Graph
	Impact(service string) (api.GraphImpact, bool)
	Without(place string) (api.GraphWithout, bool)
}

// InventoryControl keeps inventories, reads them, and compares them with advisories.
type InventoryControl interface {
	PutInventory(ctx context.Context, in api.InventoryGiven, document []byte, by api.Identity) (api.InventoryReceipt, error)
	Inventory(of, hash string) (api.Inventory, error)
	TargetInventories(ctx context.Context, ref *api.TargetRef) ([]api.TargetInventory, error)
	Nodes(ctx context.Context) ([]api.Node, error)
	Compliance(ctx context.Context, name string) (api.Compliance, error)
}

// KPIControl looks at the metrics behind the KPIs.
type KPIControl interface {
	CheckKPIs(ctx context.Context, kpis []string) (api.KPICheck, error)
	DiscoverKPIs(ctx context.Context, target *api.TargetRef, kpis []string) (api.KPIDiscovery, error)
}

// Control is the use cases of the server: everything that the API asks for,
// apart from reads of the state.
type Control interface {
	PolicyControl
	PatchControl
	RolloutControl
	GraphControl
	InventoryControl
	KPIControl
}

// Cluster informs the API about leadership. CatchUp has a new leader apply
// everything that former leaders confirmed.
type Cluster interface {
	IsLeader() bool
	Leader() (id, address string)
	LeaderTransport() http.RoundTripper
	VerifyLeader(ctx context.Context) error
	CatchUp(ctx context.Context) error
}

// Members is the cluster's membership, for the operator. Servers lists Raft's
// configuration; Peers adds what each server says of itself.
type Members interface {
	Servers() []api.ServerInfo
	Peers(ctx context.Context) []api.ServerInfo
	RemovePeer(ctx context.Context, id string) error
	Transfer(ctx context.Context) error
}

// Snapshots saves and replaces the replicated state.
type Snapshots interface {
	Snapshot(ctx context.Context, w io.Writer) error
	Restore(ctx context.Context, r io.Reader) error
}

// Options is what an API needs. Auth is nil in -dev only: then every caller may
// do everything, and every answer says so.
type Options struct {
	Server    string // this server's ID
	Version   string
	Store     Store
	Control   Control
	Cluster   Cluster
	Members   Members
	Snapshots Snapshots
	Plugins   func() []api.PluginInfo // nil means none
	// LastContact is when this server last had contact with a leader; nil or zero
	// means that this is not known.
	LastContact  func() time.Time
	Self         map[string]string // the configuration, without secrets
	Auth         Authenticator
	Audit        *audit.Log                      // nil records nothing
	Autopilot    Autopilot                       // nil means none
	Leave        func(ctx context.Context) error // takes this server out of the cluster and stops it; nil means that it can't
	ServerHealth func() ServerHealth             // nil means that there is no more to know
	OpenMetrics  bool                            // metrics without a token
	InClear      bool                            // it speaks plain HTTP on an address that others reach
	Debug        bool                            // profiles of the process
	Limits       Limits
	// Page makes the web page below /ui/ of the API that it is given. Its requests have
	// passed the checks of the host and of the site that they come from; whatever it asks
	// the API for passes all others. Nil means that there is none.
	Page    func(http.Handler) http.Handler
	Logger  *slog.Logger
	Metrics *prometheus.Registry // served at /v1/metrics; a new one when nil
}

// API is the HTTP API of one server.
type API struct {
	opt     Options
	log     *slog.Logger
	mux     *http.ServeMux
	guard   *http.CrossOriginProtection
	metrics metrics
	forward http.Handler
	shares  shares
	closing chan struct{} // closed by Close: ends blocking queries and streams
	once    sync.Once
}

var _ http.Handler = (*API)(nil)

// New builds the API. It starts nothing.
func New(opt Options) *API {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Metrics == nil {
		opt.Metrics = prometheus.NewRegistry()
	}
	a := &API{
		opt:     opt,
		log:     opt.Logger,
		mux:     http.NewServeMux(),
		guard:   http.NewCrossOriginProtection(),
		metrics: newMetrics(opt.Metrics),
		shares:  shares{most: opt.Limits.RequestsPerIdentity, by: map[holder]*share{}},
		closing: make(chan struct{}),
	}
	a.forward = newForwarder(opt.Cluster, opt.Server, a.log)
	for _, r := range a.routes() {
		a.mux.Handle(r.method+" "+r.path, a.serve(r))
	}
	if opt.Page != nil {
		a.mux.Handle("/ui/", opt.Page(a))
		for _, path := range []string{"GET /{$}", "GET /ui"} {
			a.mux.Handle(path, http.RedirectHandler("/ui/", http.StatusSeeOther))
		}
	}
	a.mux.HandleFunc("/", a.unknown)
	return a
}

// Close ends the blocking queries and streams that are open. New requests are still
// answered, so that a client learns why when the server stops.
func (a *API) Close() { a.once.Do(func() { close(a.closing) }) }

// Limits of the HTTP server.
const (
	headerTimeout = 10 * time.Second // to send a header; no client of ours is slower
	idleTimeout   = 2 * time.Minute  // longer than a client's poll interval, so that connections are reused
	drainTimeout  = 5 * time.Second  // how long a stopping server lets answers finish
)

// Serve answers requests on l until ctx ends, then lets open answers finish.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	a.Close()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := srv.Shutdown(drain)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// ServeHTTP answers one request. Requests that a browser makes on behalf of
// another site are refused before anything looks at them.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if a.opt.Auth == nil {
		w.Header().Set(headerAuth, "disabled")
		if rebound(r) {
			writeError(w, api.Errorf(api.CodePermissionDenied, "refuse host %q: without authentication, this server is asked by its address or as localhost", r.Host))
			return
		}
	}
	if err := a.guard.Check(r); err != nil {
		writeError(w, api.Errorf(api.CodePermissionDenied, "refuse cross-site request: %v", err))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// unknown answers requests whose path or method is not in the table.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := a.mux.Handler(probe); pattern != "/" && pattern != "" {
			w.Header().Set("Allow", method)
			writeStatus(w, http.StatusMethodNotAllowed,
				api.Errorf(api.CodeInvalid, "%s %s: this path wants %s", r.Method, r.URL.Path, method))
			return
		}
	}
	writeError(w, api.Errorf(api.CodeNotFound, "%s: no such path", r.URL.Path))
}
