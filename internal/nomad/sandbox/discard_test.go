package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// registered is a Nomad without a job, in which every job that is registered ends well at
// once. It returns what was registered.
func registered(t *testing.T, do func(*Sandbox) error) nomadapi.Job {
	t.Helper()
	var got nomadapi.Job
	answer := func(w http.ResponseWriter, v any) { must.NoError(t, json.NewEncoder(w).Encode(v)) }
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		in := struct{ Job *nomadapi.Job }{&got}
		must.NoError(t, json.NewDecoder(r.Body).Decode(&in))
		answer(w, nomadapi.JobRegisterResponse{})
	})
	mux.HandleFunc("GET /v1/job/{id}/allocations", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, []nomadapi.AllocationListStub{{ID: "a", ClientStatus: nomadapi.AllocClientStatusComplete}})
	})
	mux.HandleFunc("DELETE /v1/job/{id}", func(w http.ResponseWriter, _ *http.Request) { answer(w, nomadapi.JobDeregisterResponse{}) })
	mux.HandleFunc("GET /v1/job/{id}", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "job not found", http.StatusNotFound) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	must.NoError(t, do(New(client, Options{})))
	return got
}

// TestStopTwin_HasFoldersCollectedBeforeItForgetsTheJob stops a twin that two nodes have
// run, one of which does not answer.
func TestStopTwin_HasFoldersCollectedBeforeItForgetsTheJob(t *testing.T) {
	t.Parallel()
	var calls []string
	mux := http.NewServeMux()
	mux.HandleFunc("DELETE /v1/job/{id}", func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, "purge "+r.URL.Query().Get("purge"))
		must.NoError(t, json.NewEncoder(w).Encode(nomadapi.JobDeregisterResponse{}))
	})
	mux.HandleFunc("GET /v1/job/{id}/allocations", func(w http.ResponseWriter, _ *http.Request) {
		must.NoError(t, json.NewEncoder(w).Encode([]nomadapi.AllocationListStub{
			{ID: "a", ClientStatus: nomadapi.AllocClientStatusLost}, {ID: "b", ClientStatus: nomadapi.AllocClientStatusComplete},
		}))
	})
	mux.HandleFunc("GET /v1/client/allocation/{id}/gc", func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, "collect "+r.PathValue("id")+" of "+r.URL.Query().Get("namespace"))
		if r.PathValue("id") == "a" {
			http.Error(w, "No path to node", http.StatusInternalServerError)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	must.NoError(t, New(client, Options{}).StopTwin(t.Context(), "prod", "oakum-twin-s-1-control"))
	must.Eq(t, []string{"purge false", "collect a of prod", "collect b of prod", "purge true"}, calls)
}

// TestStopTwin_TakesAJobThatSomebodyElsePurgesForGone has a purge meet another one, and
// fail otherwise.
func TestStopTwin_TakesAJobThatSomebodyElsePurgesForGone(t *testing.T) {
	t.Parallel()
	for said, gone := range map[string]bool{"DeleteJob failed: job not found": true, "rpc error: No cluster leader": false} {
		mux := http.NewServeMux()
		mux.HandleFunc("DELETE /v1/job/{id}", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("purge") == "true" {
				http.Error(w, said, http.StatusInternalServerError)
				return
			}
			must.NoError(t, json.NewEncoder(w).Encode(nomadapi.JobDeregisterResponse{}))
		})
		mux.HandleFunc("GET /v1/job/{id}/allocations", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) })
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		client, err := nomad.New(nomad.Config{Address: server.URL})
		must.NoError(t, err)
		err = New(client, Options{}).StopTwin(t.Context(), "prod", "oakum-twin-s-1-control")
		must.EqOp(t, gone, err == nil, must.Sprint(said, err))
	}
}

// TestBakeNode_OfAPoolNeedsNoRightsToThePool: whoever may list nodes finds one.
func TestBakeNode_OfAPoolNeedsNoRightsToThePool(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		ready := func(id string) nomadapi.NodeListStub {
			return nomadapi.NodeListStub{ID: id, Status: nomadapi.NodeStatusReady, SchedulingEligibility: nomadapi.NodeSchedulingEligible}
		}
		nodes := []nomadapi.NodeListStub{{ID: "n0", Status: nomadapi.NodeStatusDown, SchedulingEligibility: nomadapi.NodeSchedulingEligible}, ready("n3"), ready("n2")}
		switch r.URL.Query().Get("filter") {
		case "":
			nodes = append(nodes, ready("n1"))
		case `NodePool == "sandbox"`:
		default:
			nodes = nil
		}
		must.NoError(t, json.NewEncoder(w).Encode(nodes))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	s := New(client, Options{Appliance: &appliance.Appliance{}})
	for pool, want := range map[string]string{"sandbox": "n2", nomadapi.NodePoolAll: "n1"} {
		node, err := s.BakeNode(t.Context(), api.TargetRef{}, pool)
		must.NoError(t, err)
		must.EqOp(t, want, node)
	}
	_, err = s.BakeNode(t.Context(), api.TargetRef{}, "empty")
	must.ErrorContains(t, err, `node pool "empty" has no node that takes work (simulate.pool)`)
}

// TestDiscardImage_NeedsNoTarget removes an image of a target that is gone, from a node
// of a pool in which the target never ran.
func TestDiscardImage_NeedsNoTarget(t *testing.T) {
	job := registered(t, func(s *Sandbox) error {
		return s.DiscardImage(t.Context(), api.TargetRef{Namespace: "prod", Job: "store", Group: "vm"}, "oakum-twin-s-1-discard",
			twin.Image{Path: "/images/store+1.qcow2", Node: "n1"})
	})
	must.EqOp(t, "prod", *job.Namespace)
	must.EqOp(t, nomadapi.NodePoolAll, *job.NodePool)
	must.Eq(t, []string{"*"}, job.Datacenters)
	must.EqOp(t, "n1", job.Constraints[0].RTarget)
}

func TestDiscardJob_RunsInAnyPool(t *testing.T) {
	job := discardJob(production(), "oakum-twin-s-1-discard", twin.Image{Path: "/images/store+1.qcow2", Node: "n1"})
	must.EqOp(t, nomadapi.NodePoolAll, *job.NodePool)
	must.Eq(t, []string{"*"}, job.Datacenters)
}
