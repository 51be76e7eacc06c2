package consul_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/graph"
)

type object = map[string]any

// agent is a model of Consul's HTTP API: an answer for each path.
type agent struct {
	mu       sync.Mutex
	answers  map[string]any
	index    string
	filtered bool
	calls    map[string]int
	status   int
}

// ServeHTTP implements http.Handler.
func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[r.URL.Path]++
	if r.Header.Get("X-Consul-Token") != "secret" {
		http.Error(w, "Permission denied", http.StatusForbidden)
		return
	}
	if a.status != 0 {
		http.Error(w, "No cluster leader", a.status)
		return
	}
	answer, ok := a.answers[r.URL.Path]
	if !ok {
		http.Error(w, "no such path", http.StatusNotFound)
		return
	}
	for key, value := range map[string]string{"X-Consul-Index": a.index, "X-Consul-LastContact": "0", "X-Consul-KnownLeader": "true"} {
		w.Header().Set(key, value)
	}
	if a.filtered {
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
	}
	_ = json.NewEncoder(w).Encode(answer) // a caller that has gone has its own error
}

func (a *agent) client(t *testing.T, token string) *consul.Client {
	t.Helper()
	a.calls = make(map[string]int)
	if a.index == "" {
		a.index = "7"
	}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	t.Setenv("CONSUL_HTTP_TOKEN", "from the environment")
	c, err := consul.New(consul.Config{Address: s.URL, Token: func() string { return token }, Timeout: 2 * time.Second})
	must.NoError(t, err)
	return c
}

const alloc = "12345678-1234-1234-1234-123456789012"

func TestIntentions(t *testing.T) {
	a := &agent{answers: map[string]any{
		"/v1/config/service-intentions": []object{
			{"Kind": "service-intentions", "Name": "b", "Sources": []object{
				{"Name": "a", "Action": "allow", "Precedence": 9, "Type": "consul"},
				{"Name": "*", "Action": "deny", "Precedence": 8, "Type": "consul"},
				{"Name": "far", "Action": "allow", "Precedence": 9, "Peer": "elsewhere"}}},
			{"Kind": "service-intentions", "Name": "c", "Sources": []object{
				{"Name": "a", "Precedence": 9, "Permissions": []object{{"Action": "deny"}, {"Action": "allow"}}},
				{"Name": "d", "Precedence": 9, "Permissions": []object{{"Action": "deny"}}}}},
		},
		"/v1/connect/intentions/check": object{"Allowed": true},
	}}
	p, partial, err := a.client(t, "secret").Intentions(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, "", cmp.Diff(graph.Permissions{Default: api.EvidenceAllowed, Rules: []graph.Rule{
		{From: "a", To: "b", Allow: true, Precedence: 9, Detail: "intention a => b allow"},
		{From: "a", To: "c", Allow: true, Precedence: 9, Detail: "intention a => c by request (2 permissions)"},
		{From: "d", To: "c", Precedence: 9, Detail: "intention d => c by request (1 permissions)"},
		{From: "*", To: "b", Precedence: 8, Detail: "intention * => b deny"},
	}}, p))
}

func TestIntentionsOfAHalfBlindToken(t *testing.T) {
	a := &agent{filtered: true, answers: map[string]any{
		"/v1/config/service-intentions": []object{}, "/v1/connect/intentions/check": object{"Allowed": false}}}
	p, partial, err := a.client(t, "secret").Intentions(t.Context())
	must.NoError(t, err)
	must.Eq(t, api.EvidenceDenied, p.Default)
	must.StrContains(t, partial, "hides some intentions")
}

func TestErrorsHaveCodes(t *testing.T) {
	a := &agent{}
	_, _, err := a.client(t, "wrong").Intentions(t.Context())
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
	a = &agent{status: http.StatusInternalServerError}
	_, err = a.client(t, "secret").Checks(t.Context(), []string{"a"})
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
	must.StrContains(t, err.Error(), "No cluster leader")
	_, err = consul.New(consul.Config{})
	must.True(t, api.IsCode(err, api.CodeInvalid))
}

func catalogOf() map[string]any {
	proxy := func(id, of string, upstreams ...object) object {
		return object{"Node": "n1", "ServiceName": of + "-sidecar-proxy", "ServiceID": id,
			"ServiceProxy": object{"DestinationServiceName": of, "Upstreams": upstreams}}
	}
	return map[string]any{
		"/v1/catalog/services":   object{"a": []string{}, "a-sidecar-proxy": []string{}, "b": []string{}},
		"/v1/catalog/service/a":  []object{{"Node": "n1", "ServiceName": "a", "ServiceID": "a1"}, {"Node": "n2", "ServiceName": "a", "ServiceID": "a2"}},
		"/v1/catalog/service/b":  []object{{"Node": "n3", "ServiceName": "b", "ServiceID": "b1"}},
		"/v1/health/state/any":   []object{{"Node": "n2", "ServiceID": "a2", "Status": "warning"}, {"Node": "n1", "ServiceID": "a1", "Status": "passing"}, {"Node": "n3", "CheckID": "serfHealth", "Status": "critical"}},
		"/v1/health/service/nil": []object{},
		"/v1/catalog/service/a-sidecar-proxy": []object{
			proxy("p1", "a", object{"DestinationName": "b", "DestinationType": "service"}, object{"DestinationName": "q", "DestinationType": "prepared_query"}),
			proxy("p2", "a", object{"DestinationName": "b"}, object{"DestinationName": "x", "DestinationPeer": "elsewhere"}),
		},
	}
}

func TestUpstreamsAndServices(t *testing.T) {
	a := &agent{answers: catalogOf()}
	c := a.client(t, "secret")
	pairs, partial, err := c.Upstreams(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, map[graph.Pair]int{{From: "a", To: "b"}: 2}, pairs)
	services, _, err := c.Services(t.Context())
	must.NoError(t, err)
	must.Eq(t, []api.Service{{Name: "a", Instances: 2, Healthy: 1, Nodes: []string{"n1", "n2"}}, {Name: "b", Instances: 1, Nodes: []string{"n3"}}}, services)
	must.Eq(t, 1, a.calls["/v1/catalog/service/a"], must.Sprint("the same index is scanned once"))

	a.mu.Lock()
	a.index = "8"
	a.answers["/v1/catalog/service/a-sidecar-proxy"] = []object{}
	a.mu.Unlock()
	pairs, _, err = c.Upstreams(t.Context())
	must.NoError(t, err)
	must.Eq(t, 0, len(pairs))
}

func TestFilteredCatalogIsPartial(t *testing.T) {
	a := &agent{answers: catalogOf(), filtered: true}
	_, partial, err := a.client(t, "secret").Upstreams(t.Context())
	must.NoError(t, err)
	must.StrContains(t, partial, "hides some")
}

func TestEmptyCatalogIsAnError(t *testing.T) {
	a := &agent{answers: map[string]any{"/v1/catalog/services": object{}}}
	_, _, err := a.client(t, "secret").Upstreams(t.Context())
	must.ErrorContains(t, err, "not even itself")
}

func TestChecks(t *testing.T) {
	entry := func(id string, statuses ...string) object {
		checks := []object{}
		for _, s := range statuses {
			checks = append(checks, object{"Status": s})
		}
		return object{"Service": object{"ID": "_nomad-task-" + id + "-group-web-web-http"}, "Checks": checks}
	}
	other := strings.Replace(alloc, "1", "2", 1)
	third := strings.Replace(alloc, "1", "3", 1)
	a := &agent{answers: map[string]any{
		"/v1/health/service/web": []object{entry(alloc, "passing", "passing"), entry(other, "passing", "critical"), entry(third, "warning"),
			{"Service": object{"ID": "by-hand"}, "Checks": []object{}}},
		"/v1/health/service/admin": []object{entry(alloc, "warning")},
	}}
	c := a.client(t, "secret")
	got, err := c.Checks(t.Context(), []string{"web", "web"})
	must.NoError(t, err)
	must.Eq(t, map[string]api.Health{alloc: api.Healthy, other: api.Unhealthy, third: api.Pending}, got)
	got, err = c.Checks(t.Context(), []string{"web", "admin"})
	must.NoError(t, err)
	must.Eq(t, api.Pending, got[alloc], must.Sprint("the worst of an allocation's services"))
}

func TestAllocID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"_nomad-task-" + alloc + "-group-web-web-http": alloc,
		"_nomad-task-" + alloc:                         "",
		"_nomad-task-short-group":                      "",
		"_nomad-server-x":                              "",
		"":                                             "",
	} {
		got, ok := consul.AllocID(id)
		must.Eq(t, want, got)
		must.Eq(t, want != "", ok)
	}
}

func TestWatchTellsOfMovedIndexes(t *testing.T) {
	a := &agent{index: "9", answers: map[string]any{"/v1/config/service-intentions": []object{}, "/v1/catalog/services": object{}}}
	c := a.client(t, "secret")
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{}, 16)
	done := make(chan struct{})
	go func() { defer close(done); c.Watch(ctx, func() { told <- struct{}{} }) }()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for _, index := range []string{"12", "3"} { // forwards, then backwards as after a restore
		for {
			a.mu.Lock()
			seen := a.calls["/v1/catalog/services"]
			a.mu.Unlock()
			if seen > 1 {
				break
			}
			<-poll.C
		}
		a.mu.Lock()
		a.index = index
		a.mu.Unlock()
		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody told of index " + index)
		}
	}
	cancel()
	<-done
}
