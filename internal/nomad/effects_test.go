package nomad_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/rollout"
)

// TestSettle_AnEndInBetween: Nomad refuses a word on a deployment that has ended
// since it was read. That is no failure; the same refusal of one that goes on is.
func TestSettle_AnEndInBetween(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		after string // status of the deployment once the word was refused
		code  api.ErrorCode
	}{
		"it has ended": {"successful", ""},
		"it goes on":   {"running", api.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := 0
			door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Nomad-Index", "7")
				var answer any
				switch {
				case strings.HasSuffix(r.URL.Path, "/job/store/deployment") && refused > 0:
					answer = map[string]any{"ID": "d", "Status": tc.after}
				case strings.HasSuffix(r.URL.Path, "/job/store/deployment"):
					answer = map[string]any{"ID": "d", "Status": "running"}
				case strings.HasSuffix(r.URL.Path, "/deployment/allocations/d"):
					answer = []any{map[string]any{"ID": "a", "TaskGroup": "store", "DesiredStatus": "run", "ClientStatus": "running"}}
				default:
					refused++
					http.Error(w, "can't set health of allocations for a terminal deployment", http.StatusInternalServerError)
					return
				}
				must.NoError(t, json.NewEncoder(w).Encode(answer))
			}))
			t.Cleanup(door.Close)
			client, err := nomad.New(nomad.Config{Address: door.URL})
			must.NoError(t, err)
			err = client.Settle(t.Context(), rollout.Move{Target: api.TargetRef{Namespace: "default", Job: "store", Group: "store"}})
			must.Positive(t, refused)
			if tc.code == "" {
				must.NoError(t, err)
				return
			}
			must.True(t, api.IsCode(err, tc.code), must.Sprint(err))
		})
	}
}

// TestRegister_KeepsTheCountsOfTheJob: an autoscaler may have changed them since the job
// was read that a rollout registers.
func TestRegister_KeepsTheCountsOfTheJob(t *testing.T) {
	t.Parallel()
	var sent map[string]any
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Nomad-Index", "7")
		switch {
		case strings.HasSuffix(r.URL.Path, "/submission"):
			http.Error(w, "job source not found", http.StatusNotFound)
			return
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"ID":"store","Namespace":"default","Version":3,"JobModifyIndex":42}`))
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(door.Close)
	client, err := nomad.New(nomad.Config{Address: door.URL})
	must.NoError(t, err)
	move := rollout.Move{
		Target: api.TargetRef{Namespace: "default", Job: "store", Group: "store"},
		Former: &api.FormerJob{Job: json.RawMessage(`{"ID":"store","Namespace":"default","TaskGroups":[{"Name":"store","Count":3,"Tasks":[{"Name":"main"}]}]}`)},
	}
	must.NoError(t, client.Rollback(t.Context(), move, 1, 42))
	must.Eq(t, any(true), sent["PreserveCounts"])
	must.Eq(t, any(true), sent["EnforceIndex"])
	must.Eq(t, any(float64(42)), sent["JobModifyIndex"])
}

// TestRollback_DoesNotNeedTheSubmission: Nomad may fail to say what a job was made of. A
// stage is tried again then, and a rollback goes on.
func TestRollback_DoesNotNeedTheSubmission(t *testing.T) {
	t.Parallel()
	var registered atomic.Int32
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Nomad-Index", "7")
		switch {
		case strings.HasSuffix(r.URL.Path, "/submission"):
			http.Error(w, "rpc error: no path to region", http.StatusInternalServerError)
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"ID":"store","Namespace":"default","Version":3,"JobModifyIndex":42}`))
		default:
			registered.Add(1)
			_, _ = w.Write([]byte("{}"))
		}
	}))
	t.Cleanup(door.Close)
	client, err := nomad.New(nomad.Config{Address: door.URL})
	must.NoError(t, err)
	move := rollout.Move{
		Target: api.TargetRef{Namespace: "default", Job: "store", Group: "store"},
		Former: &api.FormerJob{Job: json.RawMessage(`{"ID":"store","Namespace":"default","TaskGroups":[{"Name":"store","Count":3,"Tasks":[{"Name":"main"}]}]}`)},
	}
	must.Error(t, client.Unpace(t.Context(), move, api.BuildPatched, 42))
	must.EqOp(t, 0, registered.Load())
	must.NoError(t, client.Rollback(t.Context(), move, 1, 42))
	must.EqOp(t, 1, registered.Load())
	must.NoError(t, client.Unpace(t.Context(), move, api.BuildFormer, 42))
	must.EqOp(t, 2, registered.Load())
}

// TestCapture_RecordsADigestWithCounts: a server of a former version that becomes the leader
// makes it of the registered job, counts and all, and would take another one for somebody
// else's job, which no rollback touches.
func TestCapture_RecordsADigestWithCounts(t *testing.T) {
	t.Parallel()
	digest := func(count, version int) string {
		door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Nomad-Index", "7")
			_, _ = fmt.Fprintf(w, `{"ID":"store","Namespace":"default","Stop":false,"Version":%d,"JobModifyIndex":42,
				"TaskGroups":[{"Name":"store","Count":%d,"Update":{"MaxParallel":%[1]d},"Tasks":[{"Name":"main"}]}]}`, version, count)
		}))
		t.Cleanup(door.Close)
		client, err := nomad.New(nomad.Config{Address: door.URL})
		must.NoError(t, err)
		former, err := client.Capture(t.Context(), api.TargetRef{Namespace: "default", Job: "store", Group: "store"})
		must.NoError(t, err)
		must.EqOp(t, count, former.Count)
		return former.Digest
	}
	must.EqOp(t, digest(3, 1), digest(3, 2), must.Sprint("neither the version nor the pace is part of it"))
	must.NotEq(t, digest(3, 1), digest(4, 1))
}
