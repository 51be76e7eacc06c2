package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/access/authtest"
	"github.com/oakumhq/oakum/internal/cli/command"
)

// testNow is the clock of every command under test.
func testNow() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"oakum": func() {
		os.Exit(Run(context.Background(), command.Options{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
			Now: testNow, Build: command.Build{Version: "0.0-test"},
			Agent: func(_ context.Context, opt command.AgentOptions) error {
				fmt.Printf("agent dev=%v config=%v\n", opt.Dev, opt.Config)
				return nil
			},
			Rules: func([]string) (authtest.Rules, error) { return shopRules{}, nil },
		}))
	}})
}

func update() bool { return os.Getenv("UPDATE_GOLDEN") != "" }

// TestRun_FollowsTheScripts runs the command lines of testdata/script against a server that
// answers from fixtures. UPDATE_GOLDEN=1 rewrites what they expect.
func TestRun_FollowsTheScripts(t *testing.T) {
	server := httptest.NewServer(fixtures(t))
	t.Cleanup(server.Close)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       update(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("OAKUM_ADDR", server.URL)
			env.Setenv("OAKUM_TOKEN", "good")
			// A script can't hold these bytes: those with which gzip begins.
			return os.WriteFile(filepath.Join(env.WorkDir, "packed.gz"), []byte{0x1f, 0x8b, 8, 0}, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code, "sparse": sparse},
	})
}

// code runs a command and checks its exit code: code 2 oakum rollout status x.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code NUMBER COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// sparse makes a file of so many zero bytes that takes no room: sparse large.json 1000000.
func sparse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sparse FILE BYTES")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// brakeFixtures lets the token "braked" find the brake on, and every other one find it
// off. Scripts run side by side, so none may put it on for the others.
// policyTexts are the versions of an applied policy.
var policyTexts = []string{"policy \"web\" {\n  deadline = \"5m\"\n}\n", "policy \"web\" {\n  deadline = \"9m\"\n}\n"}

func brakeFixtures(t *testing.T, mux *http.ServeMux) {
	t.Helper()
	mux.HandleFunc("GET /v1/brake", func(w http.ResponseWriter, r *http.Request) {
		b := api.Brake{By: "bob", Since: testNow().Add(-time.Hour), ModifyIndex: 5}
		if r.Header.Get("X-Oakum-Token") == "braked" {
			b = api.Brake{On: true, By: "alice", Since: testNow().Add(-25 * time.Minute), Reason: "checkout is slow", ModifyIndex: 6}
		}
		must.NoError(t, json.NewEncoder(w).Encode(b))
	})
	mux.HandleFunc("POST /v1/brake", func(w http.ResponseWriter, r *http.Request) {
		var want api.BrakeRequest
		must.NoError(t, json.NewDecoder(r.Body).Decode(&want))
		must.NoError(t, json.NewEncoder(w).Encode(api.Brake{On: want.On, By: "alice", Since: testNow(), Reason: want.Reason, ModifyIndex: 7}))
	})
}

// inventoryFixtures are three inventories, two of which are of one image and differ, and a
// target that has none.
func inventoryFixtures(answer func(pattern string, out any)) {
	of := "sha256:" + strings.Repeat("1a", 32)
	hash := func(digit string) string { return strings.Repeat(digit, 64) }
	ref := func(job string) api.TargetRef { return api.TargetRef{Namespace: "prod", Job: job, Group: "vm"} }
	web := api.InventoryRecord{
		Of: "sha256:" + strings.Repeat("2b", 32), Hash: hash("2"), Origin: api.InventoryPut, Source: "web.cdx.json", Format: "CycloneDX 1.6", Releases: []string{"Debian:12"},
		Packages: 212, PutAt: testNow().Add(-2 * time.Hour), PutBy: "pipeline", Seen: testNow().Add(-time.Hour),
	}
	one, two := web, web
	one.Of, one.Hash, one.Differs, one.Seen = of, hash("3"), true, time.Time{}
	two.Of, two.Hash, two.Differs, two.Seen, two.Packages = of, hash("4"), true, time.Time{}, 213
	node, gone := web, web
	node.Of, node.Hash, node.Origin, node.Source, node.Packages = api.NodeInventory+"11111111-0000-0000-0000-000000000001", hash("5"), api.InventoryNode, "one", 381
	gone.Of, gone.Hash, gone.Origin, gone.Source, gone.PutAt = api.NodeInventory+"22222222-0000-0000-0000-000000000002", hash("6"), api.InventoryNode, "two", testNow().Add(-100*time.Hour)
	targets := []api.TargetInventory{
		{Target: ref("web"), Task: "vm", Image: "/images/web.qcow2", Digest: web.Of, Basis: "job", Record: &web},
		{Target: ref("cart"), Task: "vm", Image: "/images/cart.qcow2", Missing: "nobody knows the digest of image /images/cart.qcow2, and there is no inventory by its name"},
		{Target: ref("store"), Task: "vm", Digest: two.Of, Missing: "there is no inventory of " + two.Of},
	}
	answer("GET /v1/compliance", fixtureCompliance())
	answer("GET /v1/auth/self", api.Identity{Name: "bob", Subject: "entity-1", Via: "jwt", Groups: []string{"shop"}, Expires: testNow().Add(time.Hour), Grants: shopGrants(),
		Capabilities: access.Held(shopGrants())})
	answer("GET /v1/kpi/discover", fixtureDiscovery())
	answer("GET /v1/kpi/check", fixtureKPICheck())
	answer("GET /v1/inventories", []api.InventoryRecord{one, two, web})
	answer("GET /v1/inventory/targets", targets)
	answer("GET /v1/inventory/nodes", []api.Node{
		{ID: "11111111-0000-0000-0000-000000000001", Name: "one", Pool: "default", Status: "ready", OS: "debian", OSVersion: "12.5", Kernel: "6.1.0-18-amd64", Record: &node},
		{ID: "22222222-0000-0000-0000-000000000002", Name: "two", Pool: "default", Status: "down", OS: "redhat", OSVersion: "9.3", Kernel: "5.14.0-362.8.1.el9_3.x86_64", Record: &gone,
			Missing: "the inventory is stale: it was taken on 2026-02-25; the node is down"},
		{ID: "33333333-0000-0000-0000-000000000003", Name: "three", Pool: "gpu", Status: "ready", Missing: "nobody has read what is installed there"},
		{ID: "44444444-0000-0000-0000-000000000004", Name: "five", Pool: "gpu", Status: "ready", Missing: "nobody has read what is installed there"},
	})
	answer("GET /v1/inventory", api.Inventory{Source: "web.cdx.json", Format: "CycloneDX 1.6", Digest: web.Of, Packages: []api.Package{{Ecosystem: "deb", Name: "bash", Version: "5.2.15-2"}}})
	answer("PUT /v1/inventory", api.InventoryReceipt{Record: two, Targets: []api.TargetRef{}, Differs: []string{one.Hash}})
}

// fixtureDiscovery is of one target that is measured in part.
func fixtureDiscovery() api.KPIDiscovery {
	return api.KPIDiscovery{
		At: testNow(), Metrics: 1204,
		Targets: []api.KPICoverage{{
			Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}, Instances: 4,
			Has: []api.FoundKPI{
				{KPI: "cpu", Kind: api.KPIGauge, Convention: "Nomad's statistics", Instances: 4, InForce: true},
				{KPI: "error_rate", Kind: api.KPICount, Convention: "OpenTelemetry HTTP server", Metric: "http_server_request_duration_seconds_count",
					Label: "consul_service_id", Instances: 3},
			},
			Lacks: []api.LackingKPI{{KPI: "latency_p99", Why: "http_server_requests_seconds has no buckets: switch them on (Micrometer HTTP server)"}},
		}},
		Unnamed: []api.UnnamedMetric{{Metric: "traefik_entrypoint_requests_total", Convention: "Traefik", KPI: "error_rate", Series: 2,
			Labels: map[string]string{"instance": "10.0.0.9:8080"}}},
		Missing: []string{"addresses in Consul's catalog: permission denied"},
		Block:   "prometheus {\n  kpi \"error_rate\" {\n  }\n}\n", Relabel: "relabel_configs:\n",
	}
}

// shopGrants are those of the shop's team.
func shopGrants() []api.Grant {
	return []api.Grant{
		{Rule: "shop team", Capabilities: []api.Capability{api.CapRead, api.CapPatchSubmit}, Namespaces: []string{"shop"}},
		{Rule: "nobody in payments", Deny: true, Capabilities: []api.Capability{api.CapPatchSubmit}, Jobs: []string{"payments"}},
	}
}

// shopRules give those to everybody.
type shopRules struct{}

func (shopRules) Evaluate(map[string]any) ([]api.Grant, error) { return shopGrants(), nil }

// fixtureKPICheck is of one query that is in order, one that is not, and a KPI of Nomad's.
func fixtureKPICheck() api.KPICheck {
	cart := api.TargetRef{Namespace: "prod", Job: "cart", Group: "vm"}
	return api.KPICheck{
		At: testNow(), Window: api.Duration(10 * time.Minute), Running: 6, Missing: []string{"addresses in Consul's catalog: permission denied"},
		KPIs: []api.CheckedKPI{
			{KPI: "cpu", Kind: api.KPIGauge, Source: "nomad-stats", Policies: []string{"default"}},
			{KPI: "error_rate", Kind: api.KPICount, Source: "prometheus", Policies: []string{"default", "web"}, Queries: []api.CheckedQuery{
				{Of: "events", Took: api.Duration(12 * time.Millisecond), Samples: 20, Bytes: 1234, Series: 5, Instances: 4, Strangers: 1, Silent: []api.TargetRef{cart}, Metrics: []api.CheckedMetric{{
					Metric: "http_requests_total", Series: 20, PerInstance: 4, Every: api.Duration(15 * time.Second), By: "alloc_id",
					Gaps: []string{"0e2c1b7a"}, GapCount: 1, Resets: []string{"1e2c1b7a"}, ResetCount: 20,
				}}},
				{Of: "failed", Error: "prometheus: query processing would load too many samples into memory"},
			}},
			{KPI: "heap", Policies: []string{"web"}},
		},
	}
}

// fixtureCompliance is a report of one advisory that hits one target of three.
func fixtureCompliance() api.Compliance {
	took := api.Duration(50 * time.Hour)
	ref := func(job string) api.TargetRef { return api.TargetRef{Namespace: "prod", Job: job, Group: "vm"} }
	counts := api.ComplianceCounts{Affected: 1, Unknown: 1, Excepted: 1, Fixed: 1, NotAffected: 3}
	return api.Compliance{
		At: testNow(), Targets: 7, Unread: []string{"patch broken: read advisory dsa.json: it is no JSON document"},
		Problems: []string{"/srv/osv/x.json: it is no OSV document"},
		Advisories: []api.AdvisoryCompliance{{
			Advisory: api.Advisory{ID: "openssl-3.0.16", Source: "openssl.hcl", Severity: api.SeverityHigh},
			Faults:   []string{"CVE-2026-0001"}, Patches: []string{"openssl-3.0.16"}, Known: testNow().Add(-240 * time.Hour), ComplianceCounts: counts,
			Times: &api.FixTimes{Targets: 1, Median: took, P90: took},
			Targets: []api.TargetCompliance{
				{Target: ref("billing"), Status: api.ComplianceAffected, Reason: "libssl3 is 3.0.14-1~deb12u1; affected: below 3.0.16-1~deb12u1", Packages: []string{"libssl3"}, Rollout: "01JD3M0001", Completed: testNow()},
				{Target: ref("a-service-with-a-name-that-is-far-longer-than-one-would-wish"), Status: api.ComplianceUnknown,
					Reason: "nobody knows the digest of image /images/a-service-with-a-name.qcow2, and there is no inventory by its name"},
				{Target: ref("cart"), Status: api.ComplianceExcepted, Reason: "vex.json says so", Exceptions: []api.Exception{
					{Package: "libssl3", Version: "3.0.14", Document: "vex.json", Author: "=security", At: testNow(), Justification: "vulnerable_code_not_present"}}, Until: testNow().Add(24 * time.Hour)},
				{Target: ref("web"), Status: api.ComplianceFixed, Reason: "libssl3 is <3.0.16>; the fault ends with 3.0.16", Rollout: "01JD3M0002", Completed: testNow(), TimeToFix: &took},
			},
		}, {
			Advisory: api.Advisory{ID: "=DSA-2", Source: "dsa-2.json", Severity: api.SeverityLow}, Faults: []string{"=DSA-2"}, Patches: []string{}, Known: testNow(),
			ComplianceCounts: api.ComplianceCounts{NotAffected: 7}, Targets: []api.TargetCompliance{},
		}},
		Vulnerabilities: []api.Vulnerability{{Name: "CVE-2026-0001", Advisories: []string{"openssl-3.0.16"}, Patches: []string{"openssl-3.0.16"},
			Severity: api.SeverityHigh, Known: testNow().Add(-240 * time.Hour), ComplianceCounts: counts,
			Exploited: &api.Exploited{Name: "CVE-2026-0001", Added: "2026-02-20", Due: "2026-03-13", Ransomware: true},
			EPSS:      &api.EPSS{Name: "CVE-2026-0001", Probability: 0.945, Percentile: 0.99}},
			{Name: "CVE-2026-0002", Severity: api.SeverityLow, Known: testNow(), EPSS: &api.EPSS{Probability: 0.0123}}},
	}
}

// fixtures is a server with one application in the middle of a patch.
func fixtures(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(pattern string, out any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if token := r.Header.Get("X-Oakum-Token"); token != "good" && token != "braked" {
				fail(w, &api.Error{Code: api.CodeUnauthenticated, Message: "no token: this server asks who you are"})
				return
			}
			w.Header().Set("X-Oakum-Index", "7")
			if out == nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			must.NoError(t, json.NewEncoder(w).Encode(out))
		})
	}
	running, back := runningRollout(), rolledBackRollout()
	answer("GET /v1/rollouts", []api.Rollout{running, back})
	answer("GET /v1/rollout/"+running.ID, running)
	answer("GET /v1/rollout/"+back.ID, back)
	answer("POST /v1/rollout/"+running.ID+"/unapprove", running)
	answer("POST /v1/rollout/"+running.ID+"/pause", func() api.Rollout { r := running; r.Status = api.RolloutPaused; return r }())
	answer("POST /v1/rollout/"+running.ID+"/resume", running)
	answer("GET /v1/graph", fixtureGraph())
	answer("GET /v1/graph/without/{place...}", api.GraphWithout{
		Place: "rack/r1", Down: []string{"store"}, Weakened: []api.LostInstance{{Service: "web", Left: 1}}, Certain: []string{"cart"}})
	answer("GET /v1/graph/findings", api.GraphFindings{Findings: []api.Finding{
		{Kind: api.FindingSinglePoint, To: "store", Text: "it has one instance", Do: "run a second instance"},
		{Kind: api.FindingUndeclared, From: "a", To: "store", Text: "nobody declared it", Do: "add the intention a => store (allow)"}}})
	answer("GET /v1/graph/diff", api.GraphDiff{From: 1, To: 9, Delta: api.GraphDelta{Added: []string{"audit"}, Edges: []api.EdgeDelta{
		{From: "audit", To: "store", After: api.EdgeDeclaredOnly}, {From: "batch", To: "store", Before: api.EdgeConfirmed},
		{From: "cart", To: "store", Before: api.EdgeDeclaredOnly, After: api.EdgeConfirmed}}}})
	answer("GET /v1/graph/impact/store", api.GraphImpact{
		Service: "store", Certain: []string{"cart", "front"}, Possible: []string{"batch"}, Criticality: fixtureGraph().Criticality[2],
	})
	mux.HandleFunc("GET /v1/profile/default/web/web", func(w http.ResponseWriter, r *http.Request) {
		p := fixtureProfile()
		if hour, err := strconv.Atoi(r.FormValue("hour")); err == nil {
			p.KPIs[1].Usual.Hour = hour
		}
		must.NoError(t, json.NewEncoder(w).Encode(p))
	})
	brakeFixtures(t, mux)
	inventoryFixtures(answer)
	answer("GET /v1/patches", []api.Patch{{Name: "openssl", Severity: api.SeverityHigh, Fixes: []string{"CVE-2026-1"}, SubmittedBy: "pipeline"}})
	answer("GET /v1/patch/openssl", api.Patch{Name: "openssl", File: api.SourceFile{Name: "openssl.hcl", Text: `patch "openssl" {
  severity = "high"
  target { jobs = ["cart", "web"] }
  apply "job" {
    task   = "main"
    config = { image = "app:2" }
  }
}
`}})
	for name, status := range patchStatuses() {
		answer("GET /v1/patch/"+name+"/status", status)
	}
	answer("GET /v1/quarantines", []api.Quarantine{})
	answer("GET /v1/policies", []api.Policy{{Name: "default", Blocks: []string{"default"}, Builtin: true}})
	answer("GET /v1/policy/web", api.Policy{Name: "web", Version: 2, File: api.SourceFile{Name: "web.hcl", Text: policyTexts[1]}})
	answer("GET /v1/policy/web/version/1", api.Policy{Name: "web", Version: 1, File: api.SourceFile{Name: "web.hcl", Text: policyTexts[0]}})
	answer("GET /v1/policy/web/versions", []api.PolicyVersion{
		{Version: 1, Blocks: []string{"web"}, AppliedBy: "ada", AppliedAt: testNow().Add(-time.Hour), Digest: "0123456789abcdef"},
		{Version: 2, Blocks: []string{"web"}, AppliedBy: "bob", AppliedAt: testNow(), Digest: "fedcba9876543210"},
	})
	mux.HandleFunc("POST /v1/policies", func(w http.ResponseWriter, r *http.Request) {
		var file api.SourceFile
		must.NoError(t, json.NewDecoder(r.Body).Decode(&file))
		must.EqOp(t, policyTexts[0], file.Text)
		must.NoError(t, json.NewEncoder(w).Encode(api.Policy{Name: "web", Version: 3}))
	})
	answer("GET /v1/rehearsal/facts", fixtureFacts())
	answer("POST /v1/patches", receipt(t))
	planned := api.PatchReceipt{
		Patch: api.Patch{Name: "openssl", Severity: api.SeverityHigh},
		Plan: api.Plan{Patch: "openssl", Refusals: []api.Refusal{{
			Target: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}, Reason: "rollout R1 is patching it",
		}}},
	}
	mux.HandleFunc("POST /v1/patches/plan", func(w http.ResponseWriter, r *http.Request) {
		var in api.PatchSubmission
		must.NoError(t, json.NewDecoder(r.Body).Decode(&in))
		out := planned
		if in.File.Name == "differ.hcl" {
			out = differing(receipt(t))
		}
		must.NoError(t, json.NewEncoder(w).Encode(out))
	})
	rejected := rejectedSimulation()
	answer("GET /v1/simulation/S1", rejected)
	queued := api.Simulation{
		ID: "S2", Patch: "openssl", Target: rejected.Target, Status: api.SimulationRunning, Started: rejected.Started, By: "ada",
		Progress: &api.SimulationProgress{Phase: api.PhaseQueued, Position: 2, Waits: "S1", At: rejected.Started},
	}
	answer("GET /v1/simulation/S2", queued)
	cancelled := queued
	cancelled.Status, cancelled.Progress, cancelled.CancelledBy, cancelled.Reason = api.SimulationCancelled, nil, "bob", "cancelled by bob"
	cancelled.Owned = []api.SandboxObject{{Kind: api.ObjectJob, Name: "oakum-twin-S2-control"}}
	cancelled.Unremoved = "job oakum-twin-S2-control: nomad does not answer"
	answer("POST /v1/simulation/S2/cancel", cancelled)
	answer("GET /v1/simulation/S1/console", api.Console{Role: "treatment", Text: "login:\n"})
	answer("GET /v1/simulations", []api.Simulation{rejected})
	mux.HandleFunc("POST /v1/simulations", func(w http.ResponseWriter, r *http.Request) {
		var in api.SimulationRequest
		must.NoError(t, json.NewDecoder(r.Body).Decode(&in))
		must.NoError(t, json.NewEncoder(w).Encode(api.Simulation{
			ID: "S1", Patch: "openssl", Target: in.Target, Status: api.SimulationRunning, Started: rejected.Started,
		}))
	})
	clusterFixtures(answer)
	answer("GET /v1/event/stream", api.Event{Index: 3, Topic: api.TopicRollout, Type: "rollout_running", Text: "stage 1 begins", At: testNow()})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, api.Errorf(api.CodeNotFound, "%s: there is none of that name", strings.TrimPrefix(r.URL.Path, "/v1/")))
	})
	return mux
}

func fail(w http.ResponseWriter, err *api.Error) {
	w.WriteHeader(err.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(err)
}

// patchStatuses say of one patch that it is in force everywhere, and of another that it is not.
func patchStatuses() map[string]api.PatchStatus {
	at := func(job string, force api.PatchForce, reason, id string, status api.RolloutStatus) api.PatchedTarget {
		return api.PatchedTarget{Target: api.TargetRef{Namespace: "default", Job: job, Group: job}, Force: force, Reason: reason, Rollout: id, Status: status}
	}
	web := at("web", api.ForceWhole, "every instance runs it", "01JD3M0001", api.RolloutComplete)
	web.Restorable = testNow().Add(23 * time.Hour)
	web.Proof = &api.FixProof{Status: api.AssessmentFixed, At: testNow(), Reason: "bash is 5.3"}
	sick := at("web", api.ForceWhole, "every instance runs it", "01JD3M0003", api.RolloutComplete)
	sick.Proof = &api.FixProof{Status: api.AssessmentAffected, At: testNow(), Reason: "zlib is 1.2"}
	back := at("db", api.ForceNone, "job version 7 (modify index 70) does not ask for it", "01JD3M0002", api.RolloutRolledBack)
	return map[string]api.PatchStatus{
		"openssl": {Patch: "openssl", Targets: []api.PatchedTarget{back, web}},
		"glibc":   {Patch: "glibc", Targets: []api.PatchedTarget{web}},
		"zlib":    {Patch: "zlib", Targets: []api.PatchedTarget{sick}},
	}
}

func receipt(t *testing.T) api.PatchReceipt {
	t.Helper()
	running := runningRollout()
	return api.PatchReceipt{
		Patch: api.Patch{Name: "openssl", Severity: api.SeverityHigh, Digest: "0123456789abcdef"},
		Plan: api.Plan{Order: "least critical first", Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{
			Target: api.Target{TargetRef: running.Target, Count: 10}, Decision: running.Decision,
		}}}}},
		Rollouts: []string{running.ID},
	}
}

// differing is the plan of a target whose instances run two versions of its job.
func differing(out api.PatchReceipt) api.PatchReceipt {
	out.Rollouts, out.Plan.Exposure = nil, &api.Exposure{Before: 0.8, Left: []float64{0}}
	web := &out.Plan.Waves[0].Targets[0]
	web.Target.Count = 5
	web.Exposure = &api.TargetExposure{Value: 0.8, Reason: "called from outside, CVSS 8.0, 0 dependants"}
	web.Assessment = &api.TargetAssessment{
		Status: api.AssessmentAffected, Reason: "3 of 5 instances: openssl is 3.0.14", Hit: 3, Instances: 5,
		Versions: []api.VersionAssessment{
			{JobVersion: 7, Instances: 3, Status: api.AssessmentAffected, Reason: "openssl is 3.0.14"},
			{JobVersion: 8, Instances: 2, Status: api.AssessmentFixed, Reason: "openssl is 3.0.16; the fault ends with 3.0.16"},
		},
	}
	return out
}

func TestHelp_OfEveryCommandIsComplete(t *testing.T) {
	for _, build := range commands() {
		c := build(&command.Env{Options: command.Options{Now: testNow}})
		t.Run(c.Name, func(t *testing.T) {
			help := c.Help()
			must.StrHasPrefix(t, "Usage: oakum "+c.Name, help)
			must.StrNotContains(t, help, "\t")
			must.StrNotHasSuffix(t, ".", c.Synopsis)
			c.Flags.VisitAll(func(f *flag.Flag) {
				must.StrHasSuffix(t, ".", f.Usage, must.Sprint(f.Name))
			})
			for line := range strings.SplitSeq(help, "\n") {
				must.LessEq(t, 90, len(line), must.Sprint(line))
			}
		})
	}
}
