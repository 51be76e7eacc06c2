package nomad_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/rollout"
)

// twoGroups is a job whose other group reverts the job when its own instances fail.
const twoGroups = `{"ID":"store","Namespace":"default","Type":"service","Stop":false,"Version":3,"CreateIndex":1,"JobModifyIndex":42,"TaskGroups":[
	{"Name":"store","Count":2,"Update":{"MaxParallel":1,"AutoRevert":true},"Tasks":[{"Name":"main"}]},
	{"Name":"beside","Count":2,"Update":{"MaxParallel":1,"AutoRevert":true,"HealthCheck":"checks"},"Tasks":[{"Name":"main"}]}]}`

// door answers as Nomad does about that job while a deployment of it goes on, and keeps
// what is written.
type door struct {
	registered *nomadapi.Job
	marked     []string
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Nomad-Index", "7")
	var answer any = map[string]any{}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/submission"):
		http.Error(w, "job source not found", http.StatusNotFound)
		return
	case strings.Contains(path, "/deployment/allocation-health/"):
		var asked struct{ HealthyAllocationIDs []string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		d.marked = asked.HealthyAllocationIDs
	case r.Method != http.MethodGet:
		var asked struct{ Job *nomadapi.Job }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		d.registered = asked.Job
	case strings.HasSuffix(path, "/versions"):
		answer = map[string]any{"Versions": []any{json.RawMessage(twoGroups)}}
	case strings.HasSuffix(path, "/deployment"):
		answer = map[string]any{"ID": "d", "Status": "running", "JobVersion": 3, "JobCreateIndex": 1, "TaskGroups": map[string]any{
			"store":  map[string]any{"DesiredTotal": 2, "HealthyAllocs": 0},
			"beside": map[string]any{"DesiredTotal": 2, "HealthyAllocs": 1},
		}}
	case strings.HasSuffix(path, "/deployment/allocations/d"), strings.HasSuffix(path, "/job/store/allocations"):
		alloc := func(id, group string) map[string]any {
			return map[string]any{"ID": id, "TaskGroup": group, "JobVersion": 3, "DesiredStatus": "run", "ClientStatus": "running"}
		}
		answer = []any{alloc("a", "store"), alloc("b", "beside"), alloc("c", "store"), alloc("d", "beside")}
	case strings.HasSuffix(path, "/job/store"):
		answer = json.RawMessage(twoGroups)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// TestOtherGroups_AreLeftAlone: each version of a job has one deployment for all of its
// groups, so their auto_revert could take the patch off, and a word on all of its instances
// would call those of other groups healthy.
func TestOtherGroups_AreLeftAlone(t *testing.T) {
	t.Parallel()
	d := &door{}
	at := httptest.NewServer(d)
	t.Cleanup(at.Close)
	client, err := nomad.New(nomad.Config{Address: at.URL})
	must.NoError(t, err)
	move := rollout.Move{
		Target: api.TargetRef{Namespace: "default", Job: "store", Group: "store"},
		Former: &api.FormerJob{Job: json.RawMessage(twoGroups)},
	}
	reverts := func(group string) bool { return *d.registered.LookupTaskGroup(group).Update.AutoRevert }

	must.NoError(t, client.Rollback(t.Context(), move, 1, 42))
	must.False(t, reverts("store"))
	must.False(t, reverts("beside"))
	must.EqOp(t, "checks", *d.registered.LookupTaskGroup("beside").Update.HealthCheck)

	must.NoError(t, client.Renew(t.Context(), move, 42))
	must.False(t, reverts("store"))
	must.False(t, reverts("beside"))

	must.NoError(t, client.Unpace(t.Context(), move, api.BuildFormer, 42))
	must.True(t, reverts("store"))
	must.True(t, reverts("beside"))

	must.NoError(t, client.Settle(t.Context(), move))
	must.Eq(t, []string{"a", "c"}, d.marked)

	view, err := client.View(t.Context(), move)
	must.NoError(t, err)
	must.False(t, view.Settled)
	must.EqOp(t, "1 of 2 instances of group beside are healthy", view.Others)
	must.True(t, view.Reverts)
	must.False(t, view.Stable)
}
