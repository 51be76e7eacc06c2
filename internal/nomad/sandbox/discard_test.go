package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
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
