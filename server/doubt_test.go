package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/plugins/host"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/state"
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

// TestAnApprovalThatIsAskedForInDoubtLapses submits a patch while part of the graph is
// missing, and mends that.
func TestAnApprovalThatIsAskedForInDoubtLapses(t *testing.T) {
	var broken atomic.Bool
	outside := httptest.NewServer(smallNomad(&broken))
	t.Cleanup(outside.Close)
	s := dev(t, func(c *config.Config) {
		c.Nomad.Address, c.Consul, c.Prometheus = outside.URL, nil, nil
		c.Mapper.AwayAfter, c.Intervals.Mapper, c.Intervals.Orchestrator = time.Nanosecond, 100*time.Millisecond, 100*time.Millisecond
	})
	source := func(state api.SourceState) func() bool {
		return func() bool {
			for _, status := range s.control.sources() {
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
	must.StrContains(t, stdout, "asked for in doubt: nomad-services was away since")

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
	must.StrContains(t, stdout, "asked for in doubt: nomad-services was away since")
	must.StrContains(t, stdout, "the doubt has lapsed (nomad-services was away since")
}

func TestSourcesThatThisLeaderHasNotReadAreMarked(t *testing.T) {
	got := mark([]api.SourceStatus{
		{Name: "a", OK: true}, {Name: "b", OK: true}, {Name: "c", Error: "refused", Failures: 9},
	}, []string{"b", "c", "d"})
	states := map[string]api.SourceState{}
	for _, s := range got {
		states[s.Name] = s.State()
	}
	must.Eq(t, map[string]api.SourceState{"a": api.SourceWhole, "b": api.SourceUnread, "c": api.SourceAway, "d": api.SourceUnread}, states)
}

// TestADecisionIsMadeAnewFromTheRecord asks a server that has no outside at all.
func TestADecisionIsMadeAnewFromTheRecord(t *testing.T) {
	store := state.NewStore()
	fsm := state.NewFSM(store)
	index := uint64(0)
	record := func(cmd state.Command) {
		t.Helper()
		index++
		entry, err := fsm.Encode(cmd, time.Unix(1e9, 0), "test")
		must.NoError(t, err)
		err, _ = fsm.Apply(&raft.Log{Index: index, Data: entry}).(error)
		must.NoError(t, err)
	}
	for level := 2; level <= state.SupportedLevel; level++ {
		record(&state.LevelSet{Level: level})
	}
	s := &Server{store: store, cfg: &config.Config{}, log: slog.New(slog.DiscardHandler)}
	strategies, err := host.New(t.Context(), host.Options{Logger: s.log})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, strategies.Close()) })
	s.host = strategies
	s.control = newControl(s)
	record(&state.PolicyPut{Policy: api.Policy{Name: "default", File: api.SourceFile{Name: "default.hcl", Text: `policy "default" {
  critical = graph.blast_radius >= 1
  strategy "phased" {
    when   = impact.simulated
    stages = [100]
  }
  strategy "blue_green" {}
}`}}})
	ref := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}
	record(&state.GraphChange{GraphChange: api.GraphChange{
		Sources:  []api.SourceStatus{{Name: "nomad-placement", OK: true}},
		Targets:  []api.Target{{TargetRef: ref, Count: 1, Services: []string{"web"}}},
		Services: []api.Service{{Name: "web", Targets: []api.TargetRef{ref}}, {Name: "front"}},
		Edges:    []api.Edge{{From: "front", To: "web", State: api.EdgeConfirmed}},
	}})
	r := api.Rollout{ID: "1", Target: ref, Decision: api.Decision{Approval: api.ApprovalSpec{Count: 1}, Doubt: &api.Doubt{}}}
	t.Log("a leader whose term is just beginning vouches for nothing in the record")
	_, err = s.control.reconsider(r)
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
	must.Eq(t, []string{"nomad-placement has not answered this leader yet"}, api.AsError(err).Details)

	s.control.maps, err = mapper.New(mapper.Options{Recorder: recorder{s}, State: store}) // it has no source left to read
	must.NoError(t, err)
	d, err := s.control.reconsider(r)
	must.NoError(t, err)
	must.True(t, d.Critical)
	must.EqOp(t, "blue_green", d.Strategy.Name)
	must.EqOp(t, 1, d.Doubt.Lapse.Criticality.BlastRadius)

	t.Log("what its simulation showed is taken into account, and must be known")
	r.Simulation = "s"
	_, err = s.control.reconsider(r)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	record(&state.SimulationPut{Simulation: api.Simulation{ID: "s", Status: api.SimulationPassed, Impact: &api.Impact{}}})
	d, err = s.control.reconsider(r)
	must.NoError(t, err)
	must.EqOp(t, "phased", d.Strategy.Name)

	t.Log("a leader that has read nothing yet does not vouch for the graph")
	s.control.maps, err = mapper.New(mapper.Options{
		Recorder: recorder{s}, State: store, Sources: []mapper.Source{mapper.Declared(s.declared)},
	})
	must.NoError(t, err)
	_, err = s.control.reconsider(r)
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
	must.StrContains(t, strings.Join(api.AsError(err).Details, "\n"), "policy has not answered this leader yet")
	must.Error(t, planner.NotWhole(s.control.sources()))
}
