package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/policies"
)

// memory is a model of the replicated state: rollouts, a record and a watch.
type memory struct {
	mu        sync.Mutex
	index     uint64
	rollouts  map[string]api.Rollout
	record    []api.Event
	learned   []api.Profile
	sources   []api.SourceStatus
	brake     api.Brake
	kept      []api.InventoryRecord
	policy    []api.Policy
	histories map[string]api.PolicyHistory
	patched   []api.Patch
	planned   []api.Plan
	barred    []api.Quarantine
	tried     []api.Simulation
	known     api.Graph
	changed   chan struct{}
}

func newMemory() *memory {
	return &memory{index: 1, rollouts: map[string]api.Rollout{}, changed: make(chan struct{})}
}

func (m *memory) put(r api.Rollout) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.index++
	r.ModifyIndex = m.index
	m.rollouts[r.ID] = r
	m.record = append(m.record, api.Event{
		Index: m.index, Topic: api.TopicRollout, Type: "rollout_" + string(r.Status), Key: r.ID, Text: r.Reason,
	})
	close(m.changed)
	m.changed = make(chan struct{})
	return m.index
}

func (m *memory) Policies() []api.Policy             { return slices.Clone(m.policy) }
func (m *memory) Patches() []api.Patch               { return slices.Clone(m.patched) }
func (m *memory) Quarantines() []api.Quarantine      { return slices.Clone(m.barred) }
func (m *memory) Simulations() []api.Simulation      { return slices.Clone(m.tried) }
func (m *memory) Graph() api.Graph                   { return m.known }
func (m *memory) Profiles() []api.Profile            { return slices.Clone(m.learned) }
func (m *memory) Sources() []api.SourceStatus        { return m.sources }
func (m *memory) Brake() api.Brake                   { return m.brake }
func (m *memory) Inventories() []api.InventoryRecord { return m.kept }
func (m *memory) Level() int                         { return 1 }
func (m *memory) Hash() string                       { return "abc" }
func (m *memory) IndexOf(...api.Topic) uint64        { return m.Index() }

func (m *memory) PolicyHistory(name string) (api.PolicyHistory, bool) {
	h, ok := m.histories[name]
	return h, ok
}

// named returns the item of a name.
func named[T any](items []T, name string, of func(T) string) (found T, ok bool) {
	i := slices.IndexFunc(items, func(item T) bool { return of(item) == name })
	if i < 0 {
		return found, false
	}
	return items[i], true
}

func (m *memory) Policy(name string) (api.Policy, bool) {
	return named(m.policy, name, func(p api.Policy) string { return p.Name })
}

func (m *memory) Patch(name string) (api.Patch, bool) {
	return named(m.patched, name, func(p api.Patch) string { return p.Name })
}

func (m *memory) Plan(id string) (api.Plan, bool) {
	return named(m.planned, id, func(p api.Plan) string { return p.ID })
}

func (m *memory) Simulation(id string) (api.Simulation, bool) {
	return named(m.tried, id, func(s api.Simulation) string { return s.ID })
}

func (m *memory) Profile(ref api.TargetRef) (api.Profile, bool) {
	i := slices.IndexFunc(m.learned, func(p api.Profile) bool { return p.Target == ref })
	if i < 0 {
		return api.Profile{}, false
	}
	return m.learned[i], true
}

func (m *memory) Index() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index
}

func (m *memory) Rollouts() []api.Rollout {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []api.Rollout
	for _, r := range m.rollouts {
		out = append(out, r)
	}
	return out
}

func (m *memory) OpenRollouts() []api.Rollout {
	return slices.DeleteFunc(m.Rollouts(), func(r api.Rollout) bool { return r.Status.Ended() })
}

func (m *memory) Rollout(id string) (api.Rollout, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rollouts[id]
	return r, ok
}

func (m *memory) Watch(...api.Topic) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memory) Events(from uint64, _ int) []api.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []api.Event
	for _, e := range m.record {
		if e.Index >= from {
			out = append(out, e)
		}
	}
	return out
}

var _ Store = (*memory)(nil)

// control records who asked for what.
type control struct {
	mu    sync.Mutex
	calls []string
	err   error
	graph api.Graph
}

func (c *control) note(what string, by api.Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, what+" by "+by.Name)
	return c.err
}

func (c *control) ValidatePolicy(api.SourceFile) error { return c.err }

func (c *control) ApplyPolicy(_ context.Context, f api.SourceFile, by api.Identity) (api.Policy, error) {
	return api.Policy{Name: f.Name}, c.note("apply "+f.Name, by)
}

func (c *control) DeletePolicy(_ context.Context, name string, by api.Identity) error {
	return c.note("delete "+name, by)
}

func (c *control) ReadPatch(f api.SourceFile) (api.Patch, error) {
	patch, diags := policies.ParsePatch(f)
	if diags.HasErrors() {
		return patch, api.Errorf(api.CodeInvalid, "%v", diags)
	}
	return patch, nil
}

func (c *control) PlanPatch(context.Context, api.SourceFile, api.Identity) (api.PatchReceipt, error) {
	return api.PatchReceipt{}, c.err
}

func (c *control) Facts(context.Context) (api.FleetFacts, error) {
	return api.FleetFacts{Format: api.FleetFactsFormat, Graph: c.graph}, c.err
}

func (c *control) PatchStatus(_ context.Context, name string, sees func(api.TargetRef) bool) (api.PatchStatus, error) {
	out := api.PatchStatus{Patch: name}
	for _, namespace := range []string{"a", "b"} {
		if ref := (api.TargetRef{Namespace: namespace, Job: "web", Group: "g"}); sees(ref) {
			out.Targets = append(out.Targets, api.PatchedTarget{Target: ref, Force: api.ForceWhole})
		}
	}
	return out, c.err
}

func (c *control) SubmitPatch(_ context.Context, f api.SourceFile, by api.Identity) (api.PatchReceipt, error) {
	return api.PatchReceipt{Rollouts: []string{"r1"}}, c.note("submit "+f.Name, by)
}

func (c *control) LiftQuarantine(_ context.Context, patch string, target api.TargetRef, by api.Identity) error {
	return c.note("lift "+patch+" "+target.String(), by)
}

func (c *control) Rollout(_ context.Context, id, action string, by api.Identity, note string) (api.Rollout, error) {
	return api.Rollout{ID: id}, c.note(action+" "+id+" "+note, by)
}

func (c *control) Brake(_ context.Context, want api.BrakeRequest, by api.Identity) (api.Brake, error) {
	return api.Brake{On: want.On, By: by.Name, Reason: want.Reason}, c.note(fmt.Sprintf("brake %v %s", want.On, want.Reason), by)
}

func (c *control) Console(_ context.Context, id, role string, pair int) (api.Console, error) {
	return api.Console{Role: role, Pair: pair, Text: id}, nil
}

func (c *control) CancelSimulation(_ context.Context, id string, by api.Identity) (api.Simulation, error) {
	return api.Simulation{ID: id, Status: api.SimulationCancelled}, c.note("cancel "+id, by)
}

func (c *control) Simulate(_ context.Context, f api.SourceFile, t api.TargetRef, by api.Identity) (api.Simulation, error) {
	return api.Simulation{ID: "s1", Target: t}, c.note("simulate "+f.Name, by)
}

func (c *control) PutInventory(_ context.Context, in api.InventoryGiven, document []byte, by api.Identity) (api.InventoryReceipt, error) {
	return api.InventoryReceipt{Record: api.InventoryRecord{Of: in.Digest, Bytes: len(document)}}, c.note(fmt.Sprintf("put inventory %+v", in), by)
}

func (c *control) Inventory(of, hash string) (api.Inventory, error) {
	return api.Inventory{Digest: of, Subject: hash}, c.err
}

func (c *control) TargetInventories(_ context.Context, ref *api.TargetRef) ([]api.TargetInventory, error) {
	if ref == nil {
		return []api.TargetInventory{
			{Target: api.TargetRef{Namespace: "a", Job: "web", Group: "web"}, Task: "all", Image: "image-a"},
			{Target: api.TargetRef{Namespace: "b", Job: "payroll", Group: "payroll"}, Task: "all", Image: "image-b"},
		}, c.err
	}
	return []api.TargetInventory{{Target: *ref, Task: "vm"}}, c.err
}

func (c *control) Nodes(context.Context) ([]api.Node, error) {
	return []api.Node{{ID: "n1", Name: "one", Kernel: "6.1"}, {ID: "n2", Name: "two"}}, c.err
}

func (c *control) CheckKPIs(_ context.Context, kpis []string) (api.KPICheck, error) {
	out := api.KPICheck{KPIs: []api.CheckedKPI{}}
	for _, name := range kpis {
		out.KPIs = append(out.KPIs, api.CheckedKPI{KPI: name})
	}
	return out, c.err
}

func (c *control) DiscoverKPIs(_ context.Context, target *api.TargetRef, kpis []string) (api.KPIDiscovery, error) {
	found := api.KPIDiscovery{Block: strings.Join(kpis, " "), Targets: []api.KPICoverage{}}
	if target != nil {
		found.Targets = append(found.Targets, api.KPICoverage{Target: *target})
	}
	return found, nil
}

func (c *control) Compliance(_ context.Context, name string) (api.Compliance, error) {
	return api.Compliance{Targets: 3, Advisories: []api.AdvisoryCompliance{{Advisory: api.Advisory{ID: name}}}}, c.err
}

func (c *control) Graph() api.Graph { return c.graph }

func (c *control) Impact(service string) (api.GraphImpact, bool) {
	_, a := graph.View(c.graph)
	return a.Impact(service)
}

func (c *control) Without(place string) (api.GraphWithout, bool) {
	_, a := graph.View(c.graph)
	return a.Without(place)
}

// node is a server of a model cluster. leader is the URL of the leading one's
// API, empty when there is none.
type node struct {
	mu      sync.Mutex
	leads   bool
	leader  string
	removed []string
}

func (n *node) IsLeader() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leads
}

func (n *node) Leader() (string, string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return "leader", n.leader
}

func (n *node) VerifyLeader(context.Context) error { return nil }
func (n *node) CatchUp(context.Context) error      { return nil }

func (n *node) LeaderTransport() http.RoundTripper {
	n.mu.Lock()
	defer n.mu.Unlock()
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = n.leader[len("http://"):]
		return http.DefaultTransport.RoundTrip(r)
	})
}

func (n *node) Servers() []api.ServerInfo {
	return []api.ServerInfo{{ID: "a", Leader: true, Voter: true}}
}

func (n *node) Peers(context.Context) []api.ServerInfo { return n.Servers() }

func (n *node) RemovePeer(_ context.Context, id string) error {
	n.removed = append(n.removed, id)
	return nil
}

func (n *node) Transfer(context.Context) error { return nil }

func (n *node) Snapshot(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "snapshot")
	return err
}

func (n *node) Restore(_ context.Context, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tokens is an authenticator that knows a few.
type tokens map[string]api.Identity

func (t tokens) Authenticate(_ context.Context, token string) (api.Identity, error) {
	who, ok := t[token]
	if !ok {
		return who, api.Errorf(api.CodeUnauthenticated, "unknown token")
	}
	return who, nil
}

// server is one API on a loopback listener.
type server struct {
	api     *API
	store   *memory
	control *control
	node    *node
	url     string
}

func start(t *testing.T, change func(*Options)) *server {
	t.Helper()
	s := &server{store: newMemory(), control: &control{}, node: &node{leads: true, leader: "http://self"}}
	opt := Options{
		Server: "a", Version: "test", Store: s.store, Control: s.control, Cluster: s.node, Members: s.node, Snapshots: s.node,
	}
	if change != nil {
		change(&opt)
	}
	s.api = New(opt)
	web := httptest.NewServer(s.api)
	t.Cleanup(web.Close)
	t.Cleanup(s.api.Close) // before the listener: open streams end
	s.url = web.URL
	return s
}

func (s *server) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Address: s.url, Token: token, Timeout: 10 * time.Second})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}
