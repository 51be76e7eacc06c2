package nomad_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	served "github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/nomad"
)

// TestTargets_AskLittleOfALargeFleet counts the requests of a look at 1,000 jobs. Nomad's list
// has no specification of a job, so each is read once, and again when it has changed.
func TestTargets_AskLittleOfALargeFleet(t *testing.T) {
	t.Parallel()
	const jobs = 1_000
	f := fleet.New(1, time.Now().Add(24*time.Hour)) // a clock that stands still until then: nothing happens by itself
	m := door.NewModel(f)
	sandbox := served.NewSandbox(m)
	var requests atomic.Int64
	next := served.New(m, sandbox)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.Close(); sandbox.Close() })
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	for i := range jobs {
		id := fmt.Sprintf("job-%04d", i)
		_, _, err := client.API().Jobs().Register(&nomadapi.Job{
			ID: &id, Name: &id, Namespace: new("default"), Type: new("service"),
			TaskGroups: []*nomadapi.TaskGroup{{Name: new("web"), Count: new(1), Tasks: []*nomadapi.Task{{Name: "server", Driver: "docker"}}}},
		}, nil)
		must.NoError(t, err)
	}
	look := func() int64 {
		before := requests.Load()
		targets, err := client.Targets(t.Context())
		must.NoError(t, err)
		must.Len(t, jobs, targets)
		return requests.Load() - before
	}
	must.EqOp(t, int64(jobs+2), look(), must.Sprint("the first: the list's index, the list, and each job"))
	must.EqOp(t, int64(1), look(), must.Sprint("nothing has changed: the list's index"))
	changed, err := client.Job(t.Context(), "default", "job-0007")
	must.NoError(t, err)
	changed.Meta = map[string]string{"tier": "1"}
	_, _, err = client.API().Jobs().Register(changed, &nomadapi.WriteOptions{})
	must.NoError(t, err)
	must.EqOp(t, int64(3), look(), must.Sprint("one job has changed: the index, the list, and that job"))
}
