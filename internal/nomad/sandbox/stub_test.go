package sandbox

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

// upstreams has the group call services through the mesh.
func upstreams(job *nomadapi.Job, list ...*nomadapi.ConsulUpstream) *nomadapi.Job {
	job.TaskGroups[0].Services[0].Connect = &nomadapi.ConsulConnect{
		SidecarService: &nomadapi.ConsulSidecarService{Proxy: &nomadapi.ConsulProxy{Upstreams: list}},
	}
	return job
}

func TestGroupJob_HasStubsWhereTheGroupCalls(t *testing.T) {
	job := upstreams(containers(),
		&nomadapi.ConsulUpstream{DestinationName: "price-list", LocalBindPort: 9091},
		&nomadapi.ConsulUpstream{DestinationName: "stock", LocalBindAddress: "127.0.0.2", LocalBindPort: 9092},
		&nomadapi.ConsulUpstream{DestinationName: "far", LocalBindAddress: "10.0.0.1", LocalBindPort: 9093},
	)
	spec := groupSpec(newImage())
	for _, s := range []twin.Stub{{Name: "price-list"}, {Name: "stock", Port: 8000}, {Name: "mail", Port: 2500}, {Name: "tax"}, {Name: "far"}} {
		s.Answers = []byte(`{"path":"/` + s.Name + `"}`)
		spec.Group.Stubs = append(spec.Group.Stubs, s)
	}
	twinJob, m, err := makeGroup(t, job, newImage(), spec)
	must.NoError(t, err)
	must.Eq(t, grouptask.Stubs, m.Stubs)
	must.SliceContains(t, m.Lacks, "stub tax (the group has no upstream of that name with a port, and the stub names no port)")
	must.SliceContains(t, m.Lacks, "stub far (its upstream is bound to 10.0.0.1, which is no loopback address)")

	must.Eq(t, []string{grouptask.Stubs, "app", "cache", grouptask.Load}, taskNames(twinJob))
	stubs, app := twinJob.TaskGroups[0].Tasks[0], twinJob.TaskGroups[0].Tasks[1]
	must.Eq(t, &nomadapi.TaskLifecycle{Hook: "prestart", Sidecar: true}, stubs.Lifecycle)
	args := stubs.Config["args"].([]string)
	must.Eq(t, []string{
		"workload", "answer", "-out=${NOMAD_TASK_DIR}/report.json",
		"127.0.0.1:9091=${NOMAD_TASK_DIR}/price-list.ndjson", "127.0.0.2:8000=${NOMAD_TASK_DIR}/stock.ndjson", "127.0.0.1:2500=${NOMAD_TASK_DIR}/mail.ndjson",
	}, args[5:])
	must.Len(t, 3, stubs.Templates)
	must.EqOp(t, "local/stock.ndjson", *stubs.Templates[1].DestPath)
	must.EqOp(t, `{"path":"/stock"}`, *stubs.Templates[1].EmbeddedTmpl)
	must.Eq(t, map[string]string{
		"LISTEN": "127.0.0.1:8080", "LEVEL": "debug",
		"NOMAD_UPSTREAM_IP_price-list": "127.0.0.1", "NOMAD_UPSTREAM_PORT_price-list": "9091", "NOMAD_UPSTREAM_ADDR_price-list": "127.0.0.1:9091",
		"NOMAD_UPSTREAM_IP_price_list": "127.0.0.1", "NOMAD_UPSTREAM_PORT_price_list": "9091", "NOMAD_UPSTREAM_ADDR_price_list": "127.0.0.1:9091",
		"NOMAD_UPSTREAM_IP_stock": "127.0.0.2", "NOMAD_UPSTREAM_PORT_stock": "8000", "NOMAD_UPSTREAM_ADDR_stock": "127.0.0.2:8000",
	}, app.Env)

	spec.Group.Stubs[0].Answers = []byte(strings.Repeat(" ", grouptask.AnswersMax))
	_, _, err = makeGroup(t, job, newImage(), spec)
	must.ErrorContains(t, err, "the answers of all stubs have")
	must.True(t, api.IsCode(err, api.CodeInvalid))
}

func TestGroupUsage_LeavesOutWhatAsksAndAnswers(t *testing.T) {
	used := func() *nomadapi.TaskResourceUsage {
		return &nomadapi.TaskResourceUsage{Timestamp: 1, ResourceUsage: &nomadapi.ResourceUsage{MemoryStats: &nomadapi.MemoryStats{RSS: 100}}}
	}
	u := groupUsage(&nomadapi.AllocResourceUsage{Tasks: map[string]*nomadapi.TaskResourceUsage{"app": used(), grouptask.Load: used(), grouptask.Stubs: used()}})
	must.Eq(t, 100.0, u.Memory)
}

func TestSandbox_Unanswered(t *testing.T) {
	report := `[{"stub":"pricing","call":"GET /price/9","count":12}]`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/client/fs/stream/a" || r.FormValue("path") != "oakum-stubs/local/report.json" {
			http.Error(w, "no such file or directory", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"Data":%q}`, base64.StdEncoding.EncodeToString([]byte(report)))
	}))
	t.Cleanup(server.Close)
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	s := New(client, Options{})
	m := twin.Machine{Namespace: "prod", Job: "j", Stubs: grouptask.Stubs}
	calls, err := s.Unanswered(t.Context(), m, "a")
	must.NoError(t, err)
	must.Eq(t, []twin.Unanswered{{Stub: "pricing", Call: "GET /price/9", Count: 12}}, calls)
	_, err = s.Unanswered(t.Context(), m, "b")
	must.ErrorContains(t, err, "read what the stubs of twin j report")
	report = `[{"stub":`
	_, err = s.Unanswered(t.Context(), m, "a")
	must.ErrorContains(t, err, "which is no list of calls")
}
