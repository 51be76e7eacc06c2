package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/wait"
)

func TestRoutes_DenyByDefault(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Auth = tokens{"nobody": {Name: "nobody", Via: "jwt"}}
	})
	open := map[string]bool{"/v1/health": true, "/v1/status/leader": true, "/v1/status/peers": true}
	anyone := map[string]bool{"/v1/agent/self": true, "/v1/auth/self": true}
	for _, rt := range s.api.routes() {
		t.Run(rt.method+" "+rt.path, func(t *testing.T) {
			path := strings.NewReplacer("{name}", "x", "{id}", "x", "{service}", "x",
				"{namespace}", "x", "{job}", "x", "{group}", "x", "{profile}", "x").Replace(rt.path)
			for token, want := range map[string]int{"": 401, "wrong": 401, "nobody": 403} {
				if open[rt.path] {
					want = 200
				}
				if anyone[rt.path] && token == "nobody" {
					want = 200
				}
				req, err := http.NewRequestWithContext(t.Context(), rt.method, s.url+path, nil)
				must.NoError(t, err)
				if token != "" {
					req.Header.Set("Authorization", "Bearer "+token)
				}
				resp, err := http.DefaultClient.Do(req)
				must.NoError(t, err)
				text, err := io.ReadAll(resp.Body)
				must.NoError(t, err)
				must.NoError(t, resp.Body.Close())
				must.EqOp(t, want, resp.StatusCode, must.Sprintf("token %q: %s", token, text))
				must.EqOp(t, "", resp.Header.Get(headerAuth))
			}
		})
	}
	must.SliceEmpty(t, s.control.calls)
}

func TestRoutes_AskForCapabilities(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Auth = tokens{
			"p": {Name: "pipeline", Via: "jwt", Capabilities: []api.Capability{api.CapPatchSubmit}},
			"a": {Name: "alice", Via: "jwt", Capabilities: []api.Capability{api.CapRead, api.CapApprove}},
		}
	})
	pipeline, alice := s.client(t, "p"), s.client(t, "a")
	file := api.SourceFile{Name: "web.hcl", Text: "patch"}

	_, err := pipeline.SubmitPatch(t.Context(), file)
	must.NoError(t, err)
	_, err = alice.SubmitPatch(t.Context(), file)
	must.True(t, api.IsCode(err, api.CodePermissionDenied))
	must.StrContains(t, err.Error(), "identity alice lacks the capability patch-submit")
	must.StrContains(t, err.Error(), "it has: read, approve")

	_, err = alice.RolloutAction(t.Context(), "r1", "approve", "looks good")
	must.NoError(t, err)
	_, err = alice.RolloutAction(t.Context(), "r1", "abort", "")
	must.True(t, api.IsCode(err, api.CodePermissionDenied))
	_, err = alice.SetBrake(t.Context(), api.BrakeRequest{On: true, Reason: "checkout is slow"})
	must.StrContains(t, err.Error(), "identity alice lacks the capability rollout-control")
	_, err = alice.CancelSimulation(t.Context(), "s1")
	must.StrContains(t, err.Error(), "identity alice lacks the capability simulate")
	_, _, err = pipeline.Rollouts(t.Context(), client.Query{})
	must.True(t, api.IsCode(err, api.CodePermissionDenied))
	must.Eq(t, []string{"submit web.hcl by pipeline", "approve r1 looks good by alice"}, s.control.calls)
}

func TestDev_SaysThatAuthenticationIsOff(t *testing.T) {
	s := start(t, nil)
	_, meta, err := s.client(t, "").Rollouts(t.Context(), client.Query{})
	must.NoError(t, err)
	must.True(t, meta.AuthOff)
	sim, err := s.client(t, "").CancelSimulation(t.Context(), "s1")
	must.NoError(t, err)
	must.EqOp(t, api.SimulationCancelled, sim.Status)
	self, err := s.client(t, "").Self(t.Context())
	must.NoError(t, err)
	must.True(t, self.AuthOff)
	must.EqOp(t, "dev", self.Identity.Name)
}

func TestErrors_KeepTheirCode(t *testing.T) {
	s := start(t, nil)
	s.control.err = &api.Error{Code: api.CodeInvalid, Message: "policy is wrong", Details: []string{"web.hcl:3,5: unknown attribute"}}
	_, err := s.client(t, "").ApplyPolicy(t.Context(), api.SourceFile{Name: "web.hcl", Text: "x"})
	must.Eq(t, s.control.err, err)

	_, _, err = s.client(t, "").Policy(t.Context(), "none", client.Query{})
	must.Eq(t, error(api.Errorf(api.CodeNotFound, `policy "none": there is none of that name`)), err)
}

func TestPolicyVersions(t *testing.T) {
	s := start(t, nil)
	s.store.policy = []api.Policy{{Name: "web", Version: 2}, {Name: "old"}}
	s.store.histories = map[string]api.PolicyHistory{"web": {
		Name: "web", Contents: map[string]string{"1": "one", "2": "two"},
		Versions: []api.PolicyVersion{{Version: 2, File: "web.hcl", Text: "2"}, {Version: 1, File: "web.hcl", Text: "1"}},
	}}
	cl := s.client(t, "")
	all, _, err := cl.PolicyVersions(t.Context(), "web", client.Query{})
	must.NoError(t, err)
	must.Len(t, 2, all)
	must.EqOp(t, 1, all[0].Version)
	p, _, err := cl.PolicyVersion(t.Context(), "web", 1, client.Query{})
	must.NoError(t, err)
	must.EqOp(t, "one", p.File.Text)
	_, _, err = cl.PolicyVersion(t.Context(), "web", 3, client.Query{})
	must.ErrorContains(t, err, "version 3 is not kept; of each policy the last 6 are")
	_, _, err = cl.PolicyVersion(t.Context(), "web", 0, client.Query{})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	_, _, err = cl.PolicyVersions(t.Context(), "none", client.Query{})
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
	all, _, err = cl.PolicyVersions(t.Context(), "old", client.Query{})
	must.NoError(t, err)
	must.SliceEmpty(t, all)
}

func TestRequests_BadOnesAreRefused(t *testing.T) {
	s := start(t, nil)
	for name, tc := range map[string]struct {
		method, path, body, want string
		status                   int
	}{
		"no JSON":        {"POST", "/v1/patches", "nope", "request body: invalid character", 400},
		"empty":          {"POST", "/v1/patches", "", "request body: empty", 400},
		"unknown field":  {"POST", "/v1/patches", `{"fil":{}}`, `request body: unknown field "fil"`, 400},
		"wrong type":     {"POST", "/v1/policies", `{"name":3}`, "field name: want string, not number", 400},
		"two values":     {"POST", "/v1/policies", `{"name":"a","text":"b"}{}`, "more than one JSON value", 400},
		"no UTF-8":       {"POST", "/v1/patches", "{\"file\":{\"text\":\"echo \xdf\"}}", "request body: not UTF-8", 400},
		"no name":        {"POST", "/v1/policies", `{"text":"b"}`, "field name", 400},
		"too big":        {"POST", "/v1/policies", `{"text":"` + strings.Repeat("x", bodyMax) + `"}`, "larger than 12 MiB", 400},
		"no such path":   {"GET", "/v1/nothing", "", "no such path", 404},
		"wrong method":   {"GET", "/v1/patches/plan", "", "this path wants POST", 405},
		"bad index":      {"GET", "/v1/rollouts?index=x", "", "query parameter index", 400},
		"bad wait":       {"GET", "/v1/rollouts?wait=soon", "", "want a duration such as 30s", 400},
		"bad filter":     {"GET", "/v1/rollouts?filter=status+is", "", "query parameter filter", 400},
		"unknown filter": {"GET", "/v1/rollouts?filter=colour+==+red", "", "query parameter filter", 400},
		"bad topic":      {"GET", "/v1/events?topic=x", "", `"x" is none of [policy`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tc.method, s.url+tc.path, strings.NewReader(tc.body))
			must.NoError(t, err)
			resp, err := http.DefaultClient.Do(req)
			must.NoError(t, err)
			defer resp.Body.Close()
			var got api.Error
			must.NoError(t, json.NewDecoder(resp.Body).Decode(&got))
			must.EqOp(t, tc.status, resp.StatusCode)
			must.StrContains(t, got.Message, tc.want)
		})
	}
}

func TestRequests_OfOtherSitesAreRefused(t *testing.T) {
	s := start(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/rollout/r1/abort", strings.NewReader("{}"))
	must.NoError(t, err)
	req.Header.Set("Origin", "https://elsewhere.example")
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	must.EqOp(t, 403, resp.StatusCode)
	must.SliceEmpty(t, s.control.calls)
}

func TestLists_AreFilteredAndPaged(t *testing.T) {
	s := start(t, nil)
	for _, id := range []string{"c", "a", "d", "b"} {
		status := api.RolloutRunning
		if id == "d" {
			status = api.RolloutComplete
		}
		r := api.Rollout{ID: id, Status: status, Target: api.TargetRef{Job: "job-" + id}}
		if id == "b" {
			r.Verdict = &api.Verdict{Kind: api.VerdictAbort}
		}
		s.store.put(r)
	}
	c := s.client(t, "")
	ids := func(q client.Query) (string, client.Meta) {
		all, meta, err := c.Rollouts(t.Context(), q)
		must.NoError(t, err)
		var out []string
		for _, r := range all {
			out = append(out, r.ID)
		}
		return strings.Join(out, ""), meta
	}
	got, _ := ids(client.Query{})
	must.EqOp(t, "abcd", got)
	got, _ = ids(client.Query{Filter: `status == "running" and target.job != "job-b"`})
	must.EqOp(t, "ac", got)
	got, _ = ids(client.Query{Filter: `verdict.kind == "abort"`}) // of those that have a verdict
	must.EqOp(t, "b", got)
	got, meta := ids(client.Query{PerPage: 3})
	must.EqOp(t, "abc", got)
	must.EqOp(t, "d", meta.NextToken)
	got, meta = ids(client.Query{PerPage: 3, NextToken: meta.NextToken})
	must.EqOp(t, "d", got)
	must.EqOp(t, "", meta.NextToken)
}

func TestRollout_HidesTheFormerJob(t *testing.T) {
	s := start(t, nil)
	s.store.put(api.Rollout{ID: "a", Former: &api.FormerJob{Version: 3, Job: json.RawMessage(`{"secret":"x"}`)}})
	one, _, err := s.client(t, "").Rollout(t.Context(), "a", client.Query{})
	must.NoError(t, err)
	must.EqOp(t, 3, one.Former.Version)
	must.False(t, bytes.Contains(one.Former.Job, []byte("secret")))
	kept, _ := s.store.Rollout("a")
	must.True(t, bytes.Contains(kept.Former.Job, []byte("secret")))
}

func TestBlockingQuery(t *testing.T) {
	s := start(t, nil)
	first := s.store.put(api.Rollout{ID: "a"})
	c := s.client(t, "")
	_, meta, err := c.Rollouts(t.Context(), client.Query{})
	must.NoError(t, err)
	must.EqOp(t, first, meta.Index)

	// Nothing happens: the answer comes after the wait, with the same index.
	began := time.Now()
	_, meta, err = c.Rollouts(t.Context(), client.Query{Index: first, Wait: 50 * time.Millisecond})
	must.NoError(t, err)
	must.EqOp(t, first, meta.Index)
	must.GreaterEq(t, 50*time.Millisecond, time.Since(began))

	type answer struct {
		index uint64
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		_, meta, err := c.Rollouts(t.Context(), client.Query{Index: first, Wait: time.Minute})
		answered <- answer{meta.Index, err}
	}()
	second := s.store.put(api.Rollout{ID: "b"})
	select {
	case got := <-answered:
		must.NoError(t, got.err)
		must.EqOp(t, second, got.index)
	case <-time.After(wait.Patience):
		t.Fatal("the blocking query did not see the change")
	}
}

func TestEventStream(t *testing.T) {
	s := start(t, nil)
	first := s.store.put(api.Rollout{ID: "a", Status: api.RolloutRunning, Reason: "one"})
	got := make(chan api.Event)
	ended := make(chan error, 1)
	go func() {
		ended <- s.client(t, "").EventStream(t.Context(), first, []string{"rollout:a"}, func(e api.Event) error {
			got <- e
			return nil
		})
	}()
	next := func() api.Event {
		select {
		case e := <-got:
			return e
		case <-time.After(wait.Patience):
			t.Fatal("no event came")
			return api.Event{}
		}
	}
	must.EqOp(t, "one", next().Text)
	s.store.put(api.Rollout{ID: "b", Reason: "not asked for"})
	s.store.put(api.Rollout{ID: "a", Reason: "two"})
	must.EqOp(t, "two", next().Text)
	s.api.Close()
	select {
	case err := <-ended:
		must.NoError(t, err)
	case <-time.After(wait.Patience):
		t.Fatal("the stream did not end with the server")
	}
}

func TestFollower_Forwards(t *testing.T) {
	auth := tokens{"p": {Name: "pipeline", Via: "jwt", Capabilities: []api.Capability{api.CapPatchSubmit, api.CapRead}}}
	leader := start(t, func(o *Options) { o.Auth = auth })
	follower := start(t, func(o *Options) {
		o.Auth, o.Server = auth, "b"
		o.LastContact = func() time.Time { return time.Now().Add(-time.Hour) }
	})
	follower.node.leads, follower.node.leader = false, leader.url
	leader.store.put(api.Rollout{ID: "a", Status: api.RolloutRunning})

	c := follower.client(t, "p")
	_, err := c.SubmitPatch(t.Context(), api.SourceFile{Name: "web.hcl", Text: "x"})
	must.NoError(t, err)
	must.Eq(t, []string{"submit web.hcl by pipeline"}, leader.control.calls)
	must.SliceEmpty(t, follower.control.calls)

	all, _, err := c.Rollouts(t.Context(), client.Query{})
	must.NoError(t, err)
	must.Len(t, 1, all)
	all, meta, err := c.Rollouts(t.Context(), client.Query{Stale: true})
	must.NoError(t, err)
	must.Len(t, 0, all)
	must.True(t, meta.Stale)
	must.Greater(t, time.Hour-time.Second, meta.Age)

	// The leader checks the token, not the follower.
	_, err = follower.client(t, "wrong").SubmitPatch(t.Context(), api.SourceFile{Name: "web.hcl", Text: "x"})
	must.True(t, api.IsCode(err, api.CodeUnauthenticated))

	// Two servers that take each other for the leader do not loop.
	leader.node.leads, leader.node.leader = false, follower.url
	_, err = c.SubmitPatch(t.Context(), api.SourceFile{Name: "web.hcl", Text: "x"})
	must.True(t, api.IsCode(err, api.CodeNoLeader))
	must.StrContains(t, err.Error(), "leadership is changing")

	follower.node.leader = ""
	_, err = c.SubmitPatch(t.Context(), api.SourceFile{Name: "web.hcl", Text: "x"})
	must.True(t, api.IsCode(err, api.CodeNoLeader))
	health, err := follower.client(t, "").Health(t.Context())
	must.NoError(t, err)
	must.False(t, health.Ready)
	must.Eq(t, []string{"the cluster has no leader"}, health.Because)
}

func TestGraphImpact(t *testing.T) {
	s := start(t, nil)
	s.control.graph = api.Graph{
		Services: []api.Service{{Name: "store", Nodes: []string{"n1"}}},
		Edges: []api.Edge{
			{From: "cart", To: "pricing", State: api.EdgeConfirmed},
			{From: "pricing", To: "store", State: api.EdgeObservedUndeclared},
			{From: "store", To: "cart", State: api.EdgeConfirmed}, // a cycle
			{From: "batch", To: "store", State: api.EdgeDeclaredOnly},
			{From: "audit", To: "store", State: api.EdgeDenied},
		},
		Criticality: []api.Criticality{{Service: "store", BlastRadius: 2}},
	}
	got, _, err := s.client(t, "").GraphImpact(t.Context(), "store", client.Query{})
	must.NoError(t, err)
	must.Eq(t, []string{"cart", "pricing"}, got.Certain)
	must.Eq(t, []string{"batch"}, got.Possible)
	must.Eq(t, 2, got.Criticality.BlastRadius)
	must.Eq(t, 3, got.Criticality.BlastRadiusMax)
	_, _, err = s.client(t, "").GraphImpact(t.Context(), "nope", client.Query{})
	must.True(t, api.IsCode(err, api.CodeNotFound))

	without, _, err := s.client(t, "").GraphWithout(t.Context(), "n1", client.Query{})
	must.NoError(t, err)
	must.Eq(t, []string{"store"}, without.Down)
	must.Eq(t, []string{"cart", "pricing"}, without.Certain)
	_, _, err = s.client(t, "").GraphWithout(t.Context(), "rack/none", client.Query{})
	must.ErrorContains(t, err, `no service stands on node "rack/none"`)

	found, _, err := s.client(t, "").GraphFindings(t.Context(), client.Query{})
	must.NoError(t, err)
	must.Eq(t, api.FindingUndeclared, found.Findings[len(found.Findings)-1].Kind)
}

func TestSnapshotAndMetrics(t *testing.T) {
	s := start(t, nil)
	var saved bytes.Buffer
	n, err := s.client(t, "").SnapshotSave(t.Context(), &saved)
	must.NoError(t, err)
	must.EqOp(t, 8, n)
	must.EqOp(t, "snapshot", saved.String())
	must.NoError(t, s.client(t, "").SnapshotRestore(t.Context(), &saved))

	resp, err := http.Get(s.url + "/v1/metrics")
	must.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	must.StrContains(t, string(text), `oakum_http_request_seconds_count{code="200",method="GET",route="/v1/operator/snapshot"} 1`)
}

func FuzzRequests(f *testing.F) {
	f.Add("POST", "/v1/patches", "", `{"file":{"name":"a","text":"b"}}`)
	f.Add("GET", "/v1/rollouts", `filter=status=="running"&per_page=2&next_token=x`, "")
	f.Add("GET", "/v1/events", "index=0&topic=rollout:a", "")
	f.Add("GET", "/v1/profile/a/b/c", "index=1&wait=1ms", "")
	f.Add("DELETE", "/v1/policy/%2e%2e", "", "")
	store := newMemory()
	store.put(api.Rollout{ID: "a", Status: api.RolloutRunning})
	n := &node{leads: true, leader: "http://self"}
	a := New(Options{Store: store, Control: &control{}, Cluster: n, Members: n, Snapshots: n})
	a.Close() // blocking queries and streams answer at once
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.URL.RawQuery = query
		rec := httptest.NewRecorder()
		a.ServeHTTP(rec, req)
		if rec.Code == http.StatusInternalServerError {
			t.Fatalf("%s %s?%s: %s", method, path, query, rec.Body)
		}
	})
}

func TestFacts_AreReadLikeAPlan(t *testing.T) {
	s := start(t, nil)
	s.control.graph = api.Graph{Services: []api.Service{{Name: "web"}}}
	facts, err := s.client(t, "").Facts(t.Context())
	must.NoError(t, err)
	must.EqOp(t, api.FleetFactsFormat, facts.Format)
	must.Eq(t, s.control.graph.Services, facts.Graph.Services)
	s.control.err = api.Errorf(api.CodeUnavailable, "nomad gives no answer")
	_, err = s.client(t, "").Facts(t.Context())
	must.True(t, api.IsCode(err, api.CodeUnavailable))
}
