package consul_test

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/wait"
)

type object = map[string]any

// agent is a model of Consul's HTTP API: an answer for each path.
type agent struct {
	mu       sync.Mutex
	answers  map[string]any
	index    string
	contact  string // milliseconds since the server heard of its leader
	filtered bool
	calls    map[string]int
	filter   map[string]string // of the last question, by path
	status   int
}

// ServeHTTP implements http.Handler.
func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[r.URL.Path]++
	a.filter[r.URL.Path] = r.URL.Query().Get("filter")
	if r.Header.Get("X-Consul-Token") != "secret" {
		http.Error(w, "Permission denied", http.StatusForbidden)
		return
	}
	if a.status != 0 {
		http.Error(w, "No cluster leader", a.status)
		return
	}
	answer, ok := a.answers[r.URL.Path]
	if !ok && strings.HasPrefix(r.URL.Path, "/v1/config/") {
		answer, ok = []object{}, true // Consul lists no entries of a kind as none
	}
	if !ok {
		http.Error(w, "no such path", http.StatusNotFound)
		return
	}
	for key, value := range map[string]string{"X-Consul-Index": a.index, "X-Consul-LastContact": cmp.Or(a.contact, "0"), "X-Consul-KnownLeader": "true"} {
		w.Header().Set(key, value)
	}
	if a.filtered {
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
	}
	_ = json.NewEncoder(w).Encode(answer) // a caller that has gone has its own error
}

// asked counts the questions that came to a path.
func (a *agent) asked(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[path]
}

func (a *agent) client(t *testing.T, token string) *consul.Client {
	t.Helper()
	a.calls, a.filter = make(map[string]int), make(map[string]string)
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
			{"Kind": "service-intentions", "Name": "d", "Sources": []object{
				{"Name": "a", "Precedence": 9, "Permissions": []object{{"Action": "allow"}}}}},
		},
		"/v1/config/proxy-defaults":    []object{{"Kind": "proxy-defaults", "Name": "global", "Config": object{"protocol": "http"}}},
		"/v1/config/service-defaults":  []object{{"Kind": "service-defaults", "Name": "d", "Protocol": "tcp"}},
		"/v1/connect/intentions/check": object{"Allowed": true},
	}}
	p, partial, err := a.client(t, "secret").Intentions(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, "", gocmp.Diff(graph.Permissions{Default: api.EvidenceAllowed, Rules: []graph.Rule{
		{From: "a", To: "b", Allow: true, Precedence: 9, Detail: "intention a => b allow"},
		{From: "far@elsewhere", To: "b", Allow: true, Precedence: 9, Detail: "intention far@elsewhere => b allow"},
		{From: "a", To: "c", Allow: true, Conditional: true, Precedence: 9, Detail: "intention a => c by request (2 permissions)"},
		{From: "d", To: "c", Allow: true, Conditional: true, Precedence: 9, Detail: "intention d => c by request (1 permissions)"},
		{From: "a", To: "d", Precedence: 9, Detail: "intention a => d by request (1 permissions), which is a denial because d does not speak HTTP"},
		{From: "*", To: "b", Precedence: 8, Detail: "intention * => b deny"},
	}}, p))
}

// TestIntentions_ByRequest_LeaveTheRestToTheDefault is how Consul decides: the first
// permission that is about a request, and then the default.
func TestIntentions_ByRequest_LeaveTheRestToTheDefault(t *testing.T) {
	path := func(action, prefix string) object {
		return object{"Action": action, "HTTP": object{"PathPrefix": prefix}}
	}
	for name, c := range map[string]struct {
		permissions []object
		byDefault   bool
		everybody   string // an intention for every pair
		protocol    string
		allow       bool
	}{
		"one path is denied, default allow":      {permissions: []object{path("deny", "/admin")}, byDefault: true, allow: true},
		"one path is denied, default deny":       {permissions: []object{path("deny", "/admin")}},
		"one path is allowed, default deny":      {permissions: []object{path("allow", "/health")}, allow: true},
		"everything is denied":                   {permissions: []object{path("deny", "/")}, byDefault: true},
		"everything is denied after one path":    {permissions: []object{path("allow", "/health"), path("deny", "/")}, allow: true},
		"everything is denied before one path":   {permissions: []object{path("deny", "/"), path("allow", "/health")}, byDefault: true},
		"all writes are denied, default allow":   {permissions: []object{{"Action": "deny", "HTTP": object{"PathPrefix": "/", "Methods": []string{"POST"}}}}, byDefault: true, allow: true},
		"no HTTP, default allow":                 {permissions: []object{path("deny", "/admin")}, byDefault: true, protocol: "tcp"},
		"an intention hides what the default is": {permissions: []object{path("deny", "/admin")}, everybody: "deny", allow: true},
	} {
		entries := []object{{"Kind": "service-intentions", "Name": "b", "Sources": []object{{"Name": "a", "Precedence": 9, "Permissions": c.permissions}}}}
		if c.everybody != "" {
			entries = append(entries, object{"Kind": "service-intentions", "Name": "*", "Sources": []object{{"Name": "*", "Precedence": 5, "Action": c.everybody}}})
		}
		protocol := "http"
		if c.protocol != "" {
			protocol = c.protocol
		}
		a := &agent{answers: map[string]any{
			"/v1/config/service-intentions": entries,
			"/v1/config/proxy-defaults":     []object{{"Kind": "proxy-defaults", "Name": "global", "Config": object{"protocol": protocol}}},
			"/v1/config/service-defaults":   []object{},
			"/v1/connect/intentions/check":  object{"Allowed": c.byDefault},
		}}
		p, _, err := a.client(t, "secret").Intentions(t.Context())
		must.NoError(t, err)
		got, ok := p.Decide(graph.Pair{From: "a", To: "b"})
		must.True(t, ok)
		must.Eq(t, c.allow, got.Class == api.EvidenceAllowed, must.Sprint(name, got))
		must.Eq(t, c.allow, got.Conditional, must.Sprint(name))
	}
}

func TestIntentions_OfAHalfBlindToken(t *testing.T) {
	a := &agent{filtered: true, answers: map[string]any{
		"/v1/config/service-intentions": []object{}, "/v1/connect/intentions/check": object{"Allowed": false}}}
	p, partial, err := a.client(t, "secret").Intentions(t.Context())
	must.NoError(t, err)
	must.Eq(t, api.EvidenceDenied, p.Default)
	must.StrContains(t, partial, "hides some service-intentions entries")
}

// TestClient_IgnoresTheVariablesOfPeople has a person's environment name a namespace, a
// token and TLS.
func TestClient_IgnoresTheVariablesOfPeople(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery+r.Header.Get("X-Consul-Token")+r.Header.Get("Authorization"))
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer server.Close()
	for name, value := range map[string]string{
		"CONSUL_NAMESPACE": "team", "CONSUL_PARTITION": "far", "CONSUL_HTTP_TOKEN": "mine", "CONSUL_HTTP_AUTH": "me:secret", "CONSUL_HTTP_SSL": "true",
	} {
		t.Setenv(name, value)
	}
	c, err := consul.New(consul.Config{Address: strings.TrimPrefix(server.URL, "http://")})
	must.NoError(t, err)
	_, _, err = c.Intentions(t.Context())
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
	must.Positive(t, len(asked))
	for _, query := range asked {
		must.StrNotContains(t, query, "team")
		must.StrNotContains(t, query, "far")
		must.StrNotContains(t, query, "mine")
		must.StrNotContains(t, query, "Basic")
	}
}

func TestClient_GivesErrorsCodes(t *testing.T) {
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

func TestMesh_ReadsUpstreamsAndServices(t *testing.T) {
	a := &agent{answers: catalogOf()}
	c := a.client(t, "secret")
	m, partial, err := c.Mesh(t.Context())
	must.NoError(t, err)
	must.Eq(t, "prepared queries cannot be read; an upstream of a is a prepared query whose service is not known", partial)
	must.Eq(t, map[graph.Pair][]string{
		{From: "a", To: "b"}: {"upstream of its proxies"}, {From: "a", To: "x@elsewhere"}: {"upstream of its proxies"}}, m.Declared)
	must.Eq(t, []api.Service{{Name: "a", Instances: 2, Healthy: 1, Nodes: []string{"n1", "n2"}}, {Name: "b", Instances: 1, Nodes: []string{"n3"}}}, m.Services)
	must.Eq(t, 1, a.calls["/v1/catalog/service/a"], must.Sprint("the same index is scanned once"))
	must.Eq(t, `Status != "passing"`, a.filter["/v1/health/state/any"], must.Sprint("checks that pass are most of them, and not asked for"))

	a.mu.Lock()
	a.index = "8"
	a.answers["/v1/query"] = []object{{"ID": "id", "Name": "q", "Service": object{"Service": "behind"}}}
	a.mu.Unlock()
	m, partial, err = c.Mesh(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.MapContainsKey(t, m.Declared, graph.Pair{From: "a", To: "behind"})
}

// TestMesh_NumbersWhatChanged changes one answer of Consul after another.
func TestMesh_NumbersWhatChanged(t *testing.T) {
	a := &agent{answers: catalogOf(), index: "7"}
	a.answers["/v1/query"] = []object{{"ID": "id", "Name": "q", "Service": object{"Service": "behind"}}}
	c := a.client(t, "secret")
	revision := func() uint64 {
		m, _, err := c.Mesh(t.Context())
		must.NoError(t, err)
		return m.Revision
	}
	last := revision()
	must.Positive(t, last)
	for _, step := range []struct {
		what    string
		change  func()
		another bool
	}{
		{"nothing", func() {}, false},
		{"the index alone", func() { a.index = "8" }, false},
		{"a check", func() { a.answers["/v1/health/state/any"] = []object{} }, true},
		{"a prepared query", func() {
			a.answers["/v1/query"] = []object{{"ID": "id", "Name": "q", "Service": object{"Service": "b"}}}
		}, true},
		{"a route", func() {
			a.answers["/v1/config/service-resolver"] = []object{{"Kind": "service-resolver", "Name": "b", "Redirect": object{"Service": "c"}}}
		}, true},
		{"the defaults of proxies", func() {
			a.answers["/v1/config/proxy-defaults"] = []object{{"Kind": "proxy-defaults", "Name": "global", "Mode": "transparent"}}
		}, true},
		{"an export", func() {
			a.answers["/v1/config/exported-services"] = []object{{"Kind": "exported-services", "Name": "default", "Services": []object{{"Name": "b", "Consumers": []object{{"Peer": "far"}}}}}}
		}, true},
		{"an instance", func() {
			a.index, a.answers["/v1/catalog/service/b"] = "9", []object{{"Node": "n4", "ServiceName": "b", "ServiceID": "b1"}}
		}, true},
		{"nothing more", func() {}, false},
	} {
		a.mu.Lock()
		step.change()
		a.mu.Unlock()
		next := revision()
		must.EqOp(t, step.another, next != last, must.Sprint(step.what))
		last = next
	}
}

// TestMesh_FollowsRoutes leads upstreams on through routers, splitters and
// resolvers with redirects and failovers.
func TestMesh_FollowsRoutes(t *testing.T) {
	answers := catalogOf()
	answers["/v1/catalog/service/a-sidecar-proxy"] = []object{{"Node": "n1", "ServiceName": "a-sidecar-proxy", "ServiceID": "p", "Datacenter": "dc1",
		"ServiceProxy": object{"DestinationServiceName": "a", "Upstreams": []object{
			{"DestinationName": "routed"}, {"DestinationName": "split"}, {"DestinationName": "moved"}, {"DestinationName": "safe"}, {"DestinationName": "far", "Datacenter": "dc2"}, {"DestinationName": "near", "Datacenter": "dc1"}}}}}
	answers["/v1/config/service-router"] = []object{{"Kind": "service-router", "Name": "routed", "Routes": []object{
		{"Destination": object{"Service": "admin"}}, {"Destination": object{"PrefixRewrite": "/"}}}}}
	answers["/v1/config/service-splitter"] = []object{{"Kind": "service-splitter", "Name": "split", "Splits": []object{
		{"Weight": 90, "ServiceSubset": "v1"}, {"Weight": 10, "Service": "split-next"}}}}
	answers["/v1/config/service-resolver"] = []object{
		{"Kind": "service-resolver", "Name": "moved", "Redirect": object{"Service": "halfway"}},
		{"Kind": "service-resolver", "Name": "halfway", "Redirect": object{"Service": "final", "Peer": "east"}},
		{"Kind": "service-resolver", "Name": "safe", "Failover": object{"*": object{"Targets": []object{{"Service": "spare"}, {"Peer": "east"}, {"Datacenter": "dc3"}}}}},
	}
	m, partial, err := (&agent{answers: answers}).client(t, "secret").Mesh(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	want := map[graph.Pair][]string{}
	for to, how := range map[string]string{
		"routed": "upstream of its proxies", "admin": "route of routed", "split": "upstream of its proxies", "split-next": "split of split",
		"final@east": "redirect of moved", "safe": "upstream of its proxies", "spare": "failover of safe", "safe@east": "failover of safe",
		"safe@dc3": "failover of safe", "far@dc2": "upstream of its proxies", "near": "upstream of its proxies",
	} {
		want[graph.Pair{From: "a", To: to}] = []string{how}
	}
	must.Eq(t, "", gocmp.Diff(want, m.Declared))
}

func TestMesh_ReadsGatewaysAndExports(t *testing.T) {
	answers := catalogOf()
	services := object{"a": []string{}}
	for name, kind := range map[string]string{"in": "ingress-gateway", "out": "terminating-gateway", "out2": "terminating-gateway", "mesh": "mesh-gateway", "door": "api-gateway"} {
		services[name] = []string{}
		answers["/v1/catalog/service/"+name] = []object{{"Node": "n1", "ServiceName": name, "ServiceID": name, "ServiceKind": kind, "ServiceAddress": "10.0.0.1", "ServicePort": 8443}}
	}
	answers["/v1/catalog/services"] = services
	behind := func(names ...string) []object {
		list := []object{}
		for _, n := range names {
			list = append(list, object{"Service": object{"Name": n}})
		}
		return list
	}
	answers["/v1/catalog/gateway-services/in"] = behind("a")
	answers["/v1/catalog/gateway-services/door"] = behind("b")
	answers["/v1/catalog/gateway-services/out"] = behind("db", "mail")
	answers["/v1/catalog/gateway-services/out2"] = behind("mail")
	answers["/v1/config/exported-services"] = []object{{"Kind": "exported-services", "Name": "default", "Services": []object{
		{"Name": "a", "Consumers": []object{{"Peer": "east"}, {"Partition": "other"}}}, {"Name": "*", "Consumers": []object{{"Peer": "west"}}}}}}
	m, partial, err := (&agent{answers: answers}).client(t, "secret").Mesh(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", partial)
	must.Eq(t, map[graph.Pair][]string{{From: "in", To: "a"}: {"route of the gateway"}, {From: "door", To: "b"}: {"route of the gateway"}}, m.Declared)
	must.Eq(t, map[string]string{"db": "out"}, m.Behind, must.Sprint("two gateways before mail: neither is needed by itself"))
	must.Eq(t, []string{"mesh", "out", "out2"}, m.Passing)
	must.Eq(t, map[graph.Pair][]string{{From: "@east", To: "a"}: {"exported to east"}, {From: "@other", To: "a"}: {"exported to other"}}, m.Offered)
	must.MapContainsKey(t, m.Addresses, "10.0.0.1:8443")
	for _, s := range m.Services {
		must.Eq(t, s.Name != "a", s.Kind == api.KindGateway, must.Sprint(s.Name))
	}
}

func TestIntentions_PutMembersForSamenessGroups(t *testing.T) {
	a := &agent{answers: map[string]any{
		"/v1/config/service-intentions": []object{{"Kind": "service-intentions", "Name": "db", "Namespace": "team", "Sources": []object{
			{"Name": "web", "Namespace": "team", "SamenessGroup": "all", "Action": "allow", "Precedence": 9},
			{"Name": "*", "Namespace": "team", "Action": "deny", "Precedence": 8}, {"Name": "*", "Namespace": "*", "Action": "deny", "Precedence": 7}}}},
		"/v1/config/sameness-group":    []object{{"Kind": "sameness-group", "Name": "all", "Members": []object{{"Partition": "default"}, {"Peer": "east"}}}},
		"/v1/connect/intentions/check": object{"Allowed": false},
	}}
	p, _, err := a.client(t, "secret").Intentions(t.Context())
	must.NoError(t, err)
	var from []string
	for _, r := range p.Rules {
		must.Eq(t, "team/db", r.To)
		from = append(from, r.From)
	}
	must.Eq(t, []string{"team/web", "team/web@east", "team/*", "*"}, from)
}

func TestMesh_IsPartialWhereTheCatalogIsFiltered(t *testing.T) {
	a := &agent{answers: catalogOf(), filtered: true}
	_, partial, err := a.client(t, "secret").Mesh(t.Context())
	must.NoError(t, err)
	must.StrContains(t, partial, "hides some")
}

func TestMesh_RefusesAnEmptyCatalog(t *testing.T) {
	a := &agent{answers: map[string]any{"/v1/catalog/services": object{}}}
	_, _, err := a.client(t, "secret").Mesh(t.Context())
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

func TestWatch_TellsOfMovedIndexes(t *testing.T) {
	a := &agent{index: "9", answers: map[string]any{"/v1/config/service-intentions": []object{}, "/v1/catalog/services": object{}}}
	c := a.client(t, "secret")
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{}, 16)
	done := make(chan struct{})
	go func() { defer close(done); c.Watch(ctx, func() { told <- struct{}{} }) }()
	for _, index := range []string{"12", "3"} { // forwards, then backwards as after a restore
		wait.For(t, "a second question", func() bool { return a.asked("/v1/catalog/services") > 1 })
		a.mu.Lock()
		a.index = index
		a.mu.Unlock()
		select {
		case <-told:
		case <-time.After(wait.Patience):
			t.Fatal("nobody told of index " + index)
		}
	}
	cancel()
	<-done
}

// TestWatch_TellsOnlyOfNews moves the index of intentions without a change, then
// has a follower answer that has lost its leader, and then changes something.
func TestWatch_TellsOnlyOfNews(t *testing.T) {
	a := &agent{index: "9", answers: map[string]any{"/v1/config/service-intentions": []object{}}} // no catalog: its watch fails and backs off
	c := a.client(t, "secret")
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{}, 16)
	done := make(chan struct{})
	go func() { defer close(done); c.Watch(ctx, func() { told <- struct{}{} }) }()
	asked := func(more int) {
		const path = "/v1/config/service-intentions"
		from := a.asked(path)
		wait.For(t, "more questions", func() bool { return a.asked(path) >= from+more })
	}
	set := func(index, contact string, answer any) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.index, a.contact, a.answers["/v1/config/service-intentions"] = index, contact, answer
	}
	entry := []object{{"Kind": "service-intentions", "Name": "b", "Sources": []object{{"Name": "a", "Action": "allow", "Precedence": 9}}}}
	asked(2)
	set("12", "0", []object{}) // a return is not a change
	asked(2)
	set("13", "60000", entry) // milliseconds
	asked(1)
	must.Eq(t, 0, len(told))
	set("14", "0", entry)
	select {
	case <-told:
	case <-time.After(wait.Patience):
		t.Fatal("nobody told of the new intention")
	}
	cancel()
	<-done
}
