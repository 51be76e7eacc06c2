package fleet

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/consul"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/fleet"
)

// described is a fleet of three nodes and one service, with faults.
func described(t *testing.T, faults string) *Description {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fleet.hcl")
	text := "nodes \"n\" { count = 3 }\nservice \"web\" { count = 4 }\n" + faults
	must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	d, err := Describe(file)
	must.NoError(t, err)
	return d
}

func begin() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }

// TestFaultsBefallNodesAndJobs looks at a fleet in virtual time, before, during
// and after what befalls it.
func TestFaultsBefallNodesAndJobs(t *testing.T) {
	t.Parallel()
	web := fleet.JobID{Namespace: "default", ID: "web"}
	job := func(f *fleet.Fleet) *fleet.Job {
		j, err := f.Job(web)
		must.NoError(t, err)
		return j
	}
	first := func(f *fleet.Fleet) *fleet.Node { return f.Nodes()[0] }
	takes := func(f *fleet.Fleet) any {
		n := 0
		for _, node := range f.Nodes() {
			if node.Takes() {
				n++
			}
		}
		return n
	}
	for name, c := range map[string]struct {
		fault                 string
		look                  func(*fleet.Fleet) any
		before, during, after any
	}{
		"a lost node": {
			`fault "node-away" {
				at    = "5m"
				for   = "5m"
				nodes = ["n-1"]
			}`, func(f *fleet.Fleet) any { return first(f).Status }, fleet.NodeReady, fleet.NodeDown, fleet.NodeReady,
		},
		"a drain": {
			`fault "drain" {
				at    = "5m"
				for   = "5m"
				nodes = ["n-1"]
			}`, func(f *fleet.Fleet) any { return first(f).Takes() || len(first(f).Allocs()) > 0 }, true, false, true,
		},
		"no capacity": {`fault "no-capacity" {
				at  = "5m"
				for = "5m"
			}`, takes, 3, 0, 3},
		"no capacity for ever": {`fault "no-capacity" { at = "5m" }`, takes, 3, 0, 0},
		"an autoscaler": {
			`fault "autoscaler" {
				at      = "5m"
				for     = "3m"
				service = "web"
				every   = "1m"
				counts  = [7, 6]
			}`, func(f *fleet.Fleet) any { return job(f).Groups[0].Count }, 4, 7, 6,
		},
		"a pipeline": {
			`fault "pipeline" {
				at      = "5m"
				for     = "3m"
				service = "web"
				every   = "1m"
				images  = ["web:1.1", "web:1.2"]
			}`, func(f *fleet.Fleet) any { return job(f).Groups[0].Tasks[0].Image() }, "web:1.0", "web:1.1", "web:1.2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := described(t, c.fault).Found(begin())
			must.NoError(t, err)
			for _, look := range []struct {
				at   time.Duration
				want any
			}{{299 * time.Second, c.before}, {6*time.Minute + 30*time.Second, c.during}, {20 * time.Minute, c.after}} {
				f.Advance(begin().Add(look.at))
				must.Eq(t, look.want, c.look(f), must.Sprint(look.at))
			}
			must.Len(t, job(f).Groups[0].Count, f.Instances(api.TargetRef{Namespace: "default", Job: "web", Group: "web"}))
		})
	}
}

// TestFaultsAilAPIs asks each API as a fault comes and goes.
func TestFaultsAilAPIs(t *testing.T) {
	t.Parallel()
	d := described(t, `
fault "api-away" {
  at  = "10s"
  for = "10s"
  api = "nomad"
}
fault "api-slow" {
  at    = "30s"
  for   = "10s"
  api   = "consul"
  delay = "3s"
}
fault "api-stale" {
  at  = "50s"
  for = "10s"
  api = "nomad"
  age = "7s"
}`)
	synctest.Test(t, func(t *testing.T) {
		f, err := d.Found(time.Now())
		must.NoError(t, err)
		m := door.NewModel(f)
		sandbox := nomad.NewSandbox(m)
		defer sandbox.Close()
		jobs, services := nomad.New(m, sandbox), consul.New(m)
		m.Update(func(f *fleet.Fleet) {
			d.scheduleAPIFaults(f, Health{"nomad": &jobs.Health, "consul": &services.Health})
		})
		began := time.Now()
		// ask asks at a moment: the status, 0 when the connection breaks, what
		// Nomad says of its leader, and how long it took.
		ask := func(at time.Duration, api http.Handler, path string) (status int, contact string, took time.Duration) {
			time.Sleep(time.Until(began.Add(at)))
			m.View(func(*fleet.Fleet) {}) // what is due by now happens
			w, asked := httptest.NewRecorder(), time.Now()
			defer func() {
				took = time.Since(asked)
				if recover() != nil {
					status = 0
				}
			}()
			api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			return w.Code, w.Header().Get("X-Nomad-Lastcontact"), 0
		}
		const job, stale, catalog = "/v1/job/web", "/v1/job/web?stale", "/v1/catalog/services"
		for _, c := range []struct {
			at      time.Duration
			api     http.Handler
			path    string
			status  int
			contact string
			took    time.Duration
		}{
			{9 * time.Second, jobs, job, 200, "0", 0},
			{11 * time.Second, jobs, job, 0, "", 0},
			{12 * time.Second, services, catalog, 200, "", 0},
			{21 * time.Second, jobs, job, 200, "0", 0},
			{31 * time.Second, services, catalog, 200, "", 3 * time.Second},
			{41 * time.Second, services, catalog, 200, "", 0},
			{51 * time.Second, jobs, job, 500, "", 0},
			{52 * time.Second, jobs, stale, 200, "7000", 0},
			{61 * time.Second, jobs, job, 200, "0", 0},
		} {
			status, contact, took := ask(c.at, c.api, c.path)
			must.Eq(t, c.status, status, must.Sprint(c.at))
			must.Eq(t, c.contact, contact, must.Sprint(c.at))
			must.Eq(t, c.took, took, must.Sprint(c.at))
		}
	})
}
