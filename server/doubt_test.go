package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/config"
)

// smallNomad answers what a plan of one critical job needs. Its catalog of services
// fails while broken is set.
func smallNomad(broken *atomic.Bool) http.Handler {
	job := `{"ID": "web", "Name": "web", "Namespace": "default", "Type": "service", "Status": "running", "Stop": false, "Version": 1,
		"JobModifyIndex": 7, "ModifyIndex": 7, "Meta": {"tier": "1"}, "TaskGroups": [{"Name": "web", "Count": 2,
		"Services": [{"Name": "web"}], "Tasks": [{"Name": "server", "Driver": "exec", "Config": {"command": "serve"}}]}]}`
	mux := http.NewServeMux()
	say := func(pattern, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
	}
	say("GET /v1/jobs", "["+job+"]")
	say("GET /v1/job/web", job)
	say("PUT /v1/job/web/plan", `{}`)
	say("GET /v1/nodes", "[]")
	say("GET /v1/allocations", "[]")
	mux.HandleFunc("GET /v1/services", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "no leader", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "[]")
	})
	return mux
}

// TestServer_ADoubtLapsesOnceTheGraphIsWhole submits a patch while part of the graph is
// missing, and mends that.
func TestServer_ADoubtLapsesOnceTheGraphIsWhole(t *testing.T) {
	var broken atomic.Bool
	outside := httptest.NewServer(smallNomad(&broken))
	t.Cleanup(outside.Close)
	s := dev(t, func(c *config.Config) {
		c.Nomad.Address, c.Consul, c.Prometheus = outside.URL, nil, nil
		c.Mapper.AwayAfter, c.Intervals.Mapper, c.Intervals.Orchestrator = time.Nanosecond, 100*time.Millisecond, 100*time.Millisecond
	})
	source := func(state api.SourceState) func() bool {
		return func() bool {
			for _, status := range s.service.Sources() {
				if status.Name == mapper.SourceServices {
					return status.State() == state
				}
			}
			return false
		}
	}
	patch := filepath.Join(t.TempDir(), "p.hcl")
	must.NoError(t, os.WriteFile(patch, []byte(`patch "p" {
  severity = "high"
  target { jobs = ["web"] }
  apply "job" {
    task = "server"
    env  = { VERSION = "2" }
  }
}`), 0o600))

	wait.For(t, "a whole graph", source(api.SourceWhole))
	_, stdout, stderr := oakum(t, s, "patch", "plan", patch)
	must.StrNotContains(t, stdout, "In doubt", must.Sprint(stderr))
	broken.Store(true)
	wait.For(t, "a source that is away", source(api.SourceAway))
	_, stdout, _ = oakum(t, s, "graph", "findings")
	must.StrContains(t, stdout, "nomad-services is away since")
	code, stdout, stderr := oakum(t, s, "patch", "submit", patch)
	must.EqOp(t, 0, code, must.Sprint(stderr))
	must.StrContains(t, stdout, "1 critical target to be approved because of what is missing, until the graph is whole")
	must.StrContains(t, stdout, "nomad-services is away since")
	id := s.store.OpenRollouts()[0].ID
	wait.For(t, "a rollout that waits for consent", func() bool {
		r, _ := s.store.Rollout(id)
		return r.Status == api.RolloutAwaitingApproval
	})
	looked := s.store.IndexOf(api.TopicGraph)
	_, stdout, _ = oakum(t, s, "rollout", "status", id)
	must.StrContains(t, flat(stdout), "asked for in doubt: nomad-services was away since")

	broken.Store(false)
	wait.For(t, "the lapse", func() bool {
		r, _ := s.store.Rollout(id)
		return r.Status != api.RolloutAwaitingApproval
	})
	must.Greater(t, looked, s.store.IndexOf(api.TopicGraph))
	r, _ := s.store.Rollout(id)
	must.SliceEmpty(t, r.Approvals)
	must.False(t, r.Decision.InDoubt())
	must.EqOp(t, "the graph is whole, the policies ask for no approval", r.Decision.Doubt.Lapse.Reason)
	must.EqOp(t, "web", r.Decision.Doubt.Lapse.Criticality.Service)
	_, stdout, _ = oakum(t, s, "rollout", "history", id)
	must.StrContains(t, flat(stdout), "asked for in doubt: nomad-services was away since")
	must.StrContains(t, stdout, "the doubt has lapsed (nomad-services was away since")
}

// flat is a text in one line: the command line breaks them where a terminal ends.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }
