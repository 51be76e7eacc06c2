package ui_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func ref(job string) api.TargetRef { return api.TargetRef{Namespace: "prod", Job: job, Group: job} }

// shop is a graph of three services: web calls store, and tries cart, which is denied.
func shop() api.Graph {
	g := api.Graph{
		Sources: []api.SourceStatus{{Name: "consul", OK: true}, {Name: "prometheus", Since: began, Error: "refused"}},
		Edges: []api.Edge{
			{From: "web", To: "store", State: api.EdgeConfirmed, Evidence: []api.Evidence{{Source: "prometheus", Class: api.EvidenceObserved, RequestsPerSecond: 42, LastSeen: began}, {Source: "consul-intentions", Class: api.EvidenceAllowed, Detail: "web <may>"}}},
			{From: "cart", To: "store", State: api.EdgeShared, Evidence: []api.Evidence{{Source: "nomad-placement", Class: api.EvidenceShared, Detail: "rack r3"}}},
			{From: "web", To: "cart", State: api.EdgeDeniedAttempted, Evidence: []api.Evidence{{Source: "consul-intentions", Class: api.EvidenceDenied}}},
		},
	}
	for i, name := range []string{"cart", "store", "web"} {
		g.Services = append(g.Services, api.Service{Name: name, Targets: []api.TargetRef{ref(name)}, Instances: 4, Healthy: 4 - i%2})
		g.Targets = append(g.Targets, api.TargetView{
			Target:   api.Target{TargetRef: ref(name), Count: 4, Driver: []string{"docker", "qemu", "docker"}[i], Tasks: []api.Task{{Name: "main", Image: name + ":1.0"}}, Meta: map[string]string{"tier": fmt.Sprint(i)}},
			Critical: name == "store", Why: "the rule of " + name,
		})
		g.Criticality = append(g.Criticality, api.Criticality{Service: name, Score: []float64{0.1, 0.7, 0.2}[i], BlastRadius: []int{0, 1, 0}[i], Parts: []api.Part{{Name: "blast_radius", Value: 0.5, Reason: "1 service depends on it"}}})
	}
	return g
}

func withShop() *backend {
	b := newBackend()
	b.answers["/v1/graph"] = shop()
	b.answers["/v1/graph/impact/store"] = api.GraphImpact{Service: "store", Certain: []string{"web"}, Criticality: shop().Criticality[1]}
	b.answers["/v1/quarantines"] = []api.Quarantine{{Patch: "web-1", Target: ref("cart"), Since: began}}
	b.answers["/v1/compliance"] = api.Compliance{Advisories: []api.AdvisoryCompliance{{
		Advisory: api.Advisory{ID: "CVE-2026-1"},
		Targets:  []api.TargetCompliance{{Target: ref("store"), Status: api.ComplianceAffected}, {Target: ref("cart"), Status: api.ComplianceUnknown}, {Target: ref("gone"), Status: api.ComplianceAffected}},
	}}}
	return b
}

func TestFleet_ShowsTheWeightiestFirst(t *testing.T) {
	b := withShop()
	alice := in(t, b)
	for path, want := range map[string][]string{
		"/ui/fleet":                             {"store", "web", "cart"},
		"/ui/fleet?show=critical":               {"store"},
		"/ui/fleet?show=being+patched":          {"web"},
		"/ui/fleet?show=not+healthy":            {"store"},
		"/ui/fleet?show=quarantined":            {"cart"},
		"/ui/fleet?q=QEMU":                      {"store"},
		"/ui/fleet?q=tier%3D2+prod":             {"web"},
		"/ui/fleet?q=none":                      nil,
		"/ui/fleet?affected=true&show=affected": {"store"},
		"/ui/fleet?affected=true&show=unknown":  {"cart"},
		"/ui/fleet?show=affected":               {"store", "web", "cart"},
	} {
		var got []string
		for _, m := range regexp.MustCompile(`<th scope="row"><a href="/ui/graph\?service=(\w+)"`).FindAllStringSubmatch(alice.get(path).text, -1) {
			got = append(got, m[1])
		}
		must.Eq(t, want, got, must.Sprint(path))
	}
	b = withShop()
	alice = in(t, b)
	text := alice.get("/ui/fleet").text
	must.StrContains(t, text, "the rule of store")
	must.StrContains(t, text, `<span class="pill bad">3/4</span>`)
	must.StrNotContains(t, text, "CVE-2026-1")
	must.SliceNotContains(t, b.asked, "/v1/compliance", must.Sprint("what is costly is asked for when somebody asks"))
	must.StrContains(t, alice.get("/ui/fleet?affected=true").text, "CVE-2026-1")
}

func TestFleet_OfAUserWhoMayNotReadTheAdvisories(t *testing.T) {
	b := withShop()
	b.errs["/v1/compliance"] = api.Errorf(api.CodePermissionDenied, "this needs read everywhere")
	p := in(t, b).get("/ui/fleet?affected=true")
	must.EqOp(t, http.StatusOK, p.status)
	must.StrContains(t, p.text, "this needs read everywhere")
	must.StrContains(t, p.text, "the rule of store")
	must.StrNotContains(t, p.text, "Affected by")
}

func TestGraph_ShowsTheEvidenceAndWhatWouldBeHurt(t *testing.T) {
	alice := in(t, withShop())
	text := alice.get("/ui/graph?service=store").text
	for _, want := range []string{
		"3 services, 1 edge.", "prometheus is away", "Shares places with 1 service", "rack r3", `data-service="store"`, `data-hurt="web"`, "1 service would be hurt for certain",
		"It is needed by", "<b>observed</b> by prometheus, 42 requests/s, seen", "<b>allowed</b> by consul-intentions: web &lt;may&gt;", "1 service depends on it",
	} {
		must.StrContains(t, text, want)
	}
	must.StrContains(t, alice.get("/ui/graph").text, "Choose a service")
	must.StrContains(t, alice.get("/ui/graph?colour=health").text, `data-colour="health"`)
	p := alice.get("/ui/graph?service=nothing")
	must.EqOp(t, http.StatusNotFound, p.status)
	must.StrContains(t, p.text, "the graph has none of that name")
}

// TestGraph_DrawsEdgesAndNoAttempts holds that a pair which is refused is no arrow.
func TestGraph_DrawsEdgesAndNoAttempts(t *testing.T) {
	p := in(t, withShop()).get("/ui/graph/data")
	must.EqOp(t, "application/json", p.header.Get("Content-Type"))
	var got struct {
		Nodes []struct {
			ID       string
			Critical bool
			Sick     int
			Rollout  string
		}
		Edges []struct {
			Source, Target, State string
			Rate                  float64
		}
	}
	must.NoError(t, json.Unmarshal([]byte(p.text), &got))
	must.Len(t, 3, got.Nodes)
	must.True(t, got.Nodes[1].Critical)
	must.EqOp(t, 1, got.Nodes[1].Sick)
	must.EqOp(t, "busy", got.Nodes[2].Rollout)
	must.Len(t, 1, got.Edges)
	must.EqOp(t, "web store confirmed 42", fmt.Sprint(got.Edges[0].Source, " ", got.Edges[0].Target, " ", got.Edges[0].State, " ", got.Edges[0].Rate))
}

func TestFirstView_OfTheFleetIsLight(t *testing.T) {
	b := withShop()
	g := api.Graph{}
	for i := range 2000 {
		name := fmt.Sprintf("service-%d", i*7919)
		g.Services = append(g.Services, api.Service{Name: name, Targets: []api.TargetRef{ref(name)}, Instances: 5, Healthy: 5})
		g.Targets = append(g.Targets, api.TargetView{Target: api.Target{TargetRef: ref(name), Driver: "docker"}, Why: fmt.Sprintf("policy web-tier, web.hcl:%d,3: blast_radius %d is below 5", i, i%5)})
		g.Criticality = append(g.Criticality, api.Criticality{Service: name, Score: 0.01 * float64(i%100)})
		g.Edges = append(g.Edges, api.Edge{From: name, To: fmt.Sprintf("service-%d", i/2*7919), State: api.EdgeConfirmed, Evidence: []api.Evidence{{LastSeen: began.Add(time.Duration(i) * time.Second)}}})
	}
	b.answers["/v1/graph"] = g
	alice := in(t, b)
	for _, path := range []string{"/ui/fleet", "/ui/graph"} {
		n := weigh(t, alice, path)
		if path == "/ui/graph" { // the script loads these by itself
			for _, more := range []string{"/ui/static/lib/cytoscape.esm.min.mjs", "/ui/static/lib/cytoscape-dagre.min.mjs", "/ui/graph/data"} {
				n += len(alice.get(more).text)
			}
		}
		t.Logf("%s: %d bytes", path, n)
		must.LessEq(t, firstView, n, must.Sprint(path))
	}
}
