package nomad_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

type object = map[string]any

// cluster is a model of Nomad's HTTP API: an answer for each path.
type cluster struct {
	mu      sync.Mutex
	answers map[string]any
	calls   map[string]int
}

// ServeHTTP implements http.Handler. Allocations come in pages of one.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[r.URL.Path]++
	answer, ok := c.answers[r.URL.Path]
	if !ok {
		http.Error(w, "Permission denied", http.StatusForbidden)
		return
	}
	if pages, ok := answer.([]any); ok && r.URL.Path == "/v1/allocations" {
		at := len(r.FormValue("next_token"))
		if at+1 < len(pages) {
			w.Header().Set("X-Nomad-NextToken", strings.Repeat("n", at+1))
		}
		answer = pages[at]
	}
	for key, value := range map[string]string{"X-Nomad-Index": "1", "X-Nomad-LastContact": "0", "X-Nomad-KnownLeader": "true"} {
		w.Header().Set(key, value)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *cluster) client(t *testing.T) *nomad.Client {
	t.Helper()
	c.calls = map[string]int{}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	client, err := nomad.New(nomad.Config{Address: s.URL})
	must.NoError(t, err)
	return client
}

func (c *cluster) called(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[path]
}

func fleet() *cluster {
	job := func(id, kind string, group object) object {
		return object{"ID": id, "Namespace": "default", "Type": kind, "Version": 1, "JobModifyIndex": 7, "Stop": false, "TaskGroups": []object{group}}
	}
	stub := func(id, kind string, more object) object {
		out := object{"ID": id, "Namespace": "default", "Type": kind, "Status": "running", "JobModifyIndex": 7}
		maps.Copy(out, more)
		return out
	}
	alloc := func(id, job, group, node, status string, port int) object {
		return object{"ID": id, "Namespace": "default", "JobID": job, "TaskGroup": group, "NodeID": "id-" + node, "NodeName": node, "DesiredStatus": "run",
			"ClientStatus": status, "AllocatedResources": object{"Shared": object{"Ports": []object{{"HostIP": "10.0.0.1", "Value": port}}}}}
	}
	return &cluster{answers: map[string]any{
		"/v1/jobs": []object{
			stub("db", "service", nil), stub("report", "batch", object{"Status": "dead", "Periodic": true}), stub("once", "batch", object{"Status": "dead"}),
			stub("report/periodic-1", "batch", object{"ParentID": "report"}), stub("gone", "service", object{"Stop": true}), stub(twin.Prefix+"1", "service", nil),
		},
		"/v1/job/db": job("db", "service", object{"Name": "db", "Count": 2,
			"Services": []object{{"Name": "db", "Provider": "nomad"}},
			"Volumes": object{"data": object{"Name": "data", "Type": "csi", "Source": "orders"}, "own": object{"Name": "own", "Type": "csi", "Source": "scratch", "PerAlloc": true},
				"cache": object{"Name": "cache", "Type": "host", "Source": "ssd"}},
			"Tasks": []object{{"Name": "server", "Driver": "raw_exec"}}}),
		"/v1/job/report": job("report", "batch", object{"Name": "report", "Count": 1, "Tasks": []object{{"Name": "main", "Driver": "raw_exec", "Templates": []object{
			{"EmbeddedTmpl": `{{ range nomadService "db" }}{{ .Address }}{{ end }} {{ with service "primary.ledger@dc1|passing" }}{{ end }} {{ range connect "mail" }}{{ end }}`}}}}}),
		"/v1/nodes":      []object{{"ID": "id-n1", "Name": "n1", "ModifyIndex": 3}, {"ID": "id-n2", "Name": "n2", "ModifyIndex": 3}},
		"/v1/node/id-n1": object{"ID": "id-n1", "Meta": object{"rack": "r1"}},
		"/v1/node/id-n2": object{"ID": "id-n2", "Meta": object{"rack": "r2"}},
		"/v1/allocations": []any{
			[]object{alloc("a1", "db", "db", "n1", "running", 5432), alloc("x", "report", "report", "n1", "running", 1)},
			[]object{alloc("a2", "db", "db", "n2", "pending", 5433)},
		},
		"/v1/services":   []object{{"Namespace": "default", "Services": []object{{"ServiceName": "db"}}}},
		"/v1/service/db": []object{{"ServiceName": "db", "AllocID": "a1", "Address": "10.0.0.1", "Port": 5432, "JobID": "db"}, {"ServiceName": "db", "AllocID": "t", "JobID": twin.Prefix + "1"}},
	}}
}

func TestLayout_ReadsPagesRacksAndVolumes(t *testing.T) {
	t.Parallel()
	c := fleet()
	client := c.client(t)
	got, err := client.Layout(t.Context())
	must.NoError(t, err)
	ref := api.TargetRef{Namespace: "default", Job: "db", Group: "db"}
	must.Len(t, 1, got.Targets)
	must.Eq(t, []string{"db"}, got.Targets[0].Services)
	must.Eq(t, "", cmp.Diff([]graph.Instance{
		{ID: "a1", Target: ref, Node: "n1", Rack: "r1", Healthy: true, Addresses: []string{"10.0.0.1:5432"}},
		{ID: "a2", Target: ref, Node: "n2", Rack: "r2", Addresses: []string{"10.0.0.1:5433"}},
	}, got.Instances))
	must.Eq(t, map[api.TargetRef][]string{ref: {"csi/orders", "host/ssd"}}, got.Volumes, must.Sprint("a volume of each instance's own is shared with nobody"))
}

func TestLayout_AsksOnlyForWhatChanged(t *testing.T) {
	t.Parallel()
	c := fleet()
	client := c.client(t)
	for range 3 {
		_, err := client.Directory(t.Context())
		must.NoError(t, err)
	}
	must.Eq(t, 1, c.called("/v1/job/db"))
	must.Eq(t, 4, c.called("/v1/jobs"), must.Sprint("the index thrice, and the list once"))
	must.Eq(t, 1, c.called("/v1/service/db"), must.Sprint("the index of the catalog stands still"))
	_, err := client.Layout(t.Context())
	must.NoError(t, err)
	must.Eq(t, 1, c.called("/v1/job/db"))
	must.Eq(t, 0, c.called("/v1/job/once")+c.called("/v1/job/gone")+c.called("/v1/job/"+twin.Prefix+"1"))
	_, err = client.Layout(t.Context())
	must.NoError(t, err)
	must.Eq(t, 2, c.called("/v1/allocations"), must.Sprint("right after a look the same answer will do"))
}

func TestDirectory_ReadsLookupsOfPeriodicJobs(t *testing.T) {
	t.Parallel()
	got, err := fleet().client(t).Directory(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", got.Partial)
	must.Eq(t, map[graph.Pair][]string{
		{From: "report", To: "db"}: {"template of task main"}, {From: "report", To: "ledger"}: {"template of task main"}, {From: "report", To: "mail"}: {"template of task main"},
	}, got.Needs)
	must.Eq(t, []graph.Registration{{Service: "db", Instance: "a1", Address: "10.0.0.1:5432"}}, got.Registrations)
}

func TestClient_StandsATokenThatMayNotReadNodesOrServices(t *testing.T) {
	t.Parallel()
	c := fleet()
	delete(c.answers, "/v1/nodes")
	delete(c.answers, "/v1/services")
	client := c.client(t)
	layout, err := client.Layout(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", layout.Instances[0].Rack)
	directory, err := client.Directory(t.Context())
	must.NoError(t, err)
	must.StrContains(t, directory.Partial, "does not show its services")
	delete(c.answers, "/v1/jobs")
	_, err = client.Directory(t.Context())
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
}
