package httpapi

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

// secret is the name of everything in namespace b. No caller who is held to namespace a may
// read it anywhere.
const secret = "payroll"

const patchOf = `patch "p" {
  severity = "low"
  target {
    namespace = "NAMESPACE"
    jobs      = ["JOB"]
  }
  apply "job" {
    task   = "t"
    config = { a = "b" }
  }
}`

func target(namespace, name string) api.TargetRef {
	return api.TargetRef{Namespace: namespace, Job: name, Group: name}
}

// fleet puts one of everything into namespaces a and b.
func (s *server) fleet(t *testing.T) {
	t.Helper()
	a, b := target("a", "web"), target("b", secret)
	verdict := &api.Verdict{Blame: []api.Blame{{Rollout: "rb", Target: b}}, Neighbours: []api.NeighbourEffect{{Target: b}}}
	for id, ref := range map[string]api.TargetRef{"ra": a, "rb": b} {
		s.store.put(api.Rollout{ID: id, Target: ref, Patch: "p" + ref.Namespace, Status: api.RolloutWaiting, Reason: "waits for b/payroll/payroll", Verdict: verdict})
		s.store.planned = append(s.store.planned, api.Plan{ID: "plan-" + id, Waves: []api.Wave{{Targets: []api.PlannedTarget{{Target: api.Target{TargetRef: ref}}}}}})
		s.store.patched = append(s.store.patched, api.Patch{Name: "p" + ref.Namespace, Targets: []api.TargetSelector{{Namespace: ref.Namespace, Jobs: []string{ref.Job}}}})
		s.store.tried = append(s.store.tried, api.Simulation{ID: "s" + ref.Namespace, Target: ref, Status: api.SimulationRunning})
		s.store.barred = append(s.store.barred, api.Quarantine{Patch: "p" + ref.Namespace, Target: ref})
		s.store.learned = append(s.store.learned, api.Profile{Target: ref})
		s.store.known.Targets = append(s.store.known.Targets, api.TargetView{Target: api.Target{TargetRef: ref}})
		s.store.known.Services = append(s.store.known.Services, api.Service{Name: ref.Job, Targets: []api.TargetRef{ref}, Nodes: []string{"n-" + ref.Job}})
	}
	s.store.policy = []api.Policy{{Name: secret}}
	s.store.brake = api.Brake{On: true, By: "x", Reason: "because of payroll"}
	s.store.known.Edges = []api.Edge{{From: "web", To: secret, State: api.EdgeConfirmed}}
	s.control.graph = s.store.known
	for topic, key := range map[api.Topic]string{api.TopicPolicy: secret, api.TopicProfile: b.String(), api.TopicGraph: "graph", api.TopicInventory: secret} {
		e := api.Event{Index: 2, Topic: topic, Key: key, Type: "x", Text: "of payroll now"}
		if topic == api.TopicGraph {
			e.Type, e.Payload = "graph_changed", json.RawMessage(`{"added":["payroll"]}`)
		}
		s.store.record = append(s.store.record, e)
	}
}

// roles are callers by their token: who may do everything everywhere, in one of the
// namespaces, and everywhere but in b.
func roles() tokens {
	out := tokens{}
	fleetwide := []api.Capability{api.CapPolicyWrite, api.CapOperator}
	var targets []api.Capability
	for _, c := range api.Capabilities() {
		if c != api.CapPolicyWrite && c != api.CapOperator {
			targets = append(targets, c)
		}
	}
	in := func(namespace string, deny bool) api.Grant {
		return api.Grant{Rule: "in-" + namespace, Deny: deny, Capabilities: targets, Namespaces: []string{namespace}}
	}
	everywhere := api.Grant{Rule: "all", Capabilities: api.Capabilities()}
	for name, grants := range map[string][]api.Grant{
		"all": {everywhere}, "a": {in("a", false)}, "b": {in("b", false)}, "not-b": {everywhere, in("b", true)},
		"none": {}, "cluster": {{Rule: "cluster", Capabilities: fleetwide}},
	} {
		held := targets
		switch name {
		case "all", "not-b":
			held = api.Capabilities()
		case "none":
			held = []api.Capability{}
		case "cluster":
			held = fleetwide
		}
		out[name] = api.Identity{Name: name, Subject: name, Via: "jwt", Capabilities: held, Grants: grants}
	}
	return out
}

// row says how one route answers a caller who is held to namespace a: about what is in a
// (own), and about what is in b (foreign).
type row struct {
	own, foreign string // what replaces {} in path, query and body
	path         string // for those that need more than the names
	body         string
	wantOwn      int
	wantForeign  int
}

// Rows of routes that are about one thing, about lists, about what belongs to no target,
// and about nothing that could be hidden.
func one(own, foreign string) row {
	return row{own: own, foreign: foreign, wantOwn: 200, wantForeign: 404}
}
func many() row  { return row{wantOwn: 200, wantForeign: 200} }
func whole() row { return row{wantOwn: 403, wantForeign: 403} }
func open() row  { return row{wantOwn: 200, wantForeign: 200} }

// table has a row for each route. A new route without one fails the test.
func table() map[string]row {
	file := func(namespace, job string) string {
		text, _ := json.Marshal(strings.NewReplacer("NAMESPACE", namespace, "JOB", job).Replace(patchOf))
		return `"file":{"name":"p.hcl","text":` + string(text) + `}`
	}
	ref := func(r api.TargetRef) string { text, _ := json.Marshal(r); return string(text) }
	a, b := target("a", "web"), target("b", secret)
	patch := row{body: `{{}}`, own: file("a", "web"), foreign: file("b", secret), wantOwn: 200, wantForeign: 403}
	simulation := row{body: `{{}}`, own: file("a", "web") + `,"target":` + ref(a), foreign: file("a", "web") + `,"target":` + ref(b), wantOwn: 200, wantForeign: 404}
	out := map[string]row{
		"GET /v1/policies": whole(), "GET /v1/policy/{name}": whole(), "GET /v1/policy/{name}/versions": whole(), "GET /v1/policy/{name}/version/{version}": whole(), "POST /v1/policies": whole(), "POST /v1/policies/validate": whole(),
		"DELETE /v1/policy/{name}": whole(), "GET /v1/rehearsal/facts": whole(), "GET /v1/metrics": whole(), "PUT /v1/inventory": whole(),
		"POST /v1/brake": whole(), "GET /v1/compliance": whole(), "GET /v1/inventory/nodes": whole(), "GET /v1/kpi/check": whole(), "GET /v1/kpi/discover": whole(), "GET /v1/operator/state": whole(), "GET /v1/operator/raft/configuration": whole(),
		"POST /v1/operator/raft/remove-peer": whole(), "POST /v1/operator/raft/transfer": whole(), "GET /v1/operator/snapshot": whole(),
		"POST /v1/operator/snapshot": whole(), "POST /v1/agent/leave": whole(), "GET /v1/agent/monitor": whole(),
		"GET /v1/agent/pprof/{profile}": whole(), "GET /v1/operator/autopilot": whole(), "POST /v1/operator/autopilot": whole(),
		"GET /v1/operator/autopilot/state": whole(), "GET /v1/operator/rollout-audit": whole(),

		"GET /v1/health": open(), "GET /v1/status/leader": open(), "GET /v1/status/peers": open(), "GET /v1/agent/self": open(), "GET /v1/auth/self": open(), "GET /v1/plugins": open(),

		"GET /v1/patches": many(), "GET /v1/quarantines": many(), "GET /v1/rollouts": many(), "GET /v1/simulations": many(),
		"GET /v1/graph": many(), "GET /v1/graph/findings": many(), "GET /v1/graph/diff": many(), "GET /v1/profiles": many(),
		"GET /v1/inventories": many(), "GET /v1/events": many(), "GET /v1/brake": many(),
		"GET /v1/event/stream": {path: "/v1/event/stream?index=1", wantOwn: 200, wantForeign: 200},

		"GET /v1/patch/{name}": one("pa", "pb"), "GET /v1/patch/{name}/status": one("pa", "pb"), "GET /v1/plan/{id}": one("plan-ra", "plan-rb"), "GET /v1/rollout/{id}": one("ra", "rb"),
		"GET /v1/simulation/{id}": one("sa", "sb"), "GET /v1/simulation/{id}/console": one("sa", "sb"), "POST /v1/simulation/{id}/cancel": one("sa", "sb"),
		"GET /v1/graph/impact/{service}": one("web", secret), "GET /v1/graph/without/{place...}": one("n-web", "n-"+secret),
		"GET /v1/profile/{namespace}/{job}/{group}": {path: "/v1/profile/{}", own: a.String(), foreign: b.String(), wantOwn: 200, wantForeign: 404},
		"GET /v1/inventory/targets":                 {path: "/v1/inventory/targets?target={}", own: a.String(), foreign: b.String(), wantOwn: 200, wantForeign: 404},
		"GET /v1/inventory":                         {path: "/v1/inventory?of={}", own: "image-a", foreign: "image-b", wantOwn: 200, wantForeign: 404},
		"POST /v1/quarantines/lift":                 {body: `{"patch":"p","target":{}}`, own: ref(a), foreign: ref(b), wantOwn: 204, wantForeign: 404},
		"POST /v1/patches":                          patch, "POST /v1/patches/plan": patch, "POST /v1/simulations": simulation,
	}
	for _, action := range []string{"approve", "unapprove", "pause", "resume", "promote", "abort", "rollback"} {
		out["POST /v1/rollout/{id}/"+action] = one("ra", "rb")
	}
	return out
}

func (s *server) ask(t *testing.T, token, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	must.NoError(t, err)
	req.Header.Set(headerToken, token)
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

func TestRoutes_KeepToNamespaces(t *testing.T) {
	rows := table()
	for _, rt := range (&API{}).routes() {
		name := rt.method + " " + rt.path
		t.Run(name, func(t *testing.T) {
			row, ok := rows[name]
			must.True(t, ok, must.Sprintf("route %s has no row in the table: say who may see and do what of which namespace", name))
			s := start(t, func(o *Options) { o.Auth = roles() })
			s.fleet(t)
			if strings.HasSuffix(rt.path, "/stream") || strings.HasSuffix(rt.path, "/monitor") {
				s.api.Close() // a stream ends by itself then
			}
			path := row.path
			if path == "" {
				path = braces(rt.path)
			}
			question := func(token, about string) (int, string) {
				about = cmp.Or(about, "x") // any name, where the answer does not depend on it
				return s.ask(t, token, rt.method, strings.ReplaceAll(path, "{}", about), strings.Replace(row.body, "{}", about, 1))
			}
			for _, token := range []string{"a", "not-b"} {
				if rt.cap == api.CapOperator || rt.cap == api.CapPolicyWrite {
					if token == "not-b" {
						continue // it has these, which are of no namespace
					}
				}
				code, text := question(token, row.own)
				must.EqOp(t, row.wantOwn, code, must.Sprintf("%s about its own: %s", token, text))
				must.StrNotContains(t, text, secret, must.Sprintf("%s about its own", token))
				code, text = question(token, row.foreign)
				must.EqOp(t, row.wantForeign, code, must.Sprintf("%s about the other's: %s", token, text))
				if row.foreign == "" {
					must.StrNotContains(t, text, secret)
				}
			}
			if row.wantForeign == 404 || (row.wantForeign == 403 && row.foreign != "") {
				code, text := question("b", row.foreign)
				must.EqOp(t, row.wantOwn, code, must.Sprintf("whose it is: %s", text))
			}
			code, text := question("none", row.own)
			if rt.open || rt.cap == "" {
				must.Less(t, 300, code, must.Sprint(text))
			} else {
				must.EqOp(t, 403, code, must.Sprint(text))
			}
		})
	}
}

// braces replaces the one name in a route's path.
func braces(path string) string {
	from, to := strings.Index(path, "{"), strings.Index(path, "}")
	if from < 0 || strings.Count(path, "{") > 1 {
		return path
	}
	return path[:from] + "{}" + path[to+1:]
}

func TestScope_AsksNothingOfTheFleetBeforeItRefuses(t *testing.T) {
	s := start(t, func(o *Options) { o.Auth = roles() })
	s.fleet(t)
	submit := func(job string) string {
		_, err := s.client(t, "a").SubmitPatch(t.Context(), api.SourceFile{Name: "p.hcl", Text: strings.NewReplacer("NAMESPACE", "b", "JOB", job).Replace(patchOf)})
		must.True(t, api.IsCode(err, api.CodePermissionDenied))
		return strings.ReplaceAll(err.Error(), job, "JOB")
	}
	must.EqOp(t, submit(secret), submit("elsewhere")) // there or not, the answer is the same
	must.SliceEmpty(t, s.control.calls)

	// What is hidden, and what is not there, is missing in the same words.
	for _, path := range []string{"/v1/rollout/%", "/v1/plan/%", "/v1/patch/%", "/v1/simulation/%", "/v1/graph/impact/%", "/v1/graph/without/%", "/v1/inventory?of=%", "/v1/profile/b/%/x"} {
		var answers []string
		for _, name := range []string{map[bool]string{true: "rb", false: secret}[strings.Contains(path, "rollout")], "elsewhere"} {
			_, text := s.ask(t, "a", "GET", strings.ReplaceAll(path, "%", name), "")
			answers = append(answers, strings.ReplaceAll(text, name, "NAME"))
		}
		must.EqOp(t, answers[0], answers[1])
	}
}

func TestScope_FiltersSeeOnlyWhatIsShown(t *testing.T) {
	s := start(t, func(o *Options) { o.Auth = roles() })
	s.fleet(t)
	for filter, want := range map[string]int{`reason contains "payroll"`: 0, `target.namespace == "b"`: 0, `target.namespace == "a"`: 1} {
		got, meta, err := s.client(t, "a").Rollouts(t.Context(), client.Query{Filter: filter, PerPage: 1})
		must.NoError(t, err)
		must.Len(t, want, got)
		must.EqOp(t, "", meta.NextToken)
	}
}

func TestScope_APatchKeepsItsName(t *testing.T) {
	s := start(t, func(o *Options) { o.Auth = roles() })
	s.store.patched = []api.Patch{{Name: "p", Targets: []api.TargetSelector{{Namespace: "b", Jobs: []string{secret}}}}}
	text := strings.NewReplacer("NAMESPACE", "a", "JOB", "web").Replace(patchOf)
	_, err := s.client(t, "a").SubmitPatch(t.Context(), api.SourceFile{Name: "p.hcl", Text: text})
	must.True(t, api.IsCode(err, api.CodeConflict))
	must.StrNotContains(t, err.Error(), secret)
	_, err = s.client(t, "all").SubmitPatch(t.Context(), api.SourceFile{Name: "p.hcl", Text: text})
	must.NoError(t, err)
}

func TestScope_ForwardingDoesNotWiden(t *testing.T) {
	leader := start(t, func(o *Options) { o.Auth = roles() })
	leader.fleet(t)
	wide := roles()
	wide["a"] = wide["all"] // the follower's rules are laxer than the leader's
	follower := start(t, func(o *Options) {
		o.Auth, o.Server = wide, "b"
		o.LastContact = time.Now
	})
	follower.node.leads, follower.node.leader = false, leader.url
	_, err := follower.client(t, "a").RolloutAction(t.Context(), "rb", "abort", "")
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
	all, _, err := follower.client(t, "a").Rollouts(t.Context(), client.Query{})
	must.NoError(t, err)
	must.Len(t, 1, all)
	must.SliceEmpty(t, leader.control.calls)
}
