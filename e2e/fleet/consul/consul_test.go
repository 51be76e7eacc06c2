package consul_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	served "github.com/oakumhq/oakum/e2e/fleet/consul"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/e2e/fleet/fixture"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/mesh"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/wait"
)

func consulOf(t *testing.T, f *fleet.Fleet) (*door.Model, *served.Door, *httptest.Server, *consul.Client) {
	t.Helper()
	m := door.NewModel(f)
	c := served.New(m)
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	cl, err := consul.New(consul.Config{Address: s.URL})
	must.NoError(t, err)
	return m, c, s, cl
}

func allow(from, to string) *consulapi.ServiceIntentionsConfigEntry {
	return &consulapi.ServiceIntentionsConfigEntry{Kind: consulapi.ServiceIntentions, Name: to,
		Sources: []*consulapi.SourceIntention{{Name: from, Action: consulapi.IntentionActionAllow}}}
}

// vendor is Consul's own client, as other people use it.
func vendor(t *testing.T, s *httptest.Server) *consulapi.Client {
	t.Helper()
	c, err := consulapi.NewClient(&consulapi.Config{Address: s.URL})
	must.NoError(t, err)
	return c
}

func TestConsulTellsOfTheMesh(t *testing.T) {
	t.Parallel()
	m, c, _, cl := consulOf(t, fixture.Shop(t))
	got, partial, err := cl.Mesh(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, map[graph.Pair][]string{
		{From: "front", To: "catalog"}: {"upstream of its proxies"}, {From: "catalog", To: "store"}: {"upstream of its proxies"},
	}, got.Declared)
	counts := map[string][2]int{}
	for _, s := range got.Services {
		counts[s.Name] = [2]int{s.Instances, s.Healthy}
	}
	want := map[string][2]int{"catalog": {3, 3}, "front": {3, 3}, "store": {3, 3}}
	must.Eq(t, want, counts)

	var one *fleet.Alloc
	m.Update(func(f *fleet.Fleet) {
		one = f.Instances(api.TargetRef{Namespace: "default", Job: "store", Group: "app"})[0]
		must.NoError(t, f.Kill(one.ID, false))
	})
	checks, err := cl.Checks(t.Context(), []string{"store", "front"})
	must.NoError(t, err)
	must.MapLen(t, 5, checks, must.Sprint("what does not run is not registered"))
	must.MapNotContainsKey(t, checks, one.ID)

	t.Log("what a token hides is told")
	c.SetFault(door.Fault{Hidden: []string{"store"}})
	got, partial, err = cl.Mesh(t.Context())
	must.NoError(t, err)
	must.StrContains(t, partial, "consul hides some services from this token")
	must.False(t, slices.ContainsFunc(got.Services, func(s api.Service) bool { return s.Name == "store" }))
}

func TestDoor_FiltersLists(t *testing.T) {
	t.Parallel()
	_, _, s, cl := consulOf(t, fixture.Shop(t))
	theirs := vendor(t, s)
	must.NoError(t, theirs.Agent().ServiceRegister(&consulapi.AgentServiceRegistration{
		Name: "new", ID: "new-1", Check: &consulapi.AgentServiceCheck{TTL: "1h"}, // which begins as critical
	}))
	all, _, err := theirs.Health().State(consulapi.HealthAny, nil)
	must.NoError(t, err)
	must.Greater(t, 1, len(all))
	some, _, err := theirs.Health().State(consulapi.HealthAny, &consulapi.QueryOptions{Filter: `Status != "passing"`})
	must.NoError(t, err)
	must.Len(t, 1, some)
	must.Eq(t, "new-1", some[0].ServiceID)
	list, _, err := cl.Services(t.Context())
	must.NoError(t, err)
	at := slices.IndexFunc(list, func(s api.Service) bool { return s.Name == "new" })
	must.Eq(t, 1, list[at].Instances)
	must.Eq(t, 0, list[at].Healthy)
	_, _, err = theirs.Health().State(consulapi.HealthAny, &consulapi.QueryOptions{Filter: "Status !="})
	must.ErrorContains(t, err, "500 (Failed to create boolean expression evaluator: ")
}

func TestConsulKeepsIntentions(t *testing.T) {
	t.Parallel()
	_, c, s, cl := consulOf(t, fixture.Shop(t))
	theirs := vendor(t, s)
	p, partial, err := cl.Intentions(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, api.EvidenceAllowed, p.Default)
	c.Mesh(func(m *mesh.Mesh) { m.DefaultDeny = true })

	done, _, err := theirs.ConfigEntries().CAS(allow("front", "catalog"), 0, nil)
	must.NoError(t, err)
	must.True(t, done)
	done, _, err = theirs.ConfigEntries().CAS(allow("back", "catalog"), 0, nil)
	must.NoError(t, err)
	must.False(t, done)
	p, _, err = cl.Intentions(t.Context())
	must.NoError(t, err)
	must.Eq(t, api.EvidenceDenied, p.Default)
	must.Len(t, 1, p.Rules)
	e, ok := p.Decide(graph.Pair{From: "front", To: "catalog"})
	must.True(t, ok)
	must.Eq(t, api.EvidenceAllowed, e.Class)

	t.Log("what names more counts, what depends on the request is no permission")
	deny := allow("*", "catalog")
	deny.Sources[0].Action = consulapi.IntentionActionDeny
	deny.Sources = append(deny.Sources, allow("front", "catalog").Sources...)
	deny.Sources = append(deny.Sources, &consulapi.SourceIntention{Name: "some", Permissions: []*consulapi.IntentionPermission{{Action: consulapi.IntentionActionAllow}}})
	_, _, err = theirs.ConfigEntries().Set(deny, nil)
	must.NoError(t, err)
	for from, want := range map[string]bool{"front": true, "back": false, "some": false} {
		got, _, err := theirs.Connect().IntentionCheck(&consulapi.IntentionCheck{Source: from, Destination: "catalog"}, nil)
		must.NoError(t, err)
		must.Eq(t, want, got, must.Sprint(from))
	}
	read, _, err := theirs.ConfigEntries().Get(consulapi.ServiceIntentions, "catalog", nil)
	must.NoError(t, err)
	must.Len(t, 3, read.(*consulapi.ServiceIntentionsConfigEntry).Sources)
	_, err = theirs.ConfigEntries().Delete(consulapi.ServiceIntentions, "catalog", nil)
	must.NoError(t, err)
	_, _, err = theirs.ConfigEntries().Get(consulapi.ServiceIntentions, "catalog", nil)
	must.ErrorContains(t, err, "Config entry not found")
	for _, bad := range []string{"/v1/config/service-router?index=x", "/v1/config/service-router?wait=long"} {
		resp, err := http.Get(s.URL + bad)
		must.NoError(t, err)
		must.NoError(t, resp.Body.Close())
		must.Eq(t, http.StatusBadRequest, resp.StatusCode, must.Sprint(bad))
	}
}

// TestConsulWakesItsWatchers: a change of what is watched is told, once for each
// query that it concerns.
func TestConsulWakesItsWatchers(t *testing.T) {
	t.Parallel()
	m, _, s, cl := consulOf(t, fixture.Shop(t))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	running, done := context.WithCancel(ctx)
	group.Go(func() { m.Run(running) })
	changed := make(chan struct{}, 64)
	group.Go(func() { cl.Watch(ctx, func() { changed <- struct{}{} }) })
	defer func() { stop(); done(); group.Wait() }()
	theirs := vendor(t, s)
	// The first answer of each query is no news, so what is written has to be
	// written until it is.
	n := 0
	wait.For(t, "word of an intention", func() bool {
		n++
		_, _, err := theirs.ConfigEntries().Set(allow(fmt.Sprint("front", n), "catalog"), nil)
		must.NoError(t, err)
		return len(changed) > 0
	})
	for len(changed) > 0 {
		<-changed
	}
	m.Update(func(f *fleet.Fleet) {
		_, err := f.Register(fixture.Job("front", 5, "1"), false, 0)
		must.NoError(t, err)
	})
	wait.For(t, "word of new instances", func() bool { return len(changed) > 0 })
}

// TestConsulBlocksUntilSomethingChanges asks as any client does.
func TestConsulBlocksUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	m, _, s, _ := consulOf(t, fixture.Shop(t))
	theirs := vendor(t, s)
	_, meta, err := theirs.ConfigEntries().List(consulapi.ServiceRouter, nil)
	must.NoError(t, err)
	_, same, err := theirs.ConfigEntries().List(consulapi.ServiceRouter, &consulapi.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 10 * time.Millisecond})
	must.NoError(t, err)
	must.Eq(t, meta.LastIndex, same.LastIndex)
	answered := make(chan uint64)
	go func() {
		_, next, err := theirs.ConfigEntries().List(consulapi.ServiceRouter, &consulapi.QueryOptions{WaitIndex: meta.LastIndex})
		if err != nil {
			close(answered)
			return
		}
		answered <- next.LastIndex
	}()
	// What is not asked for wakes nobody.
	m.Update(func(f *fleet.Fleet) {
		_, err := f.Register(fixture.Job("front", 4, "1"), false, 0)
		must.NoError(t, err)
	})
	_, same, err = theirs.ConfigEntries().List(consulapi.ServiceRouter, nil)
	must.NoError(t, err)
	must.Eq(t, meta.LastIndex, same.LastIndex)
	_, _, err = theirs.ConfigEntries().Set(allow("front", "catalog"), nil)
	must.NoError(t, err)
	must.Greater(t, meta.LastIndex, <-answered)
}

// TestConsulKnowsOakum: a server is registered, asked or heard, and takes its
// leave.
func TestConsulKnowsOakum(t *testing.T) {
	t.Parallel()
	_, _, s, cl := consulOf(t, fixture.Shop(t))
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(well.Close)
	for name, health := range map[string]string{"asked": well.URL, "reports": ""} {
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			_ = cl.KeepRegistered(ctx, consul.Registrar{
				Describe: func() consul.Registration {
					return consul.Registration{Service: "oakum", Server: name, HTTP: "10.0.0.1:4740", Raft: "10.0.0.1:4741", Member: true, Health: health}
				},
				Changed: func() <-chan struct{} { return nil },
				Report:  func() (bool, string) { return true, "" },
				Logger:  slog.New(slog.DiscardHandler),
			})
		})
		theirs := vendor(t, s)
		wait.For(t, "a healthy server", func() bool {
			list, _, err := theirs.Health().Service("oakum", "", true, nil)
			must.NoError(t, err)
			return len(list) == 1
		})
		peers, err := cl.Peers(t.Context(), "oakum", "", "")
		must.NoError(t, err)
		must.Eq(t, []consul.Peer{{Address: "10.0.0.1:4741", Member: true}}, peers)
		stop()
		group.Wait()
		peers, err = cl.Peers(t.Context(), "oakum", "", "")
		must.NoError(t, err)
		must.SliceEmpty(t, peers)
	}
	self, err := vendor(t, s).Agent().Self()
	must.NoError(t, err)
	must.StrHasPrefix(t, "1.", self["Config"]["Version"].(string))
}

func TestConsulFails(t *testing.T) {
	t.Parallel()
	_, c, s, cl := consulOf(t, fixture.Shop(t))
	for _, fault := range []door.Fault{{Away: true}, {Stale: time.Minute}} { // what follows asks a leaderless one
		c.SetFault(fault)
		_, _, err := cl.Mesh(t.Context())
		must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprintf("%+v: %v", fault, err))
	}
	_, meta, err := vendor(t, s).Catalog().Services(&consulapi.QueryOptions{AllowStale: true})
	must.NoError(t, err)
	must.False(t, meta.KnownLeader)
	must.Eq(t, time.Minute, meta.LastContact)

	c.SetFault(door.Fault{Slow: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err = cl.Mesh(ctx)
	must.True(t, api.IsCode(err, api.CodeTimeout), must.Sprint(err))
	c.SetFault(door.Fault{})
	_, _, err = cl.Mesh(t.Context())
	must.NoError(t, err)
	_, err = cl.Peers(t.Context(), "oakum", "elsewhere", "")
	must.True(t, strings.Contains(fmt.Sprint(err), "No path to datacenter"))
}
