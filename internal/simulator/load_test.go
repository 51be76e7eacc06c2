package simulator_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/workload"
)

// asked counts what the machines of a model are asked for, health checks aside.
type asked struct {
	*model
	mu     sync.Mutex
	counts map[string]map[string]int // by job and request
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	text := r.Method + " " + r.URL.RequestURI() + " " + r.Host
	if r.Body != nil && r.ContentLength > 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		text += " " + r.Header.Get("Content-Type") + " " + string(body)
	}
	if r.URL.Path != "/health" {
		a.mu.Lock()
		if a.counts[r.URL.Host] == nil {
			a.counts[r.URL.Host] = map[string]int{}
		}
		a.counts[r.URL.Host][text]++
		a.mu.Unlock()
	}
	return a.model.RoundTrip(r)
}

// simulate runs a request against a good patch in a bubble.
func simulate(t *testing.T, m *model, transport http.RoundTripper, r simulator.Request) (impact api.Impact) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		impact, err = simulator.New(simulator.Options{Sandbox: m, Transport: transport}).Run(t.Context(), r)
		must.NoError(t, err)
	})
	return impact
}

// recording is a workload of three reads and one write, of which a part was left out.
func recording(leftOut int64) workload.Workload {
	return workload.Workload{
		Recorded: 4 + leftOut, Seconds: 1,
		Requests: []workload.Request{
			{Kind: workload.HTTP, Method: "GET", Path: "/items?page=2", Headers: map[string]string{"Host": "shop.example"}, Expect: 200, Weight: 3},
			{Kind: workload.HTTP, Method: "POST", Path: "/cart", Headers: map[string]string{"Content-Type": "text/plain", "Host": "shop.example"}, Body: []byte("one"), Expect: 2, Weight: 1},
		},
	}
}

func TestRun_SendsTheRecordedWorkloadToBothTwins(t *testing.T) {
	m, r := newModel(), request()
	r.Spec.Pairs, r.Workload = 1, recording(0)
	all := &asked{model: m, counts: map[string]map[string]int{}}
	impact := simulate(t, m, all, r)
	must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
	must.StrContains(t, impact.Reason, "; each twin was sent the 4 requests/s that the recording has")

	must.MapLen(t, 2, all.counts)
	control, treatment := all.counts[m.specs[0].Job], all.counts[m.specs[1].Job]
	const read, write = "GET /items?page=2 shop.example", "POST /cart shop.example text/plain one"
	must.MapLen(t, 2, control)
	must.MapLen(t, 2, treatment)
	must.Greater(t, 50, treatment[write])
	must.Between(t, 3*treatment[write]-15, treatment[read], 3*treatment[write]+15)
	for _, request := range []string{read, write} { // but for what the ends cut short
		must.Between(t, treatment[request]-2, control[request], treatment[request]+2)
	}
}

func TestRun_SaysWhatAWorkloadLacks(t *testing.T) {
	known := &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIRequests, Mean: 4}}}
	cases := map[string]struct {
		change  func(*simulator.Request)
		verdict api.SimulationVerdict
		reason  string
	}{
		"much was left out": {func(r *simulator.Request) { r.Workload = recording(4) }, api.SimulationUndecided,
			"the workload covers 50 % of the target's traffic, of which 80 % is the least; it lacks what the recording left out (50 % of the traffic)"},
		"another status than expected": {func(r *simulator.Request) {
			r.Workload = recording(0)
			r.Workload.Requests[0].Expect, r.Workload.Requests[1].Expect = 404, 5
		}, api.SimulationUndecided, "the control answers none of the workload's requests well (GET /items?page=2, POST /cart)"},
		"a health check where there is traffic": {func(r *simulator.Request) { r.Target.Meta, r.Baseline = nil, known }, api.SimulationUndecided,
			"it lacks all that production is asked: only the health check is known"},
		"a health check where nobody knows of any": {func(r *simulator.Request) { r.Target.Meta = nil }, api.SimulationPass, "nothing got worse"},
		"paths where there is traffic":             {func(r *simulator.Request) { r.Baseline = known }, api.SimulationPass, "each twin was sent the 4 requests/s that an instance has on average"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, r := newModel(), request()
			c.change(&r)
			impact := simulate(t, m, m, r)
			must.Eq(t, c.verdict, impact.Verdict, must.Sprint(impact.Reason))
			must.StrContains(t, impact.Reason, c.reason)
		})
	}
}

// TestRun_ScalesTheBusiestHoursRateDown: the sandbox has a limit, and the reason says so.
func TestRun_ScalesTheBusiestHoursRateDown(t *testing.T) {
	m, r := newModel(), request()
	r.Spec.Duration = api.Duration(time.Minute)
	busy, hours := 41.0, make([]*float64, 168)
	for i := range hours {
		hours[i] = &busy
	}
	r.Baseline = &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIRequests, Mean: 3, Hours: hours}}}
	impact := simulate(t, m, m, r)
	must.StrContains(t, impact.Reason, "each twin was sent 12 % of the 41 requests/s that an instance has in its busiest hour of the week (Monday 0:00 UTC)")
	must.False(t, strings.Contains(impact.Reason, "on average"))
}
