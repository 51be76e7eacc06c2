package sandbox

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// nodesNomad is a Nomad that has placed a job on three of four nodes. One of them has failed,
// and one tells half a report.
type nodesNomad struct {
	t       *testing.T
	mu      sync.Mutex
	job     nomadapi.Job
	looks   int
	stopped []string
}

func (n *nodesNomad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("X-Nomad-Index", "7")
	answer := func(v any) { must.NoError(n.t, json.NewEncoder(w).Encode(v)) }
	stub := func(node, status string) map[string]any {
		return map[string]any{"ID": "alloc-" + node, "NodeID": node, "JobID": *n.job.ID, "ClientStatus": status}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte("Package: bash\nVersion: 1\n\n"))
	must.NoError(n.t, err)
	must.NoError(n.t, z.Close())
	report := fmt.Sprintf("oakum 1\ndatabase dpkg %s\nproved\n", base64.StdEncoding.EncodeToString(packed.Bytes()))
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch {
	case r.Method == http.MethodDelete:
		n.stopped = append(n.stopped, path)
		answer(map[string]any{})
	case path == "jobs" || r.Method == http.MethodPut:
		var in nomadapi.JobRegisterRequest
		must.NoError(n.t, json.NewDecoder(r.Body).Decode(&in))
		n.job = *in.Job
		answer(map[string]any{"EvalID": "e"})
	case strings.HasSuffix(path, "/evaluations"):
		n.looks++
		status := nomadapi.EvalStatusComplete
		if n.looks == 1 { // Nomad has not looked at the job yet
			status = nomadapi.EvalStatusPending
		}
		answer([]map[string]any{{"ID": "e", "Status": status, "FailedTGAllocs": map[string]any{"bake": map[string]any{"NodesEvaluated": 1, "DimensionExhausted": map[string]int{"memory": 1}}}}})
	case strings.HasSuffix(path, "/allocations"):
		switch n.looks {
		case 0, 1:
			answer([]any{})
		case 2:
			answer([]any{stub("n1", "complete"), stub("n2", "running"), stub("n3", "complete")})
		default:
			answer([]any{stub("n1", "complete"), stub("n2", "failed"), stub("n3", "complete")})
		}
	case path == "client/fs/cat/alloc-n1":
		fmt.Fprint(w, report+"end\n")
	case path == "client/fs/cat/alloc-n3":
		fmt.Fprint(w, report)
	case strings.HasPrefix(path, "client/allocation/"):
		answer(map[string]any{})
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}

func TestReadNodes_TellsOfEachNode(t *testing.T) {
	t.Parallel()
	fake := &nodesNomad{t: t}
	door := httptest.NewServer(fake)
	t.Cleanup(door.Close)
	client, err := nomad.New(nomad.Config{Address: door.URL})
	must.NoError(t, err)
	told, err := New(client, Options{}).ReadNodes(t.Context(), twin.NodesSpec{Job: "oakum-twin-inventory-1-read", Nodes: []string{"n1", "n2", "n3", "n4"}, RPMFormat: "%{NAME}"})
	must.NoError(t, err)
	must.MapLen(t, 4, told)
	must.NoError(t, told["n1"].Err)
	must.Eq(t, map[string]string{"dpkg": "Package: bash\nVersion: 1\n\n"}, told["n1"].Databases)
	must.ErrorContains(t, told["n2"].Err, "allocation is failed")
	must.ErrorContains(t, told["n3"].Err, "not whole")
	must.ErrorContains(t, told["n4"].Err, "Nomad has not placed the job there: 1 nodes lack memory")

	must.Eq(t, []string{"job/oakum-twin-inventory-1-read", "job/oakum-twin-inventory-1-read"}, fake.stopped, must.Sprint("stopped, then purged"))
	must.EqOp(t, nomadapi.JobTypeSysbatch, *fake.job.Type)
	must.Nil(t, fake.job.TaskGroups[0].ReschedulePolicy, must.Sprint("Nomad takes no sysbatch job with one"))
	must.EqOp(t, "n1,n2,n3,n4", fake.job.Constraints[0].RTarget)
	for _, tmpl := range fake.job.TaskGroups[0].Tasks[0].Templates {
		must.StrNotContains(t, *tmpl.EmbeddedTmpl, *tmpl.LeftDelim)
	}
}
